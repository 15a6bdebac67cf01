"""Which files say what to complete in a photo, and what they say together."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from finefill.batch import places
from finefill.batch.places import Place, digest, opened
from finefill.errors import FinefillError
from finefill.files import Photo, usable
from finefill.masks import Mask, regions

if TYPE_CHECKING:
    from finefill.batch.task import Task
    from finefill.masks import Placing

ANNOTATIONS = (".json", ".xml", ".txt", ".csv")  # see `finefill.masks.regions.annotated`
# LaMa's names, among others: several add up.
_NUMBERED = re.compile(r"(?P<stem>.+?)_mask\d*")


@dataclass
class Found:
    """The files of a folder of masks, by what belongs to them.

    Attributes:
        plain: names without extension -> image files.
        annotations: the same -> annotation files.
        several: stems of photos -> image files that add up.
        pattern: of the names that were looked for; empty = the usual ones.
    """

    plain: dict[str, list[str]] = field(default_factory=dict)
    annotations: dict[str, list[str]] = field(default_factory=dict)
    several: dict[str, list[str]] = field(default_factory=dict)
    pattern: str = ""

    def of(self, photo: str, folder: Place) -> tuple[list[str], str]:
        """The names of a photo's masks in ``folder``, or why there are none."""
        stem = os.path.splitext(photo)[0]
        if self.pattern:
            names = self.several.get(stem, []) + self.several.get(photo, [])
            wanted = self.pattern.replace("{stem}", stem).replace("{name}", photo)
            return names, "" if names else f"no mask: {(folder / wanted).as_posix()} is missing"
        for found in (self.plain, self.annotations):
            names = found.get(stem) or found.get(photo) or []
            if len(names) > 1:
                return [], f"more than one mask: {', '.join(names)}: keep one"
            if names:
                return names, ""
            if names := (self.several.get(stem, []) if found is self.plain else []):
                return names, ""
        return [], f"no mask: {(folder / stem).as_posix()}.* is missing"


def look_in(folder: Place, pattern: str = "") -> Found:
    """The masks of a folder; none where there is no such folder.

    Args:
        folder: where to look.
        pattern: of their names, with ``{stem}`` for the photo's name without its extension or
            ``{name}`` for all of it, and ``*`` for anything.
    """
    found = Found(pattern=pattern)
    try:
        items = places.listing(folder)
    except OSError:
        return found
    ours = _expression(pattern) if pattern else None
    for item in items:
        stem, extension = os.path.splitext(item.name)
        if item.name.startswith(".") or not (item.file or item.link):
            continue
        image, annotation = usable(extension), extension.lower() in ANNOTATIONS
        if ours is not None:
            if (image or annotation) and (match := ours.fullmatch(item.name)):
                found.several.setdefault(match["photo"], []).append(item.name)
        elif image:
            found.plain.setdefault(stem, []).append(item.name)
            if match := _NUMBERED.fullmatch(stem):
                found.several.setdefault(match["stem"], []).append(item.name)
        elif annotation:
            found.annotations.setdefault(stem, []).append(item.name)
    return found


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that does not say where the photo's name stands.

    Raises:
        FinefillError: it has not exactly one ``{stem}`` or ``{name}``.
    """
    if pattern and pattern.count("{stem}") + pattern.count("{name}") != 1:
        raise FinefillError(
            f"--mask-name {pattern}: give the photo's name once, as {{stem}} or {{name}}: "
            "'{stem}_mask*.png', '{name}.png'"
        )


def is_annotation(place: Place) -> bool:
    """Whether a file is read as annotations, by its extension."""
    return os.path.splitext(place.name)[1].lower() in ANNOTATIONS


def read(task: Task, photo: Photo, masks: tuple[Place, ...]) -> tuple[Mask, str]:
    """The union of a photo's masks and annotations, and their digest, see :func:`together`.

    The digest is that of the very bytes that are decoded, should a file change meanwhile.
    """
    from finefill.masks import read_mask

    size = photo.rgb.shape[:2]
    hole, digests = np.zeros(size, bool), []
    placing: Placing = {"orientation": photo.orientation, "drawn": task.mask_drawn}
    for place in masks:
        with opened(place) as file:
            digests.append(digest(file))
            if is_annotation(place):
                hole |= regions.annotated(
                    str(place),
                    str(task.source),  # with the folders, which tell images of one name apart
                    size,
                    task.labels,
                    text=file.read(),
                    resize=task.resize_mask,
                    line_width=task.line_width,
                    **placing,
                )
            else:
                hole |= read_mask(
                    file,
                    size,
                    resize=task.resize_mask,
                    keep_polarity=task.keep_polarity,
                    max_pixels=task.max_pixels,
                    values=task.mask_values,
                    **placing,
                )
    return hole, together(digests)


def together(digests: list[str]) -> str:
    """One SHA-256 for several: of one itself, of more that of all of them as text."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _expression(pattern: str) -> re.Pattern[str]:
    parts: Mapping[str, str] = {"{stem}": "(?P<photo>.+)", "{name}": "(?P<photo>.+)", "*": ".*"}
    pieces = re.split(r"(\{stem\}|\{name\}|\*)", pattern)
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces))
