"""Readers whose labels are folder names: class folders, and lists of files."""

import os
import sys
from pathlib import Path

import numpy as np

from mixup_cli.dataset.listing import Listing, printable
from mixup_cli.dataset.model import check_class_name, hard_dataset
from mixup_cli.dataset.splits import HELD_OUT, TRAIN
from mixup_cli.errors import InputError


def read_folder(root, options):
    """Image folders: one subfolder for each class, files at any depth, by ImageFolder's rules."""
    listing = Listing(os.fspath(root), options.follow_symlinks)
    classes = []
    for entry, relative in listing.entries():
        if entry.is_dir():
            check_class_name(relative, f"{root}/{printable(relative)}")
            classes.append(relative)
        else:
            listing.skip("unclassed", relative)
    if not classes and listing.unusable:
        link, reason = next(iter(listing.unusable.items()))
        raise InputError(f"{root}: no class folders but links; {link}: {reason}")
    if not classes:
        raise InputError(
            f"{root}: no class folders; an image's class is its folder, {root}/<class>/image.jpg,"
            " or give a table with --labels"
        )
    sources, counts = [], []
    for name in classes:
        found = sorted(listing.images(name))
        if not found and not options.allow_empty:
            raise InputError(
                f"{root}/{name}: no image in this class folder; remove it, or pass --allow-empty"
            )
        sources += found
        counts.append(len(found))
    return hard_dataset(
        root, sources, classes, np.repeat(np.arange(len(classes), dtype=np.int32), counts),
        skipped=listing.skipped, unusable=listing.unusable,
    )


def read_files_from(root, options):
    """A list of files, a line each or separated by NUL; the label is the parent folder's name."""
    where = options.files_from
    if where is None:
        raise InputError("--reader list needs --files-from FILE, or - for standard input")
    try:
        data = sys.stdin.buffer.read() if where == "-" else Path(where).read_bytes()
    except OSError as e:
        raise InputError(f"{where}: {e.strerror}; give a list of image files") from e
    names = data.split(b"\0") if options.from0 else data.splitlines()
    paths = [(number, os.fsdecode(name)) for number, name in enumerate(names, 1) if name]
    if not paths:
        raise InputError(f"{where}: no file listed")
    root = _root_of(root, [path for _, path in paths])
    first, unusable = {}, {}
    for number, path in paths:
        relative = os.path.relpath(path, root) if os.path.isabs(path) else os.path.normpath(path)
        relative = relative.replace(os.sep, "/")
        line = f"{'standard input' if where == '-' else where}:{number}"
        if relative.startswith("../"):
            raise InputError(f"{line}: {printable(path)!r} lies outside {root}; paths are relative to it")
        if relative in first:
            raise InputError(f"{line}: {printable(path)!r} is listed in line {first[relative]} too")
        if not os.path.lexists(os.path.join(root, relative)):
            raise InputError(
                f"{line}: no such image {printable(path)!r}; paths are relative to {root}"
            )
        if not os.path.isfile(os.path.join(root, relative)):
            unusable[printable(relative)] = "not a regular file"
        elif relative != printable(relative):
            unusable[printable(relative)] = "file name is not UTF-8; rename the file"
        else:
            first[relative] = number
    _check_splits(where, first)
    parents = {
        relative: os.path.basename(os.path.dirname(os.path.abspath(os.path.join(root, relative))))
        for relative in first
    }
    classes = sorted(set(parents.values()))
    for name in classes:
        check_class_name(name, where)
    index = {name: k for k, name in enumerate(classes)}
    sources = sorted(first)
    return hard_dataset(
        root, sources, classes, [index[parents[source]] for source in sources], unusable=unusable
    )


def _check_splits(where, paths):
    """Refuse a list that reaches across train/ and val/: mixing them would leak."""
    folders = {name for path in paths for name in path.lower().split("/")[:-2]}
    if folders & TRAIN and folders & HELD_OUT:
        names = ", ".join(sorted(folders & (TRAIN | HELD_OUT)))
        raise InputError(f"{where}: holds files of the splits {names}; list those of one")


def _root_of(root, paths):
    """The folder that sources are named from: the input folder, or where absolute paths meet."""
    if root != Path() or not all(map(os.path.isabs, paths)):
        return root
    return Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
