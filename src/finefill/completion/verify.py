"""Proof that a completed photo is the photo outside its mask: read back, compared, hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finefill.errors import FinefillError
from finefill.files import MAX_PIXELS, Photo, alpha_of, output_format, read_photo, turn
from finefill.masks import Mask


def verify_file(photo: Photo, mask: Mask, output: Path, *, max_pixels: int = MAX_PIXELS) -> str:
    """What the written file has outside the mask, in a line, compared with the photo.

    Args:
        photo: as it was read.
        mask: (H, W) bool, upright, True = completed.
        output: the written file.
        max_pixels: as for :func:`finefill.files.read_photo`.

    Raises:
        FinefillError: it is not the same, though the format could keep it.
    """
    written = read_photo(output, max_pixels=max_pixels)
    if written.rgb.shape != photo.rgb.shape:
        raise FinefillError(f"{output}: not verified: its size is not the photo's: complete again")
    (before, _), (after, transparent) = (_with_alpha(image) for image in (photo, written))
    before, after = before[~mask], after[~mask]
    hashed = after if transparent else after[:, :3]
    digest = hashlib.sha256(hashed.tobytes()).hexdigest()
    distance = np.abs(before.astype(np.int16) - after).max(axis=1).astype(np.float64)
    if _is_deep(photo):  # the low bytes count too
        old, new = (_levels(image)[~mask].astype(np.float64) for image in (photo, written))
        if old.shape != new.shape:  # alpha or colour was given up: by what is left
            count = 1 if min(old.shape[1], new.shape[1]) < 3 else 3
            old, new = old[:, :count], new[:, :count]
        distance = np.maximum(distance, np.abs(old - new).max(axis=1) / 257)
    if not (different := np.count_nonzero(distance)):
        return f"unchanged: {len(after):,} of {mask.size:,} pixels, SHA-256 {digest}"
    fmt = output_format(output)
    lossy = fmt in ("JPEG", "AVIF", "HEIF") or (fmt == "WEBP" and bool(photo.kept.webp))
    told = (
        f"{different:,} of {len(after):,} pixels outside the mask differ, by {distance.max():.3g}"
    )
    if not lossy:
        better = "the photo's own format" if fmt == "PNG" else "PNG"
        raise FinefillError(
            f"{output}: {told} at most: the format cannot keep this photo as it is: choose {better}"
        )
    return f"changed by {fmt}: {told} of 255 at most, SHA-256 {digest}"


def _with_alpha(photo: Photo) -> tuple[NDArray[np.uint8], bool]:
    """(H, W, 4) uint8, upright, and whether the file has an alpha channel or a transparent colour.

    Without one all is opaque.
    """
    alpha = np.full(photo.rgb.shape[:2], 255, np.uint8)
    if transparent := photo.stored.has_transparency_data:
        alpha = turn(np.asarray(alpha_of(photo.stored)), photo.orientation)
    return np.dstack([photo.rgb, alpha]), transparent


def _is_deep(photo: Photo) -> bool:
    return photo.samples is not None or photo.stored.mode.startswith("I;16")


def _levels(photo: Photo) -> NDArray[np.uint16]:
    """Samples as (H, W, C) uint16, upright, C = 1 for grey; 8 bits times 257."""
    if photo.samples is not None:
        return turn(photo.samples, photo.orientation)
    if photo.stored.mode.startswith("I;16"):
        stored = np.asarray(photo.stored).astype(np.uint16)
        return turn(stored, photo.orientation)[..., None]
    return photo.rgb * np.uint16(257)
