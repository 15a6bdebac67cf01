"""Photographs for training and evaluation: folders and tar shards -> crops and masks.

Everything random is a function of (seed, step), so a run that was stopped and resumed sees the
same batches as one that was not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finefill import masks
from finefill.data.recipes import Recipe
from finefill.errors import FinefillError, TooLargeError
from finefill.files import MAX_PIXELS, read_photo

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Exclusions = frozenset[tuple[str, str]]  # (file name of a shard or folder, or *; photograph's name)

SILHOUETTES = (0.03, 0.25)  # smallest and largest share of the crop's area
LABELS = ".labels.png"  # after a photograph's stem: its label map
SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def read_exclusions(path: Path) -> Exclusions:
    """What a training must not see, such as photographs that are also in a test set.

    Each line of the file names one photograph, ``SHARD.tar NAME``; with ``*`` for the shard it is
    left out wherever it lies.

    Raises:
        FinefillError: no such file, or a line is not of this form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FinefillError(f"{path}: not a readable list of photographs ({error})") from error
    found = set()
    for number, line in enumerate(lines, 1):
        shard, _, name = line.strip().partition(" ")
        if line.strip() and not name:
            raise FinefillError(
                f"{path}, line {number}: {line.strip()!r}: write SHARD.tar NAME, or * NAME"
            )
        if name:
            found.add((shard, name.strip().removeprefix("./")))
    return frozenset(found)


def iterate_images(paths: Sequence[Path]) -> Iterator[tuple[str, Pixels]]:
    """Yield (name, image (H, W, 3) uint8 RGB, upright) in a fixed order.

    Args:
        paths: image files, folders (searched recursively), tar shards, and folders inside a
            shard (``scenes.tar/street``). Label maps (``STEM.labels.png``) are left out.

    Raises:
        FinefillError: a path is missing, holds no image, or an image cannot be decoded.
    """
    for name, read in iterate_photos(paths):
        yield name, read()


def iterate_photos(paths: Sequence[Path]) -> Iterator[tuple[str, Callable[[], Pixels]]]:
    """As :func:`iterate_images`, but a photograph is decoded only when it is called for.

    So one that is left out may be broken.
    """
    for path in paths:
        count = 0
        for name, source in _sources(Path(path)):
            count += 1
            yield name, partial(read_image, source, f"{path}: {name}")
        if not count:
            raise FinefillError(
                f"{path}: no images inside (looked for {', '.join(sorted(SUFFIXES))})"
            )


def read_image(source: Path | io.BytesIO, name: str) -> Pixels:
    """A photograph (H, W, 3) uint8 RGB as it looks: upright, in sRGB, samples of 16 bits rounded.

    Raises:
        FinefillError: it cannot be decoded, or its samples have no agreed range (32-bit integers,
            floats); the message begins with ``name``.
    """
    try:
        file = io.BytesIO(source.read_bytes() if isinstance(source, Path) else source.getvalue())
    except OSError as error:
        raise FinefillError(f"{name}: cannot be read: {error.strerror}") from error
    file.name = name
    try:
        return read_photo(file).rgb
    except TooLargeError as error:
        raise FinefillError(
            f"{name}: more than {MAX_PIXELS} pixels: scale it down, or leave it out"
        ) from error


def fit(image: Pixels, recipe: Recipe, name: str) -> Pixels:
    """A photograph scaled down to the recipe's ``shorter_side``.

    Raises:
        FinefillError: it is smaller than the recipe's crop.
    """
    image = shrink(image, recipe.shorter_side)
    if min(image.shape[:2]) < recipe.crop[0]:
        raise FinefillError(
            f"{name}: {image.shape[1]}x{image.shape[0]} pixels are fewer than the crop of "
            f"{recipe.crop[0]}; remove it or use --set "
            f"'crop=[{min(image.shape[:2])},{recipe.crop[1]}]'"
        )
    return image


def iterate_labelled(paths: Sequence[Path]) -> Iterator[tuple[str, Pixels, NDArray[np.uint8]]]:
    """Yield (name, image (H, W, 3) uint8, label index per pixel (H, W) uint8).

    A photograph's labels are the palette PNG ``STEM.labels.png`` beside it; photographs without
    one are left out.

    Raises:
        FinefillError: a path is missing or a file cannot be decoded, sizes differ, or no
            photograph has labels.
    """
    count = 0
    for path in map(Path, paths):
        labels: dict[str, NDArray[np.uint8]] = {}
        for name, source in _sources(path, _is_labels):
            try:
                with Image.open(source) as palette:
                    labels[name.removesuffix(LABELS)] = np.asarray(palette)
            except (UnidentifiedImageError, OSError, SyntaxError) as error:
                raise FinefillError(
                    f"{path}: {name} is not a readable image ({error}); remove it"
                ) from error
        for name, read in iterate_photos([path]):
            if (found := labels.get(str(Path(name).with_suffix("")))) is None:
                continue
            image = read()
            if found.shape != image.shape[:2]:
                raise FinefillError(f"{path}: the labels of {name} have another size than it")
            count += 1
            yield name, image, found
    if not count:
        raise FinefillError(
            f"{', '.join(map(str, paths))}: no photograph with labels beside it (STEM{LABELS})"
        )


