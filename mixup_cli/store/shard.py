"""A shard on its way into images/."""

import json
import os
import shutil
import uuid
from pathlib import Path

from mixup_cli.store import disk

WORK = ".mixup"  # of an output folder: what an unfinished run needs


class StagedShard:
    """The folder that a shard is written into, under a name nobody else uses, until commit().

    Used as a context manager: without a commit the folder is dropped when it ends. A sync that
    failed is never tried again on the same files, since the system may have dropped what it could
    not write and report success the next time.
    """

    def __init__(self, out, staging, folder, sync=True):
        self.final = Path(out, "images", folder)
        self.report = Path(out, WORK, "reports", f"{folder}.json")
        self.path = Path(staging, f"{folder}-{uuid.uuid4().hex[:8]}")
        self.path.mkdir()
        self.prefix = os.path.join(self.path, "")
        # Opened before the first file, so that no error in writing any of them is missed.
        self.sync = disk.Sync(self.path) if sync else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.sync:
            self.sync.close()
        if self.path.exists():
            discard(self.path)

    def write(self, name, data):
        """Write one file of the shard."""
        disk.write_file(f"{self.prefix}{name}", data)

    def commit(self, report):
        """Make the shard durable, then visible in one step.

        report: {"dropped": positions, "rejects": reasons} of rows that are not there, kept for a
        resumed run; empty if all are.
        """
        if report:
            with disk.replacing(self.report, Path(f"{self.path}.part")) as file:
                json.dump(report, file)
        if self.sync:
            self.sync()
        if self.final.exists():  # its worker died after the commit, and it was rendered again
            return
        os.rename(self.path, self.final)
        if self.sync:
            disk.sync_folder(self.final.parent)


def discard(folder):
    """Drop a shard that is not to be committed."""
    shutil.rmtree(folder, ignore_errors=True)
