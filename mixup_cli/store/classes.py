"""The layout `classes`: each PNG in the folder of its dominant class, images/<class>/00000000.png.

A run renders its shards as ever. When all are there, their files are linked into the folders of the
classes aside, and that takes the place of images/ in one step; the shards stay in the work folder
until mixup.json is written. A run that is killed in between finds its shards again and starts this
step anew.
"""

import errno
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mixup_cli.store import disk

LAYOUTS = ("shards", "classes")
ARRANGED, SHARDS = "arranged", "shards"  # in the work folder
LONGEST = 200  # bytes; file systems take 255
_UNSAFE = re.compile(r'[%/\\:*?"<>|\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|\d{5,}", re.IGNORECASE)  # or a shard's name
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def class_folders(classes: Iterable[str]) -> tuple[str, ...]:
    """The folder of each class: its name where any file system takes that, %XX for what one does not,
    and ~2, ~3, … after one that differs from an earlier folder by nothing but case or accents' form.
    """
    folders: list[str] = []
    taken: set[str] = set()
    for name in classes:
        stem = folder = _safe(name)
        number = 2
        while _alike(folder) in taken:
            folder, number = f"{stem}~{number}", number + 1
        taken.add(_alike(folder))
        folders.append(folder)
    return tuple(folders)


def _alike(folder: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", folder).casefold())


def _safe(name: str) -> str:
    text = _UNSAFE.sub(lambda found: _escaped(found[0]), name)
    while len(text.encode()) > LONGEST:
        text = text[:-1]
    if text[0] in ". " or _RESERVED.fullmatch(text):
        text = _escaped(text[0]) + text[1:]
    if text[-1] in ". ":
        text = text[:-1] + _escaped(text[-1])
    return text


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def arrange(out: Path, work: Path, places: Iterable[tuple[str, str, str]], sync: bool) -> None:
    """Put the files of the shards under out/images/ into the folders of their classes.

    places: an iterator of (shard's folder, file, class's folder); sync: reach stable storage.
    """
    images, arranged = out / "images", work / ARRANGED
    shutil.rmtree(arranged, ignore_errors=True)
    arranged.mkdir()
    made: set[str] = set()
    for shard, file, folder in places:
        if folder not in made:
            (arranged / folder).mkdir()
            made.add(folder)
        _link(os.path.join(images, shard, file), os.path.join(arranged, folder, file))
    if sync:
        # Where one call does for a whole file system, once is enough.
        for path in [arranged] if sys.platform == "linux" else [arranged / name for name in made]:
            synced = disk.Sync(path)
            try:
                synced()
            finally:
                synced.close()
    os.rename(images, work / SHARDS)
    os.rename(arranged, images)
    if sync:
        disk.sync_folder(work)
        disk.sync_folder(out)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as e:
        if e.errno not in _NO_LINKS:
            raise
        with disk.naming(target):
            shutil.copyfile(source, target)


def restore(out: Path, work: Path) -> None:
    """Undo arrange(), whole or halfway."""
    if (work / SHARDS).is_dir():
        if (out / "images").is_dir():
            shutil.rmtree(out / "images")
        os.rename(work / SHARDS, out / "images")
    shutil.rmtree(work / ARRANGED, ignore_errors=True)
