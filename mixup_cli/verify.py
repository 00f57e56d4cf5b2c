"""Whether an output folder is what its run wrote: every file, every row, every sum."""

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mixup_cli import engine
from mixup_cli.run import shard_job
from mixup_cli.canvas import Canvas
from mixup_cli.codec import decode, holds, parse_colour
from mixup_cli.dataset import (
    MILLION, Dataset, ReadOptions, parse_label, read_class_list, read_dataset, read_table,
    to_millionths,
)
from mixup_cli.errors import InputError, SourceError
from mixup_cli.plan import COLUMNS, LABEL_LAM, numbered, read_plan
from mixup_cli.render import ShardJob, SourceCache, blend_rows
from mixup_cli.store import TABLES, Store, file_digest, read_record
from mixup_cli.tables import label_header, label_rows

ANY_SIZE = 1 << 40  # pixels: what a run has written may be read


@dataclass(frozen=True)
class Check:
    """A worker's job: the folder of a shard, the files that its rows name, and how to render them
    again, or None."""

    folder: str
    files: list
    render: ShardJob | None = None


@dataclass(frozen=True)
class Checked:
    """Of a folder: rows and files counted, and (file, problem) pairs."""

    folder: str
    rows: int
    files: int
    problems: list


def verify(out, source=None, read=ReadOptions(), *, jobs=None, progress=lambda done, total: None):
    """Check an output folder; with `source`, the input of its run, render every row again.

    jobs: worker processes, None for as many as CPUs, 0 for none. Returns a dict for JSON, whose
    "problems" are empty if all is well. Raises InputError if there is no folder to check, or no
    input that can be read.
    """
    if not Path(out).is_dir():
        raise InputError(f"{out}: no such folder; give the output folder of a run")
    found = _Verification(Path(out))
    if source is not None:
        found.read_source(source, read)
    total = found.record["counts"]["outputs"] if found.record else 0
    jobs = engine.default_jobs() if jobs is None else jobs
    for checked in engine.run(jobs, check_shard, found.checks()):
        found.add(checked)
        progress(found.outputs, max(total, found.outputs))
    return found.report(source)


def check_shard(check):
    """Every file of a shard: there, named by a row, whole, and with the pixels of its row."""
    try:
        there = set(os.listdir(check.folder))
    except OSError as e:
        return Checked(check.folder, len(check.files), 0, [("", f"its folder: {e.strerror}")])
    problems = [(name, "missing") for name in check.files if name not in there]
    problems += [(name, "no row names this file") for name in sorted(there - set(check.files))]
    sound = set()
    for name in there.intersection(check.files):
        try:
            decode(Path(check.folder, name).read_bytes(), ANY_SIZE)
            sound.add(name)
        except (OSError, SourceError) as e:
            problems.append((name, str(e)))
    if check.render is not None:
        problems += _compare(check, sound)
    return Checked(check.folder, len(check.files), len(there), sorted(problems))


def _compare(check, sound):
    """Render the rows of a shard again: (file, problem) of those that hold other pixels."""
    job, rendered = check.render, set()
    cache = SourceCache(job)
    for rows, images in blend_rows(job, cache):
        rendered.update(rows)
        for row, image in zip(rows, images, strict=True):
            name = job.files[row]
            if name in sound and not holds(Path(check.folder, name).read_bytes(), image):
                yield name, "its pixels are not those of its row"
    for row in set(range(len(job.files))) - rendered:
        sources = (job.sources[side[row]] for side in (job.a, job.b))
        source = next(source for source in sources if source in cache.rejects)
        yield job.files[row], f"cannot be rendered again: {source}: {cache.rejects[source]}"


