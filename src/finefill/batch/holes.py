"""Which files say what to complete in a photo, and what they say together."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import numpy as np

from finefill.batch import places
from finefill.batch.places import Place, digest, opened
from finefill.errors import EmptyMaskError, FinefillError, NotThereError
from finefill.files import Photo, usable
from finefill.masks import Mask, regions, tell_empty

if TYPE_CHECKING:
    from finefill.batch.task import Entry, Task
    from finefill.masks import Placing

ANNOTATIONS = (".json", ".xml", ".txt", ".csv")  # see `finefill.masks.regions.annotated`
_BESIDE = {"classes.txt"}  # YOLO's names of labels: lies beside its files
# LaMa's names, among others: several add up.
_NUMBERED = re.compile(r"(?P<stem>.+?)_mask\d*")


@dataclass(slots=True)  # a folder may hold a million
class Matched:
    """A photo's masks.

    Attributes:
        names: of the files, which add up.
        problem: why there are none; empty where there are.
        warnings: which files are not used, or could be another photo's, in sentences.
    """

    names: list[str] = field(default_factory=list)
    problem: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Found:
    """What a folder of masks holds for a folder of photos.

    Attributes:
        masks: names of photos -> their masks.
        spare: files that belong to no photo.
        folders: names of the folders below.
    """

    masks: dict[str, Matched]
    spare: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def look_in(folder: Place, photos: Sequence[str], pattern: str = "") -> Found:
    """The masks of a folder; none where there is no such folder.

    Names are compared as Unicode's NFC: macOS writes an accent as a character of its own (NFD).

    Args:
        folder: where to look.
        photos: the names of the photos.
        pattern: of the masks' names, with ``{stem}`` for the photo's name without its extension or
            ``{name}`` for all of it, and ``*`` for anything. A file that fits several photos
            belongs to the one with the longest name.
    """
    try:
        items = places.listing(folder)
    except OSError:
        items = []
    files = [
        item.name
        for item in items
        if (item.file or item.link) and not item.name.startswith(".") and _is_mask(item.name)
    ]
    folders = [item.name for item in items if item.folder and not item.name.startswith(".")]
    if pattern:
        masks = _by_pattern(folder, files, photos, pattern)
        belonging = {name for one in masks.values() for name in one.names}
    else:
        masks, belonging = _by_names(folder, files, photos)
    spare = [name for name in files if name not in belonging and name not in _BESIDE]
    return Found(masks, spare, folders)


def _is_mask(name: str) -> bool:
    extension = os.path.splitext(name)[1]
    return usable(extension) or extension.lower() in ANNOTATIONS


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _by_names(
    folder: Place, files: list[str], photos: Sequence[str]
) -> tuple[dict[str, Matched], set[str]]:
    """The masks by the usual names, and all files that are some photo's, used or not."""
    own = {
        key
        for photo in photos
        for key in map(_composed, (photo, os.path.splitext(photo)[0]))
        if _NUMBERED.fullmatch(key)
    }
    plain, annotations, several = (defaultdict[str, list[str]](list) for _ in range(3))
    for name in files:
        stem, extension = os.path.splitext(name)
        key = _composed(stem)
        (plain if usable(extension) else annotations)[key].append(name)
        # A photo a_mask.jpg has a mask of its own, which says nothing about a.jpg.
        if usable(extension) and key not in own and (match := _NUMBERED.fullmatch(key)):
            several[match["stem"]].append(name)
    masks: dict[str, Matched] = {}
    left: dict[str, list[str]] = {}
    belonging: set[str] = set()
    for photo in photos:
        stem = os.path.splitext(photo)[0]
        one, whole = _composed(stem), _composed(photo)
        names = several.get(one, [])
        kinds = [
            _spelled(plain.get(one, []), stem),
            _spelled(plain.get(whole, []), photo),
            names,
            _spelled(annotations.get(one, []), stem),
            _spelled(annotations.get(whole, []), photo),
        ]
        taken = next(filter(None, kinds), [])
        maps = (plain, annotations)
        candidates = [name for found in maps for key in (one, whole) for name in found.get(key, [])]
        belonging.update(candidates, names)
        if others := [one for one in dict.fromkeys([*candidates, *names]) if one not in taken]:
            left[photo] = others
        if not taken:
            problem = f"no mask: {(folder / stem).as_posix()}.* is missing"
            masks[photo] = Matched(problem=problem)
        elif len(taken) > 1 and taken is not names:
            problem = f"more than one mask: {', '.join(taken)}: keep one"
            masks[photo] = Matched(problem=problem)
        else:
            masks[photo] = Matched(taken)
    used = {name for one in masks.values() for name in one.names}
    for photo, others in left.items():
        matched, unused = masks[photo], [name for name in others if name not in used]
        if matched.names and unused:
            matched.warnings = (
                f"not used: {first_of(unused)}: {first_of(matched.names)} comes first "
                "(--mask-name chooses others)",
            )
    return masks, belonging


