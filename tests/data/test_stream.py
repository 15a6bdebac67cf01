"""Photographs streamed from tar shards: local ones, over HTTP, from a command."""

from __future__ import annotations

import dataclasses
import io
import itertools
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import finefill
from finefill.data import recipes
from finefill.data.photos import Pixels, iterate_images, shrink
from finefill.data.stream import Stream, is_stream
from finefill.errors import FinefillError
from finefill.training import checkpoint, loop

pytest.importorskip("webdataset")

RECIPE = recipes.override(
    recipes.tiny(), ["validation=3", "rec_samples=16", "all_samples=0", "checkpoint_every=2"]
)
PER_SHARD = 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of six crops of the bundled photograph, as JPEG."""
    folder = tmp_path_factory.mktemp("shards")
    demo = Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg")
    for shard in range(4):
        with tarfile.open(folder / f"s-{shard:02d}.tar", "w") as tar:
            for number in range(PER_SHARD):
                x, y = 90 * number, 110 * shard
                buffer = io.BytesIO()
                demo.crop((x, y, x + 60, y + 40)).save(buffer, "JPEG")
                entry = tarfile.TarInfo(f"photos/{shard}.{number}.JPG")
                entry.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(entry, buffer)
                tar.addfile(tarfile.TarInfo(f"photos/{shard}.{number}.labels.png"))
    return folder


@pytest.fixture(scope="module")
def served(shards: Path) -> Iterator[str]:
    """The address of a real server of the shards."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=shards)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def all_of(*shards: Path) -> list[Pixels]:
    return [shrink(image, RECIPE.shorter_side) for _, image in iterate_images(shards)]


def drawn(stream: Stream, count: int) -> list[bytes]:
    return [image.tobytes() for image in itertools.islice(stream._decoded(0), count)]


@pytest.mark.parametrize("kind", ["paths", "http", "pipe"])
def test_a_pass_visits_every_photograph_once_and_none_held_out(
    kind: str, shards: Path, served: str
) -> None:
    source = {"paths": f"{shards}/", "http": f"{served}/", "pipe": f"pipe:cat {shards}/"}[kind]
    stream = Stream([source + "s-{00..02}.tar", source + "s-03.tar"], RECIPE)
    photographs = all_of(*sorted(shards.glob("*.tar")))
    assert len(stream.shards) == 4
    assert all(map(np.array_equal, stream.validation, photographs[:3]))
    seen = drawn(stream, 21)
    # The buffer holds more than a pass, so that passes mix: none is seen before all are read.
    assert set(seen) <= {image.tobytes() for image in photographs[3:]}
    packed = [name for name, _ in itertools.islice(stream._packed(0), 21)]
    assert len(set(packed)) == 21


def test_a_stream_is_a_function_of_its_settings(shards: Path) -> None:
    source = [f"{shards}/s-{{00..03}}.tar"]
    batches = [Stream(source, RECIPE).batch(5) for _ in range(2)]
    assert np.array_equal(batches[0][0], batches[1][0])
    assert np.array_equal(batches[0][1], batches[1][1])
    assert batches[0][0].shape == (4, 32, 32, 3)
    assert batches[0][1].shape == (4, 32, 32)
    assert not np.array_equal(Stream(source, RECIPE).batch(6)[0], batches[0][0])


def test_processes_agree_on_the_size_of_a_batch(shards: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE, generator="plus", discriminator="patch", other_sizes=(40, 48, 64)
    )
    sides = []
    for rank in range(2):
        stream = Stream([f"{shards}/s-{{00..03}}.tar"], recipe, rank=rank, size=2)
        sides.append([stream.batch(step)[0].shape[1] for step in range(6)])
    assert sides[0] == sides[1]
    assert len(set(sides[0])) > 1


def test_processes_read_different_shards(shards: Path) -> None:
    read = []
    for rank in range(2):
        stream = Stream([f"{shards}/s-{{00..03}}.tar"], RECIPE, rank=rank, size=2)
        assert len(stream.batch(0)[0]) == RECIPE.batch // 2
        # Shards of six, and one of three after those held out: 9 or 12 in a process's pass.
        names = itertools.islice(stream._packed(0), 9)
        read.append({name.partition(": ")[0] for name, _ in names})
    assert len(read[0]) == len(read[1]) == 2
    assert not read[0] & read[1]
    with pytest.raises(FinefillError, match="1 shards for 2 processes"):
        Stream([f"{shards}/s-00.tar"], RECIPE, size=2)


def test_training_from_an_address_and_going_on(served: str, tmp_path: Path) -> None:
    run, sources = tmp_path / "run", [f"{served}/s-{{00..03}}.tar"]
    first = Stream(sources, RECIPE)
    assert not loop.train(RECIPE, first, run, max_minutes=0, device="cpu", quiet=True)
    again = Stream(sources, RECIPE)
    assert loop.train(RECIPE, again, run, resume=True, device="cpu", quiet=True)
    assert checkpoint.read_state(run / checkpoint.LAST)["step"] == 4
    other = Stream([f"{served}/s-01.tar"], RECIPE)
    with pytest.raises(FinefillError, match="other photographs"):
        loop.train(RECIPE, other, run, resume=True, device="cpu", quiet=True)


def test_what_cannot_be_read_is_named(shards: Path, served: str, tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match=r"nowhere\.tar: not a readable tar shard"):
        Stream([f"{served}/nowhere.tar"], RECIPE)
    with pytest.raises(FinefillError, match=r"nowhere\.tar: not a readable tar shard"):
        Stream([str(tmp_path / "nowhere.tar")], RECIPE)
    cut = tmp_path / "cut.tar"
    cut.write_bytes((shards / "s-01.tar").read_bytes()[:9000])
    with pytest.raises(FinefillError, match=r"cut\.tar: not a readable tar shard"):
        Stream([f"{shards}/s-00.tar", str(cut)], RECIPE).batch(0)
    with tarfile.open(tmp_path / "broken.tar", "w") as tar:
        entry = tarfile.TarInfo("broken.jpg")
        entry.size = 8
        tar.addfile(entry, io.BytesIO(b"no image"))
    with pytest.raises(FinefillError, match=r"broken\.tar: broken\.jpg: not an image"):
        Stream([f"{shards}/s-00.tar", str(tmp_path / "broken.tar")], RECIPE).batch(0)
    tarfile.open(tmp_path / "empty.tar", "w").close()
    with pytest.raises(FinefillError, match=r"empty\.tar: no images inside"):
        Stream([str(tmp_path / "empty.tar")], RECIPE)
    few = recipes.override(RECIPE, ["validation=20"])
    with pytest.raises(FinefillError, match="too few photographs to train on"):
        Stream([f"{shards}/s-00.tar"], few).batch(0)


def test_what_is_a_stream(tmp_path: Path) -> None:
    assert is_stream("https://example.org/a.tar")
    assert is_stream("pipe:cat a.tar")
    assert is_stream("photos-{000..099}.tar")
    assert not is_stream("photos.tar")
    (tmp_path / "{odd}").mkdir()
    assert not is_stream(str(tmp_path / "{odd}"))
