"""The photograph gets filled: from image and mask to the completed image.

Reads in this order: ``plan`` chooses the windows, ``engine`` runs the network, ``detail`` and
``blend`` finish its fill, ``photo`` carries all of it out on photographs of any size;
``confidence`` and ``verify`` look at the result; ``catalog`` holds the shipped models.
"""

from finefill.completion.catalog import load, locate, names
from finefill.completion.engine import CARD_KEY, MAX_THREADS, Engine, check_arrays, cpus
from finefill.completion.photo import (
    NEAR,
    Box,
    Filled,
    Report,
    complete,
    fill_photo,
    fill_with_report,
    groups,
)
from finefill.completion.plan import Window, window_around
from finefill.completion.verify import verify_file

__all__ = [
    "CARD_KEY",
    "MAX_THREADS",
    "NEAR",
    "Box",
    "Engine",
    "Filled",
    "Report",
    "Window",
    "check_arrays",
    "complete",
    "cpus",
    "fill_photo",
    "fill_with_report",
    "groups",
    "load",
    "locate",
    "names",
    "verify_file",
    "window_around",
]