def _spelled(names: list[str], wanted: str) -> list[str]:
    """Of names that are one in NFC, those spelled just so; all, where none is."""
    return [name for name in names if os.path.splitext(name)[0] == wanted] or names


def _by_pattern(
    folder: Place, files: list[str], photos: Sequence[str], pattern: str
) -> dict[str, Matched]:
    """The masks by a pattern of :func:`look_in`."""
    before, _, after = re.split(r"(\{stem\}|\{name\})", _composed(pattern))
    start, end = _expression(before), _expression(after)
    keys: dict[str, list[str]] = {}
    for photo in photos:
        key = os.path.splitext(photo)[0] if "{stem}" in pattern else photo
        keys.setdefault(_composed(key), []).append(photo)
    masks = {photo: Matched() for photo in photos}
    for name in files:
        text = _composed(name)
        starts = [at for at in range(len(text)) if start.fullmatch(text[:at])]
        ends = [at for at in range(1, len(text) + 1) if end.fullmatch(text[at:])]
        fitting = {text[i:j] for i in starts for j in ends if text[i:j] in keys}
        if not fitting:
            continue
        longest = max(map(len, fitting))
        ties = sorted(key for key in fitting if len(key) == longest)
        for photo in keys[ties[0]]:
            masks[photo].names.append(name)
            if len(ties) > 1:
                others = ", ".join(one for key in ties[1:] for one in keys[key])
                masks[photo].warnings += (f"{name} is taken for its mask, but fits {others} too",)
    for photo, matched in masks.items():
        if not matched.names:
            stem = os.path.splitext(photo)[0]
            wanted = pattern.replace("{stem}", stem).replace("{name}", photo)
            matched.problem = f"no mask: {(folder / wanted).as_posix()} is missing"
    return masks


def first_of(names: Sequence[str], count: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more:,} more" if more > 0 else "")


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


def read(task: Task, photo: Photo, masks: tuple[Place, ...], entry: Entry) -> Mask:
    """The union of a photo's masks and annotations.

    Fills in the entry's ``mask_sha256``, see :func:`together`, and ``lacks``. The digest is that of
    the very bytes that are decoded, should a file change meanwhile.

    Warns:
        UserWarning: a file has none of the labels or values to take, or is empty.
    """
    size = photo.rgb.shape[:2]
    hole, digests = np.zeros(size, bool), []
    empty: list[str] = []
    wanted: set[str] = set()
    found: set[str] = set()
    for place in masks:
        names = task.labels if is_annotation(place) else task.mask_values
        wanted.update(names)
        with opened(place) as file:
            digests.append(digest(file))
            try:
                drawn, there = _chosen(functools.partial(_read, task, photo, place, file), names)
            except EmptyMaskError as error:  # others may say more
                empty.append(str(error))
                continue
            except NotThereError as error:  # as there are no cars in some photos
                warnings.warn(str(error), stacklevel=2)
                continue
            hole |= drawn
            found.update(there)
    entry.mask_sha256 = together(digests)
    entry.lacks = sorted(wanted - found)
    if hole.any():
        tell_empty(hole, empty)
    return hole


def _chosen(read: Callable[[Sequence[str]], Mask], names: Sequence[str]) -> tuple[Mask, list[str]]:
    """What has one of the labels or values, and those that are there.

    Raises:
        NotThereError: none of them is.
    """
    there = list(names)
    while True:
        try:
            return read(there), there
        except NotThereError as error:
            there = [name for name in there if name not in error.missing]
            if not there:
                raise


def _read(task: Task, photo: Photo, place: Place, file: IO[bytes], names: Sequence[str]) -> Mask:
    """One mask, or annotations, with only the labels or values of these names."""
    from finefill.masks import read_mask

    size = photo.rgb.shape[:2]
    placing: Placing = {"orientation": photo.orientation, "drawn": task.mask_drawn}
    file.seek(0)
    if is_annotation(place):
        return regions.annotated(
            str(place),
            str(task.source),  # with the folders, which tell images of one name apart
            size,
            names,
            text=file.read(),
            resize=task.resize_mask,
            line_width=task.line_width,
            **placing,
        )
    return read_mask(
        file,
        size,
        resize=task.resize_mask,
        keep_polarity=task.keep_polarity,
        max_pixels=task.max_pixels,
        values=names,
        **placing,
    )


def together(digests: list[str]) -> str:
    """One SHA-256 for several: of one itself, of more that of all of them as text."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern's part before or after the photo's name; ``*`` is anything."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
