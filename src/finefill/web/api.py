"""The HTTP interface: see docs/server.md."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from finefill import __version__
from finefill.web import docs, static
from finefill.web.guard import Guard
from finefill.web.metrics import Metrics
from finefill.web.orders import IMAGE, Order, mask_files
from finefill.web.pool import Job, Pool, too_slow
from finefill.web.problems import MEDIA_TYPE, SCHEMA, Refused, problem, reference, responses
from finefill.web.settings import Settings

MAX_GROW = 1000  # pixels
MAX_BOXES = 1000
MAX_MASKS = 100
MAX_VALUES = 256
RESULT_HEADERS = ["X-Finefill-Model", "X-Finefill-Ways", "X-Finefill-Changed-Pixels",
                  "X-Finefill-Seconds", "X-Finefill-Warnings", "Retry-After",
                  "Location"]  # fmt: skip
_SAME = {"jpg": "jpeg", "tif": "tiff"}
_REFUSALS = (400, 401, 403, 408, 413, 415, 422, 429, 503)
_JOB = {"id": "bm9ib2R5IGd1ZXNzZXM", "status": "queued", "seconds": 0.1, "position": 1}

ABOUT = """Image completion: send a photograph and a mask, get the photograph with the masked part
filled in.

White in a mask, or a box, is what is to be completed. Both count pixels of the upright photograph,
as a browser shows it. Every error is a problem document (RFC 9457)."""


class FinefillAPI(FastAPI):
    """FastAPI, with an OpenAPI document that knows the models and the problem documents."""

    pool: Pool

    def openapi(self) -> dict[str, Any]:
        """Made when first asked for: only then the models are known."""
        if self.openapi_schema is None:
            schema = super().openapi()
            parts = schema["components"]["schemas"]
            parts["Problem"] = SCHEMA
            for name in ("HTTPValidationError", "ValidationError"):
                parts.pop(name, None)
            names = [card["name"] for card in self.pool.cards]
            for part in parts.values():
                if "grow" in part.get("properties", {}):
                    part["additionalProperties"] = False
                    part["properties"]["model"] |= {"enum": names, "default": names[0]}
            if self.pool.settings.token is not None:
                bearer = {"type": "http", "scheme": "bearer"}
                schema["components"]["securitySchemes"] = {"bearer": bearer}
                schema["security"] = [{"bearer": []}]
        return self.openapi_schema or {}


class Upload:
    """A completion's form, checked as far as that goes without opening the image."""

    def __init__(
        self,
        request: Request,
        image: Annotated[UploadFile, File(description="The photograph.")],
        mask: Annotated[
            list[UploadFile] | None,
            File(
                description="An image of the photograph's size: white is completed. Repeated: "
                "they add up."
            ),
        ] = None,
        boxes: Annotated[
            list[str] | None,
            Form(
                description="X,Y,WIDTH,HEIGHT of what is completed, repeated; or a JSON list of "
                "[x, y, width, height]. Adds to the mask.",
                examples=[["310,200,70,60"]],
            ),
        ] = None,
        model: Annotated[str | None, Form(description="A name that GET /v1/models lists.")] = None,
        fill: Annotated[
            Literal["auto", "network", "regions"],
            Form(
                description="By the network; by regions copied from around the hole, which "
                "continue facades, windows and tiles; or what suits each hole's surroundings."
            ),
        ] = "auto",
        wrap: Annotated[
            Literal["x", "y", "xy"] | None,
            Form(
                description="For tiles and panoramas: `x`: what leaves the photograph at the left "
                "goes on at the right; `y`: at the top and the bottom; `xy`: both."
            ),
        ] = None,
        grow: Annotated[
            int, Form(ge=0, le=MAX_GROW, description="Widen the mask by so many pixels.")
        ] = 0,
        format: Annotated[
            Literal["png", "jpeg", "jpg", "webp", "tiff", "tif", "avif"] | None,
            Form(description="Of the answer; the photograph's own by default."),
        ] = None,
        resize_mask: Annotated[
            bool, Form(description="Scale a mask of another shape to the photograph.")
        ] = False,
        keep_polarity: Annotated[
            bool, Form(description="Take a mask that looks inverted as it is.")
        ] = False,
        mask_value: Annotated[
            list[str] | None,
            Form(
                description="Take only this value (a label's number), colour (#RRGGBB), or what "
                "is transparent or opaque, of the mask; repeated for more.",
                max_length=MAX_VALUES,
            ),
        ] = None,
        mask_alpha: Annotated[
            bool,
            Form(description="Complete what is erased to transparency in the photograph itself."),
        ] = False,
        mask_drawn: Annotated[
            Literal["shown", "stored"] | None,
            Form(
                description="What the mask and the boxes lie on: the photograph as it is shown, "
                "upright (the default), or as it is stored, before its EXIF orientation turns it."
            ),
        ] = None,
        strict: Annotated[
            bool, Form(description="Answer 400 with the warnings, if there are any.")
        ] = False,
    ) -> None:
        pool: Pool = request.app.pool
        names = [card["name"] for card in pool.cards]
        model = model or names[0]
        if model not in names:
            raise Refused(422, f"model: {model}: unknown: use one of {', '.join(names)}")
        # A browser sends an empty part for a file field that nothing was chosen for.
        self.masks = [one for one in mask or () if one.size or one.filename]
        if len(self.masks) > MAX_MASKS:
            raise Refused(422, f"mask: {len(self.masks)} are more than the limit of {MAX_MASKS}")
        texts = _boxes(boxes or [])
        if not self.masks and not texts and not mask_alpha:
            raise Refused(
                400,
                "the image: nothing says what to complete: send a mask, boxes as X,Y,W,H, or "
                "mask_alpha=true",
            )
        self.image = image
        self.order = Order(
            model=model,
            max_pixels=pool.settings.max_pixels,
            boxes=texts,
            masks=len(self.masks),
            fill=fill,
            wrap=wrap,
            grow=grow,
            format=_SAME.get(format or "", format),
            resize_mask=resize_mask,
            keep_polarity=keep_polarity,
            mask_values=tuple(text for text in mask_value or () if text.strip()),
            mask_drawn=mask_drawn,
            mask_alpha=mask_alpha,
            strict=strict,
        )

    async def submit(self, pool: Pool, *, deadline: float | None = None) -> Job:
        """Write the files into a folder of their own and queue the completion.

        Raises:
            Refused: there is no room.
        """
        folder = pool.new_folder()
        try:
            await run_in_threadpool(self._save, folder)
            return pool.submit(folder, self.order, deadline=deadline)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _save(self, folder: Path) -> None:
        names = [IMAGE, *mask_files(len(self.masks))]
        for upload, name in zip([self.image, *self.masks], names, strict=True):
            with open(folder / name, "wb") as file:
                shutil.copyfileobj(upload.file, file, 1 << 20)


