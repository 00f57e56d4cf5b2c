"""The output folder: lock, staging, commit, tables, mixup.json.

A shard is written into .mixup/staging/, synced once, and renamed into images/ in one step: a folder
under images/ is complete and on stable storage, and nothing else is; FORMATS has what else than a
folder a shard may be. Every other file is written
under a temporary name, synced and renamed. mixup.json comes last: it means complete.
"""

from mixup_cli.store.classes import LAYOUTS, class_folders
from mixup_cli.store.folder import OPTIONAL, TABLES, Store
from mixup_cli.store.formats import FORMATS, open_shard, require
from mixup_cli.store.pipe import Pipe
from mixup_cli.store.record import file_digest, read_record, sealed
from mixup_cli.store.shard import StagedShard

__all__ = [
    "FORMATS", "LAYOUTS", "OPTIONAL", "TABLES", "Pipe", "StagedShard", "Store", "class_folders", "file_digest", "open_shard", "read_record",
    "require", "sealed",
]
