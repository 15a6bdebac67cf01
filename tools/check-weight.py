"""Keep clones small: at most 40 MB of tracked files, none above 8 MB but in weights/.

1 MB = 2^20 bytes. A picture for the documents is made small by `finefill.evaluation.sheets.webp`.

    python tools/check-weight.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MB = 1 << 20
ALL, ONE = 40, 8  # MB
FREE = "weights/"  # of the limit for one file


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each tracked file, by its path; those that were removed are left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True, text=True
    )
    names = [name for name in listing.stdout.split("\0") if name]
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def complaints(found: dict[str, int]) -> list[str]:
    """What is too large, a line each."""
    lines = [
        f"{name}: {size / MB:.1f} MB, more than {ONE}: make it smaller or leave it out"
        for name, size in sorted(found.items())
        if size > ONE * MB and not name.startswith(FREE)
    ]
    total = sum(found.values())
    if total > ALL * MB:
        largest = ", ".join(sorted(found, key=lambda name: -found[name])[:3])
        lines.append(
            f"all tracked files: {total / MB:.1f} MB, more than {ALL}; the largest: {largest}"
        )
    return lines


def main() -> int:
    """Check the folder given, or this project; returns the exit code."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    try:
        found = sizes(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{folder}: not a git checkout, so not checked ({error})", file=sys.stderr)
        return 2
    for line in complaints(found):
        print(line, file=sys.stderr)
    return 1 if complaints(found) else 0


if __name__ == "__main__":
    sys.exit(main())
