"""What a completion network wants to be given and what it returns: its convention.

finefill's own models say it in their card. For anybody else's .onnx file a :class:`Convention` says
it: which inputs there are, what range, channel order and layout the image has, what stands for a
hole in the mask, what the output's numbers mean, and holes of which size the network does well.
It comes from a small JSON file, or by the name of one of :data:`BUILT_IN`; ``docs/networks.md``
describes the file and cites where the built-in ones come from.

It is only said here; :mod:`finefill.completion.binding` joins it to a file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from finefill.errors import FinefillError

Layout = Literal["NCHW", "NHWC"]
Channels = Literal["RGB", "BGR"]
Range = tuple[float, float]


class ImageInput(NamedTuple):
    """The image as the network takes it.

    Attributes:
        name: of the input.
        range: what black and what white become.
        channels: their order.
        layout: NCHW or NHWC.
        hole: what stands in the hole: a number in the network's range; ``kept``, the image's own
            pixels; or ``smooth``, the surroundings' colours carried on.
    """

    name: str
    range: Range
    channels: Channels = "RGB"
    layout: Layout = "NCHW"
    hole: float | Literal["kept", "smooth"] = 0.0


class MaskInput(NamedTuple):
    """The mask as the network takes it.

    Attributes:
        name: of the input; None where the mask is a channel of the image's input.
        channel: which one then: 0, before the colours, or 3, after them.
        keep: the value of a known pixel.
        hole: the value of a pixel that is to be completed.
        layout: NCHW or NHWC; an input of (N, H, W) or (H, W) is taken as it is.
    """

    name: str | None
    channel: int | None
    keep: float
    hole: float
    layout: Layout = "NCHW"


class Output(NamedTuple):
    """What the network returns.

    Attributes:
        name: of the output; None where the file has only one.
        range: the values of black and of white.
        channels: their order.
        layout: NCHW or NHWC.
        composited: whether known pixels come back as they were. It is checked with every fill, and
            so are the range and the meaning of the mask with it.
    """

    name: str | None
    range: Range
    channels: Channels = "RGB"
    layout: Layout = "NCHW"
    composited: bool = False


class Convention(NamedTuple):
    """How to use a completion network.

    Attributes:
        image: see there, as ``mask`` and ``output``.
        size: (height, width) if it takes only that; None = as the file declares it.
        size_multiple: of which height and width must be multiples.
        trained_size: the side in pixels that it is at home with; None = the fixed size.
        hole_range: sides in pixels of the smallest and largest hole that it does well; None = up
            to half of ``trained_size``. What is larger is completed at a reduced scale.
        detail: whether fills get their fine detail from the photograph.
        regions: whether regions of the photograph may fill a hole instead of the network.
        doubt: see :mod:`finefill.completion.confidence`; None = the confidence is not measured.
        name: what to call the network; None = as its file.
        version: for people, as ``domain``, ``licence`` and ``terms``.
    """

    image: ImageInput
    mask: MaskInput
    output: Output
    size: tuple[int, int] | None = None
    size_multiple: int = 1
    trained_size: int | None = None
    hole_range: tuple[int, int] | None = None
    detail: bool = False
    regions: bool = False
    doubt: float | None = None
    name: str | None = None
    version: str = ""
    domain: str = ""
    licence: str = ""
    terms: str = ""

    def to_json(self) -> dict[str, Any]:
        """The content of a JSON file that says the same; nothing is left to a default."""
        found = _said(self)
        for key in ("image", "mask", "output"):
            found[key] = _said(getattr(self, key))
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # lists for tuples

    def text(self) -> str:
        """The content of a JSON file that says the same, as people read it."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"

    @property
    def label(self) -> str:
        """The name of a built-in convention, or the SHA-256 of what another one says."""
        for name, built_in in BUILT_IN.items():
            if self == built_in:
                return name
        text = json.dumps(self.to_json(), sort_keys=True).encode()
        return f"sha256:{hashlib.sha256(text).hexdigest()}"


Given = str | os.PathLike[str] | Convention | Mapping[str, Any]


def get(given: Given) -> Convention:
    """A built-in convention by its name, or what a JSON file or its content says.

    Raises:
        FinefillError: there is no such name or file, or the file says something else.
    """
    if isinstance(given, Convention):  # made in Python: as carefully looked at as a file
        try:
            return parse(given.to_json(), "the convention")
        except (AttributeError, TypeError, ValueError) as error:
            raise FinefillError(f"the convention is not usable: {error}") from error
    if isinstance(given, Mapping):
        return parse({**given}, "the convention")
    if not isinstance(given, str | os.PathLike):
        raise FinefillError(
            f"the convention is a {type(given).__name__}: give a name, the path of a JSON file, "
            "what one would hold (a dict), or a Convention"
        )
    if given in BUILT_IN:
        return BUILT_IN[str(given)]
    path = Path(given)
    if path.suffix != ".json" and not path.is_file():
        raise FinefillError(
            f"{given}: unknown convention: use {', '.join(BUILT_IN)}, or a JSON file"
        )
    return read(path)


