"""The photograph gets filled: from image and mask to the completed image.

Reads in this order:

- ``plan`` chooses the windows, ``photo`` carries them out on photographs of any size.
- ``engine`` runs the network, ``detail`` and ``blend`` finish its fill.
- ``plain`` and ``specks`` fill what needs no network: one colour or plane, a few pixels.
- ``wrap`` cuts tiles and panoramas where no hole is.
- ``exemplar`` copies regions from around the hole instead.
- ``confidence`` and ``verify`` look at the result.
- ``catalog`` holds the shipped models; ``convention`` and ``binding`` say how others are used;
  ``weights`` finds the files that a model consists of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "CARD_KEY",
    "FILLS",
    "MAX_THREADS",
    "NEAR",
    "WRAPS",
    "Box",
    "Chosen",
    "Convention",
    "Engine",
    "Fill",
    "Filled",
    "Report",
    "Way",
    "Window",
    "Wrap",
    "check_arrays",
    "check_fill",
    "check_wrap",
    "choose",
    "complete",
    "cpus",
    "fill_photo",
    "fill_with_report",
    "find",
    "groups",
    "load",
    "load_ahead",
    "locate",
    "measured",
    "names",
    "verify_file",
    "window_around",
]

if TYPE_CHECKING:
    from finefill.completion.catalog import (
        Chosen,
        choose,
        find,
        load,
        load_ahead,
        locate,
        measured,
        names,
    )
    from finefill.completion.convention import Convention
    from finefill.completion.engine import CARD_KEY, MAX_THREADS, Engine, check_arrays, cpus
    from finefill.completion.exemplar import FILLS, Fill, Way
    from finefill.completion.photo import (
        Filled,
        Report,
        check_fill,
        complete,
        fill_photo,
        fill_with_report,
    )
    from finefill.completion.plan import NEAR, Box, Window, groups, window_around
    from finefill.completion.verify import verify_file
    from finefill.completion.wrap import WRAPS, Wrap, check_wrap
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "catalog": [
                "Chosen",
                "choose",
                "find",
                "load",
                "load_ahead",
                "locate",
                "measured",
                "names",
            ],
            "convention": ["Convention"],
            "engine": ["CARD_KEY", "MAX_THREADS", "Engine", "check_arrays", "cpus"],
            "exemplar": ["FILLS", "Fill", "Way"],
            "photo": [
                "Filled",
                "Report",
                "check_fill",
                "complete",
                "fill_photo",
                "fill_with_report",
            ],
            "plan": ["NEAR", "Box", "Window", "groups", "window_around"],
            "verify": ["verify_file"],
            "wrap": ["WRAPS", "Wrap", "check_wrap"],
        },
    )
