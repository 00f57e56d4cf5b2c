"""The output folder: lock, staging, commit, tables, mixup.json.

A shard is written into .mixup/staging/, synced once, and renamed into images/ in one step: a folder
under images/ is complete and on stable storage, and nothing else is; FORMATS has what else than a
folder a shard may be. Every other file is written
under a temporary name, synced and renamed. mixup.json comes last: it means complete.
"""

import contextlib
import tempfile

from mixup_cli import remote
from mixup_cli.store.bucket import Bucket, UploadedShard
from mixup_cli.store.classes import LAYOUTS, class_folders
from mixup_cli.store.disk import in_blocks, replace_file
from mixup_cli.store.folder import OPTIONAL, REPORT, TABLES, Store, is_report
from mixup_cli.store.formats import FORMATS, open_shard, read_image, require
from mixup_cli.store.pipe import Pipe
from mixup_cli.store.record import file_digest, read_record, sealed
from mixup_cli.store.shard import StagedShard


@contextlib.contextmanager
def open_store(out, part=None, format="folder"):
    """The Store of a folder, or the Bucket of a URL; see Store."""
    if not remote.is_url(out):
        yield Store(out, part, format)
        return
    with tempfile.TemporaryDirectory(prefix="mixup-") as local:
        yield Bucket(out, local, part, format)


def stage_shard(out, staging, folder, sync, format, classes, like):
    """What a worker writes a shard into; see StagedShard."""
    if remote.is_url(out):
        return UploadedShard(out, staging, folder, format, classes, like)
    return StagedShard(out, staging, folder, sync, format, classes, like)


__all__ = [
    "FORMATS", "LAYOUTS", "OPTIONAL", "REPORT", "TABLES", "Pipe", "StagedShard", "Store", "class_folders",
    "file_digest", "in_blocks", "is_report", "open_shard", "open_store", "read_image", "read_record", "replace_file",
    "require", "sealed", "stage_shard",
]