def read(path: Path) -> Convention:
    """What a JSON file says.

    Raises:
        FinefillError: it is missing, or no convention.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark at the start
        found = json.loads(text, object_pairs_hook=_without_twins)
    except OSError as error:
        raise FinefillError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FinefillError(f"{path}: not a readable JSON file ({error})") from error
    return parse(found, str(path))


def parse(found: Any, where: str) -> Convention:
    """The convention that the content of a JSON file describes; ``where`` names it in messages.

    Raises:
        FinefillError: something is missing, unknown, or of another kind than it should be.
    """
    if isinstance(found, dict) and "like" in found:
        found = dict(found)
        name = found.pop("like")
        if not isinstance(name, str) or name not in BUILT_IN:
            raise FinefillError(f"{where}: like is {name!r}: give one of {', '.join(BUILT_IN)}")
        found = _over(BUILT_IN[name].to_json(), found)
    top = _checked(found, "", _TOP, where)
    for key in ("image", "mask", "output"):
        if key not in top:
            raise FinefillError(f"{where}: {key} is missing: say what it is, as in {EXAMPLE}")
    parts = {key: _checked(top.pop(key), key, _PARTS[key], where) for key in _PARTS}
    for key, need in (("image", "name"), ("image", "range"), ("output", "range")):
        if need not in parts[key]:
            raise FinefillError(f"{where}: {key}.{need} is missing: give {_PARTS[key][need].text}")
    mask = parts["mask"]
    if ("name" in mask) == ("channel" in mask):
        raise FinefillError(
            f"{where}: mask needs a name, or a channel (0 or 3) if it is part of the image's "
            "input, and not both"
        )
    for key in ("keep", "hole"):
        if key not in mask:
            raise FinefillError(f"{where}: mask.{key} is missing: give {_PARTS['mask'][key].text}")
    if mask["keep"] == mask["hole"]:
        raise FinefillError(f"{where}: mask.keep and mask.hole are both {mask['hole']:g}")
    image = ImageInput(**parts["image"])
    # What comes out has the order of what goes in, unless it is said.
    same = {"channels": image.channels, "layout": image.layout}
    result = Convention(
        image,
        MaskInput(**{"name": None, "channel": None, "layout": image.layout, **mask}),
        Output(**{"name": None, **same, **parts["output"]}),
        **top,
    )
    if result.trained_size is not None:
        hole_range(result, result.trained_size, where)
    return result


def of_card(card: Mapping[str, Any]) -> Convention:
    """What a card of finefill's says, together with how all its models are used."""
    version, domain, licence, terms = (
        str(card.get(key, "")) for key in ("version", "domain", "licence", "terms")
    )
    smallest, largest = card["hole_range"]
    return BUILT_IN["finefill"]._replace(
        size_multiple=int(card["size_multiple"]),
        trained_size=int(card["trained_size"]),
        hole_range=(int(smallest), int(largest)),
        detail=bool(card["detail"]),
        regions=bool(card.get("regions", card["detail"])),
        doubt=card.get("doubt"),
        name=str(card["name"]),
        version=version,
        domain=domain,
        licence=licence,
        terms=terms,
    )