# What a form may hold, and what of that more than once.
FIELDS = tuple(name for name in inspect.signature(Upload).parameters if name != "request")
_REPEATED = ("mask", "boxes", "mask_value")
_FILES = {"image": "photo.jpg", "mask": "mask.png"}


async def _check_fields(request: Request) -> None:
    """Nothing that a client sends is passed over: FastAPI takes the last of several and no others.

    Raises:
        Refused: a field is unknown, or there twice, or text where a file belongs; or the address
            has parameters.
    """
    for name in request.query_params:
        told = "send it as a field of the form" if name in FIELDS else _known()
        raise Refused(422, f"{_shown(name)}: parameters in the address are not read: {told}")
    seen: set[str] = set()
    for name, value in (await request.form()).multi_items():
        if name not in FIELDS:
            raise Refused(422, f"{_shown(name)}: no such field: {_known()}")
        if name in seen and name not in _REPEATED:
            raise Refused(422, f"{name}: is there twice: send it once")
        seen.add(name)
        if name in _FILES and isinstance(value, str):
            raise Refused(422, f"{name}: send a file (-F {name}=@{_FILES[name]})")


def _known() -> str:
    return f"use {', '.join(FIELDS)}"


def _shown(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"


def create_app(settings: Settings, pool: Pool, metrics: Metrics) -> FinefillAPI:
    """The ASGI application; ``pool`` must be started before it is used, and stopped after."""
    app = FinefillAPI(
        title="finefill",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        # Addresses are relative: below which path a proxy shows them is not known here. That of a
        # redirect would be absolute.
        servers=[{"url": "./"}],
        redirect_slashes=False,
    )
    app.pool = pool
    app.add_middleware(Guard, settings=settings, pool=pool, metrics=metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Prefer"],
            expose_headers=RESULT_HEADERS,
        )
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)
    _add_completion(app, settings)
    _add_jobs(app)
    _add_rest(app, metrics)
    app.router.routes.extend(static.routes())
    return app


