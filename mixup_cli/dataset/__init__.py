"""A dataset: a list of image files with soft labels, and one reader for each input format."""

import os
from pathlib import Path

from mixup_cli import remote
from mixup_cli.dataset.folder import read_files_from, read_folder
from mixup_cli.dataset.model import (
    MILLION, Dataset, ReadOptions, parse_label, read_class_list, to_millionths, weight_text,
)
from mixup_cli.dataset.rows import Table, read_table
from mixup_cli.dataset.shards import has_shards, read_webdataset
from mixup_cli.dataset.skeleton import skeleton
from mixup_cli.dataset.splits import choose_split
from mixup_cli.dataset.table import METADATA, read_csv, read_imagefolder, read_mixup
from mixup_cli.errors import InputError

__all__ = [
    "MILLION", "READERS", "Dataset", "ReadOptions", "Table", "parse_label", "read_class_list",
    "read_dataset", "read_table", "to_millionths", "weight_text",
]

READERS = {
    "folder": read_folder,
    "csv": read_csv,
    "imagefolder": read_imagefolder,
    "mixup": read_mixup,
    "list": read_files_from,
    "webdataset": read_webdataset,
}
# Options that one kind of reader alone understands; given to another they would be ignored.
READER_OPTIONS = {
    "allow_empty": ("folder",),
    "labels": ("csv",),
    "file_column": ("csv",),
    "label_column": ("csv", "imagefolder", "webdataset"),
    "label_delimiter": ("csv", "imagefolder", "webdataset"),
    "files_from": ("list",),
    "from0": ("list",),
    "split": ("folder", "csv", "imagefolder", "mixup", "webdataset"),
}


def read_dataset(
    root: str | os.PathLike[str] | None, options: ReadOptions = ReadOptions()
) -> Dataset:
    """Read the labelled images under `root`; None for root with the reader `list` alone.

    No image is opened. The reader is chosen by looking at root, or by options.reader. Returns a
    Dataset of N sources with soft labels in exact millionths. Raises InputError with where, what
    and what to do.
    """
    if root is None:
        if options.files_from is None:
            raise InputError("no input folder; give one, or --files-from")
        root = Path()
    root = remote.plain(root)
    if remote.is_url(root):
        with skeleton(os.fspath(root)) as (local, there):
            return there(_read(local, options))
    return _read(Path(root), options)


def _read(root, options):
    if not root.exists():
        raise InputError(f"{root}: no such folder; give the folder that holds the images")
    if not root.is_dir():
        raise InputError(f"{root}: not a folder; give the folder that holds the images")
    if options.files_from is None:
        root = choose_split(root, options.split)
    reader = _choose_reader(root, options)
    for name, readers in READER_OPTIONS.items():
        if getattr(options, name) and reader not in readers:
            raise InputError(
                f"--{name.replace('_', '-')} means nothing to reader {reader}, chosen for {root};"
                f" drop it, or pass what reader {readers[0]} needs"
            )
    dataset = options.select(READERS[reader](root, options), reader)
    if len(dataset.sources) < 2:
        found = f"{len(dataset.sources)} image{'s' * (not dataset.sources)} found"
        for source, reason in list(dataset.unusable.items())[:1]:
            found += f" besides {len(dataset.unusable):,} that cannot be used ({source}: {reason})"
        raise InputError(f"{root}: {found}, but mixup blends pairs; add images")
    return dataset


def _choose_reader(root, options):
    if options.reader not in ("auto", *READERS):
        raise InputError(f"--reader {options.reader}: give one of auto, {', '.join(READERS)}")
    if options.reader != "auto":
        return options.reader
    if options.files_from is not None:
        return "list"
    if options.labels is not None:
        return "csv"
    if all((root / name).is_file() for name in ("mixup.json", "labels.csv", "metadata.csv")):
        return "webdataset" if (root / "images").is_dir() and has_shards(root / "images") else "mixup"
    if has_shards(root):
        return "webdataset"
    folders = [root] if options.split is None else [root, root.parent]
    tables = (folder / name for folder in folders for name in METADATA)
    return "imagefolder" if any(table.is_file() for table in tables) else "folder"
