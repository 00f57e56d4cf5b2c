"""Rendering: the rows of a shard become a folder of PNGs. Pure, picklable, a worker's whole world."""

import contextlib
import errno
import os
import signal
import stat
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from mixup_cli import remote, tar
from mixup_cli.canvas import Canvas, match, prepare
from mixup_cli.codec import decode
from mixup_cli.errors import SourceError
from mixup_cli.kernel import blend
from mixup_cli.png import encode_pngs
from mixup_cli.store import stage_shard
from mixup_cli.tables import ShardTables

CACHE_BYTES = 64_000_000  # decoded sources a worker keeps
KNOWN_BYTES = 16_000_000  # PNGs of sources that a worker keeps
BYTES_A_PIXEL, HEADER_BYTES = 8, 10_000_000  # 16-bit RGBA is the widest; profiles and thumbnails
HALF_A_LEVEL = 0.4999  # what the weaker image may add to a level without moving it, in float32 too
BLOCK_BYTES = 400_000  # pixels blended and encoded at once: a few images that stay in the CPU's cache

# Reasons why a source cannot be read that are no fault of its own: they stop the run, to be resumed.
# EIO is not among them, one bad sector shall cost one image.
_NOT_ITS_FAULT = {
    getattr(errno, name, None) for name in (
        "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ECONNRESET",
        "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH",
    )
}
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class ShardJob:
    """The rows of a shard, self-contained: files (R,) names of the PNGs, sources (M,) paths below
    root, a and b (R,) int indices into sources, lam (R,) the weight of a; staging: the folder to
    write into before the commit; sync: whether the commit reaches stable storage; compression: of PNGs;
    timeout: seconds for a source, after which the worker dies, 0 for any time; rejected: source ->
    reason, of those that are known to kill a worker; attempts: how often it was tried alone;
    format: a key of store.FORMATS; tables: what the rows of a format hold that embeds its labels;
    spans: (M, 2) where the sources lie in tars, as Dataset has them."""

    shard: int
    out: str
    folder: str
    root: str
    canvas: Canvas
    files: list
    sources: list
    a: np.ndarray
    b: np.ndarray
    lam: np.ndarray
    staging: str
    sync: bool = True
    compression: str = "fast"
    timeout: float = 0
    rejected: dict = field(default_factory=dict)
    attempts: int = 0
    format: str = "folder"
    tables: ShardTables | None = None
    spans: np.ndarray | None = None


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard: dropped, the positions of rows that could not be rendered; rejects,
    source -> reason; num_bytes, the size of its PNGs; decodes, how many files were decoded."""

    shard: int
    dropped: list
    rejects: dict
    num_bytes: int
    decodes: int


def most_bytes(max_pixels):
    """The bytes that no source of so many pixels exceeds."""
    return max_pixels * BYTES_A_PIXEL + HEADER_BYTES


def _read_remote(url, span, most):
    """Only what the store says of one file is that file's fault: not there, or not ours to read."""
    try:
        data = remote.read(url.replace(os.sep, "/"), span, most + 1)
    except (FileNotFoundError, PermissionError) as e:
        raise SourceError(f"cannot be read: {e.strerror}") from e
    if len(data) > most:
        raise SourceError(f"more than {most:,} bytes, which an image may have")
    return data


