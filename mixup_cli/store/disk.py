"""What the operating system is asked for: locks, stable storage, and files that appear whole."""

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from mixup_cli.errors import LockedError, StoppedError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

BLOCK = 4096
REMOVES_OPEN_FILES = fcntl is not None
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def lock(path, shared=False, wait=False):
    """Take the lock that the kernel releases when its holder ends, however it ends; returns the
    descriptor that holds it. path: a file of a work folder, out/.mixup/."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            if fcntl is not None:
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
            elif not shared:  # Windows has no shared lock: parts are kept apart by their own
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as e:
            os.close(descriptor)
            if e.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
                raise StoppedError(f"{path}: cannot be locked ({e.strerror})") from e
            raise LockedError(
                f"{path.parent.parent}: another run is writing here; wait for it, or choose another"
                " output folder"
            ) from e
        # A run that completed in between has removed the file we locked: take the new one.
        if fcntl is None or _is_file(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_file(path, descriptor):
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def naming(path):
    """Say of which file an OSError speaks: of a write, a full disk for one, the system does not."""
    try:
        yield
    except OSError as e:
        raise OSError(e.errno, e.strerror, e.filename or os.fspath(path)) from e


def write_file(path, data):
    """Write a new file by the system's own calls: of small images, a file object takes longer."""
    try:
        descriptor = os.open(path, _NEW, 0o666)  # less the user's umask
        try:
            written = os.write(descriptor, data)
            while written < len(data):  # at a limit, a call writes a part, and the next one fails
                written += os.write(descriptor, memoryview(data)[written:])
        finally:
            os.close(descriptor)
    except OSError as e:
        raise OSError(e.errno, e.strerror, path) from e


@contextlib.contextmanager
def replacing(path, partial):
    """A text file that appears under its name only when complete and on stable storage; until then
    it is `partial`, on the same file system, where nobody else writes."""
    with naming(partial), open(partial, "w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def replace_file(path, data):
    """Write bytes as a file that appears whole under its name, with the permissions of the one that
    was there; a pipe or a device is written to."""
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with naming(path), open(path, "wb") as file:
            file.write(data)
        return
    partial = path.with_name(f".{path.name}.part")
    try:
        with naming(path), open(partial, "wb") as file:
            if path.exists():
                shutil.copymode(path, partial)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


class Sync:
    """Brings the files of a folder to stable storage when called: once for all on Linux.

    syncfs reports what failed since the folder was opened: make it before the files are written.
    """

    def __init__(self, folder):
        self.folder = folder
        self.descriptor = os.open(folder, os.O_RDONLY) if sys.platform == "linux" else None

    def __call__(self):
        if self.descriptor is not None:
            if _libc().syncfs(self.descriptor):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), os.fspath(self.folder))
            return
        for path in Path(self.folder).iterdir():
            with naming(path), open(path, "rb+") as file:
                os.fsync(file.fileno())
        sync_folder(self.folder)

    def close(self):
        """Release the folder."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def sync_folder(folder):
    """Bring a folder's entries (a rename) to stable storage; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def in_blocks(size):
    """What a file of so many bytes takes up, in the blocks of nearly every file system."""
    return -(-size // BLOCK) * BLOCK


def _libc():
    return ctypes.CDLL(None, use_errno=True)
