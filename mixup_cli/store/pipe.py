"""A run that is written as one tar to a pipe: each shard in its turn, as soon as it is rendered."""

import os
import shutil

from mixup_cli import tar
from mixup_cli.errors import InputError, StoppedError, describe
from mixup_cli.store.folder import TABLES, Store

MOST_BEHIND = 64  # shards that wait on disk for one before them
FORMATS_PIPED = ("folder", "webdataset")


class Pipe(Store):
    """A Store in a temporary folder whose shards go on to `file`, a binary stream, and are removed.

    As a folder: the files of a run, tables last, so that tar x leaves what a run does. As
    webdataset: one tar of samples; what stands in the tables stands in each sample.
    """

    def __init__(self, out, file, format):
        if format not in FORMATS_PIPED:
            raise InputError(f"--format {format}: a pipe takes a tar; give {' or '.join(FORMATS_PIPED)}")
        super().__init__(out, format=format)
        self.again = "from the start, as a pipe must be"
        self.file, self.waiting, self.next, self.rejects = file, {}, 0, {}

    def check(self, source, overwrite=False, resume=False):
        """Nothing can be there already."""

    def is_behind(self):
        return len(self.waiting) > MOST_BEHIND

    def rendered(self, shard, folder):
        """Send on the shards that are next, in order."""
        self.waiting[shard] = folder
        while self.next in self.waiting:
            folder = self.waiting.pop(self.next)
            send = self._send_tar if self.format == "webdataset" else self._send_folder
            send(folder, self.out / "images" / self.shard_name(folder))
            self.next += 1

    def _send_folder(self, folder, path):
        for name in sorted(os.listdir(path)):
            self._write(tar.member(f"images/{folder}/{name}", (path / name).read_bytes()))
        shutil.rmtree(path)

    def _send_tar(self, folder, path):
        """A shard without the end of its tar, and without the classes if that is not the first."""
        with open(path, "rb") as shard:
            if self.next:
                _, offset, size = next(tar.index(path, shard))
                shard.seek(offset + size + -size % tar.BLOCK)
            else:
                shard.seek(0)
            self._copy(shard, os.path.getsize(path) - shard.tell() - len(tar.END))
        path.unlink()

    def check_files(self, folder, number):
        """They were sent on."""

    def write_shard_table(self):
        """The one shard that is left over is the pipe."""

    def write_csv(self, name, header, rows):
        if name == "rejects.csv":
            rows = list(rows)
            self.rejects = dict(rows)
        super().write_csv(name, header, rows)

    def complete(self, record):
        """Send the tables, if files they shall be, and the end."""
        record = super().complete(record)
        for name in reversed(TABLES) if self.format == "folder" else ():
            path = self.out / name
            if path.exists():
                with open(path, "rb") as file:
                    size = os.path.getsize(path)
                    self._write(tar.header(name, size))
                    self._copy(file, size)
                    self._write(bytes(-size % tar.BLOCK))
        self._write(tar.END)
        self._flush()
        return record

    def _copy(self, file, size):
        while size:
            data = file.read(min(size, 1 << 20))
            self._write(data)
            size -= len(data)

    def _write(self, data):
        try:
            self.file.write(data)
        except BrokenPipeError as e:
            raise self._closed() from e
        except OSError as e:
            raise self._stopped(e) from e

    def _flush(self):
        try:
            self.file.flush()
        except BrokenPipeError as e:
            raise self._closed() from e
        except OSError as e:
            raise self._stopped(e) from e

    def _stopped(self, error):
        return StoppedError(f"{describe(error, 'standard output')}, then run again {self.again}")

    def _closed(self):
        return StoppedError("standard output: its reader is gone; the tar there is incomplete")
