"""Photographs to learn from: folders and shards, streams, recipes (complete training settings)."""

from finefill.data.photos import (
    SUFFIXES,
    Photos,
    Pixels,
    iterate_images,
    iterate_labelled,
    random_mask,
    shrink,
    training_batch,
    validation_batches,
)
from finefill.data.recipes import Recipe, from_json
from finefill.data.stream import Stream, is_stream

__all__ = [
    "SUFFIXES",
    "Photos",
    "Pixels",
    "Recipe",
    "Stream",
    "from_json",
    "is_stream",
    "iterate_images",
    "iterate_labelled",
    "random_mask",
    "shrink",
    "training_batch",
    "validation_batches",
]