def _add_completion(app: FinefillAPI, settings: Settings) -> None:
    pool = app.pool
    image = {
        "description": "The completed image, in the format of the upload or of `format`.",
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}}
            for kind in ("png", "jpeg", "webp", "tiff", "avif", "heic", "jxl", "bmp", "gif")
        },
        "headers": {
            name: {"schema": {"type": "string"}} for name in RESULT_HEADERS if name.startswith("X-")
        },
    }
    accepted = {"description": "The job.", "content": {"application/json": {"example": _ACCEPTED}}}

    @app.post(
        "/v1/complete",
        dependencies=[Depends(_check_fields)],
        response_class=Response,
        responses={200: image, 202: accepted, **responses(*_REFUSALS, 500, 504)},
    )
    async def complete(request: Request, upload: Annotated[Upload, Depends()]) -> Response:
        """Complete an image and wait for it.

        With the header `Prefer: respond-async` it becomes a job instead (202).
        """
        if "respond-async" in request.headers.get("prefer", "").lower():
            return _accepted(await upload.submit(pool), {"Preference-Applied": "respond-async"})
        deadline = time.monotonic() + settings.timeout
        job = await upload.submit(pool, deadline=deadline)
        try:
            await _wait(request, job, settings.timeout)
            return await _result(job)
        finally:
            pool.forget(job)

    @app.post(
        "/v1/jobs",
        dependencies=[Depends(_check_fields)],
        status_code=202,
        response_class=JSONResponse,
        responses={202: accepted, **responses(*_REFUSALS, 500)},
    )
    async def submit(upload: Annotated[Upload, Depends()]) -> Response:
        """Complete an image and ask for it later."""
        return _accepted(await upload.submit(pool))

    @app.get(
        "/v1/jobs/{id}/result",
        response_class=Response,
        responses={200: image, **responses(400, 401, 404, 409, 413, 415, 500, 503, 504)},
    )
    async def result(id: str) -> Response:
        """The completed image, once; or the problem for which the job failed."""
        job = pool.get(id)
        if not job.finished.is_set():
            raise Refused(409, "the job is not finished: ask again later", {"Retry-After": "1"})
        try:
            return await _result(job)
        finally:
            pool.forget(job)


def _add_jobs(app: FinefillAPI) -> None:
    pool = app.pool
    shown = {"description": "The job.", "content": {"application/json": {"example": _JOB}}}

    @app.get(
        "/v1/jobs/{id}",
        response_class=JSONResponse,
        responses={200: shown, **responses(401, 404)},
    )
    async def job(id: str, request: Request) -> Response:
        """Where a job is: queued (with its position), running, done, or failed (with why)."""
        job = pool.get(id)
        told: dict[str, Any] = {
            "id": job.id,
            "status": job.status,
            "seconds": round(job.seconds, 3),
        }
        if job.status == "queued":
            told["position"] = pool.position(job)
        if job.error is not None:
            told["problem"] = problem(job.error, reference(request.scope))
        return JSONResponse(told)

    @app.delete("/v1/jobs/{id}", status_code=204, responses=responses(401, 403, 404))
    async def delete(id: str) -> None:
        """Cancel a job that waits, or throw its result away."""
        pool.forget(pool.get(id))


