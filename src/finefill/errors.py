"""One family of exceptions: the command line turns it into one line and exit code 2."""


class FinefillError(Exception):
    """Something the caller can mend: the message names the file or value and the remedy."""


class TooLargeError(FinefillError):
    """An image has more pixels than the limit."""


class NotAnImageError(FinefillError):
    """A file is no image in any format that can be read."""


class EmptyMaskError(FinefillError):
    """Nothing is to be completed: a mask is empty, or nothing is annotated in a photo."""


class NotThereError(FinefillError):
    """Labels or values to take are not in a mask or in annotations.

    Attributes:
        missing: these, as the user gave them.
    """

    def __init__(self, text: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.missing = missing


class OperationError(FinefillError):
    """A model fails, or a disk: what was asked for may be right."""
