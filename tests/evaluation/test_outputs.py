"""What others completed, scored."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import kinds, outputs, protocol
from finefill.evaluation.baselines import load_baseline
from tests.evaluation.sets import photos


class TestOutputs:
    @pytest.fixture
    def test_set(self, tmp_path: Path) -> protocol.TestSet:
        return protocol.load_test_set([photos(tmp_path / "photos", 3)], size=64)

    def test_inputs_and_outputs_go_round(self, tmp_path: Path, test_set: protocol.TestSet) -> None:
        """What a tool makes of the written inputs scores as the tool itself would."""
        holes = kinds.make_masks("random", 3, 0, 64)
        outputs.write_inputs(tmp_path / "in", test_set, holes)
        (tmp_path / "theirs").mkdir()
        for file in (tmp_path / "in" / "inputs").iterdir():
            image = np.asarray(Image.open(file))
            hole = np.asarray(Image.open(tmp_path / "in" / "masks" / file.name)) > 127
            original = np.asarray(Image.open(tmp_path / "in" / "originals" / file.name))
            assert np.array_equal(image[~hole], original[~hole])
            assert (image[hole] == protocol.HOLE_GREY).all()
            Image.fromarray(load_baseline("mean")(image, hole)).save(
                tmp_path / "theirs" / file.name
            )
        theirs = outputs.read_outputs(tmp_path / "theirs", test_set)
        scored = protocol.evaluate(test_set, holes, theirs)
        direct = protocol.evaluate(test_set, holes, load_baseline("mean"))
        assert np.array_equal(scored.values["psnr"], direct.values["psnr"])
        assert scored.trespassed == 0

    def test_changes_outside_the_hole_are_counted(
        self, tmp_path: Path, test_set: protocol.TestSet
    ) -> None:
        (tmp_path / "theirs").mkdir()
        for name, image in zip(test_set.names, test_set.images, strict=True):
            changed = image.copy()
            changed[0, 0, 0] ^= name == "001.png"
            Image.fromarray(changed).save(tmp_path / "theirs" / name)
        holes = kinds.make_masks("center", 3, 0, 64)
        theirs = outputs.read_outputs(tmp_path / "theirs", test_set)
        assert protocol.evaluate(test_set, holes, theirs).trespassed == 1

    def test_bad_folders(self, tmp_path: Path, test_set: protocol.TestSet) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        for name, image in zip(test_set.names[:2], test_set.images, strict=False):
            Image.fromarray(image).save(theirs / name)
        with pytest.raises(FinefillError, match=r"1 of 3 completions are missing.*002\.png"):
            outputs.read_outputs(theirs, test_set)
        Image.fromarray(test_set.images[2][:60]).save(theirs / "002.png")
        with pytest.raises(FinefillError, match=r"002\.png: 64x60 pixels, the test image is 64"):
            protocol.evaluate(
                test_set,
                kinds.make_masks("center", 3, 0, 64),
                outputs.read_outputs(theirs, test_set),
            )
        (theirs / "003.png").write_bytes(b"")
        with pytest.raises(FinefillError, match=r"1 images belong to no test image.*003\.png"):
            outputs.read_outputs(theirs, test_set)
        Image.fromarray(test_set.images[2]).save(theirs / "002.webp")
        with pytest.raises(FinefillError, match="keep one of them"):
            outputs.read_outputs(theirs, test_set)

    def test_names_that_clash(self) -> None:
        test = protocol.TestSet(("a.png", "a.jpg"), np.zeros((2, 16, 16, 3), np.uint8), "", 0)
        with pytest.raises(
            FinefillError, match="more than one image of the test set is called 'a'"
        ):
            outputs.keys(test)


@pytest.mark.parametrize("name", ["../../x.png", "{absolute}/x.png", "a/../../x.png"])
def test_names_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        file = io.BytesIO()
        Image.new("RGB", (130, 130)).save(file, "PNG")
        member = tarfile.TarInfo(name.format(absolute=tmp_path))
        member.size = len(file.getvalue())
        tar.addfile(member, io.BytesIO(file.getvalue()))
    test = protocol.load_test_set([tmp_path / "t.tar"])
    with pytest.raises(FinefillError, match="leads out of its folder"):
        outputs.write_inputs(tmp_path / "a" / "b", test, kinds.make_masks("center", 1))
    assert not list(tmp_path.rglob("*.png"))


def test_bad_outputs_are_found_before_anything_is_written(tmp_path: Path) -> None:
    for folder, side in (("photos", 128), ("theirs", 64)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (side, side)).save(tmp_path / folder / "0.png")
    words = ["--data", "photos", "--outputs", "theirs", "--write-inputs", "in", "-o", "out"]
    words = [str(tmp_path / w) if not w.startswith("-") else w for w in words]
    result = CliRunner().invoke(cli, ["evaluate", *words])
    assert isinstance(result.exception, FinefillError)
    assert "64x64" in str(result.exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "theirs"]
