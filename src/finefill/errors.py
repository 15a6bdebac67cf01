"""The one exception family: the command line turns it into one line and exit code 2."""


class FinefillError(Exception):
    """Something the caller can mend: the message names the file or value and the remedy."""
