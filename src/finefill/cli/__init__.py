"""The command line: parse, call, print. Every command imports what it needs when it runs."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType

import click

from finefill.errors import FinefillError

__all__ = ["cli", "main", "run"]

# Command name -> module of this package that defines it under the same name.
COMMANDS = {
    "complete": "use",
    "batch": "batch",
    "serve": "serve",
    "demo": "use",
    "models": "models",
    "train": "training",
    "export": "training",
    "evaluate": "evaluation",
    "reproduce": "reproduce",
}


# New objects before cycles are looked for; what is imported holds fewer, and none to be freed.
MANY = 100_000
# Of malloc in glibc, by their numbers in malloc.h, for commands that end soon: one heap for all
# threads (M_ARENA_MAX), which grows by 4 MB at a time (M_TOP_PAD) and keeps what is freed
# (M_TRIM_THRESHOLD); larger pieces still go back to the system (M_MMAP_THRESHOLD).
# In small pieces memory takes a twentieth of a short command's time: the heap of the thread that
# loads the model grows page by page.
SHORT = {-8: 1, -2: 4 << 20, -1: 1 << 30, -3: 4 << 20}
# For trainings, where every step asks for the same large blocks: all come from the heap
# (M_MMAP_MAX), which is never trimmed. Else the system clears their pages in every step.
TRAINING = {-4: 0, -1: -1}


class LazyGroup(click.Group):
    """Loads a command's module only when that command is called: start-up stays short."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if COMMANDS[cmd_name] in ("use", "batch", "serve"):
            # Threads of NumPy's linear algebra take longer to start than they save here, and are in
            # the way of ONNX Runtime's. It reads this when it is imported.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        if COMMANDS[cmd_name] == "use":
            _set_malloc(SHORT)
        if cmd_name in ("train", "reproduce"):
            _set_malloc(TRAINING)
        module = importlib.import_module(f"finefill.cli.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="finefill")
def cli() -> None:
    """Complete images: fill holes so that one can't tell."""


def _set_malloc(settings: Mapping[int, int]) -> None:
    """How this process gets and keeps memory, where its C library lets us say so."""
    if sys.platform == "linux":
        # Only glibc has it; some builds of Python come without ctypes, or load nothing.
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes  # NumPy imports it too

            mallopt = ctypes.CDLL(None).mallopt
            for parameter, value in settings.items():
                mallopt(parameter, value)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Entry point: a FinefillError becomes one line on stderr and exit code 2.

    So does an error of a disk or a network: nothing is wrong with the program then, and the system
    names the file. So does a lack of memory. SIGTERM unwinds what is being done, so that no file is
    left half-written; commands with more to finish have handlers of their own.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        cli()
    except (FinefillError, OSError) as error:
        click.echo(f"finefill: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except MemoryError:
        click.echo("finefill: not enough memory: use smaller images, or free some", err=True)
        sys.exit(2)
    finally:
        gc.freeze()  # what is left goes with the process: no need to look through it for cycles


def run() -> None:
    """The process: :func:`main`, and then its end without taking everything apart.

    To free a network and all modules one by one takes a tenth of a short command's time; the system
    frees them at once.
    """
    code = 0
    gc.set_threshold(MANY)
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int | None) or threading.active_count() > 1:
            raise
        code = end.code or 0
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # closed at the other end: Python has an exit code for that
        sys.exit(code)
    os._exit(code)
