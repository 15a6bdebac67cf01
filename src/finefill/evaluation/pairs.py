"""Blind pairs: two methods' completions side by side, for people who see no names."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finefill.errors import FinefillError
from finefill.evaluation.extras import require
from finefill.evaluation.kinds import MaskSet
from finefill.evaluation.protocol import TestSet, corrupt, window
from finefill.files import RGB
from finefill.masks import Mask

LEFT, RIGHT, EQUAL = "left", "right", "equal"
ANSWERS = (LEFT, RIGHT, EQUAL)
COUNT = 100  # pairs at most
SIDE = 384  # longer side of a picture in pixels: small crops are enlarged
ROWS = 4  # pairs on a sheet
GAP = 8
NUMBER_WIDTH = 60
MAGENTA = (255, 0, 255)
TEMPLATE = Path(__file__).with_name("pairs.html")


@dataclass(frozen=True)
class Verdict:
    """How often a method was preferred to another.

    Attributes:
        first, second: the methods.
        wins, losses, equal: pairs in which the first was preferred, the second, or neither.
        missing: pairs without an answer.
        share: of the decided pairs that the first won; None where none was decided.
        low, high: its exact 95% interval (Clopper & Pearson 1934).
        p: of a result as far from one half or farther, if neither were better (sign test).
    """

    first: str
    second: str
    wins: int
    losses: int
    equal: int
    missing: int
    share: float | None
    low: float
    high: float
    p: float


def make_pairs(
    test: TestSet,
    holes: MaskSet,
    first: tuple[str, Mapping[int, RGB]],
    second: tuple[str, Mapping[int, RGB]],
    *,
    seed: int = 0,
    count: int = COUNT,
) -> dict[str, bytes]:
    """Files of a blind comparison, by name: ``pairs.html``, ``sheet-NN.png`` and ``key.json``.

    Which images, in which order, and which method stands left is a function of the seed.
    Pictures show the hole and what is around it; all but the key is without names.

    Args:
        first, second: a method's name, and its completions by image index.
    """
    rng = np.random.default_rng((seed, 25))
    both = sorted(first[1].keys() & second[1].keys())
    order = [both[i] for i in rng.permutation(len(both))[:count]]
    swapped = rng.integers(2, size=len(order)).astype(bool)
    rows: list[tuple[str, list[Image.Image]]] = []
    pairs: dict[str, dict[str, str]] = {}
    for number, (index, swap) in enumerate(zip(order, swapped, strict=True), 1):
        label = f"{number:0{len(str(len(order)))}}"
        left, right = (second, first) if swap else (first, second)
        mask = holes.masks[index]
        shown = [corrupt(test.images[index], mask, MAGENTA), left[1][index], right[1][index]]
        rows.append((label, [_view(image, mask) for image in shown]))
        pairs[label] = {"image": test.names[index], LEFT: left[0], RIGHT: right[0]}
    encoded = [(label, [_png(image) for image in images]) for label, images in rows]
    digest = hashlib.sha256()
    for label, pictures in encoded:
        digest.update(label.encode() + b"".join(pictures))
    identity = digest.hexdigest()
    key = {
        "set": identity,
        "methods": [first[0], second[0]],
        "masks": holes.kind,
        "seed": seed,
        "pairs": pairs,
    }
    files = {
        "pairs.html": _html(identity, encoded).encode(),
        "key.json": (json.dumps(key, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    for start in range(0, len(rows), ROWS):
        files[f"sheet-{start // ROWS:02}.png"] = _png(_sheet(rows[start : start + ROWS]))
    return files


def judge(verdict: Path, key: Path) -> Verdict:
    """Count a person's answers with the key.

    Args:
        verdict: what the page saved.
        key: ``key.json`` of the same comparison.

    Raises:
        FinefillError: a file is missing or not what it should be, they are of different
            comparisons, or SciPy is missing.
    """
    stats = require("scipy.stats", "SciPy")
    answers, secret = _read(verdict, "verdicts"), _read(key, "pairs")
    if answers["set"] != secret["set"]:
        raise FinefillError(
            f"{verdict}: the answers belong to another comparison than {key}: give the key.json "
            "that was written beside its pairs.html"
        )
    first, second = secret["methods"]
    count = dict.fromkeys((first, second, EQUAL), 0)
    for label, answer in answers["verdicts"].items():
        if label not in secret["pairs"] or answer not in ANSWERS:
            raise FinefillError(
                f"{verdict}: {label}: {answer!r} is not {', '.join(ANSWERS)} for a pair of {key}"
            )
        count[EQUAL if answer == EQUAL else secret["pairs"][label][answer]] += 1
    wins, decided = count[first], count[first] + count[second]
    share, low, high, p = None, 0.0, 1.0, 1.0
    if decided:
        test = stats.binomtest(wins, decided)
        interval = test.proportion_ci(0.95, "exact")
        share, p = wins / decided, float(test.pvalue)
        low, high = float(interval.low), float(interval.high)
    missing = len(secret["pairs"]) - len(answers["verdicts"])
    return Verdict(first, second, wins, count[second], count[EQUAL], missing, share, low, high, p)


def table(verdict: Verdict) -> str:
    """The verdict as a Markdown table and a sentence."""
    share = "" if verdict.share is None else f"{verdict.share:.1%}"
    interval = f"{verdict.low:.1%} to {verdict.high:.1%}"
    lines = [
        f"| {verdict.first} against {verdict.second} | wins | losses | equal | share of decided | "
        "95% interval | p |",
        "|---|---:|---:|---:|---:|---|---:|",
        f"| | {verdict.wins} | {verdict.losses} | {verdict.equal} | {share} | {interval} | "
        f"{verdict.p:.3g} |",
    ]
    if verdict.missing:
        lines += ["", f"{verdict.missing} pairs have no answer."]
    return "\n".join(lines)


def _read(path: Path, content: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        good = isinstance(found["set"], str) and isinstance(found[content], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FinefillError(
            f"{path}: cannot be used ({reason}): --verdict wants what pairs.html saved, --key the "
            "key.json beside it"
        ) from error
    if not good:
        raise FinefillError(f"{path}: not of a comparison: it has no {content!r} by pair")
    return dict(found)


def _view(image: RGB, mask: Mask) -> Image.Image:
    """The hole and as much again around it, ``SIDE`` pixels long."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(int(np.ptp(rows)), int(np.ptp(columns))) // 2 + 8
    part = Image.fromarray(np.ascontiguousarray(image[window(mask, margin)]))
    scale = SIDE / max(part.size)
    size = max(1, round(part.width * scale)), max(1, round(part.height * scale))
    return part.resize(size, Image.Resampling.LANCZOS)


def _sheet(rows: Sequence[tuple[str, list[Image.Image]]]) -> Image.Image:
    sheet = Image.new("RGB", (NUMBER_WIDTH + 3 * (SIDE + GAP), len(rows) * (SIDE + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for row, (label, images) in enumerate(rows):
        y = row * (SIDE + GAP)
        draw.text((NUMBER_WIDTH / 2, y + SIDE / 2), label, "black", font, anchor="mm")
        for column, image in enumerate(images):
            sheet.paste(image, (NUMBER_WIDTH + column * (SIDE + GAP), y))
    return sheet


def _png(image: Image.Image) -> bytes:
    # Without what differs between methods but not between pictures: nothing but the pixels.
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _html(identity: str, encoded: Sequence[tuple[str, list[bytes]]]) -> str:
    data = {
        "set": identity,
        "pairs": [
            {
                "label": label,
                "pictures": [
                    f"data:image/png;base64,{base64.b64encode(picture).decode()}"
                    for picture in pictures
                ],
            }
            for label, pictures in encoded
        ],
    }
    return TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/null", json.dumps(data))