def _add_rest(app: FinefillAPI, metrics: Metrics) -> None:
    pool = app.pool
    healthy = {"status": "ok", "version": __version__}

    def shows(example: Any) -> dict[int | str, dict[str, Any]]:
        return {200: {"content": {"application/json": {"example": example}}}}

    @app.get("/healthz", response_class=JSONResponse, responses=shows(healthy))
    async def health() -> Response:
        """Whether the server takes orders; 503 while it shuts down."""
        if pool.closing:
            pool.check()
        return JSONResponse(healthy)

    card = {"name": "places", "domain": "outdoor scenes", "licence": "…", "terms": "…",
            "trained_size": 128, "hole_range": [48, 80], "default": True}  # fmt: skip

    @app.get(
        "/v1/models",
        response_class=JSONResponse,
        responses={**shows({"models": [card]}), **responses(401)},
    )
    async def models() -> Response:
        """The models that can be asked for."""
        keys = ("name", "domain", "licence", "terms", "trained_size", "hole_range")
        told = [
            {key: one.get(key, "") for key in keys} | {"default": index == 0}
            for index, one in enumerate(pool.cards)
        ]
        return JSONResponse({"models": told})

    jxl = {"extension": ".jxl", "usable": False, "remedy": "JPEG XL needs the extra formats: …"}

    @app.get(
        "/v1/formats",
        response_class=JSONResponse,
        responses={**shows({"formats": [jxl]}), **responses(401)},
    )
    async def formats() -> Response:
        """Kinds of photographs by their extensions: whether this server has what they need."""
        return JSONResponse({"formats": pool.formats})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **responses(401)},
    )
    async def metrics_text() -> Response:
        """Numbers for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs_page() -> Response:
        return HTMLResponse(docs.page(app.openapi()))

    @app.get("/docs.css", include_in_schema=False)
    async def docs_style() -> Response:
        return Response(docs.STYLE, media_type="text/css")

    # As load balancers ask, and who looks before fetching.
    for path, answer in (
        ("/healthz", health),
        ("/v1/models", models),
        ("/v1/formats", formats),
        ("/metrics", metrics_text),
        ("/docs", docs_page),
        ("/docs.css", docs_style),
    ):
        app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)


async def _wait(request: Request, job: Job, timeout: float) -> None:
    """Until the job is finished, or its client is gone.

    Raises:
        Refused: it takes too long.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(job.finished.wait()), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    if not job.finished.is_set():
        raise too_slow(timeout)  # of a client that is gone nobody reads it


async def _result(job: Job) -> Response:
    if job.error is not None:
        raise job.error
    done = job.done
    assert done is not None
    content = await run_in_threadpool((job.folder / done.file).read_bytes)
    headers = {
        "Content-Disposition": f'inline; filename="{done.file}"',
        "X-Finefill-Model": done.model.encode("ascii", "backslashreplace").decode(),
        "X-Finefill-Ways": ", ".join(done.ways),
        "X-Finefill-Changed-Pixels": str(done.changed),
        "X-Finefill-Seconds": f"{done.seconds:.3f}",
        "X-Finefill-Warnings": json.dumps(done.warnings),
    }
    return Response(content, media_type=done.media_type, headers=headers)


_ACCEPTED = {"id": _JOB["id"], "status": "queued", "href": f"jobs/{_JOB['id']}"}


def _accepted(job: Job, headers: dict[str, str] | None = None) -> Response:
    href = f"jobs/{job.id}"  # seen from /v1/jobs and from /v1/complete
    told = {"id": job.id, "status": job.status, "href": href}
    return JSONResponse(told, 202, {"Location": href, **(headers or {})})


def _boxes(values: list[str]) -> tuple[str, ...]:
    """``x,y,w,h`` texts; each value is one, or JSON: [x, y, w, h] or a list of such.

    Raises:
        Refused: a value is neither, or there are too many.
    """
    texts: list[str] = []
    for value in values:
        if not value.strip():
            continue  # an empty field of a browser's form
        if not value.lstrip().startswith("["):
            texts.append(value)
            continue
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if found and all(isinstance(one, int) for one in found):
            found = [found]
        if not isinstance(found, list) or not all(
            isinstance(one, list) and all(type(number) is int for number in one) for one in found
        ):
            raise Refused(422, f"boxes: {value}: give X,Y,WIDTH,HEIGHT, or a JSON list of such")
        texts += [",".join(map(str, one)) for one in found]
    if len(texts) > MAX_BOXES:
        raise Refused(422, f"boxes: {len(texts)} are more than the limit of {MAX_BOXES}")
    return tuple(texts)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    document = problem(error, reference(request.scope))
    return JSONResponse(document, error.status, error.headers, media_type=MEDIA_TYPE)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = Refused(error.status_code, str(error.detail), error.headers)
    return await _refused(request, refused)


async def _invalid(request: Request, error: Exception) -> Response:
    """A missing or wrong field: named with what is wrong, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
    return await _refused(request, Refused(422, "; ".join(told)))


async def _failed(request: Request, error: Exception) -> Response:
    detail = "the server failed to answer; the reason is in its log"
    return await _refused(request, Refused(500, detail))
