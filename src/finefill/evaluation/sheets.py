"""Contact sheets: original, what the methods saw, and each method's completion."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finefill.evaluation.kinds import MaskSet
from finefill.evaluation.protocol import MethodResult, TestSet, corrupt
from finefill.files import RGB

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 12  # samples side by side
GAP = 3
WHOLE_SIDE = 256  # longer side at most of a photograph that is no crop
HEADER = 20  # line with the image numbers, px
LABEL_WIDTH = 120
WHITE = 255
LONGEST = 1600  # side of a sheet that documents keep, px
PLOT_DPI, PLOT_COLOURS = 110, 64  # of plots that documents keep


def pick(count: int, wanted: int, seed: int) -> list[int]:
    """``wanted`` of ``count`` image indices at random (all if there are fewer), sorted.

    A function of the seed: nobody picks the good ones.
    """
    rng = np.random.default_rng((seed, 24))
    return sorted(int(i) for i in rng.choice(count, size=min(count, wanted), replace=False))


def contact_sheet(
    test: TestSet, holes: MaskSet, results: Mapping[str, MethodResult], indices: Sequence[int]
) -> Image.Image:
    """RGB sheet: one column a sample, rows original / input (hole white) / each method.

    After ``COLUMNS`` samples a new block of rows begins. The numbers above the columns are the
    images' indices in the test set. Every result must hold the completions of ``indices``.
    """
    rows: list[tuple[str, list[RGB]]] = [
        ("original", [test.images[i] for i in indices]),
        ("input", [corrupt(test.images[i], holes.masks[i], WHITE) for i in indices]),
    ]
    rows += [(name, [result.completions[i] for i in indices]) for name, result in results.items()]
    side = WHOLE_SIDE if test.whole else test.size
    tile = side + GAP
    across = min(COLUMNS, len(indices))
    blocks = -(-len(indices) // COLUMNS)
    block_height = HEADER + len(rows) * tile + GAP
    sheet = Image.new(
        "RGB", (LABEL_WIDTH + across * tile + GAP, blocks * block_height), (WHITE,) * 3
    )
    draw = ImageDraw.Draw(sheet)
    number_font = ImageFont.load_default(13)
    for position, index in enumerate(indices):
        block, column = divmod(position, COLUMNS)
        x, y = LABEL_WIDTH + column * tile, block * block_height
        draw.text((x + (tile - GAP) / 2, y + 3), f"#{index}", "black", number_font, anchor="ma")
        for row, (_, images) in enumerate(rows):
            picture = Image.fromarray(images[position])
            picture.thumbnail((side, side))  # of a crop nothing
            sheet.paste(picture, (x, y + HEADER + row * tile))
    for block in range(blocks):
        for row, (label, _) in enumerate(rows):
            y = block * block_height + HEADER + row * tile
            draw.text(
                (LABEL_WIDTH - 8, y + (tile - GAP) / 2),
                label,
                "black",
                _fitting_font(label, LABEL_WIDTH - 12),
                anchor="rm",
            )
    return sheet


def ranked(result: MethodResult, wanted: int = COLUMNS) -> tuple[list[int], list[int]]:
    """The ``wanted`` best and the ``wanted`` worst images by PSNR over the hole, best first.

    The worst are the failure cases of the paper's Fig. 10. Sets of fewer than twice as many images
    share them out.
    """
    order = [int(i) for i in np.argsort(-result.values["psnr"], kind="stable")]
    wanted = min(wanted, len(order) // 2)
    return order[:wanted], order[len(order) - wanted :]


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def webp(image: Image.Image, quality: int = 80) -> bytes:
    """The image as documents keep it: WebP (quality 0 to 100), sides up to ``LONGEST`` pixels."""
    small = image.convert("RGB")
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=quality, method=6)
    return file.getvalue()


def plot_png(figure: Figure) -> bytes:
    """A Matplotlib figure as documents keep it: PNG of few colours, a third of the bytes."""
    file, small = io.BytesIO(), io.BytesIO()
    figure.savefig(file, format="png", dpi=PLOT_DPI)
    Image.open(file).convert("RGB").quantize(PLOT_COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def _fitting_font(text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font of 8 to 18 pixels in which the text is no wider than ``width``."""
    for size in range(18, 8, -1):
        font = ImageFont.load_default(size)
        if font.getlength(text) <= width:
            return font
    return ImageFont.load_default(8)
