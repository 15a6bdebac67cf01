"""``python -m finefill``."""

from finefill.cli import run

if __name__ == "__main__":
    run()
