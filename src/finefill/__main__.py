"""``python -m finefill``."""

from finefill.cli import main

if __name__ == "__main__":
    main()
