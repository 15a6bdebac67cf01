"""What the benchmarks share: the machine they run on, memory of processes, a script's end."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finefill.errors import FinefillError

# `finefill` in a process that tells its own peak at the end: by the count of `wait4` a process
# begins with its parent's.
MEASURED = (
    "import sys\nfrom finefill.cli import main\ntry:\n    main()\nfinally:\n"
    "    lines = open('/proc/self/status')\n"
    "    sys.stderr.write(next(line for line in lines if line.startswith('VmHWM')))"
)


def processor() -> str:
    """The CPU's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def peak_bytes() -> int:
    """Most memory of this process so far. Elsewhere than on Linux it begins with its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def script(main: Callable[[], None]) -> None:
    """Run a script; what its user can mend is told in one line, with exit code 2."""
    try:
        main()
    except (FinefillError, OSError) as error:
        sys.stderr.write(f"finefill: {error}\n")
        sys.exit(2)
    except subprocess.CalledProcessError:  # it has told why
        sys.exit(2)


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        FinefillError: it is not one.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of UTF-8
        raise FinefillError(f"{file}: not a JSON file ({error})") from error


def above_zero(text: str) -> float:
    """A number above 0, for argparse."""
    if not (number := float(text)) > 0:
        raise ValueError(text)
    return number


def whole_number(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    if (number := int(text)) < 1:
        raise ValueError(text)  # argparse names the option and the value
    return number
