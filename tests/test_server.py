"""The HTTP server: real servers on a free port, asked over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import io
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from PIL import Image

import finefill
from finefill.files.reading import read_photo
from finefill.masks.drawing import center_square
from tests.conftest import CARD, write_model
from tests.networks import copy_known_mean, lama, two_colours

httpx = pytest.importorskip("httpx", reason="needs the extras web and test")
schemathesis = pytest.importorskip("schemathesis", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra web")

from finefill.web.server import Server, serve  # noqa: E402  # needs the extra
from finefill.web.settings import Settings  # noqa: E402  # needs the extra
from finefill.web.static import FOLDER, TYPES, routes  # noqa: E402  # needs the extra

DOCS = Path(__file__).parent.parent / "docs" / "server.md"
# Holes far from each other, completed one after the other by the slower way: seconds of work.
SLOW = {
    "boxes": json.dumps([[x, y, 50, 50] for y in (20, 130, 240, 350) for x in range(20, 560, 105)]),
    "fill": "regions",
}
Client = Any  # httpx.Client


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Client]:
    """A client of a server that runs in a thread of this process; its workers are processes."""
    found: queue.Queue[Any] = queue.Queue()

    def ready(address: str, server: Server) -> None:
        found.put((address, server))

    def run() -> None:
        try:
            chosen = Settings(**{"models": ("places",), **settings})
            asyncio.run(serve(chosen, "127.0.0.1", 0, ready))
        except BaseException as error:
            found.put(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    answer = found.get(timeout=60)
    if isinstance(answer, BaseException):
        raise answer
    address, server = answer
    try:
        with httpx.Client(base_url=address, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The temporary folder of the servers of this module: empty again at the end."""
    folder = tmp_path_factory.mktemp("server")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def client(temporary: Path) -> Iterator[Client]:
    with serving() as client:
        yield client


