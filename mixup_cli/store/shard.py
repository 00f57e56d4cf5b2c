"""A shard on its way into images/."""

import json
import os
import shutil
import uuid
from pathlib import Path

from mixup_cli.store import disk
from mixup_cli.store.formats import FORMATS

WORK = ".mixup"  # of an output folder: what an unfinished run needs


class StagedShard:
    """The folder or file that a shard is written into, under a name nobody else uses, until commit().

    Used as a context manager: without a commit it is dropped when it ends. A sync that failed is
    never tried again on the same files, since the system may have dropped what it could not write
    and report success the next time.
    """

    def __init__(self, out, staging, folder, sync=True, format="folder", classes=(), like=()):
        suffix = FORMATS[format].suffix
        self.final = Path(out, "images", f"{folder}{suffix}")
        self.report = Path(out, WORK, "reports", f"{folder}.json")
        self.path = Path(staging, f"{folder}-{uuid.uuid4().hex[:8]}{suffix}")
        self.synced = sync
        self.writer = FORMATS[format].writer(self.path, folder, classes, like)
        # Opened before the first file, so that no error in writing any of them is missed.
        self.sync = disk.Sync(self.path) if sync and self.path.is_dir() else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.sync:
            self.sync.close()
        self.writer.drop()
        if self.path.exists():
            discard(self.path)

    def write(self, name, png, record=None):
        """Write one row of the shard; record: its labels, for a format that embeds them."""
        self.writer.add(name, png, record)

    def commit(self, report):
        """Make the shard durable, then visible in one step.

        report: {"dropped": positions, "rejects": reasons} of rows that are not there, kept for a
        resumed run; empty if all are.
        """
        self.writer.close(self.synced)
        if self.writer.digest is not None:
            report = {**report, "bytes": self.writer.num_bytes, "digest": self.writer.digest}
        if report:
            with disk.replacing(self.report, Path(f"{self.path}.part")) as file:
                json.dump(report, file)
        if self.sync:
            self.sync()
        if self.final.exists():  # its worker died after the commit, and it was rendered again
            return
        try:
            os.rename(self.path, self.final)
        except OSError:
            if not self.final.exists():
                raise
            return  # its worker was thought dead, and it was rendered twice at the same time
        if self.synced:
            disk.sync_folder(self.final.parent)


def discard(path):
    """Drop a shard that is not to be committed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
