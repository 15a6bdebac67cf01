"""ICC profiles: a photo's own colours <-> sRGB, the only colours that the networks know.

LittleCMS converts, by Pillow's ImageCms, with the relative colorimetric intent and black point
compensation.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms  # most photos need no conversion, and so not the library

RGB = NDArray[np.uint8]

ROWS = 1 << 20  # pixels converted at a time; bounds the memory
ALIKE = 2  # levels: profiles that differ less from sRGB are taken for it

_SPACES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}  # ICC's names -> Pillow's


class Colours:
    """Converts between the colours of a profile and sRGB."""

    def __init__(self, profile: ImageCms.ImageCmsProfile, space: str) -> None:
        """Build both conversions; ``space`` is L, RGB or CMYK, the profile's.

        Raises:
            PyCMSError: the profile cannot be used both ways.
        """
        from PIL import ImageCms

        # Pillow's annotations leave out what its functions take: profiles in memory.
        build: Any = ImageCms.buildTransform
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        self.space = space
        self._to: Any = build(profile, srgb, space, "RGB", intent, flags)
        self._from: Any = build(srgb, profile, "RGB", space, intent, flags)

    def to_srgb(self, image: Image.Image) -> RGB:
        """An image of mode ``space`` as (H, W, 3) uint8 in sRGB."""
        width, height = image.size
        result = np.empty((height, width, 3), np.uint8)
        step = max(1, ROWS // width)
        for top in range(0, height, step):
            rows = image.crop((0, top, width, min(top + step, height)))
            result[top : top + step] = np.asarray(self._to.apply(rows))
        return result

    def from_srgb(self, pixels: RGB) -> NDArray[np.uint8]:
        """(N, 3) uint8 in sRGB as (N,) or (N, channels) in the profile's colours."""
        parts = [
            np.asarray(self._from.apply(Image.fromarray(pixels[None, start : start + ROWS])))[0]
            for start in range(0, len(pixels), ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.space)), np.uint8)

    def is_srgb(self) -> bool:
        """Whether the conversion changes no colour by more than ``ALIKE`` levels.

        Tried on 9 levels a channel, which costs well below a millisecond.
        """
        levels = np.linspace(0, 255, 9).round().astype(np.uint8)
        if self.space == "L":
            grid = np.repeat(levels[:, None], 3, axis=1)
        else:
            grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
        image = Image.fromarray(grid[None])
        there = self.to_srgb(image if self.space == "RGB" else image.convert(self.space))[0]
        return bool(np.abs(there.astype(int) - grid).max() <= ALIKE)


def colours_of(profile: object, space: str, name: str) -> Colours | None:
    """The conversion that samples of ``space`` need, or None where they are taken as sRGB.

    Args:
        profile: the file's ICC profile, if any.
        space: of the samples: L, RGB or CMYK.
        name: what messages call the file.

    Returns:
        None without a profile, with that of sRGB, with one for another kind of samples (as
        viewers do) and with one that cannot be used.

    Warns:
        UserWarning: the profile cannot be used.
    """
    if not isinstance(profile, bytes) or not profile:
        return None
    try:
        colours = _converter(profile, space)
    except ValueError:
        warnings.warn(
            f"{name}: its colour profile is damaged: its colours are taken for sRGB", stacklevel=4
        )
        return None
    return None if colours is None or (space != "CMYK" and colours.is_srgb()) else colours


def is_unused(profile: object, space: str) -> bool:
    """Whether there is a profile that is damaged, or for other samples than those of ``space``."""
    if not isinstance(profile, bytes) or not profile:
        return False
    try:
        return _converter(profile, space) is None
    except ValueError:
        return True


def _converter(profile: bytes, space: str) -> Colours | None:
    """The conversion by a profile; None where it is for other samples.

    Raises:
        ValueError: it is damaged.
    """
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        fits = _SPACES.get(opened.profile.xcolor_space) == space
        return Colours(opened, space) if fits else None
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError("damaged colour profile") from error