@contextlib.contextmanager
def below(prefix: str, client: Client) -> Iterator[Client]:
    """A client of a proxy that shows the server below ``prefix``, and nothing elsewhere."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            path = self.path.removeprefix(prefix)
            answer = client.request(self.command, path, content=body, headers=kept)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = forward

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{proxy.server_port}"
            with httpx.Client(base_url=address, timeout=60) as found:
                yield found
        finally:
            proxy.shutdown()
            thread.join(60)


def address_in(response: Any, reference: str) -> str:
    """Where a reference in an answer leads (RFC 3986, 5)."""
    return urljoin(str(response.url), reference)


@pytest.fixture(scope="module")
def photo(demo_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return demo_rgb[100:356, 100:356]


def encoded(image: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format=kind, **options)
    return file.getvalue()


def until(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def metric(client: Client, name: str) -> float:
    match = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.M)
    assert match
    return float(match[1])


def test_how_holes_are_filled_is_chosen_and_told(client: Client) -> None:
    rows, columns = np.mgrid[:128, :128] // 8
    wall = np.repeat(np.where((rows + columns) % 2, 40, 200).astype(np.uint8)[..., None], 3, 2)
    files = {"image": encoded(wall), "mask": encoded(center_square(128, 128, 30))}
    for fill, way in (("auto", "regions"), ("regions", "regions"), ("network", "network")):
        response = client.post("/v1/complete", files=files, data={"fill": fill})
        assert response.status_code == 200
        assert response.headers["x-finefill-ways"] == way
    response = client.post("/v1/complete", files=files, data={"fill": "patches"})
    check_problem(response, 422, "fill: Input should be 'auto', 'network' or 'regions'")


def test_tiles_go_on_at_the_other_border(client: Client) -> None:
    rows, columns = np.mgrid[:96, :128]
    wave = 120 + 60 * np.sin(columns * 2 * np.pi / 64) + 40 * np.sin(rows * 2 * np.pi / 48)
    tile = np.repeat(wave.astype(np.uint8)[..., None], 3, 2)
    mask = np.zeros((96, 128), bool)
    mask[30:60, :12] = mask[30:60, -12:] = True
    files = {"image": encoded(tile), "mask": encoded(mask)}
    step = {}
    for wrap in ("", "x"):
        response = client.post("/v1/complete", files=files, data={"wrap": wrap} if wrap else {})
        assert response.status_code == 200
        with Image.open(io.BytesIO(response.content)) as image:
            after = np.asarray(image)
        np.testing.assert_array_equal(after[~mask], tile[~mask])
        edge = after[30:60].astype(int)
        step[wrap] = np.abs(edge[:, 0] - edge[:, -1]).mean()
        if wrap:
            wanted = finefill.complete(tile, mask, "places", wrap="x")
            np.testing.assert_array_equal(after, wanted)
    assert step["x"] < 10 < step[""]  # from one column to the next it changes by 6 at most
    response = client.post("/v1/complete", files=files, data={"wrap": "z"})
    check_problem(response, 422, "wrap: Input should be 'x', 'y' or 'xy'")


def test_formats_that_can_be_read_are_told(
    client: Client, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")
    pytest.importorskip("pillow_heif", reason="needs the extra formats")

    def told(client: Client) -> dict[str, dict[str, Any]]:
        listed = client.get("/v1/formats").json()["formats"]
        return {one["extension"]: one for one in listed}

    here = told(client)
    assert {".jpg", ".png", ".tif", ".heic", ".jxl"} <= set(here)
    for extension in (".png", ".jxl", ".heic"):
        assert here[extension] == {"extension": extension, "usable": True, "remedy": ""}
    # A server whose Python lacks the extra.
    names = "'imagecodecs', 'pillow_heif'"
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys([{names}]))\n"
    )
    before = os.environ.get("PYTHONPATH")
    paths = [str(tmp_path), *([before] if before else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    with serving() as bare:
        found = told(bare)
        assert found[".png"]["usable"]
        for extension, name in ((".jxl", "JPEG XL"), (".heic", "HEIC")):
            assert not found[extension]["usable"]
            assert f"{name} needs the extra formats: pip install" in found[extension]["remedy"]
        jxl = {"image": codecs.jpegxl_encode(np.full((32, 32, 3), 9, np.uint8))}
        response = bare.post("/v1/complete", files=jxl, data={"boxes": "5,5,9,9"})
        check_problem(response, 400, "the image: JPEG XL needs the extra formats")
    response = client.post("/v1/complete", files=jxl, data={"boxes": "5,5,9,9"})
    assert response.headers["content-type"] == "image/jxl"


def check_problem(response: Any, status: int, detail: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == status
    assert detail in problem["detail"]
    for path in (tempfile.gettempdir(), str(Path(finefill.__file__).parent), "finefill-", "\n"):
        assert path not in problem["detail"]
    return problem


def test_completed_bit_for_bit_as_by_the_library(client: Client, photo: NDArray[np.uint8]) -> None:
    mask = center_square(256, 256, 64)
    files = {"image": encoded(photo), "mask": encoded(mask)}
    response = client.post("/v1/complete", files=files)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'inline; filename="completed.png"'
    assert response.headers["x-finefill-model"] == "places"
    assert response.headers["x-finefill-changed-pixels"] == "4096"
    assert float(response.headers["x-finefill-seconds"]) > 0
    assert isinstance(json.loads(response.headers["x-finefill-warnings"]), list)
    expected = finefill.complete(photo, mask)
    assert not np.array_equal(expected, photo)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(response.content))), expected)


def test_exif_and_profile_are_kept_and_the_mask_is_upright(
    client: Client, photo: NDArray[np.uint8]
) -> None:
    upright = photo[:200]  # 256 wide, 200 high
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = np.ascontiguousarray(np.rot90(upright))  # orientation 6: turn it clockwise to view
    image = encoded(stored, "JPEG", quality=90, exif=exif, icc_profile=profile)
    mask = np.zeros((200, 256), bool)
    mask[20:80, 150:220] = True
    response = client.post("/v1/complete", files={"image": image, "mask": encoded(mask)})
    assert response.headers["content-type"] == "image/jpeg"
    before, after = read_photo(image), read_photo(response.content)
    assert after.stored.size == (200, 256)
    assert after.stored.getexif()[0x010F] == "Maker"
    assert after.orientation == before.orientation == 6
    assert after.stored.info["icc_profile"] == profile
    changed = np.abs(after.rgb.astype(int) - before.rgb).max(axis=2) > 24
    assert changed[mask].mean() > 0.1
    rows, columns = np.nonzero(changed)  # JPEG blocks touch the mask's edge
    assert rows.min() >= 20 - 16
    assert rows.max() < 80 + 16
    assert columns.min() >= 150 - 16
    assert columns.max() < 220 + 16


def test_boxes_are_masks(client: Client, photo: NDArray[np.uint8]) -> None:
    mask = np.zeros((256, 256), bool)
    mask[20:60, 10:50] = mask[100:130, 150:190] = True
    image = encoded(photo)
    wanted = client.post("/v1/complete", files={"image": image, "mask": encoded(mask)}).content
    for boxes in (
        ["10,20,40,40", "[150, 100, 40, 30]"],
        "[[10, 20, 40, 40], [150, 100, 40, 30]]",
    ):
        response = client.post("/v1/complete", files={"image": image}, data={"boxes": boxes})
        assert response.content == wanted
    first = np.zeros_like(mask)
    first[20:60, 10:50] = True
    both = {"image": image, "mask": encoded(first)}
    response = client.post("/v1/complete", files=both, data={"boxes": "150,100,40,30"})
    assert response.content == wanted


@pytest.mark.parametrize("name", ["png", "jpeg", "jpg", "webp", "tiff", "tif", "avif"])
def test_format_of_the_answer(client: Client, photo: NDArray[np.uint8], name: str) -> None:
    form = {"boxes": "30,40,20,20", "format": name}
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(name, name)
    response = client.post("/v1/complete", files={"image": encoded(photo, "BMP")}, data=form)
    assert response.headers["content-type"] == f"image/{kind}"
    assert (Image.open(io.BytesIO(response.content)).format or "").lower() == kind


def test_sixteen_bit_tiff_stays_tiff(client: Client, photo: NDArray[np.uint8]) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    deep = photo.astype(np.uint16) * np.uint16(256) + np.uint16(7)
    file = io.BytesIO()
    tifffile.imwrite(file, deep, photometric="rgb", metadata=None)
    form = {"boxes": "30,40,20,20"}
    response = client.post("/v1/complete", files={"image": file.getvalue()}, data=form)
    assert response.headers["content-type"] == "image/tiff"
    after = tifffile.imread(io.BytesIO(response.content))
    np.testing.assert_array_equal(after[100:], deep[100:])


def test_fields_and_warnings(client: Client, photo: NDArray[np.uint8]) -> None:
    mask = np.zeros((128, 128), bool)  # half the photo's size
    mask[30:40, 30:40] = True
    files = {"image": encoded(photo), "mask": encoded(mask)}
    response = client.post("/v1/complete", files=files, data={"grow": "3"})
    told = json.loads(response.headers["x-finefill-warnings"])
    assert "the mask is 128x128 pixels, the photo 256x256: scaled to fit" in told
    assert int(response.headers["x-finefill-changed-pixels"]) > 20 * 20

    files["mask"] = encoded(mask[:100])
    problem = check_problem(client.post("/v1/complete", files=files), 400, "the mask is 128x100")
    assert "resize_mask=true" in problem["detail"]
    assert "--" not in problem["detail"]
    response = client.post("/v1/complete", files=files, data={"resize_mask": "true"})
    assert response.status_code == 200

    files["mask"] = encoded(~center_square(256, 256, 60))
    response = client.post("/v1/complete", files=files)
    assert "keep_polarity=true" in response.headers["x-finefill-warnings"]
    assert response.headers["x-finefill-changed-pixels"] == "3600"
    response = client.post("/v1/complete", files=files, data={"keep_polarity": "true"})
    assert response.headers["x-finefill-changed-pixels"] == str(256**2 - 3600)

    labels = center_square(256, 256, 60).astype(np.uint8)
    labels[:10, :10], labels[:10, 30:50] = 9, 200
    files["mask"] = encoded(labels)
    response = client.post("/v1/complete", files=files)
    told = json.loads(response.headers["x-finefill-warnings"])
    assert any("label mask of 4 values" in text and "mask_value" in text for text in told)
    assert response.headers["x-finefill-changed-pixels"] == str(3600 + 100 + 200)
    response = client.post("/v1/complete", files=files, data={"mask_value": ["9", "200"]})
    assert response.headers["x-finefill-changed-pixels"] == "300"
    response = client.post("/v1/complete", files=files, data={"mask_value": "7"})
    check_problem(response, 400, "mask_value 7: no pixel has it: choose from 0, 1, 200, 9")


def test_what_is_erased(client: Client, photo: NDArray[np.uint8]) -> None:
    hole = center_square(256, 256, 40)
    image = encoded(np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)]))
    response = client.post("/v1/complete", files={"image": image}, data={"mask_alpha": "true"})
    assert response.headers["x-finefill-changed-pixels"] == "1600"
    assert (np.asarray(Image.open(io.BytesIO(response.content)))[..., 3] == 255).all()
    response = client.post(
        "/v1/complete", files={"image": encoded(photo)}, data={"mask_alpha": "true"}
    )
    check_problem(response, 400, "nothing in it is transparent")


def test_masks_drawn_before_the_turn(client: Client, photo: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = np.zeros((200, 256), bool)
    mask[20:40, 30:60] = True
    image = encoded(photo[:200], exif=exif)
    files = {"image": image, "mask": encoded(mask)}
    check_problem(client.post("/v1/complete", files=files), 400, "with mask_drawn=stored")
    for form in ({"mask_drawn": "stored"}, {"mask_drawn": "stored", "boxes": "30,20,30,20"}):
        response = client.post("/v1/complete", files=files, data=form)
        after = np.asarray(Image.open(io.BytesIO(response.content)))
        where = (after != photo[:200]).any(axis=2)
        assert response.headers["x-finefill-changed-pixels"] == "600"
        assert where[mask].mean() > 0.9
        assert not where[~mask].any()


def test_a_model_that_fails_is_the_servers_fault(temporary: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", {**CARD, "size_multiple": 1})
    grain = np.random.default_rng(1).integers(0, 256, (20, 21, 3), np.uint8)
    image = {"image": encoded(grain)}
    with serving(models=(str(model),)) as client:
        response = client.post("/v1/complete", files=image, data={"boxes": "3,3,9,9"})
        problem = check_problem(response, 500, "not an image of the input's size")
    assert str(tmp_path) not in problem["detail"]


def test_somebody_elses_networks_are_offered_by_the_names_they_are_given(
    temporary: Path, tmp_path: Path
) -> None:
    one, two = lama(tmp_path / "net.onnx"), copy_known_mean(tmp_path / "other.onnx", marks=(1, 0))
    says = {"like": "lama", "terms": "for tests", "licence": "MIT", "domain": "two colours",
            "mask": {"keep": 1, "hole": 0}, "output": {"range": [0, 1]}}  # fmt: skip
    (tmp_path / "other.json").write_text(json.dumps(says))
    (tmp_path / "says.json").write_text(json.dumps(says | {"terms": "for nothing"}))
    models = (f"big={one}", f"grün={two}", str(two), "places")
    conventions = (f"grün={tmp_path / 'says.json'}",)
    image, hole = two_colours((64, 64), (24, 24, 16, 16))
    with serving(models=models, conventions=conventions) as client:
        listed = client.get("/v1/models").json()["models"]
        assert [one["name"] for one in listed] == ["big", "grün", "other", "places"]
        assert [one["default"] for one in listed] == [True, False, False, False]
        assert [one["terms"] for one in listed[:3]] == ["not stated", "for nothing", "for tests"]
        assert (listed[0]["trained_size"], listed[0]["hole_range"]) == (512, [16, 256])
        for name in ("big", "grün", "other"):
            response = client.post(
                "/v1/complete",
                files={"image": encoded(image), "mask": encoded(hole)},
                data={"model": name},
            )
            assert response.status_code == 200, response.text
            result = np.asarray(Image.open(io.BytesIO(response.content)))
            assert np.unique(result[hole], axis=0).tolist() == [[20, 100, 150]]
            np.testing.assert_array_equal(result[~hole], image[~hole])


@pytest.mark.parametrize(
    ("models", "conventions", "message"),
    [
        (("a={0}", "a={0}"), (), "another model has the name 'a'"),
        (("a/net.onnx", "b/net.onnx"), (), "no such model file"),
        (("x={0}",), ("y=lama",), "belongs to no --model"),
        (("x={1}",), (), "say how to use it"),
        (("={0}",), (), "both not empty"),
    ],
)
def test_models_that_cannot_be_served_are_told_at_the_start(
    models: tuple[str, ...], conventions: tuple[str, ...], message: str, temporary: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    paths = lama(tmp_path / "net.onnx"), copy_known_mean(tmp_path / "other.onnx")
    given = tuple(text.format(*paths) for text in models)
    with pytest.raises(finefill.FinefillError, match=message):
        asyncio.run(
            serve(Settings(models=given, conventions=conventions), "127.0.0.1", 0, lambda *_: None)
        )


def _bad_uploads() -> dict[str, tuple[Any, dict[str, Any], int, str]]:
    grain = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    good, mask = encoded(grain), encoded(center_square(256, 256, 64))
    box = {"boxes": "10,20,30,40"}
    return {
        "text": ({"image": b"root:x:0:0"}, box, 415, "the image: not an image that can be read"),
        "empty": ({"image": b""}, box, 415, "the image: not an image that can be read"),
        "truncated": ({"image": good[:5000]}, box, 400, "the image: damaged or truncated"),
        "small": ({"image": encoded(grain[:9, :9])}, box, 400, "the image: 9x9 pixels are too few"),
        "no image": ({"mask": mask}, {}, 422, "image: Field required"),
        "image as text": (
            {"mask": mask},
            {"image": "x"},
            422,
            "image: send a file (-F image=@photo.jpg)",
        ),
        "mask as text": (
            {"image": good},
            {"mask": "x"},
            422,
            "mask: send a file (-F mask=@mask.png)",
        ),
        "unknown field": (
            {"image": good},
            {**box, "keep-polarity": "true"},
            422,
            "keep-polarity: no such field: use image, mask, boxes, model, fill, wrap, grow, "
            "format, resize_mask, keep_polarity, mask_value, mask_alpha, mask_drawn, strict",
        ),
        "unknown file": ({"image": good, "polygon": b"1,1"}, box, 422, "polygon: no such field"),
        "twice": (
            {"image": good},
            {**box, "fill": ["auto", "network"]},
            422,
            "fill: is there twice",
        ),
        "101 masks": (
            [("image", good), *[("mask", mask)] * 101],
            {},
            422,
            "mask: 101 are more than the limit of 100",
        ),
        "two images": ([("image", good), ("image", good)], box, 422, "image: is there twice"),
        "no hole": ({"image": good}, {}, 400, "nothing says what to complete"),
        "mask is text": ({"image": good, "mask": b"x"}, {}, 415, "the mask: not an image"),
        "mask is photo": ({"image": good, "mask": good}, {}, 400, "the mask: looks like a photo"),
        "empty mask": (
            {"image": good, "mask": encoded(np.zeros((256, 256), bool))},
            {},
            400,
            "the mask is empty",
        ),
        "full mask": (
            {"image": good},
            {"boxes": "0,0,256,256"},
            400,
            "the mask is full",
        ),
        "box outside": ({"image": good}, {"boxes": "900,900,5,5"}, 400, "box 900,900,5,5"),
        "box of words": ({"image": good}, {"boxes": "here"}, 400, "box here: give X,Y,WIDTH"),
        "box of JSON": ({"image": good}, {"boxes": '[{"x": 1}]'}, 422, "boxes: "),
        "deep JSON": ({"image": good}, {"boxes": "[" * 99999}, 422, "boxes: "),
        "floats": ({"image": good}, {"boxes": "[[1.5, 2, 3, 4]]"}, 422, "boxes: "),
        "many boxes": ({"image": good}, {"boxes": json.dumps([[1, 2, 3, 4]] * 1001)}, 422, "1001"),
        "model": (
            {"image": good},
            {**box, "model": "../x.onnx"},
            422,
            "unknown: use one of places",
        ),
        "grow": ({"image": good}, {**box, "grow": "-1"}, 422, "grow: "),
        "grow words": ({"image": good}, {**box, "grow": "wide"}, 422, "grow: "),
        "format": ({"image": good}, {**box, "format": "exe"}, 422, "format: "),
    }


@pytest.mark.parametrize("name", _bad_uploads())
def test_bad_uploads_are_told_and_harm_nobody(
    client: Client, photo: NDArray[np.uint8], name: str
) -> None:
    files, data, status, detail = _bad_uploads()[name]
    problem = check_problem(client.post("/v1/complete", files=files, data=data), status, detail)
    assert problem["instance"] == "./complete"
    assert metric(client, "finefill_workers_replaced_total") == 0


def test_several_masks_add_up(client: Client, photo: NDArray[np.uint8]) -> None:
    """Squares of 20 and 30 pixels, of which 10 by 10 overlap: 400 + 900 - 100."""
    first, second = np.zeros((2, 256, 256), bool)
    first[20:40, 20:40] = second[30:60, 30:60] = True
    files = [("image", encoded(photo)), ("mask", encoded(first)), ("mask", encoded(second))]
    response = client.post("/v1/complete", files=files)
    assert response.headers["x-finefill-changed-pixels"] == "1200"
    after = np.asarray(Image.open(io.BytesIO(response.content)))
    where = (after != photo).any(axis=2)
    assert not where[~(first | second)].any()
    assert where[first].mean() > 0.9
    assert where[second].mean() > 0.9
    small = ("mask", encoded(first[:100]))
    check_problem(client.post("/v1/complete", files=[*files, small]), 400, "mask 3")
    black = ("mask", encoded(np.zeros((256, 256), bool)))
    told = client.post("/v1/complete", files=[*files, black])
    assert told.content == response.content
    warning = "mask 3: the mask is empty: the others are completed"
    assert warning in json.loads(told.headers["x-finefill-warnings"])
    check_problem(
        client.post("/v1/complete", files=[files[0], black, black]),
        400,
        "mask 1: the mask is empty",
    )


def test_warnings_are_refused_if_asked_for(client: Client, photo: NDArray[np.uint8]) -> None:
    mask = np.zeros((128, 128), bool)  # half the photo's size: scaled, with a warning
    mask[30:40, 30:40] = True
    files = {"image": encoded(photo), "mask": encoded(mask)}
    response = client.post("/v1/complete", files=files, data={"strict": "true"})
    reason = "strict: refused because of: the mask is 128x128 pixels, the photo 256x256: scaled to"
    check_problem(response, 400, reason)
    files["mask"] = encoded(center_square(256, 256, 60))
    told = [
        client.post("/v1/complete", files=files, data={"strict": strict})
        for strict in ("false", "true")
    ]
    assert json.loads(told[0].headers["x-finefill-warnings"]) == []
    assert told[1].status_code == 200
    assert told[1].content == told[0].content


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/jobs"])
def test_parameters_in_the_address_are_refused(
    client: Client, photo: NDArray[np.uint8], path: str
) -> None:
    files, form = {"image": encoded(photo)}, {"boxes": "10,20,30,40"}
    response = client.post(f"{path}?fill=regions", files=files, data=form)
    told = "fill: parameters in the address are not read: send it as a field of the form"
    check_problem(response, 422, told)
    response = client.post(f"{path}?polygon=1", files=files, data=form)
    check_problem(response, 422, "polygon: parameters in the address are not read: use image, mask")


def test_bad_requests(client: Client) -> None:
    check_problem(client.post("/v1/complete", json={"image": "x"}), 415, "multipart/form-data")
    broken = {"content-type": "multipart/form-data"}
    check_problem(client.post("/v1/complete", content=b"x", headers=broken), 400, "boundary")
    check_problem(client.get("/v1/complete"), 405, "")
    check_problem(client.get("/nowhere"), 404, "")
    check_problem(client.get("/v1/jobs/../../etc/passwd"), 404, "")
    check_problem(client.get("/v1/jobs/nobody"), 404, "no such job")
    check_problem(client.delete("/v1/jobs/nobody"), 404, "no such job")


def test_file_names_of_clients_mean_nothing(
    client: Client, photo: NDArray[np.uint8], temporary: Path
) -> None:
    before = sorted(temporary.parent.rglob("*"))
    for name in ("../../etc/passwd", "/etc/passwd", "a\x00b.png", "C:\\x.png", "é" * 300):
        files = {
            "image": (name, encoded(photo)),
            "mask": (name, encoded(center_square(256, 256, 9))),
        }
        response = client.post("/v1/complete", files=files)
        assert response.status_code == 200, name
        assert response.headers["content-disposition"] == 'inline; filename="completed.png"'
    assert sorted(temporary.parent.rglob("*")) == before


def test_a_job(client: Client, photo: NDArray[np.uint8], temporary: Path) -> None:
    form = {"boxes": "30,40,50,50"}
    files = {"image": encoded(photo)}
    response = client.post("/v1/jobs", files=files, data=form)
    assert response.status_code == 202
    job = response.json()
    assert job["href"] == f"jobs/{job['id']}" == response.headers["location"]
    assert job["status"] == "queued"
    href = address_in(response, job["href"])
    assert urlsplit(href).path == f"/v1/jobs/{job['id']}"
    until(lambda: client.get(href).json()["status"] == "done")
    assert set(client.get(href).json()) == {"id", "status", "seconds"}
    result = client.get(f"{href}/result")
    assert result.content == client.post("/v1/complete", files=files, data=form).content
    check_problem(client.get(f"{href}/result"), 404, "given out once")
    check_problem(client.get(href), 404, "no such job")
    (folder,) = temporary.iterdir()
    assert list(folder.iterdir()) == []
    folder.rmdir()  # as a system that cleans up may do
    assert client.post("/v1/complete", files=files, data=form).content == result.content


def test_a_job_that_fails_and_one_that_is_deleted(client: Client, photo: NDArray[np.uint8]) -> None:
    sent = client.post("/v1/jobs", files={"image": b"x"}, data={"boxes": "1,2,3,4"})
    href = address_in(sent, sent.json()["href"])
    until(lambda: client.get(href).json()["status"] == "failed")
    assert client.get(href).json()["problem"]["status"] == 415
    check_problem(client.get(f"{href}/result"), 415, "the image: not an image")
    check_problem(client.get(href), 404, "no such job")

    files, form = {"image": encoded(photo)}, {"boxes": "30,40,50,50"}
    answer = client.post(
        "/v1/complete", files=files, data=form, headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    href = address_in(answer, answer.json()["href"])
    assert client.delete(href).status_code == 204
    check_problem(client.get(href), 404, "no such job")


@pytest.mark.parametrize("prefix", ["", "/tools/fill"])
def test_addresses_in_answers_hold_below_a_path_too(
    client: Client, photo: NDArray[np.uint8], prefix: str
) -> None:
    order: dict[str, Any] = {"files": {"image": encoded(photo)}, "data": {"boxes": "30,40,50,50"}}
    with below(prefix, client) as outside:
        if prefix:
            assert outside.get("/v1/models").status_code == 404
        for path, headers in (("jobs", {}), ("complete", {"Prefer": "respond-async"})):
            sent = outside.post(f"{prefix}/v1/{path}", **order, headers=headers)
            told = sent.json()
            href = address_in(sent, sent.headers["location"])
            assert href == address_in(sent, told["href"])
            assert href == f"{outside.base_url}{prefix}/v1/jobs/{told['id']}"
            until(lambda: outside.get(href).json()["status"] == "done")  # noqa: B023  # at once
            assert outside.get(f"{href}/result").headers["content-type"] == "image/png"

        # A problem's instance leads to the request's own path, whoever finds the problem.
        asked = [("GET", "/v1/jobs/nobody"), ("GET", "/v1/jobs/nobody/result"),
                 ("POST", "/v1/complete"), ("GET", "/a%2Fb:c%20d"), ("GET", "/v1/jobs/"),
                 ("GET", "/docs/")]  # fmt: skip
        for method, path in asked:
            answer = outside.request(method, prefix + path)
            assert answer.headers["content-type"] == "application/problem+json"
            told = address_in(answer, answer.json()["instance"])
            assert told == f"{outside.base_url}{prefix}{path}"
        sent = outside.post(f"{prefix}/v1/jobs", files={"image": b"x"}, data={"boxes": "1,2,3,4"})
        href = address_in(sent, sent.json()["href"])
        until(lambda: outside.get(href).json()["status"] == "failed")
        failed = outside.get(href)
        assert address_in(failed, failed.json()["problem"]["instance"]) == href

        for page in ("/docs", "/"):
            shown = outside.get(f"{prefix}{page}")
            links = re.findall(
                r"<(?:link|script|a|img)\b[^>]*?(?:src|href)=\"?([^ >\"]+)", shown.text
            )
            assert len(links) >= 2
            for link in links:
                assert outside.get(address_in(shown, link)).status_code == 200
        described = outside.get(f"{prefix}/openapi.json")
        (server,) = described.json()["servers"]
        assert address_in(described, server["url"]) == f"{outside.base_url}{prefix}/"


def test_what_is_there(client: Client) -> None:
    everything = (
        "/healthz",
        "/",
        "/v1/models",
        "/v1/formats",
        "/docs",
        "/docs.css",
        "/openapi.json",
    )
    for path in everything:
        head, whole = client.head(path), client.get(path)
        assert (path, head.status_code, head.content) == (path, 200, b"")
        assert head.headers["content-length"] == str(len(whole.content))
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.head("/metrics").status_code == 200
    assert client.get("/v1/formats?colour=1").json() == client.get("/v1/formats").json()
    assert client.get("/healthz").json() == {"status": "ok", "version": finefill.__version__}
    (model,) = client.get("/v1/models").json()["models"]
    card = finefill.load("places").card
    keys = ("name", "domain", "licence", "terms", "trained_size", "hole_range")
    assert model == {**{key: card[key] for key in keys}, "default": True}
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /v1/complete" in page.text
    assert re.findall(r"(?:src|href)=([^ >]+)", page.text) == ["docs.css", "openapi.json"]
    assert "<script" not in page.text
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")
    assert metric(client, "finefill_queue_waiting") == 0


def test_every_answer_has_a_strict_policy(client: Client) -> None:
    for path in ("/healthz", "/docs", "/nowhere", "/v1/complete"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_is_served(client: Client) -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in TYPES:
            response = client.get(f"/{path.relative_to(FOLDER).as_posix()}")
            assert response.content == path.read_bytes()
            assert response.headers["content-type"] == TYPES[path.suffix]
    if (FOLDER / "index.html").exists():
        assert client.get("/").content == (FOLDER / "index.html").read_bytes()


def test_openapi_tells_all(client: Client) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/v1/complete", "/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/result", "/healthz",
        "/v1/models", "/v1/formats", "/metrics",
    }  # fmt: skip
    answers = schema["paths"]["/v1/complete"]["post"]["responses"]
    told = {"400", "401", "403", "408", "413", "415", "422", "429", "500", "503", "504"}
    assert set(answers) == {"200", "202"} | told
    for status in told:
        content = answers[status]["content"]["application/problem+json"]
        assert content["example"]["status"] == int(status)
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    forms = [s for s in schema["components"]["schemas"].values() if "grow" in s["properties"]]
    assert forms
    for form in forms:
        assert form["properties"]["model"]["enum"] == ["places"]
        assert form["required"] == ["image"]
        assert form["additionalProperties"] is False
        assert form["properties"]["mask"]["anyOf"][0]["type"] == "array"


def test_limits_token_and_origins(temporary: Path, photo: NDArray[np.uint8]) -> None:
    image, form = encoded(photo), {"boxes": "30,40,50,50"}
    settings: dict[str, Any] = {
        "max_bytes": len(image) + 1000,
        "max_pixels": 256 * 256 - 1,
        "token": "sesame",
        "cors": ("https://good.example",),
    }
    with serving(**settings) as client:
        for headers in ({}, {"authorization": "Bearer Sesame"}, {"authorization": "sesame"}):
            response = client.post(
                "/v1/complete", files={"image": image}, data=form, headers=headers
            )
            check_problem(response, 401, "Authorization: Bearer TOKEN")
            assert response.headers["www-authenticate"] == "Bearer"
            check_problem(client.get("/metrics", headers=headers), 401, "")
            check_problem(client.get("/v1/models", headers=headers), 401, "")
            assert client.get("/healthz", headers=headers).status_code == 200
        client.headers["authorization"] = "Bearer sesame"

        response = client.post("/v1/complete", files={"image": image}, data=form)
        problem = check_problem(response, 413, "the image: 256x256 pixels are more than the limit")
        assert "--" not in problem["detail"]
        response = client.post("/v1/complete", files={"image": image * 2}, data=form)
        check_problem(response, 413, "the request is larger than the limit")

        request = client.build_request("POST", "/v1/complete", files={"image": image * 2})
        body = request.read()

        def chunks() -> Iterator[bytes]:  # no Content-Length
            yield from (body[at : at + 1000] for at in range(0, len(body), 1000))

        response = client.post(
            "/v1/complete",
            content=chunks(),
            headers={"content-type": request.headers["content-type"]},
        )
        check_problem(response, 413, "the request is larger than the limit")

        evil = {"origin": "https://evil.example"}
        response = client.post("/v1/jobs", files={"image": image}, data=form, headers=evil)
        check_problem(response, 403, "https://evil.example")
        assert "access-control-allow-origin" not in response.headers
        good = {"origin": "https://good.example"}
        response = client.get("/v1/models", headers=good)
        assert response.headers["access-control-allow-origin"] == "https://good.example"
        response = client.post("/v1/jobs", files={"image": image}, data=form, headers=good)
        assert response.status_code == 202
        own = {"origin": str(client.base_url).rstrip("/")}
        response = client.post("/v1/jobs", files={"image": image}, data=form, headers=own)
        assert response.status_code == 202

        response = client.get("/healthz", headers={"host": "rebound.example:80"})
        check_problem(response, 400, "rebound.example")
        assert client.get("/healthz", headers={"host": "LOCALHOST:1"}).status_code == 200


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker in /proc")
def test_full_queue_lost_worker_and_time_limit(
    temporary: Path, demo_rgb: NDArray[np.uint8]
) -> None:
    slow: dict[str, Any] = {
        "files": {"image": encoded(demo_rgb, "BMP")},
        "data": SLOW,
    }
    quick = {**slow, "data": {"boxes": "40,40,30,30"}}
    others = set(_workers(os.getpid()))  # of the server that the other tests use
    with serving(queue=1, keep=3) as client, ThreadPoolExecutor(1) as threads:
        first = "/v1/" + client.post("/v1/jobs", **slow).json()["href"]
        until(lambda: client.get(first).json()["status"] == "running")
        check_problem(client.get(f"{first}/result"), 409, "not finished")
        second = "/v1/" + client.post("/v1/jobs", **slow).json()["href"]
        assert client.get(second).json()["position"] == 1
        for path in ("/v1/jobs", "/v1/complete"):
            response = client.post(path, **slow)
            check_problem(response, 429, "the queue is full")
            assert int(response.headers["retry-after"]) >= 1
        assert client.delete(second).status_code == 204  # gives its place back

        # A client that hangs up while it waits gives its place back too.
        with contextlib.suppress(httpx.TimeoutException):
            client.post("/v1/complete", **slow, timeout=0.3)
        until(lambda: metric(client, "finefill_queue_waiting") == 0)

        # The process that works on the first dies: another takes its place.
        waiting = threads.submit(client.post, "/v1/complete", **quick)
        until(lambda: metric(client, "finefill_queue_waiting") == 1)
        (worker,) = set(_workers(os.getpid())) - others
        os.kill(worker, signal.SIGKILL)
        until(lambda: client.get(first).json()["status"] == "failed")
        problem = client.get(first).json()["problem"]
        assert problem["status"] == 500
        assert "the process that worked on it" in problem["detail"]
        assert waiting.result().status_code == 200
        assert metric(client, "finefill_workers_replaced_total") == 1
        until(lambda: client.get(first).status_code == 404)  # kept three seconds


def test_time_limit(temporary: Path, demo_rgb: NDArray[np.uint8]) -> None:
    image = encoded(demo_rgb, "BMP")
    with serving(timeout=0.8) as client:
        response = client.post("/v1/complete", files={"image": image}, data=SLOW)
        check_problem(response, 504, "not completed within 0.8 seconds")
        until(lambda: metric(client, "finefill_queue_running") == 0)
        small = encoded(demo_rgb[:32, :32])
        # Its worker was killed; the slot works again.
        until(
            lambda: (
                client.post(
                    "/v1/complete", files={"image": small}, data={"boxes": "9,9,4,4"}
                ).status_code
                == 200
            )
        )
        assert metric(client, "finefill_workers_replaced_total") >= 1

        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            answer = connection.makefile("rb").read()  # then the server hangs up
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the request was not sent within 0.8 seconds" in answer


def _workers(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (path / "cmdline").read_bytes()
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if b"anyio.to_process" in command and int(fields[1]) == parent:
                found.append(int(path.name))
    return found


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sigterm_finishes_what_runs(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    command = [sys.executable, "-W", "error", "-m", "finefill", "serve", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "--model", "places"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"finefill serves (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)\n", line)
    assert match, line
    slow = {"files": {"image": encoded(demo_rgb)}, "data": SLOW}
    with httpx.Client(base_url=match[1], timeout=60) as client, ThreadPoolExecutor(2) as threads:
        until(lambda: client.get("/healthz").status_code == 200)
        running = threads.submit(client.post, "/v1/complete", **slow)
        until(lambda: metric(client, "finefill_queue_running") == 1)
        waiting = threads.submit(client.post, "/v1/complete", **slow)
        until(lambda: metric(client, "finefill_queue_waiting") == 1)
        process.send_signal(signal.SIGTERM)
        check_problem(waiting.result(), 503, "shutting down")
        answer = running.result()
    assert answer.status_code == 200
    np.testing.assert_array_equal(read_photo(answer.content).rgb[:20], demo_rgb[:20])
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_told(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finefill.cli.serve import serve as command

    def told(*arguments: str) -> str:
        with pytest.raises(finefill.FinefillError) as caught:
            command.main(list(arguments), standalone_mode=False)
        return str(caught.value)

    assert "the token cannot be read" in told("--token-file", str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    assert "not empty" in told("--token-file", str(tmp_path / "empty"))
    monkeypatch.setenv("FINEFILL_TOKEN", "two\nlines")
    assert told("--port", "0").startswith("the variable FINEFILL_TOKEN: ")
    monkeypatch.delenv("FINEFILL_TOKEN")
    assert "unknown model" in told("--model", "nobody", "--port", "0")
    assert "cannot listen there" in told("--port", str(client.base_url.port))
    for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            assert "pip install 'finefill[web]'" in told()


def test_files_of_the_page(tmp_path: Path) -> None:
    from starlette.applications import Starlette

    (tmp_path / "icons").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "app.js").write_text("1")
    (tmp_path / "notes.xyz").write_text("not served")
    (tmp_path / "icons" / "icon.svg").write_text("<svg/>")
    transport = httpx.ASGITransport(Starlette(routes=routes(tmp_path)))

    async def get(path: str, **headers: str) -> Any:
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as page:
            return await page.get(path, headers=headers)

    root = asyncio.run(get("/"))
    assert root.text == asyncio.run(get("/index.html")).text == "<!doctype html>"
    assert root.headers["content-type"] == "text/html; charset=utf-8"
    assert root.headers["cache-control"] == "no-cache"
    script = asyncio.run(get("/app.js"))
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    same = asyncio.run(get("/app.js", **{"if-none-match": script.headers["etag"]}))
    assert (same.status_code, same.content) == (304, b"")
    assert asyncio.run(get("/icons/icon.svg")).headers["content-type"] == "image/svg+xml"
    assert asyncio.run(get("/notes.xyz")).status_code == 404
    assert asyncio.run(get("/../app.js/../../secret")).status_code == 404


def test_the_examples_of_the_documentation(
    client: Client, tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = DOCS.read_text(encoding="utf-8")
    address = str(client.base_url).rstrip("/")
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(encoded(photo, "JPEG", quality=90))
    Path("mask.png").write_bytes(encoded(center_square(256, 256, 64)))

    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(program.strip().splitlines()) == 6
    exec(program.replace("http://localhost:8383", address), {})
    assert read_photo(Path("completed.jpg")).rgb.shape == (256, 256, 3)

    if shutil.which("curl"):
        (line,) = re.findall(r"^curl .*/v1/complete.*$", text, re.M)
        Path("completed.jpg").unlink()
        line = line.replace("http://localhost:8383", address)
        subprocess.run(line, shell=True, check=True, capture_output=True)
        assert read_photo(Path("completed.jpg")).rgb.shape == (256, 256, 3)


def test_nothing_that_a_schema_allows_breaks_the_server(
    client: Client, demo_rgb: NDArray[np.uint8]
) -> None:
    """Requests made from openapi.json, for up to 15 seconds."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 9
    end, asked = time.monotonic() + 15, 0
    real = encoded(demo_rgb[:64, :64])

    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            if time.monotonic() < end:
                if isinstance(case.body, dict) and "image" in case.body and asked % 2:
                    case.body["image"] = real  # or no request would get beyond it
                response = case.call()
                asked += 1
                assert response.status_code < 500, response.text

        ask()
    assert asked >= len(operations)
    assert metric(client, "finefill_workers_replaced_total") == 0
