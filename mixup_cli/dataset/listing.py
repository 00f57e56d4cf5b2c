"""Listing image files: sorted, hidden ones passed over, links and odd files named with a reason."""

import os
from dataclasses import dataclass, field

# torchvision's ImageFolder: these names are listed; what a file really is, its content decides.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass
class Listing:
    """A walk below `root`; `skipped` and `unusable` grow as it goes, as Dataset holds them.

    tables: files of labels at the root, which need no word; extensions: of what is listed.
    """

    root: str
    follow_symlinks: bool = False
    tables: frozenset = frozenset()
    extensions: tuple = EXTENSIONS
    skipped: dict = field(default_factory=dict)
    unusable: dict = field(default_factory=dict)

    def __post_init__(self):
        self.real_root = os.path.realpath(self.root)

    def skip(self, kind, relative):
        self.skipped.setdefault(kind, []).append(printable(relative))

    def entries(self, prefix=""):
        """The visible entries of a folder below root, in code-point order."""
        with os.scandir(os.path.join(self.root, prefix)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            relative = f"{prefix}/{entry.name}" if prefix else entry.name
            if is_hidden(entry.name):
                self.skip("hidden", relative)
            elif entry.is_symlink() and not self.follow_symlinks and self._leaves(entry.path):
                self.unusable[printable(relative)] = (
                    "a symbolic link that leaves the input folder; allow it by --follow-symlinks"
                )
            elif self._can_be_followed(entry, relative):
                if entry.is_dir() and os.path.isfile(os.path.join(entry.path, "mixup.json")):
                    self.skip("earlier output", relative)
                else:
                    yield entry, relative

    def images(self, prefix="", above=None):
        """Yield the paths, relative to root, of the images below a folder; `above` holds the real
        folders that we are inside of."""
        real = os.path.realpath(os.path.join(self.root, prefix))
        if above is None:
            above = {self.real_root} if prefix else set()
        if real in above:
            self.unusable[printable(prefix)] = "a symbolic link to a folder above itself"
            return
        for entry, relative in self.entries(prefix):
            if entry.is_dir():
                yield from self.images(relative, above | {real})
            elif not entry.name.lower().endswith(self.extensions):
                if relative not in self.tables:
                    self.skip("other", relative)
            elif not entry.is_file():
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                reason = "a dangling symbolic link" if broken else "not a regular file"
                self.unusable[printable(relative)] = reason
            elif relative != printable(relative):
                self.unusable[printable(relative)] = "file name is not UTF-8; rename the file"
            else:
                yield relative

    def _can_be_followed(self, entry, relative):
        try:
            entry.is_dir()
        except OSError as e:  # a link to itself, or through a folder that may not be read
            self.unusable[printable(relative)] = f"cannot be followed: {e.strerror}"
            return False
        return True

    def _leaves(self, path):
        real = os.path.realpath(path)
        return os.path.commonpath([self.real_root, real]) != self.real_root


def is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def printable(path):
    """A file name as text that can be written: bytes that are not UTF-8 become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