def read_source(path, max_pixels, span=None):
    """The bytes of a source; span: its offset and size in the tar that path begins with.

    Raises SourceError for what is no regular file (a FIFO would block for ever), or larger than
    max_pixels uncompressed in any format that we read; OSError if not the source is at fault but
    this machine or a network."""
    most = most_bytes(max_pixels)
    if span is not None:
        path = tar.file_of(path)
    if remote.is_url(path):
        return _read_remote(path, span, most)
    try:
        # The system's own calls: of small images, a file object costs more than their decoding.
        descriptor = os.open(path, _OPEN)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError("not a regular file")
            offset, size = (0, status.st_size) if span is None else span
            if size > most:
                raise SourceError(f"{size:,} bytes are more than an image may have, {most:,}")
            if offset:
                os.lseek(descriptor, offset, os.SEEK_SET)
            return _read(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError as e:
        if e.errno in _NOT_ITS_FAULT:
            raise OSError(e.errno, e.strerror, os.fspath(path)) from e
        raise SourceError(f"cannot be read: {e.strerror}") from e


def _read(descriptor, size):
    """All of a file of `size` bytes; a call may return less than it was asked for."""
    data = os.read(descriptor, size)
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def reading_ahead(job):
    """A context in which the sources of a shard are fetched before they are needed, from a URL."""
    if not remote.is_url(job.root):
        return contextlib.nullcontext()
    order = dict.fromkeys(np.stack([job.a, job.b], axis=1).ravel().tolist())
    spans = [None] * len(job.sources) if job.spans is None else [tuple(s) for s in job.spans.tolist()]
    wanted = [(remote.join(job.root, job.sources[i]), spans[i]) for i in order]
    if job.spans is not None:
        wanted = [(tar.file_of(url), span) for url, span in wanted]
    return remote.reading_ahead(wanted, most_bytes(job.canvas.max_pixels) + 1)


def render_shard(job):
    """Render a shard and commit it."""
    cache = SourceCache(job)
    dropped, num_bytes = set(range(len(job.files))), 0
    records = [None] * len(job.files) if job.tables is None else job.tables.records()
    classes = () if job.tables is None else job.tables.dataset.classes
    place = job.out, job.staging, job.folder, job.sync, job.format, classes, records[0]
    with reading_ahead(job), stage_shard(*place) as shard:
        for row, png in render_rows(job, cache):
            shard.write(job.files[row], png, records[row])
            dropped.discard(row)
            num_bytes += len(png)
        dropped = sorted(dropped)
        shard.commit({"dropped": dropped, "rejects": cache.rejects} if cache.rejects else {})
    return ShardResult(job.shard, dropped, cache.rejects, num_bytes, cache.decodes)


def render_rows(job, cache):
    """Yield (position, PNG bytes) of every row whose two sources can be used, in order.

    A row that leaves one of them as it is has that source's PNG, which is made once: such are three
    rows in ten at alpha = 0.2, and at ten copies two in ten have a PNG that is there already.
    """
    known, known_bytes = {}, 0
    for block in _blocks(job, cache):
        keys = _sources_unmoved(job, block)
        new = {key: pair for key, pair in zip(keys, block, strict=True) if key not in known}
        pngs = {}
        if new:
            images = _blend_block(list(new.values()), job.lam)
            pngs = dict(zip(new, encode_pngs(images, job.compression), strict=True))
        for key, (row, _, _) in zip(keys, block, strict=True):
            yield row, pngs[key] if key in pngs else known[key]
        for key, png in pngs.items():
            if isinstance(key, tuple) and known_bytes + len(png) <= KNOWN_BYTES:
                known[key] = png
                known_bytes += len(png)


def _sources_unmoved(job, block):
    """For each row of a block the source that it leaves as it is, with its shape and depth; of the
    others their position."""
    rows, pixels = [row for row, _, _ in block], block[0][1]
    lam = job.lam[rows]
    stronger = np.where(lam < 0.5, job.b[rows], job.a[rows]).tolist()
    unmoved = np.minimum(lam, 1 - lam) * np.iinfo(pixels.dtype).max < HALF_A_LEVEL
    return [
        (source, pixels.shape, pixels.itemsize) if is_unmoved else row
        for row, source, is_unmoved in zip(rows, stronger, unmoved.tolist(), strict=True)
    ]


def blend_rows(job, cache):
    """Yield (positions, images) of those rows in blocks of one shape, images (N, H, W, C)."""
    for block in _blocks(job, cache):
        yield [row for row, _, _ in block], _blend_block(block, job.lam)


def _blocks(job, cache):
    """Yield lists of (position, a, b), pairs of one shape and dtype."""
    block = []
    for row in range(len(job.files)):
        a, b = cache.get(job.a[row], row), cache.get(job.b[row], row)
        if a is None or b is None:
            continue
        a, b = match(a, b, job.canvas)
        if block and (a.shape != block[0][1].shape or a.dtype != block[0][1].dtype):
            yield block
            block = []
        block.append((row, a, b))
        if len(block) * a.nbytes >= BLOCK_BYTES:
            yield block
            block = []
    if block:
        yield block


def _blend_block(block, lam):
    rows, a, b = zip(*block, strict=True)
    return blend(np.stack(a), np.stack(b), lam[list(rows)])


def load_source(job_and_name):
    """The prepared pixels of one source of a shard. Raises SourceError if it cannot be used."""
    job, name = job_and_name
    timed = job.timeout and not remote.is_url(job.root) and hasattr(signal, "setitimer")  # Windows has no such timer
    if timed:  # the system ends this process if it takes longer, in whatever loop it hangs
        signal.setitimer(signal.ITIMER_REAL, job.timeout)
    try:
        canvas = job.canvas
        span = None if job.spans is None else job.spans[job.sources.index(name)].tolist()
        data = read_source(os.path.join(job.root, name), canvas.max_pixels, span)
        return prepare(decode(data, canvas.max_pixels, canvas.least_scale), canvas)
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


class SourceCache:
    """The prepared sources of a shard, each decoded once where CACHE_BYTES allows.

    The rows are known beforehand, so an image goes as soon as no row needs it any more, and when
    memory is short the one needed last goes first (Belady 1966, the optimal order).
    """

    def __init__(self, job, budget=CACHE_BYTES):
        self.job, self.budget = job, budget
        self.images, self.rejects = {}, dict(job.rejected)
        self.bytes = self.decodes = 0
        self.uses = [deque() for _ in job.sources]
        for row, pair in enumerate(zip(job.a.tolist(), job.b.tolist(), strict=True)):
            for source in pair:
                self.uses[source].append(row)

    def get(self, source, row):
        """The prepared pixels of a source for a row, or None if it was rejected."""
        name = self.job.sources[source]
        if name in self.rejects:
            return None
        self.uses[source].popleft()
        image = self.images.get(source)
        if image is None:
            try:
                image = self._load(name)
            except SourceError as e:
                self.rejects[name] = str(e)
                return None
            self.images[source] = image
            self.bytes += image.nbytes
        if not self.uses[source]:
            self._drop(source)
        while self.bytes > self.budget and len(self.images) > 1:
            others = (s for s in self.images if s != source)
            self._drop(max(others, key=lambda s: self.uses[s][0]))
        return image

    def _load(self, name):
        self.decodes += 1
        return load_source((self.job, name))

    def _drop(self, source):
        self.bytes -= self.images.pop(source).nbytes
