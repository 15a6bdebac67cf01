"""One family of exceptions: the command line turns it into one line and exit code 2."""


class FinefillError(Exception):
    """Something the caller can mend: the message names the file or value and the remedy."""


class TooLargeError(FinefillError):
    """An image has more pixels than the limit."""


class NotAnImageError(FinefillError):
    """A file is no image in any format that can be read."""


class EmptyMaskError(FinefillError):
    """Nothing is to be completed: a mask is empty, or nothing is annotated in a photo."""


class OperationError(FinefillError):
    """A model fails, or a disk: what was asked for may be right."""
