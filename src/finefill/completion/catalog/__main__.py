"""Ship an exported model: ``python -m finefill.completion.catalog add FILE.onnx NAME``."""

import sys
from pathlib import Path

from finefill.completion.catalog import register
from finefill.errors import FinefillError


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    if len(arguments) != 3 or arguments[0] != "add":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(register(Path(arguments[1]), arguments[2]))
    except FinefillError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
