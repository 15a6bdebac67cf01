"""Stacks: the description of the output tells of the one picture that it has."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import told

tifffile = pytest.importorskip("tifffile", reason="writes the files")

GREY = (np.arange(24 * 40).reshape(24, 40) % 251).astype(np.uint8)
HOLE = np.zeros((24, 40), bool)
HOLE[5:12, 6:15] = True
STACKS: list[tuple[str, dict[str, Any], int, str]] = [
    ("s.ome.tif", {"metadata": {"axes": "ZYX"}}, 1, "OME"),
    ("c.ome.tif", {"metadata": {"axes": "CYX", "Channel": {"Name": ["a", "b", "c"]}}}, 1, "OME"),
    ("t.ome.tif", {"metadata": {"axes": "TYX", "Plane": {"DeltaT": [1, 2, 3]}}}, 1, "OME"),
    ("rgb.ome.tif", {"metadata": {"axes": "ZYXS"}, "photometric": "rgb"}, 3, "OME"),
    ("i.tif", {"imagej": True}, 1, "ImageJ"),
    ("z.tif", {"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}}, 1, "ImageJ"),
    ("t.tif", {"photometric": "minisblack"}, 1, "tifffile"),
]


@pytest.mark.parametrize(("name", "options", "bands", "whose"), STACKS)
def test_a_description_for_one_picture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
    name: str, options: dict[str, Any], bands: int, whose: str,
) -> None:  # fmt: skip
    plane = GREY if bands == 1 else np.dstack([GREY] * bands)
    tifffile.imwrite(tmp_path / name, np.stack([plane] * 3), **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        photo = read_photo(tmp_path / name)
    said = [str(one.message).removeprefix(f"{tmp_path / name}") for one in caught]
    assert said == [
        " has several pictures: only the first is used",
        f": left out: that it has 3 pictures, in {whose}'s description",
    ]
    target = tmp_path / f"out-{name}"
    write_photo(photo, photo.rgb, HOLE, target)
    caplog.clear()
    with caplog.at_level(logging.WARNING), tifffile.TiffFile(target) as file:
        assert len(file.pages) == 1
        assert [series.shape for series in file.series] == [plane.shape]
        np.testing.assert_array_equal(file.asarray(), plane)
        text = file.pages[0].description
        assert file.is_ome == (whose == "OME")
    assert not caplog.records  # that the series is invalid
    for gone in (
        "images=",
        "slices=",
        "channels=",
        'Z="3"',
        'T="3"',
        "[3,",
        'TheZ="1"',
        'Name="b"',
    ):
        assert gone not in text
    if name == "z.tif":
        assert "unit=um" in text
    assert read_photo(target).kept.lost == ()


def test_one_table_for_a_stack_of_imagej(tmp_path: Path) -> None:
    """As ImageJ writes above 4 GB: the pictures follow each other, and one table is there."""
    said = "ImageJ=1.53t\nimages=3\nslices=3\nmin=0.0\nmax=250.0"
    tifffile.imwrite(tmp_path / "in.tif", GREY, metadata=None, description=said)
    with (
        told("several pictures: only the first"),
        told("left out: that it has 3 pictures, in ImageJ's"),
    ):
        photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].description == "ImageJ=1.53t\nmin=0.0\nmax=250.0"


@pytest.mark.parametrize("said", ["ImageJ=1.53t\nunit=um", "images=3", '{"shape": [24, 40]}'])
def test_other_descriptions_stay(tmp_path: Path, said: str) -> None:
    tifffile.imwrite(tmp_path / "in.tif", GREY, metadata=None, description=said)
    photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].description == said
