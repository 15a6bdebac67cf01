"""Photographs to learn from: folders and shards, streams, recipes (complete training settings)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "OBJECT_LABELS",
    "SUFFIXES",
    "Exclusions",
    "Frame",
    "Photos",
    "Pixels",
    "Recipe",
    "Stream",
    "at_step",
    "batch_numbers",
    "frames_and_masks",
    "from_json",
    "is_photo",
    "is_stream",
    "iterate_images",
    "iterate_labelled",
    "outlines_of",
    "random_mask",
    "read_exclusions",
    "read_image",
    "read_photos",
    "recipes",
    "shrink",
    "source_name",
    "training_batch",
    "validation_batches",
]

if TYPE_CHECKING:
    from finefill.data import recipes
    from finefill.data.outlines import OBJECT_LABELS, outlines_of, read_photos
    from finefill.data.photos import (
        SUFFIXES,
        Exclusions,
        Frame,
        Photos,
        Pixels,
        at_step,
        batch_numbers,
        frames_and_masks,
        is_photo,
        iterate_images,
        iterate_labelled,
        random_mask,
        read_exclusions,
        read_image,
        shrink,
        source_name,
        training_batch,
        validation_batches,
    )
    from finefill.data.recipes import Recipe, from_json
    from finefill.data.stream import Stream, is_stream
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "outlines": ["OBJECT_LABELS", "outlines_of", "read_photos"],
            "photos": [
                "SUFFIXES",
                "Exclusions",
                "Frame",
                "Photos",
                "Pixels",
                "at_step",
                "batch_numbers",
                "frames_and_masks",
                "is_photo",
                "iterate_images",
                "iterate_labelled",
                "random_mask",
                "read_exclusions",
                "read_image",
                "shrink",
                "source_name",
                "training_batch",
                "validation_batches",
            ],
            "recipes": ["Recipe", "from_json"],
            "stream": ["Stream", "is_stream"],
        },
    )
