"""Running the HTTP interface: uvicorn, and what a signal does."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from finefill.errors import FinefillError
from finefill.web.api import create_app
from finefill.web.metrics import Metrics
from finefill.web.pool import Pool
from finefill.web.settings import Settings

CONNECTIONS = 512  # open at the same time; more get a bare 503


class Server(uvicorn.Server):
    """Stops on the first signal: what runs is finished, what waits is refused."""

    pool: Pool
    loop: asyncio.AbstractEventLoop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal; called between two steps of the program, so the event loop is told."""
        self.loop.call_soon_threadsafe(self.pool.close)
        super().handle_exit(sig, frame)


async def serve(
    settings: Settings, host: str, port: int, ready: Callable[[str, Server], None]
) -> None:
    """Serve until a signal or until ``should_exit`` of the server is set.

    Args:
        settings: limits and access.
        host: the address to bind to.
        port: 0 = any free one.
        ready: called with the address, as http://127.0.0.1:8383, once requests are answered.

    Raises:
        FinefillError: the address cannot be bound, or a model cannot be loaded.
    """
    with _bound(host, port) as listening:
        metrics = Metrics()
        pool = Pool(settings, metrics)
        await pool.start()
        try:
            server = Server(
                uvicorn.Config(
                    create_app(settings, pool, metrics),
                    lifespan="off",
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    limit_concurrency=CONNECTIONS,
                    timeout_graceful_shutdown=math.ceil(settings.timeout) + 5,
                )
            )
            server.pool, server.loop = pool, asyncio.get_running_loop()
            if threading.current_thread() is threading.main_thread():
                # uvicorn repeats the signal to these when it is done; the rest happens here.
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, lambda number, frame: None)
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listening.getsockname()[1]}", server)
            await server.serve([listening])
        finally:
            await pool.stop()


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # where it would let two servers share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(CONNECTIONS)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise FinefillError(
            f"{host}:{port}: cannot listen there: {error.strerror}: choose another --host or --port"
        ) from error
    return listening
