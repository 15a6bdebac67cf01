"""``finefill serve``: the HTTP server and its page (extra ``web``)."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import webbrowser
from pathlib import Path
from typing import Any

import click

from finefill.cli import options
from finefill.errors import FinefillError

TOKEN = "FINEFILL_TOKEN"
NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")

ABOVE_0 = click.FloatRange(min=0, min_open=True)


def _limit(name: str, kind: click.ParamType[Any], default: int, text: str) -> options.Option:
    """An option whose default is shown."""
    return click.option(name, type=kind, default=default, show_default=True, help=text)


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 = this machine's every address.",
)
@_limit("--port", click.IntRange(0, 65535), 8383, "0 = any free.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="A model to offer: a name that `finefill models` lists, or an .onnx file, and perhaps "
    "what to call it; may be repeated, the first is the default.  [default: all]",
)
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="[NAME=]CONVENTION",
    help="How to use the files, or the model of that name: lama, migan, or a JSON file; may be "
    "repeated.",
)
@_limit(
    "--workers", click.IntRange(1, 64), 1, "Processes that complete images; they share the CPUs."
)
@_limit("--max-megapixels", ABOVE_0, 25, "Refuse larger images before decoding them.")
@_limit("--max-megabytes", ABOVE_0, 25, "Refuse larger requests.")
@_limit(
    "--queue",
    click.IntRange(min=1),
    32,
    "Completions that may wait; more are told to try again later.",
)
@_limit("--timeout", ABOVE_0, 60, "Seconds that a completion may take.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"Clients must send what this file holds as a bearer token (or what {TOKEN} holds).",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Pages of this origin may use the server, as https://example.org; may be repeated.",
)
@click.option(
    "--allowed-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Answer only to these names (and localhost).  [default: localhost, or any with another "
    "--host]",
)
@click.option("--open", "browse", is_flag=True, help="Show the page in the browser.")
def serve(
    host: str,
    port: int,
    models: tuple[str, ...],
    conventions: tuple[str, ...],
    workers: int,
    max_megapixels: float,
    max_megabytes: float,
    queue: int,
    timeout: float,
    token_file: Path | None,
    cors: tuple[str, ...],
    hosts: tuple[str, ...],
    browse: bool,
) -> None:
    """Complete images over HTTP, and with a page in the browser.

    Ctrl-C or SIGTERM finishes what runs.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise FinefillError(
            "finefill serve needs what the extra 'web' installs: pip install 'finefill[web]'"
        )
    from finefill.web import LOOPBACK, Settings, serve

    local = host in ("localhost", "127.0.0.1", "::1")
    names = (*LOOPBACK, *(name.lower() for name in hosts)) if local or hosts else ()
    token = _token(token_file)
    settings = Settings(
        models=models,
        conventions=conventions,
        workers=workers,
        max_pixels=round(max_megapixels * 1e6),
        max_bytes=round(max_megabytes * 1e6),
        queue=queue,
        timeout=timeout,
        token=token,
        cors=cors,
        hosts=names,
    )

    def ready(address: str, server: Any) -> None:
        for card in server.pool.cards:
            how = str(card.get("convention", ""))
            if how:
                said = "as its JSON file says" if how.startswith("sha256:") else f"as {how}"
                click.echo(f"finefill: {card['name']}: used {said}", err=True)
        click.echo(f"finefill serves {address} (Ctrl-C ends it)")
        if not local and token is None:
            click.echo(
                "finefill: warning: anyone who reaches it may use it: --token-file", err=True
            )
        if browse:
            webbrowser.open(address)

    asyncio.run(serve(settings, host, port, ready))


def _token(file: Path | None) -> str | None:
    """The token that clients must send, if any.

    Raises:
        FinefillError: the file cannot be read, or the token is empty or no header could hold it.
    """
    where, token = f"the variable {TOKEN}", os.environ.get(TOKEN)
    if file is not None:
        where = str(file)
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or "not a text file"
            raise FinefillError(f"{file}: the token cannot be read: {reason}") from error
    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        raise FinefillError(f"{where}: the token must be one line of ASCII, and not empty")
    return token
