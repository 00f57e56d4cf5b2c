"""How the rows of a shard lie on disk: an entry in FORMATS for each way.

A writer is made with the path to write, the shard's folder name, the class names and a record such
as the rows will have; it has add(name, png, record), close(sync), drop() if it was not closed, and
num_bytes, digest: None where each file is a row of its own.
A reader is made with the path and that name; it has names, read(name) and record(name), what the
writer was given, and close().
"""

import contextlib
import errno
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from mixup_cli import tar
from mixup_cli.errors import InputError
from mixup_cli.store import disk
from mixup_cli.store.hashed import HashedFile
from mixup_cli.store.parquet import ParquetReader, ParquetWriter

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
CLASSES = "__classes__"  # in a tar; readers of WebDataset and Hugging Face pass over such names


@dataclass(frozen=True)
class Format:
    """suffix: of a shard's name under images/; writer, reader: see above; embeds: whether rows hold
    their labels; packages: what it needs, whose versions decide its bytes."""

    suffix: str
    writer: Callable
    reader: Callable
    embeds: bool = True
    packages: tuple = ()


class FolderWriter:
    """A folder of PNGs; the labels are in the tables alone."""

    digest = num_bytes = None

    def __init__(self, path, folder, classes, like):
        path.mkdir()
        self.prefix = os.path.join(path, "")

    def add(self, name, png, record):
        disk.write_file(f"{self.prefix}{name}", png)

    def close(self, sync):
        """The folder is synced as one by whoever opened it first."""

    def drop(self):
        """Nothing is open."""


class FolderReader:
    def __init__(self, path, folder):
        self.path, self.names = path, os.listdir(path)

    def read(self, name):
        return Path(self.path, name).read_bytes()

    def close(self):
        """Nothing is open."""


class TarWriter:
    """A tar in the WebDataset convention: a PNG and a JSON of one name, up to the dot, for a row."""

    def __init__(self, path, folder, classes, like):
        self.prefix, self.out = f"images/{folder}/", HashedFile(path)
        self.out.write(tar.member(CLASSES, "".join(f"{name}\n" for name in classes).encode()))

    def add(self, name, png, record):
        text = _ENCODE(record).encode()
        stem = self.prefix + name.removesuffix(".png")
        self.out.write(tar.member(f"{stem}.png", png) + tar.member(f"{stem}.json", text))

    def close(self, sync):
        self.out.write(tar.END)
        self.out.close(sync)

    def drop(self):
        self.out.drop()

    num_bytes = property(lambda self: self.out.num_bytes)
    digest = property(lambda self: self.out.digest)


class TarReader:
    def __init__(self, path, folder):
        self.file = open(path, "rb")  # noqa: SIM115
        try:
            self.at = {name: place for name, *place in tar.index(path, self.file)}
        except InputError:
            self.close()
            raise
        self.prefix = f"images/{folder}/"
        self.names = [
            name.removeprefix(self.prefix) for name in self.at if name.endswith(".png")
        ]

    def read(self, name):
        return self._member(self.prefix + name)

    def record(self, name):
        try:
            return json.loads(self._member(self.prefix + name.removesuffix(".png") + ".json"))
        except (KeyError, ValueError):
            return None

    def _member(self, name):
        offset, size = self.at[name]
        self.file.seek(offset)
        return self.file.read(size)

    def close(self):
        self.file.close()


FORMATS = {
    "folder": Format("", FolderWriter, FolderReader, embeds=False),
    "webdataset": Format(".tar", TarWriter, TarReader),
    "parquet": Format(".parquet", ParquetWriter, ParquetReader, packages=("pyarrow",)),
}


def require(format):
    """Raise InputError if a package is missing that a format needs."""
    for package in FORMATS[format].packages:
        if importlib.util.find_spec(package) is None:
            raise InputError(f"--format {format} needs {package}: pip install 'mixup-cli[{format}]'")


def read_image(out, file, format):
    """The bytes of the PNG that a row names, images/00000/00000000.png, wherever the format has it."""
    _, folder, name = file.split("/")
    path = Path(out, "images", f"{folder}{FORMATS[format].suffix}")
    with open_shard(path, folder, format) as shard:
        if name not in shard.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        return shard.read(name)


@contextlib.contextmanager
def open_shard(path, folder, format):
    """A reader of a committed shard. Raises OSError or InputError if it cannot be read."""
    reader = FORMATS[format].reader(path, folder)
    try:
        yield reader
    finally:
        reader.close()
