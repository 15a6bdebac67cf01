"""Other people's networks: each way of giving them an image and a mask, by what they fill in."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import finefill
from finefill import Engine, FinefillError
from finefill.completion import convention as conventions
from finefill.completion import fill_with_report
from finefill.completion.convention import BUILT_IN, Convention
from finefill.errors import OperationError
from tests.conftest import CARD, write_model
from tests.networks import copy_known_mean, lama, migan, two_colours

MEAN = (20, 100, 150)  # of what is known of a picture of `two_colours`
PLAIN: dict[str, Any] = {
    "image": {"name": "image", "range": [0, 1]},
    "mask": {"name": "mask", "keep": 0, "hole": 1},
    "output": {"range": [0, 1], "composited": True},
    "trained_size": 64,
}


def said(path: Path, **changes: Any) -> Path:
    """``path`` with a JSON file beside it: PLAIN, with other values in its parts."""
    content = {**PLAIN}
    for key, value in changes.items():
        both = isinstance(value, dict) and key in content
        content[key] = {**content[key], **value} if both else value
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def filled(path: Path, shape: tuple[int, int] = (64, 64)) -> list[int]:
    """The colour in a hole in the middle; known pixels must be as they were."""
    height, width = shape
    box = (height // 2 - 8, width // 2 - 8, 16, 16)
    image, hole = two_colours(shape, box)
    before = image.copy()
    result = Engine(path, threads=1).fill(image, hole)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(result[~hole], image[~hole])
    assert len(np.unique(result[hole], axis=0)) == 1
    return [int(level) for level in result[height // 2, width // 2]]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name: (how the file is, what its JSON says)
    "plain": ({}, {}),
    "-1 to 1": ({}, {"image": {"range": [-1, 1]}, "output": {"range": [-1, 1]}}),
    "0 to 255": ({}, {"image": {"range": [0, 255]}, "output": {"range": [0, 255]}}),
    "black is 1": ({}, {"image": {"range": [1, 0]}, "output": {"range": [1, 0]}}),
    "another range out": ({"scale": 2, "shift": -1}, {"output": {"range": [-1, 1]}}),
    "mask 1 = keep": ({"marks": (1, 0)}, {"mask": {"keep": 1, "hole": 0}}),
    "mask of -1 and 1": ({"marks": (-1, 1)}, {"mask": {"keep": -1, "hole": 1}}),
    "mask first": ({"mask_channel": 0}, {"mask": {"channel": 0}}),
    "mask last": ({"mask_channel": 3}, {"mask": {"channel": 3}}),
    "mask minus a half first": (
        {"mask_channel": 0, "marks": (0.5, -0.5)},
        {"mask": {"channel": 0, "keep": 0.5, "hole": -0.5}},
    ),
    "last axis": ({"layout": "NHWC"}, {"image": {"layout": "NHWC"}}),
    "last axis, one input": (
        {"layout": "NHWC", "mask_channel": 3},
        {"image": {"layout": "NHWC"}, "mask": {"channel": 3}},
    ),
    "mask of three axes": ({"mask_rank": 3}, {}),
    "mask of two axes": ({"mask_rank": 2}, {}),
    "half precision": ({"types": ("FLOAT16", "FLOAT16", "FLOAT16")}, {}),
    "double precision": ({"types": ("DOUBLE", "DOUBLE", "DOUBLE")}, {}),
    "whole numbers": (
        {"types": ("UINT8", "UINT8", "UINT8"), "marks": (255, 0)},
        {
            "image": {"range": [0, 255]},
            "mask": {"keep": 255, "hole": 0},
            "output": {"range": [0, 255]},
        },
    ),
    "a bool mask": ({"types": ("FLOAT", "BOOL", "FLOAT")}, {}),
    "an int64 mask": ({"types": ("FLOAT", "INT64", "FLOAT")}, {}),
    "fixed size": ({"size": (64, 64)}, {}),
    "fixed size said": ({}, {"size": [64, 64]}),
    "fixed batch": ({"batch": 1}, {}),
    "fixed batch of three": ({"batch": 3}, {}),
    "multiple of 32": ({"multiple": 32, "composited": False}, {"size_multiple": 32,
                                                               "output": {"composited": False}}),
    "not composited": ({"composited": False}, {"output": {"composited": False}}),
    "more outputs": ({"more": ("features",)}, {"output": {"name": "output"}}),
    "other names": (
        {"names": ("x", "m", "y")},
        {"image": {"name": "x"}, "mask": {"name": "m"}, "output": {"name": "y"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_hole_gets_the_mean_of_what_is_known(case: str, tmp_path: Path) -> None:
    file, json_says = CASES[case]
    if "channel" in json_says.get("mask", {}):
        json_says = {**json_says, "mask": {**PLAIN["mask"], **json_says["mask"], "name": None}}
        del json_says["mask"]["name"]
        content = {**PLAIN, "mask": json_says["mask"]}
        content["image"] = {**PLAIN["image"], **json_says.get("image", {})}
        path = copy_known_mean(tmp_path / "net.onnx", **file)
        path.with_suffix(".json").write_text(json.dumps(content))
    else:
        path = said(copy_known_mean(tmp_path / "net.onnx", **file), **json_says)
    assert np.abs(np.subtract(filled(path), MEAN)).max() <= (1 if "half" in case else 0)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({}, (71, 100, 150)),  # 0.2 of 255 levels are 51
        ({"image": {"channels": "BGR"}}, (20, 100, 201)),
        ({"image": {"channels": "BGR"}, "output": {"channels": "RGB"}}, (201, 100, 20)),
    ],
)
def test_the_first_channel_is_the_one_that_is_said(
    says: dict[str, Any], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    path = copy_known_mean(tmp_path / "net.onnx", tint=(0.2, 0, 0), composited=False)
    out = {"composited": False, **says.get("output", {})}
    assert filled(said(path, image=says.get("image", {}), output=out)) == list(expected)


@pytest.mark.parametrize(
    ("hole", "bounds", "expected"),
    [
        (0, [0, 1], 75),  # a quarter of the pixels is black
        (0, [-1, 1], 107),  # a quarter is 127.5
        (1, [0, 1], 139),  # a quarter is 255
        ("kept", [0, 1], 125),  # a quarter is what was there, 200
        ("smooth", [0, 1], 100),  # a quarter is as what is around it
        (None, [0, 1], 75),  # not said: 0
    ],
)
def test_the_network_sees_in_the_hole_what_is_said(
    hole: Any, bounds: list[int], expected: int, tmp_path: Path
) -> None:
    path = copy_known_mean(tmp_path / "net.onnx", whole=True)
    more = {} if hole is None else {"hole": hole}
    said(path, image={"range": bounds, **more}, output={"range": bounds})
    image = np.full((32, 32, 3), 100, np.uint8)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    image[mask] = 200
    result = Engine(path).fill(image, mask)
    assert np.unique(result[mask]).tolist() == [expected]
    assert np.unique(result[~mask]).tolist() == [100]


def test_numbers_in_the_hole_can_be_any(tmp_path: Path) -> None:
    path = copy_known_mean(tmp_path / "net.onnx", probe=True)
    said(path, image={"hole": 0.25}, output={"composited": False})
    assert filled(path) == [64, 64, 64]


@pytest.mark.parametrize("make", [lama, migan])
@pytest.mark.parametrize("shape", [(512, 512), (300, 200), (16, 40)])
def test_built_in_conventions_are_recognised(
    make: Any, shape: tuple[int, int], tmp_path: Path
) -> None:
    path = make(tmp_path / "net.onnx")
    assert Engine(path).recognised == make.__name__
    if make is lama:
        half = make(tmp_path / "half.onnx", types=("FLOAT16", "FLOAT16", "FLOAT16"))
        assert Engine(half).recognised == "lama"
    assert filled(path, shape) == list(MEAN)
    engine = Engine(path, convention=make.__name__, name="mine")
    assert (engine.recognised, engine.card["name"]) == ("", "mine")
    assert engine.card["convention"] == make.__name__
    assert engine.convention == BUILT_IN[make.__name__]


def test_the_plan_keeps_to_a_fixed_size(tmp_path: Path) -> None:
    engine = Engine(lama(tmp_path / "net.onnx"))
    image, mask = two_colours((1500, 1024), (600, 362, 300, 300))
    report = fill_with_report(engine, image, mask)
    (window,) = [one.window for one in report.filled]
    # 300 pixels are more than the 256 that it does: the hole is seen at 256 / 300.
    assert window.size == (512, 512)
    assert window.box.shape == (600, 600)
    # The window is 600 wide, the hole in its middle: both halves keep the same.
    # But for the edge, where scaling the window up mixes in what is known.
    assert np.unique(report.rgb[610:890, 372:652].reshape(-1, 3), axis=0).tolist() == [list(MEAN)]
    small, hole = two_colours((40, 1000), (10, 495, 10, 10))
    (window,) = [one.window for one in fill_with_report(engine, small, hole).filled]
    assert (window.size, window.box.shape) == ((40, 512), (40, 512))


def test_a_fixed_size_that_is_no_square(tmp_path: Path) -> None:
    path = said(copy_known_mean(tmp_path / "net.onnx", size=(64, 160)))
    engine = Engine(path)
    assert engine.card["fixed_size"] == [64, 160]
    assert engine.card["trained_size"] == 64
    image, mask = two_colours((400, 400), (190, 190, 20, 20))
    (window,) = [one.window for one in fill_with_report(engine, image, mask).filled]
    assert window.box.shape == window.size == (64, 160)
    large, hole = two_colours((400, 400), (168, 168, 64, 64))  # twice what it does
    (window,) = [one.window for one in fill_with_report(engine, large, hole).filled]
    assert (window.box.shape, window.size) == ((128, 320), (64, 160))


def test_a_smaller_file_of_a_known_make(tmp_path: Path) -> None:
    engine = Engine(lama(tmp_path / "net.onnx", size=(256, 256)), convention="lama")
    assert (engine.card["trained_size"], engine.card["hole_range"]) == (256, [16, 128])


def test_a_large_network_of_free_size_gets_windows_as_it_was_trained_with(tmp_path: Path) -> None:
    engine = Engine(migan(tmp_path / "net.onnx"))
    image, mask = two_colours((900, 900), (440, 440, 20, 20))
    (window,) = [one.window for one in fill_with_report(engine, image, mask).filled]
    assert window.size == (512, 512)


def test_an_output_that_does_not_fit_is_told_with_what_does(tmp_path: Path) -> None:
    image, mask = two_colours((512, 512), (200, 206, 100, 100))
    path = lama(tmp_path / "manga.onnx", scale=1)  # of the same inputs, but [0, 1]
    with pytest.raises(OperationError, match=r"manga.onnx: known .* fits is \"range\": \[0, 1\]"):
        Engine(path).fill(image, mask)
    path.with_suffix(".json").write_text('{"like": "lama", "output": {"range": [0, 1]}}')
    assert Engine(path).fill(image, mask)[250, 256].tolist() == list(MEAN)
    swapped = {"like": "lama", "image": {"channels": "BGR"}}
    with pytest.raises(OperationError, match='the other order of its "channels"'):
        Engine(lama(tmp_path / "net.onnx"), convention=swapped).fill(image, mask)
    upside_down = said(copy_known_mean(tmp_path / "polarity.onnx", marks=(1, 0)))
    with pytest.raises(OperationError, match="mask's meaning"):
        Engine(upside_down).fill(image, mask)


def test_an_image_larger_than_a_fixed_size_needs_a_plan(tmp_path: Path) -> None:
    engine = Engine(lama(tmp_path / "net.onnx"))
    image, mask = two_colours((40, 1000), (10, 495, 10, 10))
    with pytest.raises(FinefillError, match=r"1000x40 .* 512x512: .* finefill.complete"):
        engine.fill(image, mask)
    assert finefill.complete(image, mask, engine)[15, 500].tolist() == list(MEAN)


def test_a_size_that_is_no_multiple_is_told(tmp_path: Path) -> None:
    path = said(copy_known_mean(tmp_path / "net.onnx", multiple=32))
    with pytest.raises(OperationError, match=r"net.onnx: .* \[1, 3, 32, 32\], not .* 40x40"):
        filled(path, (40, 40))


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    path = said(copy_known_mean(tmp_path / "net.onnx", shift=float("nan")))
    with pytest.raises(OperationError, match=r"net.onnx: .*NaN"):
        filled(path)


def test_nothing_is_run_where_nothing_is_masked(tmp_path: Path) -> None:
    engine = Engine(said(copy_known_mean(tmp_path / "net.onnx", shift=float("nan"))))
    image = np.full((32, 32, 3), 7, np.uint8)
    result = engine.fill(image, np.zeros((32, 32), bool))
    np.testing.assert_array_equal(result, image)
    assert result is not image


def test_an_unknown_file_says_what_it_has_and_how_to_write_the_json(tmp_path: Path) -> None:
    path = copy_known_mean(tmp_path / "net.onnx", names=("x", "the mask", "y"), size=(64, 96))
    with pytest.raises(FinefillError) as error:
        Engine(path)
    text = str(error.value)
    assert "\n" not in text
    assert "inputs x float32 [N, 3, 64, 96], the mask float32 [N, 1, 64, 96]; outputs y" in text
    example = text[text.index("instance {") + len("instance ") : text.rindex(", or name one")]
    path.with_suffix(".json").write_text(example)
    assert filled(path) == list(MEAN)


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ({"layout": "NHWC"}, '"layout": "NHWC"'),
        ({"mask_channel": 3, "names": ("x", "", "y")}, '"channel": 3'),
        ({"types": ("UINT8", "UINT8", "FLOAT")}, '"range": \\[0, 255\\]'),
        ({"size": ("H", 512)}, '"trained_size": 512'),
        ({"size": (512, 512), "names": ("image", "mask", "fill")}, "no known convention"),
    ],
)
def test_files_that_match_nothing_without_doubt(
    file: dict[str, Any], word: str, tmp_path: Path
) -> None:
    with pytest.raises(FinefillError, match=word):
        Engine(copy_known_mean(tmp_path / "net.onnx", **file))


WRONG: dict[str, Any] = {
    "not a readable JSON": "{",
    "'image' is there twice": '{"image": {}, "image": {}}',
    "it is no JSON object": "[]",
    "image is missing": {"mask": {}},
    "unknown key 'imagee': use image": {**PLAIN, "imagee": {}},
    "unknown key 'mask.polarity'": {**PLAIN, "mask": {"name": "mask", "polarity": 1}},
    "image.range is missing": {**PLAIN, "image": {"name": "image"}},
    r"image.range is \[0, \"1\"\]": {**PLAIN, "image": {"name": "image", "range": [0, "1"]}},
    r"image.range is \[1, 1\]: give two": {**PLAIN, "image": {"name": "image", "range": [1, 1]}},
    r"image.range is \[NaN, 1\]": '{"image": {"name": "i", "range": [NaN, 1]}, "mask": {}, '
    '"output": {}}',
    "image.channels is \"rgb\": give RGB or BGR": {
        **PLAIN, "image": {"name": "image", "range": [0, 1], "channels": "rgb"}
    },
    "image.hole is \"black\"": {
        **PLAIN, "image": {"name": "image", "range": [0, 1], "hole": "black"}
    },
    "mask needs a name, or a channel": {**PLAIN, "mask": {"keep": 0, "hole": 1}},
    "and not both": {**PLAIN, "mask": {"name": "mask", "channel": 3, "keep": 0, "hole": 1}},
    "mask.channel is 1: give 0 or 3": {**PLAIN, "mask": {"channel": 1, "keep": 0, "hole": 1}},
    "mask.keep is missing": {**PLAIN, "mask": {"name": "mask", "hole": 1}},
    "mask.keep and mask.hole are both 1": {**PLAIN, "mask": {"name": "m", "keep": 1, "hole": 1}},
    "output.composited is 1": {**PLAIN, "output": {"range": [0, 1], "composited": 1}},
    "trained_size is true": {**PLAIN, "trained_size": True},
    "size is \\[64\\]": {**PLAIN, "size": [64]},
    "doubt is 0": {**PLAIN, "doubt": 0},
    r"hole_range \[8, 64\] does not fit trained_size 64": {**PLAIN, "hole_range": [8, 64]},
    "like is 'lamma': give one of finefill, lama, migan": {"like": "lamma"},
    "mask is no JSON object": {"like": "lama", "mask": 255},
    "name is \" \"": {**PLAIN, "name": " "},
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_json_that_says_something_else_is_told_in_a_line(message: str, tmp_path: Path) -> None:
    path = copy_known_mean(tmp_path / "net.onnx")
    content = WRONG[message]
    beside = path.with_suffix(".json")
    beside.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(FinefillError, match=message) as error:
        Engine(path)
    assert str(error.value).startswith(str(beside))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "says", "message"),
    [
        ({}, {"image": {"name": "photo"}}, "there is no input photo: it has inputs image"),
        ({}, {"output": {"name": "fill"}}, "there is no output fill"),
        ({"more": ("features",)}, {}, "it has 2 outputs: name one"),
        ({}, {"image": {"layout": "NHWC"}, "size": [64, 64]}, "mask have other sizes"),
        ({"layout": "NHWC"}, {}, r"image has 3 axes|\[N, H, W, 3\]"),
        ({"size": (64, 64)}, {"size": [64, 96]}, r"size \[64, 96\] is not the image's"),
        ({"size": (64, "W")}, {}, "only one side is fixed"),
        ({"size": (64, 64)}, {"size_multiple": 48}, r"\[64, 64\] is no multiple of 48"),
        ({"types": ("UINT8", "UINT8", "UINT8")}, {}, r"cannot hold the range \[0, 1\]"),
        ({"types": ("FLOAT", "UINT8", "FLOAT")}, {"mask": {"keep": 0.5}}, "cannot hold 0.5 and 1"),
        ({"types": ("FLOAT", "BOOL", "FLOAT")}, {"mask": {"hole": 255}}, "cannot hold 0 and 255"),
        ({"types": ("BFLOAT16", "FLOAT", "FLOAT")}, {}, "type that NumPy has not"),
        ({}, {"mask": {"name": "image"}}, "nothing is known about its input mask"),
        ({}, {"trained_size": 0}, "give a number of pixels"),
    ],
)
def test_a_convention_that_is_another_files_is_told(
    file: dict[str, Any], says: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = said(copy_known_mean(tmp_path / "net.onnx", **file), **says)
    with pytest.raises(FinefillError, match=message) as error:
        Engine(path)
    assert "\n" not in str(error.value)


def test_networks_of_any_size_must_say_what_they_were_trained_with(tmp_path: Path) -> None:
    path = copy_known_mean(tmp_path / "net.onnx")
    content = {key: value for key, value in PLAIN.items() if key != "trained_size"}
    path.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(FinefillError, match='"trained_size": 512'):
        Engine(path)


def test_what_a_convention_says_can_be_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    for one in BUILT_IN.values():
        file.write_text(json.dumps(one.to_json()))
        assert conventions.get(file) == one
        assert conventions.get(file).label == one.label
    assert [one.label for one in BUILT_IN.values()] == list(BUILT_IN)
    file.write_text(json.dumps(PLAIN | {"terms": "mine", "doubt": 9, "size": [8, 16]}))
    mine = conventions.get(str(file))
    file.write_text(json.dumps(mine.to_json()))
    assert conventions.get(file) == mine
    assert mine.label.startswith("sha256:")
    assert mine.label != BUILT_IN["lama"].label


@pytest.mark.parametrize("given", ["lamma", "none.json", 5])
def test_conventions_that_are_not_there(given: Any) -> None:
    with pytest.raises(FinefillError, match=r"unknown convention|cannot be read|is a int"):
        conventions.get(given)


def test_conventions_made_in_python_are_looked_at_too(tmp_path: Path) -> None:
    path = lama(tmp_path / "net.onnx")
    good = BUILT_IN["lama"]
    image, mask = two_colours((64, 64), (24, 24, 16, 16))
    assert Engine(path, convention=good).fill(image, mask)[30, 30].tolist() == list(MEAN)
    wrong: dict[str, Any] = {
        "size_multiple is 0": good._replace(size_multiple=0),
        r"image.range is \[1, 1\]": good._replace(image=good.image._replace(range=(1, 1))),
        "give RGB or BGR": good._replace(image=good.image._replace(channels="GBR")),  # type: ignore[arg-type]  # wrong on purpose
        "not usable: 'NoneType'": good._replace(mask=None),  # type: ignore[arg-type]  # wrong on purpose
        "not usable": good._replace(image=object()),  # type: ignore[arg-type]  # wrong on purpose
    }
    for message, convention in wrong.items():
        with pytest.raises(FinefillError, match=message):
            Engine(path, convention=convention)


def test_files_that_do_not_declare_their_axes(tmp_path: Path) -> None:
    import onnx

    path = said(copy_known_mean(tmp_path / "net.onnx"))
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    assert filled(path) == list(MEAN)


def test_a_json_file_of_an_editor_that_marks_its_start(tmp_path: Path) -> None:
    path = said(copy_known_mean(tmp_path / "net.onnx"))
    beside = path.with_suffix(".json")
    beside.write_bytes(b"\xef\xbb\xbf" + beside.read_bytes())
    assert filled(path) == list(MEAN)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff" * 1000, None])
def test_damaged_files_are_told_in_a_line(content: bytes | None, tmp_path: Path) -> None:
    path = lama(tmp_path / "net.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(FinefillError, match="not a usable ONNX model") as error:
        Engine(path, convention="lama")
    assert "\n" not in str(error.value)


def test_like_takes_a_known_one_with_changes(tmp_path: Path) -> None:
    file = tmp_path / "bgr.json"
    file.write_text('{"like": "lama", "name": "zoo", "image": {"channels": "BGR"}, "output": '
                    '{"channels": "BGR"}, "mask": {"channel": 3}}')  # fmt: skip
    found = conventions.get(file)
    assert found.image == conventions.ImageInput("image", (0, 1), "BGR", "NCHW", 0)
    assert found.mask == conventions.MaskInput(None, 3, 0, 1)
    assert found.output == conventions.Output(None, (0, 255), "BGR", "NCHW", True)
    assert (found.name, found.trained_size, found.hole_range) == ("zoo", 512, (16, 256))


def test_a_card_comes_before_the_json_beside_it(model_path: Path, tmp_path: Path) -> None:
    path = write_model(tmp_path / "small.onnx", CARD)
    path.with_suffix(".json").write_text('{"like": "lama"}')
    engine = Engine(path)
    assert (engine.card, engine.given, engine.recognised) == (CARD, None, "")
    assert engine.convention.trained_size == 128
    assert engine.convention.image == BUILT_IN["finefill"].image
    # And what is said by hand before the card.
    says = {**engine.convention.to_json(), "hole_range": [8, 16], "name": "other"}
    says["output"] |= {"composited": False}  # this one fills all of the image
    path.with_suffix(".json").write_text(json.dumps(says))
    other = Engine(path, convention=path.with_suffix(".json"))
    assert (other.card["hole_range"], other.card["name"]) == ([8, 16], "other")
    image, mask = two_colours((128, 128), (40, 40, 48, 48))
    np.testing.assert_array_equal(other.fill(image, mask), engine.fill(image, mask))


def test_without_a_card_a_file_is_no_finefill_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "no-card.onnx", None)
    with pytest.raises(FinefillError, match="not a finefill model"):
        Engine(path, convention="finefill")


def test_load_keeps_one_engine_for_each_convention(tmp_path: Path) -> None:
    path = lama(tmp_path / "net.onnx")
    one = finefill.load(path, convention="lama")
    assert one is finefill.load(str(path), convention="lama")
    assert one is not finefill.load(path)
    assert isinstance(one.convention, Convention)
    assert one is finefill.load(path, convention={"like": "lama"})


def test_confidence_is_measured_where_its_level_is_known(tmp_path: Path) -> None:
    image, mask = two_colours((64, 64), (24, 24, 16, 16))
    path = said(copy_known_mean(tmp_path / "net.onnx"))
    report = fill_with_report(Engine(path), image, mask, measure=True)
    assert report.confidence is None
    assert [text for text in report.warnings if "not measured" in text]
    assert fill_with_report(Engine(path), image, mask).warnings == []
    said(path, doubt=12)
    report = fill_with_report(Engine(path), image, mask, measure=True)
    assert report.confidence == 1  # the mirror image has the same mean
    assert report.warnings == []


def test_detail_only_where_it_is_said(tmp_path: Path) -> None:
    image, mask = two_colours((64, 64), (24, 24, 16, 16))
    path = said(copy_known_mean(tmp_path / "net.onnx"))
    plain = fill_with_report(Engine(path), image, mask).rgb
    assert len(np.unique(plain[mask], axis=0)) == 1
    detailed = fill_with_report(Engine(said(path, detail=True)), image, mask).rgb
    assert len(np.unique(detailed[mask], axis=0)) > 1


def test_regions_only_where_it_is_said(tmp_path: Path) -> None:
    """Regions go on with a pattern that the mean of what is known has not."""
    pattern = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = np.tile(pattern, (16, 16, 1))
    mask = np.zeros((128, 128), bool)
    mask[48:72, 48:72] = True
    shown = np.where(mask[..., None], np.uint8(0), image)
    path = said(copy_known_mean(tmp_path / "net.onnx"), trained_size=128)
    with pytest.raises(FinefillError, match="net does not allow regions"):
        fill_with_report(Engine(path), shown, mask, fill="regions")
    (found,) = fill_with_report(Engine(path), shown, mask).filled
    assert found.way == "network"
    says = Engine(said(path, trained_size=128, regions=True))
    report = fill_with_report(says, shown, mask, fill="regions")
    assert [one.way for one in report.filled] == ["regions"]
    np.testing.assert_array_equal(report.rgb, image)


def _fill(work: tuple[Engine, NDArray[np.uint8], NDArray[np.bool_]]) -> NDArray[np.uint8]:
    engine, image, mask = work
    return engine.fill(image, mask)


def test_engines_work_in_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    image, mask = two_colours((64, 64), (24, 24, 16, 16))
    monkeypatch.chdir(tmp_path)
    said(copy_known_mean(Path("net.onnx"), marks=(1, 0)), mask={"keep": 1, "hole": 0})
    engines = [Engine("net.onnx", threads=1, name="theirs"), Engine(model_path, threads=1)]
    expected = [engine.fill(image, mask) for engine in engines]
    copies = [pickle.loads(pickle.dumps(engine)) for engine in engines]
    assert [copy.card for copy in copies] == [engine.card for engine in engines]
    assert copies[0].card["name"] == "theirs"
    Path("net.json").unlink()  # what was said goes with the engine
    monkeypatch.chdir("/")  # and its file is found from anywhere
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(_fill, [(engine, image, mask) for engine in copies]))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_that_is_gone_is_told_when_an_engine_arrives(tmp_path: Path) -> None:
    path = lama(tmp_path / "net.onnx")
    sent = pickle.dumps(Engine(path))
    path.unlink()
    with pytest.raises(FinefillError, match="no such model file"):
        pickle.loads(sent)
