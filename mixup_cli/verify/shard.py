"""A worker's part of verify: a shard, file by file."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from mixup_cli import remote
from mixup_cli.codec import decode, holds
from mixup_cli.errors import InputError, SourceError
from mixup_cli.render import ShardJob, SourceCache, blend_rows, reading_ahead
from mixup_cli.store import FORMATS, file_digest, open_shard


ANY_SIZE = 1 << 40  # pixels: what a run has written may be read


@dataclass(frozen=True)
class Check:
    """A worker's job: the path and folder name of a shard, the files that its rows name, and the
    records that they must hold, where the format embeds them; digest: of a shard that is a file; how
    to render the rows again, or None; layout: with `classes`, path is images/, and files are paths
    below it."""

    path: str
    folder: str
    files: list
    format: str = "folder"
    records: list = ()
    digest: str | None = None
    render: ShardJob | None = None
    layout: str = "shards"


class _FilesBelow:
    """A reader, as the formats have, of files by their paths; what else lies there is not its matter."""

    def __init__(self, path, files):
        self.path = path
        self.names = [file for file in files if os.path.isfile(os.path.join(path, file))]

    def read(self, name):
        return Path(self.path, name).read_bytes()


@dataclass(frozen=True)
class Checked:
    """Of a folder: rows and files counted, and (file, problem) pairs."""

    folder: str
    rows: int
    files: int
    problems: list
    suffix: str = ""


def check_shard(check):
    """Every image of a shard: there, named by a row, whole, with the labels and pixels of its row."""
    suffix = FORMATS[check.format].suffix
    try:
        with remote.local_copy(check.path) as path:
            changed = suffix and file_digest(path) != check.digest
            with _opened(check, path) as shard:
                problems = sorted(_problems(check, shard))
                if changed:
                    problems.insert(0, (None, "not as the run wrote it: its digest does not hold"))
                return Checked(check.folder, len(check.files), len(shard.names), problems, suffix)
    except OSError as e:
        what = "" if suffix else "its folder: "
        problems = [(None, what + e.strerror)]
    except InputError as e:
        problems = [(None, str(e))]
    return Checked(check.folder, len(check.files), 0, problems, suffix)


def _opened(check, path):
    if check.layout == "classes":
        return contextlib.nullcontext(_FilesBelow(path, check.files))
    return open_shard(path, check.folder, check.format)


def _problems(check, shard):
    """Yield (file, problem) of the images of an open shard."""
    there = set(shard.names)
    yield from ((name, "missing") for name in check.files if name not in there)
    yield from ((name, "no row names this file") for name in there - set(check.files))
    sound = set()
    for name in there.intersection(check.files):
        try:
            decode(shard.read(name), ANY_SIZE)
            sound.add(name)
        except (OSError, SourceError) as e:
            yield name, str(e)
    for name, record in zip(check.files, check.records):
        if name in there and shard.record(name) != record:
            yield name, "its labels are not those of its row"
    if check.render is not None:
        yield from _compare(check, shard, sound)


def _compare(check, shard, sound):
    """Render the rows of a shard again: (file, problem) of those that hold other pixels."""
    job, rendered = check.render, set()
    named = {file.rpartition("/")[2]: file for file in check.files}
    cache = SourceCache(job)
    with reading_ahead(job):
        for rows, images in blend_rows(job, cache):
            rendered.update(rows)
            for row, image in zip(rows, images, strict=True):
                name = named.get(job.files[row])
                if name in sound and not holds(shard.read(name), image):
                    yield name, "its pixels are not those of its row"
    for row in set(range(len(job.files))) - rendered:
        sources = (job.sources[side[row]] for side in (job.a, job.b))
        source = next(source for source in sources if source in cache.rejects)
        yield named.get(job.files[row], job.files[row]), f"cannot be rendered again: {source}: {cache.rejects[source]}"