def _sources(
    path: Path, wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """(name, file) of the photographs below a path, or of the files ``wanted`` by their names."""
    wanted = wanted or is_photo
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if wanted(file.name):
                yield file.relative_to(path).as_posix(), file
    elif shard := _shard_of(path):
        inside = path.relative_to(shard).as_posix()
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    below = inside == "." or member.name.startswith(f"{inside}/")
                    if below and member.isfile() and wanted(member.name):
                        content = tar.extractfile(member)
                        assert content is not None  # it is a regular file
                        yield member.name, io.BytesIO(content.read())
        except (tarfile.TarError, OSError) as error:
            raise FinefillError(f"{path}: not a readable tar shard ({error})") from error
    elif path.is_file():
        yield path.name, path
    else:
        raise FinefillError(f"{path}: no such file or folder; --data wants photographs")


def _shard_of(path: Path) -> Path | None:
    """The tar file that a path names, or names a folder in."""
    return next((p for p in (path, *path.parents) if p.suffix == ".tar" and p.is_file()), None)


def is_photo(name: str) -> bool:
    """Whether a file name is that of a photograph, not of its labels."""
    file = Path(name)
    return file.suffix.lower() in SUFFIXES and not _is_labels(name)


def _is_labels(name: str) -> bool:
    return name.endswith(LABELS)


def shrink(image: Pixels, shorter: int | None) -> Pixels:
    """Scale (H, W, 3) down so that its shorter side is ``shorter`` pixels; never up."""
    height, width = image.shape[:2]
    if shorter is None or min(height, width) <= shorter:
        return image
    scale = shorter / min(height, width)
    size = (max(shorter, round(width * scale)), max(shorter, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


class Photos:
    """Decoded photographs in memory, split into training and validation.

    Attributes:
        train, validation: lists of (H, W, 3) uint8 images.
        count: how many are trained on.
        fingerprint: SHA-256 over names and pixels, to tell whether data are the same.
        outlines: of objects, each cut to its bounding box, for holes of the kind ``silhouette``.

    Raises:
        FinefillError: an image is smaller than the recipe's crop, or there are too few.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        recipe: Recipe,
        *,
        exclude: Exclusions = frozenset(),
        progress: bool = False,
        outlines: Sequence[masks.Mask] = (),
    ) -> None:
        items = _without(paths, exclude)
        if progress:
            from tqdm import tqdm

            items = tqdm(items, desc="reading photographs", unit="", leave=False, disable=None)
        keyed: list[tuple[str, Pixels]] = []
        digest = hashlib.sha256()
        for name, full in items:
            image = fit(full, recipe, name)
            digest.update(name.encode())
            digest.update(image.tobytes())
            keyed.append((hashlib.sha256(name.encode()).hexdigest(), image))
        self.outlines = tuple(outlines)
        for outline in outlines:
            digest.update(str(outline.shape).encode() + np.packbits(outline).tobytes())
        self.fingerprint = digest.hexdigest()
        if len(keyed) < recipe.batch + 1:
            raise FinefillError(
                f"{len(keyed)} photographs are too few for batches of {recipe.batch}: "
                "give more with --data"
            )
        # By the hash of the name: the split does not move when shards are added or reordered.
        keyed.sort(key=lambda item: item[0])
        count = max(1, min(recipe.validation, len(keyed) - recipe.batch, len(keyed) // 10))
        self.validation = [image for _, image in keyed[:count]]
        self.train = [image for _, image in keyed[count:]]
        self.count = len(self.train)


def source_name(path: Path) -> str:
    """What exclusions call a path: the file name of its shard, or of the folder."""
    return (_shard_of(Path(path)) or Path(path)).name


def excluded(exclude: Exclusions, shard: str, name: str) -> bool:
    """Whether a photograph of a shard (its file name) is to be left out; ``./`` does not count."""
    name = name.removeprefix("./")
    return (shard, name) in exclude or ("*", name) in exclude


def _without(paths: Sequence[Path], exclude: Exclusions) -> Iterable[tuple[str, Pixels]]:
    """The photographs of ``paths`` but those that ``exclude`` names; see read_exclusions.

    Warns:
        UserWarning: one that it names in a shard of ``paths``, or wherever it lies, is not there.
    """
    found, shards = set[tuple[str, str]](), {"*"}
    for path in paths:
        shard = source_name(path)
        shards.add(shard)
        for name, read in iterate_photos([path]):
            found |= {(some, name.removeprefix("./")) for some in (shard, "*")}
            if not excluded(exclude, shard, name):
                yield name, read()
    if missing := sorted(line for line in exclude - found if line[0] in shards):
        warnings.warn(
            f"{len(missing)} photographs to leave out are not in the shards given, such as "
            f"{' '.join(missing[0])}",
            stacklevel=2,
        )


def training_batch(
    photos: Photos, recipe: Recipe, step: int, rank: int = 0, ranks: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Batch number ``step`` of a run: images (N, S, S, 3) uint8 and masks (N, S, S) bool.

    Every epoch visits each photograph once in an order drawn from (seed, epoch); crop position,
    flip and mask are drawn from (seed, step), and S is one of the recipe's sizes. Of several
    ``ranks`` each gets its slice of the same batch, N / ranks long.
    """
    chosen = [photos.train[n] for n in batch_numbers(len(photos.train), recipe, step)]
    return crops_and_masks(chosen, at_step(recipe, step), step, rank, ranks, photos.outlines)


def at_step(recipe: Recipe, step: int) -> Recipe:
    """The recipe with the size that batch number ``step`` has, drawn from (seed, step)."""
    if not recipe.other_sizes:
        return recipe
    rng = np.random.default_rng((recipe.seed, 7, step))
    return dataclasses.replace(recipe, size=int(rng.choice(recipe.sizes)))


def batch_numbers(count: int, recipe: Recipe, step: int) -> list[int]:
    """Which of ``count`` photographs are in batch number ``step``: see training_batch."""
    first = step * recipe.batch
    chosen: list[int] = []
    orders: dict[int, NDArray[np.intp]] = {}
    for number in range(first, first + recipe.batch):
        epoch, position = divmod(number, count)
        if epoch not in orders:
            order_rng = np.random.default_rng((recipe.seed, 2, epoch))
            orders[epoch] = order_rng.permutation(count)
        chosen.append(int(orders[epoch][position]))
    return chosen


def crops_and_masks(
    chosen: Sequence[Pixels],
    recipe: Recipe,
    step: int,
    rank: int = 0,
    ranks: int = 1,
    outlines: Sequence[masks.Mask] = (),
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Crops (N, S, S, 3) uint8 of the photographs of a batch, and masks (N, S, S) bool.

    Everything is drawn from (seed, step) for the whole batch, and done for the slice of ``rank``.
    """
    sizes = [(image.shape[0], image.shape[1]) for image in chosen]
    frames, holes = frames_and_masks(sizes, recipe, step, outlines)
    length = len(chosen) // ranks
    own = slice(rank * length, (rank + 1) * length)
    images = [
        cut(image, frame, recipe.size)
        for image, frame in zip(chosen[own], frames[own], strict=True)
    ]
    return np.stack(images), np.stack(holes[own])


def frames_and_masks(
    sizes: Sequence[tuple[int, int]],
    recipe: Recipe,
    step: int,
    outlines: Sequence[masks.Mask] = (),
) -> tuple[list[Frame], list[masks.Mask]]:
    """Frames in photographs of these sizes (H, W), and masks (S, S), drawn from (seed, step)."""
    rng = np.random.default_rng((recipe.seed, 1, step))
    frames = [random_frame(rng, size, recipe) for size in sizes]
    return frames, [random_mask(rng, recipe, outlines) for _ in sizes]


class HeldOut(Protocol):
    """What validation needs of a data source."""

    validation: list[Pixels]


def validation_batches(
    photos: HeldOut, recipe: Recipe
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Centre crops of the validation photographs with fixed random squares, batch by batch.

    A recipe that trains on centre squares alone is validated on them.
    """
    rng = np.random.default_rng((recipe.seed, 3))
    center = {kind for kind, _ in recipe.mask_mix} == {"center"}
    size = recipe.size
    sides = round(48 * size / 128), round(80 * size / 128)

    def hole() -> masks.Mask:
        if center:
            return masks.center_square(size, size, size // 2)
        return masks.random_square(rng, size, size, sides)

    for first in range(0, len(photos.validation), recipe.batch):
        group = photos.validation[first : first + recipe.batch]
        yield (
            np.stack([_validation_crop(image, recipe, i) for i, image in enumerate(group, first)]),
            np.stack([hole() for _ in group]),
        )


def random_mask(
    rng: np.random.Generator, recipe: Recipe, outlines: Sequence[masks.Mask] = ()
) -> masks.Mask:
    """A mask (S, S) of a kind drawn with the recipe's shares; never empty.

    Args:
        outlines: what the kind ``silhouette`` takes its outlines from.

    Raises:
        FinefillError: that kind is drawn, and there are none.
    """
    kinds, shares = zip(*recipe.mask_mix, strict=True)
    kind = kinds[rng.choice(len(kinds), p=np.array(shares) / sum(shares))]
    size = recipe.size
    low, high = (round(side * size / 128) for side in recipe.square_sides)
    if kind == "square":
        return masks.random_square(rng, size, size, (low, high))
    if kind == "center":
        return masks.center_square(size, size, size // 2)
    if kind == "box":
        return masks.random_box(rng, size, size, (low // 2, high))
    if kind == "silhouette":
        if not outlines:
            raise FinefillError(
                "mask_mix has silhouettes, which come from labelled photographs in memory: give "
                f"some (STEM{LABELS} beside them), or use the kind object"
            )
        return masks.random_object(rng, size, size, outlines, SILHOUETTES)
    if kind == "object":
        return masks.random_outline(rng, size, size, (low, high))
    if kind == "wide":
        return masks.random_strokes(rng, size, size, brush=(24, 48), most=2)
    return masks.random_strokes(rng, size, size)


@dataclass(frozen=True)
class Frame:
    """A square of a photograph: its middle (row, column) and side in pixels, turned and flipped."""

    row: float
    column: float
    side: int
    degrees: float = 0.0
    flip: bool = False


def random_frame(rng: np.random.Generator, size: tuple[int, int], recipe: Recipe) -> Frame:
    """A frame inside a photograph (H, W), by the recipe's ``crop``, ``rotation``, ``flip``.

    The side's logarithm is uniform, and where the photograph is smaller than the side drawn, the
    frame is as large as that; places are uniform.
    """
    height, width = size
    low, high = recipe.crop
    side = min(round(low * (high / low) ** float(rng.random())), height, width)
    # A turned square of side s needs s (cos a + sin a) = sqrt(2) s sin(a + 45 degrees).
    room = min(min(height, width) / (math.sqrt(2) * side), 1.0)
    most = min(recipe.rotation, math.degrees(math.asin(room)) - 45)
    degrees = float(rng.uniform(-1, 1)) * most if most > 0 else 0.0
    half = side * _extent(degrees) / 2
    row, column = (float(rng.uniform(half, length - half)) for length in (height, width))
    return Frame(row, column, side, degrees, recipe.flip and bool(rng.integers(2)))


def _extent(degrees: float) -> float:
    """Side of the upright square around a turned one, in sides of that."""
    angle = math.radians(abs(degrees))
    return math.cos(angle) + math.sin(angle)


def cut(image: Pixels, frame: Frame, size: int) -> Pixels:
    """What a frame shows of (H, W, 3), scaled to (size, size, 3)."""
    side = min(math.ceil(frame.side * _extent(frame.degrees)), *image.shape[:2])
    top, left = (
        min(max(round(middle - side / 2), 0), length - side)
        for middle, length in zip((frame.row, frame.column), image.shape, strict=False)
    )
    patch = image[top : top + side, left : left + side]
    if frame.degrees:
        turned = Image.fromarray(np.ascontiguousarray(patch)).rotate(
            frame.degrees, Image.Resampling.BICUBIC
        )
        edge = (side - frame.side) // 2
        patch = np.asarray(turned)[edge : edge + frame.side, edge : edge + frame.side]
    return _to_size(patch[:, ::-1] if frame.flip else patch, size)


def center_frame(image: Pixels, side: int) -> Frame:
    """The frame in the photograph's middle, no larger than that."""
    height, width = image.shape[:2]
    return Frame(height / 2, width / 2, min(side, height, width))


def _validation_crop(image: Pixels, recipe: Recipe, number: int) -> Pixels:
    """Centre crops whose sides take turns: the smallest of the range, the middle, the largest."""
    low, high = recipe.crop
    side = (low, round(math.sqrt(low * high)), high)[number % 3]
    return cut(image, center_frame(image, side), recipe.size)


def _to_size(patch: Pixels, size: int) -> Pixels:
    if patch.shape[0] == size:
        return patch
    resized = Image.fromarray(np.ascontiguousarray(patch)).resize(
        (size, size), Image.Resampling.LANCZOS
    )
    return np.asarray(resized)
