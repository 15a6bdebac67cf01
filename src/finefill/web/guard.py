"""What every request has to pass before anything of its body is read; and headers of answers."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finefill.web.metrics import Metrics
from finefill.web.pool import Pool
from finefill.web.problems import MEDIA_TYPE, Refused, body_of, reference
from finefill.web.settings import Settings

UPLOADS = ("/v1/complete", "/v1/jobs")
DRAIN_SECONDS = 2.0
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware: host, origin, token, size, time, and the queue's room."""

    def __init__(self, app: ASGIApp, settings: Settings, pool: Pool, metrics: Metrics) -> None:
        self._app, self._settings, self._pool, self._metrics = app, settings, pool, metrics
        self._token = None if settings.token is None else settings.token.encode()
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        upload = scope["method"] == "POST" and scope["path"] in UPLOADS
        self._uploads += upload
        body = _Body(receive, headers, self._settings, self._release if upload else None)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A client that still sends would not see an answer that closes the connection.
                await body.drain()
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent.setdefault(name, value)
                sent.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope, headers, upload=upload)
            await self._app(scope, body.receive, answer)
        except Refused as error:
            await refuse(error, scope, answer)
        finally:
            body.release()
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.received.inc(body.size)

    def _release(self) -> None:
        self._uploads -= 1

    def _check(self, scope: Scope, headers: Headers, *, upload: bool) -> None:
        """Raise what the request is refused for."""
        settings = self._settings
        if settings.hosts and _host(headers.get("host", "")) not in settings.hosts:
            raise Refused(
                400, f"{headers.get('host', '')}: not a name of this server (--allowed-host)"
            )
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(headers)
        path = scope["path"]
        if self._token is not None and (path.startswith("/v1/") or path == "/metrics"):
            kind, _, token = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(token.strip().encode(), self._token)
            if kind.lower() != "bearer" or not same:
                raise Refused(
                    401,
                    "the token is missing or wrong: send the header Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
        if not upload:
            return
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise Refused(415, "not a form: send multipart/form-data with the field image")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > settings.max_bytes:
            raise Refused(413, _too_large(settings))
        self._pool.check()
        if self._uploads > settings.uploads:
            raise Refused(429, "too many uploads at the same time", {"Retry-After": "5"})

    def _check_origin(self, headers: Headers) -> None:
        """A page of another origin must not make the visitor's browser send orders."""
        origin = headers.get("origin")
        if origin is None or origin in self._settings.cors or "*" in self._settings.cors:
            return
        site = headers.get("sec-fetch-site")
        own = origin.partition("://")[2] == headers.get("host")
        if site not in ("same-origin", "none") if site else not own:
            raise Refused(403, f"{origin}: pages of it may not use this server (--cors)")


class _Body:
    """A request's body, counted and timed while it comes."""

    def __init__(
        self,
        receive: Receive,
        headers: Headers,
        settings: Settings,
        release: Callable[[], None] | None,
    ) -> None:
        self._receive, self._settings, self._release = receive, settings, release
        self._deadline = time.monotonic() + settings.timeout
        self._has_body = "content-length" in headers or "transfer-encoding" in headers
        # Who waits for "100 Continue" has sent nothing yet.
        self._expects = headers.get("expect", "").lower() == "100-continue"
        self._complete = not self._has_body
        self.size = 0

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        self._expects = False
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, f"the request was not sent within {self._settings.timeout:g} seconds"
            ) from None
        if message["type"] != "http.request":
            self._complete = True
            self.release()
            return message
        self.size += len(message.get("body", b""))
        if self.size > self._settings.max_bytes:
            raise HTTPException(413, _too_large(self._settings))
        if not message.get("more_body"):
            self._complete = True
            self.release()
        return message

    async def drain(self) -> None:
        """Throw away what is still being sent, for a moment and up to the limit."""
        if self._complete or self._expects:
            return
        self._complete = True
        left = self._settings.max_bytes
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            pass

    def release(self) -> None:
        """The upload is over; counted once."""
        release, self._release = self._release, None
        if release:
            release()


async def refuse(error: Refused, scope: Scope, send: Send) -> None:
    """Send a problem document."""
    body = body_of(error, reference(scope))
    headers = {
        **error.headers,
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
    }
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _host(value: str) -> str:
    """A Host header without its port."""
    value = value.lower()
    return value.partition("]")[0] + "]" if value.startswith("[") else value.partition(":")[0]


def _too_large(settings: Settings) -> str:
    return f"the request is larger than the limit of {settings.max_bytes / 1e6:g} megabytes"
