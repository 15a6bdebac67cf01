"""Figure 9: objects removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import sheets
from finefill.reproduce import removal


def labelled(path: Path) -> Path:
    """A street with two cars, the larger one of 40x20 pixels at (30, 60)."""
    path.mkdir()
    rng = np.random.default_rng(0)
    image = rng.integers(100, 120, (128, 160, 3), np.uint8)
    labels = np.zeros((128, 160), np.uint8)
    labels[60:80, 30:70] = removal.CAR
    labels[60:64, 100:110] = removal.CAR
    image[labels == removal.CAR] = (255, 0, 0)
    Image.fromarray(image).save(path / "street.png")
    Image.fromarray(labels).save(path / "street.labels.png")
    return path


class TestRemoval:
    def test_the_largest_object_with_a_margin(self, tmp_path: Path) -> None:
        ((name, image, mask),) = removal.removals([labelled(tmp_path / "data")])
        assert name == "street.png"
        assert image.shape == (128, 160, 3)
        rows, columns = np.nonzero(mask)
        grown = removal.GROW
        assert (rows.min(), rows.max()) == (60 - grown, 79 + grown)
        assert (columns.min(), columns.max()) == (30 - grown, 69 + grown)

    def test_nothing_to_remove(self, tmp_path: Path) -> None:
        with pytest.raises(FinefillError, match="no object of label 7"):
            removal.removals([labelled(tmp_path / "data")], label=7)

    def test_command(self, tmp_path: Path, model_path: Path) -> None:
        out = tmp_path / "results"
        words = ["reproduce", "figure9", "--test", labelled(tmp_path / "data"), "--results", out]
        result = CliRunner().invoke(cli, [*map(str, words), "--model", str(model_path)])
        assert result.exit_code == 0, result.output
        assert "## Figure 9" in (out / "README.md").read_text(encoding="utf-8")
        with Image.open(out / "figure9.webp") as sheet:
            assert sheet.width == 1600
            # As large as it was drawn, on cells of 2 x 320 pixels with gaps between.
            pixels = np.asarray(sheet.resize((3 * (640 + 5 * sheets.GAP), 260))).astype(int)
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)
        second = 160 + sheets.GAP  # where the completion begins
        assert red[:, 30:70].sum() > 400  # before: the car
        assert red[:, second + 26 : second + 74].sum() == 0  # after: gone
        assert red[:, second + 98 : second + 112].sum() > 10  # the other one is still there
