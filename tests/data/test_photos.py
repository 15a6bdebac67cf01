"""Recipes, folders and shards, batches as a function of (seed, step)."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill.data import recipes
from finefill.data.photos import (
    Frame,
    Photos,
    cut,
    excluded,
    iterate_images,
    iterate_labelled,
    random_frame,
    random_mask,
    read_exclusions,
    shrink,
    training_batch,
)
from finefill.errors import FinefillError
from finefill.training.ahead import Ahead


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photographs of 48x40 in two folders, and a label map beside them."""
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(path)
    Image.new("P", (48, 40)).save(tmp_path / "photos" / "0.labels.png")
    return tmp_path / "photos"


def test_folder_and_shard_give_the_same_images(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for path in sorted(folder.rglob("*.png")):
            tar.add(path, path.relative_to(folder).as_posix())
    loose, packed = list(iterate_images([folder])), list(iterate_images([tmp_path / "shard.tar"]))
    assert len(loose) == 12
    assert [n for n, _ in loose] == [n for n, _ in packed]
    assert all((a == b).all() for (_, a), (_, b) in zip(loose, packed, strict=True))


def test_a_folder_inside_a_shard_is_data_too(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for path in sorted(folder.rglob("*.png")):
            tar.add(path, path.relative_to(folder).as_posix())
    inside = [name for name, _ in iterate_images([tmp_path / "shard.tar" / "1"])]
    assert sorted(inside) == sorted(f"1/{n}.png" for n in (1, 3, 5, 7, 9, 11))
    with pytest.raises(FinefillError, match=r"shard\.tar/2: no images inside"):
        list(iterate_images([tmp_path / "shard.tar" / "2"]))


def test_labels_lie_beside_their_photographs(folder: Path, tmp_path: Path) -> None:
    labels = np.zeros((40, 48), np.uint8)
    labels[3:9, 5:7] = 2
    Image.fromarray(labels).save(folder / "1" / "3.labels.png")
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for path in sorted(folder.rglob("*.png")):
            tar.add(path, path.relative_to(folder).as_posix())
    for source in (folder, tmp_path / "shard.tar"):
        ((name, image, found),) = iterate_labelled([source])
        assert name == "1/3.png"
        assert image.shape == (40, 48, 3)
        assert np.array_equal(found, labels)
    Image.fromarray(labels[:9]).save(folder / "1" / "3.labels.png")
    with pytest.raises(FinefillError, match=r"labels of 1/3\.png have another size"):
        list(iterate_labelled([folder]))
    with pytest.raises(FinefillError, match="no photograph with labels"):
        list(iterate_labelled([folder / "1" / "5.png"]))
    Image.fromarray(labels).save(folder / "1" / "3.labels.png")
    (folder / "1" / "5.png").write_bytes(b"no image")  # has no labels, so it is not read
    assert len(list(iterate_labelled([folder]))) == 1


def test_bad_data_names_the_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match="nowhere"):
        list(iterate_images([tmp_path / "nowhere"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FinefillError, match="no images inside"):
        list(iterate_images([tmp_path / "empty"]))
    (folder / "broken.png").write_bytes(b"no image")
    with pytest.raises(FinefillError, match=r"broken\.png"):
        list(iterate_images([folder]))
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(FinefillError, match=r"broken\.tar"):
        list(iterate_images([tmp_path / "broken.tar"]))


def test_a_truncated_shard_is_an_error(folder: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*.png")):
            tar.add(path, path.name)
    (tmp_path / "cut.tar").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(FinefillError, match=r"cut\.tar"):
        list(iterate_images([tmp_path / "cut.tar"]))


def test_shrink_never_enlarges() -> None:
    image = np.zeros((100, 50, 3), np.uint8)
    assert shrink(image, 25).shape == (50, 25, 3)
    assert shrink(image, 60) is image
    assert shrink(image, None) is image


def test_batches_depend_on_seed_and_step_alone(folder: Path) -> None:
    recipe = recipes.tiny()
    photos = Photos([folder], recipe)
    assert len(photos.validation) == 1
    assert len(photos.train) == 11
    first, again = training_batch(photos, recipe, 7), training_batch(photos, recipe, 7)
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert first[0].shape == (4, 32, 32, 3)
    assert first[1].shape == (4, 32, 32)
    other = training_batch(photos, dataclasses.replace(recipe, seed=1), 7)
    assert (first[0] != other[0]).any()
    assert (training_batch(photos, recipe, 8)[0] != first[0]).any()


def test_batches_of_several_sizes(folder: Path) -> None:
    """One size for the whole batch; holes scale along; without other sizes nothing changes."""
    one = dataclasses.replace(recipes.tiny(), mask_mix=(("square", 1.0),), generator="plus")
    recipe = dataclasses.replace(one, other_sizes=(48, 64), discriminator="patch")
    photos = Photos([folder], recipe)
    shapes = set()
    for step in range(12):
        images, holes = training_batch(photos, recipe, step)
        side = images.shape[1]
        assert images.shape == (4, side, side, 3)
        assert holes.shape == (4, side, side)
        sides = holes.any(1).sum(1)
        assert (sides >= round(48 * side / 128)).all()
        assert (sides <= round(80 * side / 128)).all()
        part = training_batch(photos, recipe, step, 1, 2)
        assert np.array_equal(part[0], images[2:])
        if side == one.size:
            for found, expected in zip(
                (images, holes), training_batch(photos, one, step), strict=True
            ):
                assert np.array_equal(found, expected)
        shapes.add(side)
    assert shapes == {32, 48, 64}


def test_batches_made_ahead_are_the_same(folder: Path) -> None:
    recipe = recipes.tiny()
    photos, ahead = Photos([folder], recipe), Ahead()
    for number in (3, 4, 5, 3, 4, 9):  # the measurement of the loss weights looks ahead and returns
        images, holes = ahead(lambda n: training_batch(photos, recipe, n), number)
        expected = training_batch(photos, recipe, number)
        assert np.array_equal(images, expected[0])
        assert np.array_equal(holes, expected[1])


def test_an_epoch_visits_every_photograph_once(folder: Path) -> None:
    recipe = dataclasses.replace(recipes.tiny(), flip=False, batch=11)
    photos = Photos([folder], recipe)
    recipe = dataclasses.replace(recipe, crop=(40, 40), size=40, batch=len(photos.train))
    images, _ = training_batch(photos, recipe, 3)
    seen = sorted(image[:, :4].tobytes()[:9] for image in images)
    assert len(set(seen)) == len(photos.train)


def test_too_few_or_too_small(folder: Path) -> None:
    with pytest.raises(FinefillError, match="too few"):
        Photos([folder], dataclasses.replace(recipes.tiny(), batch=64))
    with pytest.raises(FinefillError, match=r"fewer than the crop of 64.*--set 'crop=\[40,64\]'"):
        Photos([folder], dataclasses.replace(recipes.tiny(), crop=(64, 64)))


def test_frames_cover_the_range_of_sides_and_stay_inside() -> None:
    recipe = dataclasses.replace(recipes.faces(), crop=(80, 320), rotation=12.0)
    rng = np.random.default_rng(0)
    frames = [random_frame(rng, (160, 200), recipe) for _ in range(2000)]
    sides = np.array([frame.side for frame in frames])
    # log2(side / 80) is uniform in 0..2 and cut at 1: half are as large as the photograph.
    assert abs((sides == 160).mean() - 0.5) < 0.04
    assert abs((sides < 113).mean() - 0.25) < 0.04
    assert sides.min() == 80
    turned = np.array([frame.degrees for frame in frames])
    assert (turned[sides == 160] == 0).all()  # no room to turn
    assert 11 < turned.max() <= 12
    for frame in frames:
        angle = np.radians(frame.degrees)
        corners = frame.side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle)))
        assert corners - 1e-6 <= frame.row <= 160 - corners + 1e-6
        assert corners - 1e-6 <= frame.column <= 200 - corners + 1e-6


def test_a_frame_is_cut_scaled_flipped_and_turned() -> None:
    rows, columns = np.mgrid[:100, :100]
    image = np.stack([rows, columns, np.zeros_like(rows)], 2).astype(np.uint8)
    plain = cut(image, Frame(50, 40, 20), 20)
    assert np.array_equal(plain, image[40:60, 30:50])
    assert np.array_equal(cut(image, Frame(50, 40, 20, flip=True), 20), plain[:, ::-1])
    half = cut(image, Frame(50, 40, 40), 20)
    assert np.allclose(half[5, 5, :2], (40.5, 30.5), atol=1)  # the middle of pixels 10 and 11
    # Anticlockwise by 10 degrees: what was right of the middle is now above it.
    turned = cut(image, Frame(50, 50, 40, degrees=10.0), 40).astype(float)
    along = turned[20, 35] - turned[20, 5]  # thirty pixels to the right
    assert np.allclose(
        along[:2], 30 * np.array([np.sin(np.radians(10)), np.cos(np.radians(10))]), atol=1.5
    )


def test_photographs_to_leave_out(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "leaks.txt"
    listed.write_text("photos 0/2.png\n\n* 1/3.png\nother.tar 0/4.png\n")
    recipe = dataclasses.replace(recipes.tiny(), validation=1)
    assert Photos([folder], recipe).count == 11
    left = Photos([folder], recipe, exclude=read_exclusions(listed))
    assert left.count == 9
    gone = {np.asarray(Image.open(folder / name)).tobytes() for name in ("0/2.png", "1/3.png")}
    assert not gone & {image.tobytes() for image in (*left.train, *left.validation)}
    (folder / "1" / "3.png").write_bytes(b"no image")  # what is left out is not decoded
    with pytest.raises(FinefillError, match=r"3\.png"):
        Photos([folder], recipe)
    assert Photos([folder], recipe, exclude=read_exclusions(listed)).fingerprint == left.fingerprint
    (folder / "1" / "3.png").unlink()
    with pytest.warns(UserWarning, match=r"1 photographs .* photos 0/9\.png"):
        Photos([folder], recipe, exclude=frozenset({("photos", "0/9.png")}))
    for line in ("* 0/9.png", "photos ./0/9.png"):
        listed.write_text(f"{line}\nother.tar 0/4.png\n")
        with pytest.warns(UserWarning, match=r"1 photographs .*0/9\.png"):
            Photos([folder], recipe, exclude=read_exclusions(listed))
    listed.write_text("photos ./0/2.png\n")
    assert Photos([folder], recipe, exclude=read_exclusions(listed)).count == 9
    assert excluded(frozenset({("*", "a.png")}), "x.tar", "./a.png")  # as `tar cf x.tar .` names it
    listed.write_text("photos 0/2.png\nphotos\n")
    with pytest.raises(FinefillError, match=r"line 2: 'photos': write SHARD\.tar NAME"):
        read_exclusions(listed)
    with pytest.raises(FinefillError, match="nowhere"):
        read_exclusions(tmp_path / "nowhere")


def test_a_checkpoint_from_before_crops_were_ranges_is_understood() -> None:
    text = recipes.celeba().to_json().replace("[160, 160]", "160")
    assert recipes.from_json(text) == recipes.celeba()
    with pytest.raises(FinefillError, match="crop must be a range"):
        recipes.override(recipes.tiny(), ["crop=[64,32]"])


@pytest.mark.parametrize("kind", ["square", "box", "strokes", "wide", "object"])
def test_masks_of_every_kind(kind: str) -> None:
    recipe = dataclasses.replace(recipes.scenes(), mask_mix=((kind, 1.0),))
    for seed in range(30):
        mask = random_mask(np.random.default_rng(seed), recipe)
        assert mask.shape == (128, 128)
        assert mask.dtype == np.bool_
        assert 0.005 < mask.mean() < 0.9
        if kind == "square":
            side = mask.any(0).sum()
            assert 48 <= side <= 80
            assert mask.sum() == side**2


def test_override_checks_names_and_types() -> None:
    recipe = recipes.override(recipes.tiny(), ["batch=8", "rec_rates=[0.1, 0.01]", "ema_decay=0"])
    assert (recipe.batch, recipe.rec_rates, recipe.ema_decay) == (8, (0.1, 0.01), 0.0)
    recipe = recipes.override(recipe, ["shorter_side=null", "discriminator_sees=output"])
    assert (recipe.shorter_side, recipe.discriminator_sees) == (None, "output")
    for wrong in ("batch", "bach=3", "batch=1.5", "flip=1", "rec_rates=[1]", "batch=1", "size=x"):
        with pytest.raises(FinefillError, match=wrong.partition("=")[0]):
            recipes.override(recipes.tiny(), [wrong])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("square_sides=[80,48]", "square_sides must be a range"),
        ("square_sides=[48,128]", "square_sides must be a range"),
        ("other_sizes=[48]", "other_sizes needs"),  # `tiny` has the paper's discriminator
        ("size=0", "size and other_sizes must be at least 1"),
        ("validation=0", "at least 1"),
        ("balance_batches=0", "at least 1"),
        ("rec_samples=-1", "at least 0"),
        ("perceptual_window=-5", "at least 0"),
        ("matching_proportion=-1", "proportions must be at least 0"),
        ('mask_mix=[["square",0.0]]', "shares of mask_mix"),
        ('mask_mix=[["square",1],["box",-1]]', "shares of mask_mix"),
    ],
)
def test_values_that_mean_nothing_are_refused(setting: str, told: str) -> None:
    with pytest.raises(FinefillError, match=told):
        recipes.override(recipes.tiny(), [setting])


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_survive_json(name: str) -> None:
    recipe = recipes.get(name)
    assert recipes.from_json(recipe.to_json()) == recipe
    assert recipe.name == name


def test_unknown_recipe_lists_the_names() -> None:
    with pytest.raises(FinefillError, match="celeba, paris, scenes, faces, tiny"):
        recipes.get("nope")
