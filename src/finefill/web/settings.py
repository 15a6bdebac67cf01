"""What can be set about a server."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")  # as in a Host header


@dataclass(frozen=True)
class Settings:
    """Limits and access.

    Attributes:
        models: names that ``finefill models`` lists, or .onnx files, with ``NAME=`` before it where
            it is to have another name; the first is the default. None given = all that are
            installed.
        conventions: how files are used, with ``NAME=`` before it where it is for one model.
        workers: processes, each with its own copy of the models; they share the CPUs.
        max_pixels: of a photo, and of a mask.
        max_bytes: of a request's body.
        queue: completions that may wait.
        timeout: seconds for reading a request, and again for completing: the wait included for
            POST /v1/complete, the work alone for a job.
        keep: seconds that a job's result is kept.
        held: results of jobs that may wait to be fetched.
        uploads: requests that may be sending their body at the same time.
        token: what clients must send as a bearer token.
        cors: origins whose pages may use the API.
        hosts: names that a Host header may have; none = any.
    """

    models: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    workers: int = 1
    max_pixels: int = 25_000_000
    max_bytes: int = 25_000_000
    queue: int = 32
    timeout: float = 60.0
    keep: float = 600.0
    held: int = 64
    uploads: int = 64
    token: str | None = None
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = LOOPBACK
