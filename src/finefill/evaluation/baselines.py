"""Classical methods behind the same callable as a model: fill(image, mask) -> image.

The packages of all but ``mean`` come with the extra ``baselines``. Every method changes the hole
only and leaves its input alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finefill.errors import FinefillError
from finefill.evaluation.extras import require
from finefill.evaluation.metrics import Pixels
from finefill.evaluation.protocol import Method
from finefill.masks import Mask, composite

# Neighbourhood of OpenCV's two methods, in pixels. Both are local averages: on 128x128 faces a
# radius of 8 gains a few thousandths of L1 over 5 at twice to three times the cost.
RADIUS = 5

# PatchMatch compares patches of 7x7 pixels, the size of its paper; the best PSNR of radius 2, 3,
# 5 and 7 on 128x128 faces.
PATCH_RADIUS = 3


def mean_colour(image: Pixels, mask: Mask) -> Pixels:
    """Fill the hole with the mean colour of the known pixels."""
    completed = image.copy()
    completed[mask] = np.rint(image[~mask].mean(axis=0)).astype(np.uint8)
    return completed


def _opencv(flag: str, threads: int) -> Method:
    cv2 = require("cv2", "OpenCV")
    cv2.setNumThreads(threads)
    algorithm: int = getattr(cv2, flag)

    def fill(image: Pixels, mask: Mask) -> Pixels:
        completed: Pixels = cv2.inpaint(image, mask.astype(np.uint8), RADIUS, algorithm)
        return completed

    return fill


def _telea(threads: int) -> Method:
    """Fast marching (Telea 2004)."""
    return _opencv("INPAINT_TELEA", threads)


def _navier_stokes(threads: int) -> Method:
    """Navier-Stokes, fluid dynamics (Bertalmio et al. 2001)."""
    return _opencv("INPAINT_NS", threads)


def _patchmatch(threads: int) -> Method:
    """PatchMatch completion over an image pyramid (Barnes et al. 2009; Wexler et al. 2007)."""
    patchmatch = require("patchmatch", "PyPatchMatch")
    if not patchmatch.patchmatch_available:
        raise FinefillError(
            "PyPatchMatch is installed without its native library: reinstall it from a wheel "
            "(pip install --force-reinstall --no-cache-dir PyPatchMatch)"
        )

    def fill(image: Pixels, mask: Mask) -> Pixels:
        patchmatch.set_random_seed(0)  # the search is random: equal inputs, equal results
        completed: Pixels = patchmatch.inpaint(image, mask, patch_size=PATCH_RADIUS)
        return completed

    return fill


def _biharmonic(threads: int) -> Method:
    """Biharmonic equation (Damelin & Hoang 2018): the smoothest surface through the border."""
    require("skimage", "scikit-image")
    from skimage.restoration import inpaint_biharmonic

    def fill(image: Pixels, mask: Mask) -> Pixels:
        values = inpaint_biharmonic(image / 255, mask, channel_axis=-1)
        completed = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return composite(image, completed, mask)

    return fill


BASELINES: dict[str, Callable[[int], Method]] = {
    "mean": lambda threads: mean_colour,
    "telea": _telea,
    "ns": _navier_stokes,
    "biharmonic": _biharmonic,
    "patchmatch": _patchmatch,
}


def load_baseline(name: str, threads: int = 1) -> Method:
    """A baseline by name (a key of ``BASELINES``).

    Raises:
        FinefillError: no such baseline, or its package is missing.
    """
    if name not in BASELINES:
        raise FinefillError(f"no baseline {name!r}; there are {', '.join(BASELINES)}")
    return BASELINES[name](threads)
