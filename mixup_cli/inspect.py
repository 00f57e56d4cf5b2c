"""What is in a dataset: every file read and decoded once, and a word on each trap found."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mixup_cli import engine
from mixup_cli.canvas import orient
from mixup_cli.codec import MAX_PIXELS, decode
from mixup_cli.dataset import MILLION, ReadOptions, read_dataset
from mixup_cli.errors import InputError, SourceError, SplitError
from mixup_cli.render import read_source

CHUNK = 32  # files a worker reads at a time
FORMAT_OF = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".ppm": "PPM", ".pgm": "PPM", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}
SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}


class Facts(NamedTuple):
    """What a worker found of a file: its digest, and size (width, height), upright, format and
    mode; reason if it cannot be used, then the rest is None."""

    index: int
    num_bytes: int = 0
    digest: bytes | None = None
    size: tuple | None = None
    format: str | None = None
    mode: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Look:
    """A worker's job: the files sources[i], the first of which is number `first` of the dataset;
    spans: as Dataset has them."""

    root: str
    first: int
    sources: list
    max_pixels: int
    spans: np.ndarray | None = None


def look_at(job):
    """The Facts of every file of a job."""
    spans = [None] * len(job.sources) if job.spans is None else job.spans.tolist()
    return [
        _facts(job, job.first + i, name, span)
        for i, (name, span) in enumerate(zip(job.sources, spans, strict=True))
    ]


def _facts(job, index, name, span):
    num_bytes, digest = 0, None
    try:
        data = read_source(os.path.join(job.root, name), job.max_pixels, span)
        num_bytes, digest = len(data), hashlib.blake2b(data, digest_size=16).digest()
        picture = decode(data, job.max_pixels)
    except SourceError as e:
        return Facts(index, num_bytes, digest, reason=str(e))
    height, width = orient(picture.pixels, picture.orientation).shape[:2]
    return Facts(index, num_bytes, digest, (width, height), picture.format, picture.mode)


def inspect(source, read=ReadOptions(), *, max_pixels=MAX_PIXELS, jobs=None,
            progress=lambda done, total: None):
    """Read every image under `source` and return what was found, as a dict for JSON.

    jobs: worker processes, None for as many as CPUs, 0 for none. Where source holds splits, the one
    to train on is read, with a warning. Raises InputError where the labels cannot be read.
    """
    warnings = []
    try:
        try:
            dataset = read_dataset(source, read)
        except SplitError as e:
            warnings.append(f"{e}; this is {e.split}")
            read = replace(read, split=e.split)
            dataset = read_dataset(source, read)
    except OSError as e:
        raise InputError(f"{e.filename or source}: {e.strerror}; mend that first") from e
    found = _Found(dataset)
    jobs = engine.default_jobs() if jobs is None else jobs
    looks = (
        Look(
            os.fspath(dataset.root), first, dataset.sources[first : first + CHUNK], max_pixels,
            None if dataset.spans is None else dataset.spans[first : first + CHUNK],
        )
        for first in range(0, len(dataset.sources), CHUNK)
    )
    done = 0
    for facts in engine.run(jobs, look_at, looks):
        found.add(facts)
        done += len(facts)
        progress(done, len(dataset.sources))
    return found.report(read, warnings)


class _Found:
    """Facts, gathered: counts instead of a record for each file, so that a million fit."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.num_bytes = 0
        self.sizes, self.formats, self.modes = Counter(), Counter(), Counter()
        self.unusable, self.misnamed = dict(dataset.unusable), []
        self.same = {}

    def add(self, facts):
        for fact in facts:
            source = self.dataset.sources[fact.index]
            self.num_bytes += fact.num_bytes
            if fact.digest is not None:
                self.same.setdefault(fact.digest, []).append(fact.index)
            if fact.reason is not None:
                self.unusable[source] = fact.reason
                continue
            self.sizes[fact.size] += 1
            self.formats[fact.format] += 1
            self.modes[fact.mode] += 1
            expected = FORMAT_OF.get(os.path.splitext(source)[1].lower())
            if expected != SAME_FORMAT.get(fact.format, fact.format):
                self.misnamed.append(f"{source} ({fact.format})")

    def report(self, read, warnings):
        dataset = self.dataset
        images = np.bincount(dataset.label, minlength=len(dataset.classes))
        mass = np.bincount(dataset.label, dataset.weight, minlength=len(dataset.classes)) / MILLION
        duplicates = sorted(sorted(group) for group in self.same.values() if len(group) > 1)
        return {
            "input": os.fspath(dataset.root),
            "reader": dataset.reader,
            "split": read.split,
            "images": len(dataset.sources),
            "bytes": self.num_bytes,
            "classes": [
                {"name": name, "images": int(n), "weight": round(float(m), 6)}
                for name, n, m in zip(dataset.classes, images, mass, strict=True)
            ],
            "sizes": [
                {"width": width, "height": height, "images": n}
                for (width, height), n in sorted(self.sizes.items(), key=lambda item: (-item[1], item))
            ],
            "formats": dict(self.formats.most_common()),
            "modes": dict(self.modes.most_common()),
            "unusable": dict(sorted(self.unusable.items())),
            "duplicates": [[dataset.sources[i] for i in group] for group in duplicates],
            "skipped": dataset.skipped,
            "warnings": warnings + list(self._traps(images, duplicates)),
        }

    def _traps(self, images, duplicates):
        dataset, classes = self.dataset, self.dataset.classes
        for name in dataset.skipped.get("earlier output", ()):
            yield f"{name} holds the output of an earlier run: passed over; move it out of the input"
        yield from _classes(classes, images == 0, "without an image")
        yield from _classes(
            classes, images == 1, "with one image, which has no partner of its own class"
        )
        if all(source.count("/") > 1 for source in dataset.sources) and dataset.reader == "folder":
            yield (
                "every image lies in a folder inside its class folder: if those are the classes,"
                " the input is one level too high"
            )
        if np.count_nonzero(images) == 1:
            yield "all images are of one class: mixing changes no label"
        folded = {}
        for name in classes:
            folded.setdefault(name.casefold().strip(), []).append(name)
        for names in folded.values():
            if len(names) > 1:
                yield f"classes {', '.join(map(repr, names))} differ only by case or spaces: one class?"
        torn = [group for group in duplicates if len({dataset.label_text(i) for i in group}) > 1]
        if torn:
            names = ", ".join(dataset.sources[i] for i in torn[0][:4])
            yield f"groups of equal files with different labels: {len(torn):,}, such as {names}"
        if self.misnamed:
            yield (
                f"files that are not what their names say: {len(self.misnamed):,}, such as"
                f" {min(self.misnamed)}; they are read by content"
            )


def _classes(classes, chosen, what):
    names = [name for name, yes in zip(classes, chosen, strict=True) if yes]
    if names:
        more = ", …" if len(names) > 5 else ""
        yield f"classes {what}: {len(names):,}, {', '.join(map(repr, names[:5]))}{more}"
