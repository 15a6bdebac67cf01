"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
LONGEST = 500  # characters of a detail: it may quote what the client sent


class Refused(Exception):
    """A request that gets a problem document for an answer.

    Args:
        status: of HTTP.
        detail: what is wrong and what would help, in one line.
        headers: to send along.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def reference(scope: Scope) -> str:
    """A request's address as a reference relative to itself (RFC 3986, 4.2): ``./complete``.

    It holds below any path at which a proxy shows the server.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    # What RFC 3986 allows in a segment stays, what is encoded already too.
    return "./" + quote(raw.rpartition(b"/")[2], safe="%:@!$&'()*+,;=")


def problem(error: Refused, instance: str) -> dict[str, Any]:
    """The document: type, title, status, detail, instance.

    Args:
        error: what is wrong.
        instance: the request's address, as :func:`reference` gives it.
    """
    detail = error.detail
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": detail if len(detail) <= LONGEST else detail[:LONGEST] + "…",
        "instance": instance,
    }


def body_of(error: Refused, instance: str) -> bytes:
    """The document as it is sent."""
    return json.dumps(problem(error, instance)).encode()


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
}

_MEANINGS = {
    400: ("The image, the mask or a box cannot be used.", "the image: damaged or truncated image"),
    401: ("The token is missing or wrong.", "send the header Authorization: Bearer TOKEN"),
    403: ("A page of another origin asks.", "https://example.org: pages of it may not use this"),
    404: ("There is no such job, or its result is gone.", "no such job"),
    408: ("The body was not sent in time.", "the request was not sent within 60 seconds"),
    409: ("The job is not finished.", "the job is not finished: ask again later"),
    413: ("Too many bytes or pixels.", "the request is larger than the limit of 25 megabytes"),
    415: ("Not a form, or not an image.", "the image: not an image that can be read"),
    422: ("A field is missing or has a wrong value.", "grow: Input should be a valid integer"),
    429: ("The queue is full; Retry-After tells when to try again.", "the queue is full"),
    500: ("The server failed.", "the server failed to answer; the reason is in its log"),
    503: ("The server is shutting down.", "the server is shutting down"),
    504: ("It took too long.", "not completed within 60 seconds"),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI shall tell about these errors."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        description, detail = _MEANINGS[status]
        told[status] = {
            "description": description,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": problem(Refused(status, detail), "./complete"),
                }
            },
        }
        if status in (429, 503):
            told[status]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
    return told
