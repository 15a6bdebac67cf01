"""Photographs in and out: what a file holds, becomes pixels and is written again.

- ``photo`` converts in memory, ``reading`` and ``writing`` do files.
- ``formats`` says what each kind can hold, ``shown`` what the networks get to see.
- ``colour``, ``deep`` (16 bits), ``heif``, ``jxl``, ``spread`` (transparency) and ``gaps`` (no
  data) help with pixels; ``raw`` knows what cannot be read.
- ``metadata`` keeps all else, by ``tiff``, ``containers``, ``iptc``, ``xmp``, ``previews``,
  ``resolution`` and ``stacks``.
"""

from finefill.files.formats import EXTENSIONS, output_format, remedy, usable
from finefill.files.metadata import orientation_of
from finefill.files.photo import (
    MIN_SIDE,
    RGB,
    Photo,
    alpha_of,
    from_network,
    opacity_of,
    photo_of,
    put_back,
    to_network,
    turn,
)
from finefill.files.reading import MAX_PIXELS, Source, decode, name_of, read_photo
from finefill.files.shown import for_network, hidden_of
from finefill.files.writing import PART, replacing, write_photo

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "MIN_SIDE",
    "PART",
    "RGB",
    "Photo",
    "Source",
    "alpha_of",
    "decode",
    "for_network",
    "from_network",
    "hidden_of",
    "name_of",
    "opacity_of",
    "orientation_of",
    "output_format",
    "photo_of",
    "put_back",
    "read_photo",
    "remedy",
    "replacing",
    "to_network",
    "turn",
    "usable",
    "write_photo",
]