def hole_range(convention: Convention, trained: int, where: str) -> tuple[int, int]:
    """Sides of the smallest and largest hole, of a network that is at home with ``trained``.

    Raises:
        FinefillError: no such hole leaves anything of an image of that side.
    """
    smallest, largest = convention.hole_range or (1, trained // 2)
    if not 1 <= smallest <= largest < trained:
        raise FinefillError(
            f"{where}: hole_range [{smallest}, {largest}] does not fit trained_size {trained}: "
            "give the sides of the smallest and largest hole, less than that"
        )
    return smallest, largest


# --- JSON


def _said(part: Convention | ImageInput | MaskInput | Output) -> dict[str, Any]:
    """What is not left open."""
    return {key: value for key, value in part._asdict().items() if value is not None}


class _Kind(NamedTuple):
    """What a value must be: a text for people, and a test that may convert it."""

    text: str
    test: Callable[[Any], Any]  # raises ValueError


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _named(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _bounds(value: Any) -> Range:
    low, high = map(_number, value)
    if low == high:
        raise ValueError
    return low, high


def _pair(value: Any) -> tuple[int, int]:
    first, second = map(_count, value)
    return first, second


def _one_of(*allowed: Any) -> _Kind:
    def test(value: Any) -> Any:
        if isinstance(value, bool) or value not in allowed:
            raise ValueError
        return value

    return _Kind(" or ".join(map(str, allowed)), test)


def _hole(value: Any) -> Any:
    return value if value in ("kept", "smooth") else _number(value)


def _level(value: Any) -> float | None:
    if value is None:
        return None
    if _number(value) <= 0:
        raise ValueError
    return float(value)


_TEXT = _Kind("a text", _text)
_NAME = _Kind("a name", _named)
_NUMBER = _Kind("a number", _number)
_RANGE = _Kind("two numbers, of black and of white, as [0, 1]", _bounds)
_ORDER = {"channels": _one_of("RGB", "BGR"), "layout": _one_of("NCHW", "NHWC")}
_PARTS = {
    "image": {
        "name": _NAME,
        "range": _RANGE,
        **_ORDER,
        "hole": _Kind("a number, or kept, or smooth", _hole),
    },
    "mask": {
        "name": _NAME,
        "channel": _one_of(0, 3),
        "layout": _ORDER["layout"],
        "keep": _Kind("the number of a known pixel", _number),
        "hole": _Kind("the number of a pixel to complete", _number),
    },
    "output": {
        "name": _NAME,
        "range": _RANGE,
        **_ORDER,
        "composited": _Kind("true or false", _truth),
    },
}
_ANY = _Kind("", lambda value: value)
_TOP = {
    **dict.fromkeys(_PARTS, _ANY),
    "size": _Kind("[height, width] in pixels", _pair),
    "size_multiple": _Kind("a number of pixels, from 1 up", _count),
    "trained_size": _Kind("a number of pixels, from 1 up", _count),
    "hole_range": _Kind("[smallest, largest] in pixels", _pair),
    "detail": _Kind("true or false", _truth),
    "regions": _Kind("true or false", _truth),
    "doubt": _Kind("levels of 255, more than 0, or null", _level),
    "name": _NAME,
    **dict.fromkeys(("version", "domain", "licence", "terms"), _TEXT),
}
EXAMPLE = (
    '{"image": {"name": "image", "range": [0, 1]}, "mask": {"name": "mask", "keep": 0, "hole": 1}, '
    '"output": {"range": [0, 1]}}'
)


def _checked(found: Any, part: str, kinds: Mapping[str, _Kind], where: str) -> dict[str, Any]:
    """A JSON object's values, each tested."""
    if not isinstance(found, dict):
        raise FinefillError(f"{where}: {part or 'it'} is no JSON object: write it as in {EXAMPLE}")
    result = {}
    for key, value in found.items():
        whole = f"{part}.{key}" if part else key
        if key not in kinds:
            more = "" if part else ", like"
            raise FinefillError(f"{where}: unknown key {whole!r}: use {', '.join(kinds)}{more}")
        try:
            result[key] = kinds[key].test(value)
        except (ValueError, TypeError):
            raise FinefillError(
                f"{where}: {whole} is {json.dumps(value)}: give {kinds[key].text}"
            ) from None
    return result


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``changes``, those of its parts one by one."""
    result = dict(base)
    for key, value in changes.items():
        both = key in _PARTS and isinstance(value, dict)
        result[key] = {**base[key], **value} if both else value
    mask, said = result["mask"], changes.get("mask")
    if isinstance(said, dict) and "channel" in said and "name" not in said:
        mask.pop("name", None)
    return result


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return result


_LAMA = Convention(
    ImageInput("image", (0.0, 1.0)),
    MaskInput("mask", None, 0.0, 1.0),
    Output(None, (0.0, 255.0), composited=True),
    size_multiple=8,
    trained_size=512,
    hole_range=(16, 256),
)
BUILT_IN = {
    # Of finefill's own models; what it leaves open, their card says.
    "finefill": Convention(
        ImageInput("image", (-1.0, 1.0)),
        MaskInput("mask", None, 0.0, 1.0),
        Output("fill", (-1.0, 1.0), composited=True),
    ),
    "lama": _LAMA,
    # Its pipeline blends some pixels of what it is given in the hole into the fill, at the edge.
    "migan": _LAMA._replace(
        image=ImageInput("image", (0.0, 255.0), hole="smooth"),
        mask=MaskInput("mask", None, 255.0, 0.0),
        size_multiple=1,
    ),
}
