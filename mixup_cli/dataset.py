"""A dataset: a list of image files with soft labels, and one reader for each input format."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mixup_cli.errors import InputError

# torchvision's ImageFolder: these names are listed; what a file really is, its content decides.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MILLION = 1_000_000


@dataclass(frozen=True)
class Dataset:
    """Images under `root` with sparse soft labels.

    sources: N paths relative to root, with '/', in code-point order.
    label_start (N + 1,), label (E,), weight (E,): source i has the classes
    label[label_start[i]:label_start[i + 1]] with weights in millionths that sum to 1,000,000.
    skipped: what the reader passed over, kind -> relative paths; unusable: source -> reason.
    """

    root: Path
    sources: list
    classes: tuple
    label_start: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    skipped: dict = field(default_factory=dict)
    unusable: dict = field(default_factory=dict)

    def labels_of(self, sources):
        """The labels of several sources, (R,) int, as (row, label, weight) int64 arrays."""
        count = self.label_start[sources + 1] - self.label_start[sources]
        row = np.repeat(np.arange(len(sources)), count)
        inside = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        entry = self.label_start[sources][row] + inside
        return row, self.label[entry].astype(np.int64), self.weight[entry].astype(np.int64)

    def label_text(self, source):
        """The class name of a source, or `cat:0.7|dog:0.3` where it has several."""
        entries = range(self.label_start[source], self.label_start[source + 1])
        if len(entries) == 1:
            return self.classes[self.label[entries[0]]]
        return "|".join(
            f"{self.classes[self.label[e]]}:{weight_text(int(self.weight[e]))}" for e in entries
        )


def weight_text(millionths):
    """Millionths as the shortest exact decimal: 700000 -> '0.7'.

    Always with a point: readers that guess a column's type from its first rows must see floats.
    """
    whole, part = divmod(millionths, MILLION)
    return f"{whole}.{f'{part:06d}'.rstrip('0') or '0'}"


def read_dataset(root, reader="folder", **options):
    """Read the dataset under `root` with one of READERS. Raises InputError with what to do."""
    root = Path(root)
    if not root.exists():
        raise InputError(f"{root}: no such folder; give the folder that holds the class folders")
    if not root.is_dir():
        raise InputError(f"{root}: not a folder; give the folder that holds the class folders")
    try:
        dataset = READERS[reader](root, **options)
    except OSError as e:
        raise InputError(f"{e.filename or root}: cannot be listed ({e.strerror})") from e
    if len(dataset.sources) < 2:
        raise InputError(
            f"{root}: {len(dataset.sources)} images found, but mixup blends pairs; add images"
        )
    return dataset


def read_folder(root, allow_empty=False):
    """Image folders: one subfolder for each class, files at any depth, by ImageFolder's rules."""
    skipped = {"hidden": [], "other": [], "unclassed": []}
    unusable = {}
    classes = []
    for entry in _listing(root):
        if _is_hidden(entry.name):
            skipped["hidden"].append(entry.name)
        elif entry.is_dir():
            classes.append(entry.name)
        else:
            skipped["unclassed"].append(entry.name)
    if not classes:
        raise InputError(
            f"{root}: no class folders; an image's class is its folder: {root}/<class>/image.jpg"
        )
    sources, counts = [], []
    for name in classes:
        _check_class_name(root, name)
        found = sorted(_image_files(root / name, name, skipped, unusable, frozenset()))
        if not found and not allow_empty:
            raise InputError(
                f"{root / name}: no image in this class folder; remove it, or pass --allow-empty"
            )
        sources += found
        counts.append(len(found))
    return Dataset(
        root=root,
        sources=sources,
        classes=tuple(classes),
        label_start=np.arange(len(sources) + 1),
        label=np.repeat(np.arange(len(classes), dtype=np.int32), counts),
        weight=np.full(len(sources), MILLION, np.int32),
        skipped={kind: paths for kind, paths in skipped.items() if paths},
        unusable=unusable,
    )


def _listing(folder):
    """The entries of a folder in code-point order, whatever the file system's own order."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def _image_files(folder, prefix, skipped, unusable, above):
    """Yield the images below a class folder; `above` holds the real folders we are inside of."""
    real = os.path.realpath(folder)
    if real in above:
        unusable[_printable(prefix)] = "a symbolic link to a folder above itself"
        return
    for entry in _listing(folder):
        relative = f"{prefix}/{entry.name}"
        if _is_hidden(entry.name):
            skipped["hidden"].append(_printable(relative))
        elif entry.is_dir():
            yield from _image_files(entry.path, relative, skipped, unusable, above | {real})
        elif not entry.name.lower().endswith(EXTENSIONS):
            skipped["other"].append(_printable(relative))
        elif not entry.is_file():
            unusable[_printable(relative)] = "not a regular file"
        elif relative != _printable(relative):
            unusable[_printable(relative)] = "file name is not UTF-8; rename the file"
        else:
            yield relative


def _printable(path):
    """A file name as text that can be written: bytes that are not UTF-8 become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _check_class_name(root, name):
    if name != _printable(name):
        raise InputError(f"{root}/{_printable(name)}: class name is not UTF-8; rename the folder")
    if len(name.splitlines()) != 1:
        raise InputError(f"{root}/{name!r}: class name holds a line break; rename the folder")
    if name == "file_name":
        raise InputError(
            f"{root}/{name}: a class of this name would clash with the first column of labels.csv;"
            " rename the folder"
        )


READERS = {"folder": read_folder}
