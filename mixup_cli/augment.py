"""The straight line: dataset, plan, shards, tables."""

import os
import platform
from dataclasses import dataclass, replace
from importlib import metadata

import numpy as np

from mixup_cli import __version__, engine
from mixup_cli.canvas import Canvas
from mixup_cli.dataset import ReadOptions, read_dataset, weight_text
from mixup_cli.errors import InputError, RejectedError, StoppedError
from mixup_cli.kernel import mix_labels
from mixup_cli.plan import COLUMNS, csv_rows, make_plan
from mixup_cli.render import ShardJob, SourceCache, render_rows, render_shard
from mixup_cli.store import Store

ON_ERROR = ("reject", "skip", "fail")
LABEL_FORMATS = ("auto", "wide", "sparse")
WIDE_CLASSES = 256  # above, `auto` writes sparse labels
DISK_BLOCK = 4096  # what a small file takes up on nearly every file system
SAMPLE_ROWS = 24  # rows that a dry run renders to estimate the size of all


@dataclass(frozen=True)
class Options:
    """What decides the bytes of a run. alpha: float >= 0; copies: int >= 1; seed: int >= 0."""

    alpha: float = 0.2
    copies: int = 1
    seed: int = 0
    canvas: Canvas = Canvas()
    label_format: str = "auto"
    read: ReadOptions = ReadOptions()


def augment(source, out, options=Options(), *, jobs=None, overwrite=False, on_error="reject",
            progress=lambda done, total: None):
    """Blend the images under `source` in pairs and write PNGs and soft labels to `out`.

    jobs: worker processes, None for as many as CPUs, 0 for none; progress(done, total) is called
    often, with counts of outputs. Returns the record that mixup.json holds.
    Raises a MixupError with where, what and what to do.
    """
    if on_error not in ON_ERROR:
        raise InputError(f"--on-error {on_error}: give one of {', '.join(ON_ERROR)}")
    store = Store(out)
    dataset, plan = check_and_plan(source, store, options, overwrite)
    try:
        with store:
            store.clear()
            return _render(dataset, plan, store, options, jobs, on_error, progress)
    except OSError as e:
        raise StoppedError(
            f"{e.filename or out}: {e.strerror or e}; mend that, then run again with --overwrite"
        ) from e


def check_and_plan(source, store, options, overwrite):
    """All that can be refused before any work; then the dataset and its plan."""
    try:
        store.check(source, overwrite)
        dataset, plan = read_and_plan(source, options)
    except OSError as e:
        raise InputError(f"{e.filename or source}: {e.strerror}; mend that first") from e
    if source is None:  # a list of files, anywhere: none of them may lie in the output folder
        out = os.path.join(os.path.realpath(store.out), "")
        for name in dataset.sources:
            if os.path.realpath(dataset.root / name).startswith(out):
                raise InputError(f"{name}: lies inside the output folder {store.out}")
    return dataset, plan


def read_and_plan(source, options):
    """The dataset under `source` and its plan."""
    dataset = read_dataset(source, options.read)
    return dataset, make_plan(len(dataset.sources), options.alpha, options.copies, options.seed)


def _render(dataset, plan, store, options, jobs, on_error, progress):
    jobs = engine.default_jobs() if jobs is None else jobs
    rejects, dropped = dict(dataset.unusable), {}
    done = 0
    _stop_at_first(rejects, on_error)
    shard_jobs = (
        shard_job(dataset, plan, shard, store.out, options.canvas)
        for shard in range(plan.num_shards)
    )
    with engine.open_executor(jobs) as executor:
        results = engine.run(
            executor, render_shard, shard_jobs, max(1, 2 * jobs),
            on_wait=lambda: progress(done + store.staged(), len(plan)),
        )
        for result in results:
            done += len(plan.rows(result.shard))
            progress(done, len(plan))
            if result.dropped:
                dropped[result.shard] = set(result.dropped)
            rejects |= result.rejects
            _stop_at_first(rejects, on_error)
    return _finish(dataset, plan, store, options, rejects, dropped)


def _stop_at_first(rejects, on_error):
    if rejects and on_error == "fail":
        source, reason = next(iter(rejects.items()))
        raise RejectedError(f"{source}: {reason}; mend or remove it, or drop --on-error fail")


def shard_job(dataset, plan, shard, out, canvas):
    """The self-contained job of a shard."""
    rows = plan.rows(shard)
    part = slice(rows.start, rows.stop)
    used, index = np.unique(
        np.concatenate([plan.source_a[part], plan.source_b[part]]), return_inverse=True
    )
    return ShardJob(
        shard=shard,
        out=os.fspath(out),
        folder=plan.folder(shard),
        root=os.fspath(dataset.root),
        canvas=canvas,
        files=[plan.file(row) for row in rows],
        sources=[dataset.sources[i] for i in used],
        a=index[: len(rows)],
        b=index[len(rows) :],
        lam=plan.lam[part],
    )


