"""What can go wrong that is not our bug. One string each, so that every error survives pickling."""


class MixupError(Exception):
    """Anything the user can act on; the message says where, what, and what to do."""


class InputError(MixupError):
    """Wrong usage or input, refused before any work (exit 2)."""


class SplitError(InputError):
    """The input holds splits: the message, and the split that the user most likely wants (exit 2)."""

    def __init__(self, message, split):
        super().__init__(message, split)
        self.split = split

    def __str__(self):
        return self.args[0]


class SourceError(MixupError):
    """One source image cannot be used; the message is the reason that goes into rejects.csv."""


class RejectedError(MixupError):
    """A source was rejected and the user asked to stop at the first (exit 3)."""


class StoppedError(MixupError):
    """Input, output or another resource failed in mid-run (exit 4)."""


class LockedError(MixupError):
    """Another run holds the output folder (exit 5)."""


class MismatchError(MixupError):
    """--resume does not match the run that is there."""
