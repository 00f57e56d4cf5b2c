"""What can go wrong that is not our bug. One string each, so that every error survives pickling."""

import errno


class MixupError(Exception):
    """Anything the user can act on; the message says where, what, and what to do."""


class InputError(MixupError):
    """Wrong usage or input, refused before any work (exit 2)."""


class SplitError(InputError):
    """The input holds splits: the message, and the split that the user most likely wants (exit 2)."""

    def __init__(self, message: str, split: str) -> None:
        super().__init__(message, split)
        self.split = split

    def __str__(self) -> str:
        return str(self.args[0])


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


ADVICE = {
    errno.ENOSPC: "free space or inodes there",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "let the system have more open files",
    errno.ENOMEM: "free memory, or give fewer --jobs",
    errno.EAGAIN: "let the user have more processes (ulimit -u), or give fewer --jobs",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it accessible",
    errno.EIO: "check that disk, which may have lost what was written to it",
}
if hasattr(errno, "EDQUOT"):  # Windows has none
    ADVICE[errno.EDQUOT] = "free space or raise the quota there"


def describe(error: OSError, where: object = None) -> str:
    """An OSError in one line: the file it names, or `where`, the reason, and what to do."""
    path = error.filename or where
    place = f"{path}: " if path is not None else ""
    return f"{place}{error.strerror or error}; {ADVICE.get(error.errno or 0, 'mend that')}"