def _finish(dataset, plan, store, options, rejects, dropped):
    """Write the tables, and mixup.json last."""
    store.write_text("classes.txt", "".join(f"{name}\n" for name in dataset.classes))
    kept = [plan.rows(shard) for shard in range(plan.num_shards)]
    for shard, positions in dropped.items():
        kept[shard] = [row for i, row in enumerate(kept[shard]) if i not in positions]
    store.write_csv("metadata.csv", COLUMNS, (
        row for shard, rows in enumerate(kept) for row in csv_rows(plan, dataset, shard, rows)
    ))
    wide = options.label_format == "wide" or (
        options.label_format == "auto" and len(dataset.classes) <= WIDE_CLASSES
    )
    header = dataset.classes if wide else ("class_a", "weight_a", "class_b", "weight_b")
    store.write_csv("labels.csv", ("file_name", *header), (
        row
        for shard, rows in enumerate(kept)
        for row in (_wide_rows if wide else _sparse_rows)(dataset, plan, shard, rows)
    ))
    if rejects:
        store.write_csv("rejects.csv", ("source", "reason"), sorted(rejects.items()))
    record = _record(dataset, plan, options, rejects, sum(map(len, kept)))
    store.complete(record)
    return record


def _mixed_labels(dataset, plan, rows):
    index = np.fromiter(rows, np.int64, len(rows))
    return mix_labels(
        dataset.labels_of(plan.source_a[index]),
        dataset.labels_of(plan.source_b[index]),
        plan.lam[index],
    )


def _wide_rows(dataset, plan, shard, rows):
    """file_name and a weight for each class."""
    folder, table = plan.folder(shard), [["0.0"] * len(dataset.classes) for _ in rows]
    for row, label, weight in zip(*map(np.ndarray.tolist, _mixed_labels(dataset, plan, rows)), strict=True):
        table[row][label] = weight_text(weight)
    for row, weights in zip(rows, table, strict=True):
        yield [f"images/{folder}/{plan.file(row)}", *weights]


def _sparse_rows(dataset, plan, shard, rows):
    """file_name, class_a, weight_a, class_b, weight_b; a pair of one class has all its weight in
    weight_a, and 0.0 in weight_b."""
    folder = plan.folder(shard)
    for row in rows:
        a = dataset.label_text(int(plan.source_a[row]))
        b = dataset.label_text(int(plan.source_b[row]))
        lam = 1_000_000 if a == b else round(float(plan.lam[row]) * 1_000_000)
        name = f"images/{folder}/{plan.file(row)}"
        yield [name, a, weight_text(lam), b, weight_text(1_000_000 - lam)]


def _record(dataset, plan, options, rejects, outputs):
    """What mixup.json holds. No time, no path, no number of workers: they decide no byte."""
    canvas = options.canvas
    return {
        "command": "augment",
        "options": {
            "alpha": options.alpha,
            "copies": options.copies,
            "seed": options.seed,
            "size": list(canvas.size) if canvas.size else None,
            "fit": canvas.fit,
            "mode": canvas.mode,
            "background": "#%02x%02x%02x" % canvas.background,
            "max_pixels": canvas.max_pixels,
            "label_format": options.label_format,
            "reader": dataset.reader,
            "split": options.read.split,
            "include_class": list(options.read.include),
            "exclude_class": list(options.read.exclude),
        },
        "versions": versions(),
        "counts": {
            "classes": len(dataset.classes),
            "sources": len(dataset.sources),
            "rejected": len(rejects),
            "planned": len(plan),
            "outputs": outputs,
            "shards": plan.num_shards,
            "share_equal_to_source": round(plan.share_equal_to_source(), 4),
            "skipped": {kind: len(paths) for kind, paths in dataset.skipped.items()},
        },
    }


def versions():
    """The versions that decide the bytes: ours, Python's and the codecs'."""
    found = {"mixup_cli": __version__, "python": platform.python_version()}
    for package in ("numpy", "pillow", "isal", "simplejpeg"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def dry_run(source, out, options=Options(), *, overwrite=False):
    """What augment would do, without writing: the counts, and the disk it would take.

    The disk is estimated from SAMPLE_ROWS outputs, rendered in memory, in whole disk blocks.
    """
    dataset, plan = check_and_plan(source, Store(out), options, overwrite)
    sizes, rejects = [], dict(dataset.unusable)
    for shard in np.unique(np.linspace(0, plan.num_shards - 1, SAMPLE_ROWS // 4).astype(int)):
        job = shard_job(dataset, plan, int(shard), out, options.canvas)
        job = _first_rows(job, 4)
        cache = SourceCache(job)
        sizes += [len(png) for _, png in render_rows(job, cache)]
        rejects |= cache.rejects
    blocks = [-(-size // DISK_BLOCK) * DISK_BLOCK for size in sizes]
    record = _record(dataset, plan, options, rejects, len(plan))
    record["dry_run"] = True
    record["counts"]["estimated_bytes"] = round(np.mean(blocks) * len(plan)) if blocks else None
    return record


def _first_rows(job, count):
    return replace(job, files=job.files[:count], a=job.a[:count], b=job.b[:count])
