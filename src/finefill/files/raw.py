"""Camera raw files: known by their first bytes, and refused by name."""

from __future__ import annotations

from typing import IO

from finefill.errors import FinefillError

# What begins, at a place, files of Canon, Fujifilm, Olympus, Panasonic, Sigma and Minolta; those of
# others are TIFF files, which finefill.files.tiff knows by what is in them.
_MARKS = (
    (8, b"CR"), (4, b"ftypcrx "), (0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIRS"),
    (0, b"MMOR"), (0, b"IIU\0"), (0, b"FOVb"), (0, b"\0MRM"),
)  # fmt: skip
EXTENSIONS = {
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".srf", ".sr2", ".srw",
    ".x3f",
}  # fmt: skip


def refuse_raw(file: IO[bytes], name: str) -> None:
    """Raise a FinefillError for a camera raw file, by its first bytes or its name."""
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    if any(head[at:].startswith(mark) for at, mark in _MARKS if at != 8 or head[:2] == b"II"):
        raise raw_error(name)
    if any(name.lower().endswith(extension) for extension in EXTENSIONS):
        raise raw_error(name)


def raw_error(name: str) -> FinefillError:
    """What to say of such a file."""
    return FinefillError(
        f"{name}: is camera raw: develop it first, and give the TIFF or JPEG that this makes"
    )
