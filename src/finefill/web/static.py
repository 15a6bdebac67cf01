"""The files of the page, served: read once from ``page/``; no request opens a file."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
}


def routes(folder: Path = FOLDER) -> list[Route]:
    """A route for each file in ``folder`` of a kind in ``TYPES``, and / for its index.html."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in TYPES and path.is_file():
            endpoint = _endpoint(path.read_bytes(), TYPES[path.suffix])
            found.append(Route(f"/{name}", endpoint, methods=["GET"], include_in_schema=False))
            if name == "index.html":
                found.append(Route("/", endpoint, methods=["GET"], include_in_schema=False))
    return found


def _endpoint(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Names carry no version: browsers keep the file and ask each time whether it still holds.
    headers = {"etag": tag, "cache-control": "no-cache"}

    async def send(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return send
