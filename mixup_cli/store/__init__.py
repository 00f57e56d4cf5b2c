"""The output folder: lock, staging, commit, tables, mixup.json.

A shard is written into .mixup/staging/, synced once, and renamed into images/ in one step: a folder
under images/ is complete and on stable storage, and nothing else is. Every other file is written
under a temporary name, synced and renamed. mixup.json comes last: it means complete.
"""

from mixup_cli.store.disk import replace_file
from mixup_cli.store.folder import REPORT, TABLES, Store, is_report
from mixup_cli.store.record import file_digest, read_record, sealed
from mixup_cli.store.shard import StagedShard

__all__ = [
    "REPORT", "TABLES", "StagedShard", "Store", "file_digest", "is_report", "read_record", "sealed",
    "replace_file",
]