class _Verification:
    """What is known of an output folder, and the problems found so far."""

    def __init__(self, out):
        self.out, self.problems = out, []
        self.outputs = self.files = self.rows = 0
        self.folders, self.all_rows_read = set(), False
        self.dataset = self.plan = self.record = None
        try:
            self.record = read_record(out)
        except InputError as e:
            self.problems.append(("mixup.json", str(e)))
        for name in TABLES[1:]:
            self._check_digest(name)

    def _check_digest(self, name):
        wanted = self.record and self.record["digests"].get(name)
        try:
            digest = file_digest(self.out / name)
        except OSError as e:
            if wanted or name != "rejects.csv":
                self.problems.append((name, e.strerror))
            return
        if self.record and digest != wanted:
            self.problems.append((name, "not as the run wrote it: its digest does not hold"))

    def read_source(self, source, read):
        """Read the input as the run did, and the plan that metadata.csv is."""
        options = self.record["options"] if self.record else {}
        if self.record is None:
            return
        read = replace(
            read,
            split=read.split or options["split"],
            include=read.include or tuple(options["include_class"]),
            exclude=read.exclude or tuple(options["exclude_class"]),
        )
        self.dataset = read_dataset(source, read)
        try:
            self.plan = read_plan(self.out / "metadata.csv", self.dataset)
        except InputError as e:
            self.problems.append(("metadata.csv", str(e)))
        if self._classes() != self.dataset.classes:
            self.problems.append(("classes.txt", f"not the classes of {source}"))

    def _classes(self):
        try:
            return tuple(read_class_list(self.out / "classes.txt"))
        except InputError:  # its digest told
            return None

    def checks(self):
        """Yield the Check of every folder that metadata.csv names, the labels compared."""
        jobs = self._render_jobs()
        try:
            for folder, rows in itertools.groupby(self._labelled_rows(), _folder_of):
                rows = list(rows)
                self.folders.add(folder)
                files = [name.rpartition("/")[2] for name, _ in rows]
                yield Check(str(self.out / folder), files, jobs(folder))
            self.all_rows_read = True
        except InputError as e:
            self.problems.append(("metadata.csv, labels.csv", str(e)))

    def _render_jobs(self):
        if self.plan is None:
            return lambda folder: None
        canvas = canvas_of(self.record)
        shard_of = {f"images/{self.plan.folder(s)}": s for s in range(self.plan.num_shards)}
        return lambda folder: shard_job(
            self.dataset, self.plan, shard_of[folder], Store(self.out), canvas
        ) if folder in shard_of else None

    def _labelled_rows(self):
        """Yield (file_name, line) of metadata.csv; labels.csv must have the same rows."""
        metadata, labels = read_table(self.out / "metadata.csv"), read_table(self.out / "labels.csv")
        classes = self._classes()
        wide = labels.header != list(label_header((), False))
        if not set(COLUMNS) <= set(metadata.header) or classes is None or (
            wide and tuple(labels.header) != label_header(classes, True)
        ):
            raise InputError(f"{self.out}: the columns are not those of a run")
        expected = _Labels(metadata.header, classes, wide)
        pairs = itertools.zip_longest(metadata.rows, labels.rows)
        while block := list(itertools.islice(pairs, 1000)):
            if None in block[-1] or None in block[0]:
                raise InputError(f"{self.out}: metadata.csv and labels.csv have not as many rows")
            wanted = expected.of(metadata, [row for row, _ in block])
            for ((line, row), (label_line, cells)), weights in zip(block, wanted, strict=True):
                self.rows += 1
                if cells[0] != row[0]:
                    raise labels.fault(label_line, f"{cells[0]!r}, but line {line} of metadata.csv is"
                                       f" {row[0]!r}")
                if cells[1:] != weights:
                    self.problems.append(
                        (row[0], f"labels.csv:{label_line}: not the labels that metadata.csv gives")
                    )
                yield row[0], line

    def add(self, checked):
        folder = "images/" + os.path.basename(checked.folder)
        self.outputs += checked.rows
        self.files += checked.files
        self.problems += [(f"{folder}/{name}".rstrip("/"), what) for name, what in checked.problems]

    def report(self, source):
        """All that was found, for JSON."""
        images = self.out / "images"
        if self.all_rows_read and images.is_dir():
            for entry in sorted(images.iterdir()):
                if f"images/{entry.name}" not in self.folders:
                    self.problems.append((f"images/{entry.name}", "no row names a file in it"))
        if self.record and self.all_rows_read and self.rows != self.record["counts"]["outputs"]:
            self.problems.append(
                ("mixup.json", f"{self.record['counts']['outputs']:,} outputs, but {self.rows:,} rows")
            )
        return {
            "out": os.fspath(self.out),
            "source": None if source is None else os.fspath(source),
            "rows": self.rows,
            "files": self.files,
            "problems": [{"file": file, "problem": what} for file, what in self.problems],
        }


def _folder_of(row):
    return row[0].rpartition("/")[0]


def canvas_of(record):
    """The Canvas that a run's mixup.json describes."""
    options = record["options"]
    return Canvas(
        tuple(options["size"]) if options["size"] else None, options["fit"], options["mode"],
        parse_colour(options["background"]), options["max_pixels"],
    )


class _Labels:
    """The cells of labels.csv that rows of metadata.csv ask for."""

    def __init__(self, header, classes, wide):
        self.classes, self.wide = classes, wide
        self.index = {name: k for k, name in enumerate(classes)}
        self.lam = header.index("lam")
        self.label_lam = header.index(LABEL_LAM) if LABEL_LAM in header else self.lam
        self.labels = header.index("label_a"), header.index("label_b")

    def of(self, table, rows):
        """The weights of rows, [(line, cells)]: a list of cells for each."""
        texts, start, label, weight = {}, [0], [], []
        for line, cells in rows:
            for text in (cells[k] for k in self.labels):
                if text in texts:
                    continue
                try:
                    found = parse_label(text, self.index)
                except InputError as e:
                    raise table.fault(line, e) from e
                texts[text] = len(texts)
                parts = to_millionths(found.values())
                label += [self.index[name] for name in found]
                weight += parts
                start.append(len(label))
        dataset = Dataset(
            Path(), list(texts), self.classes, np.array(start), np.array(label), np.array(weight)
        )
        a, b = ([texts[cells[k]] for _, cells in rows] for k in self.labels)
        try:
            lam = np.array([round(float(cells[self.label_lam]) * MILLION) for _, cells in rows])
        except ValueError as e:
            raise InputError(f"{table.where}: {e}") from e
        plan = numbered(np.array(a), np.array(b), lam / MILLION, None, [len(rows)])
        rows = list(range(len(rows)))
        return [cells[1:] for cells in label_rows(dataset, plan, 0, rows, self.wide)]
