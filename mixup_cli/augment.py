"""The straight line: dataset, plan, shards, tables."""

import os
import platform
from dataclasses import asdict, dataclass, replace
from importlib import metadata

import numpy as np

from mixup_cli import __version__, engine
from mixup_cli.canvas import Canvas
from mixup_cli.dataset import ReadOptions, read_dataset
from mixup_cli.errors import InputError, RejectedError, StoppedError
from mixup_cli.plan import PlanOptions, csv_rows, header, make_plan, read_plan
from mixup_cli.render import ShardJob, SourceCache, render_rows, render_shard
from mixup_cli.store import Store
from mixup_cli.tables import is_wide, label_header, label_mass, label_rows

ON_ERROR = ("reject", "skip", "fail")
DISK_BLOCK = 4096  # what a small file takes up on nearly every file system
SAMPLE_ROWS = 24  # rows that a dry run renders to estimate the size of all
ENOUGH_COPIES = 4  # fewer, without the originals, trained worse than no mixup at all (README)


@dataclass(frozen=True)
class Options:
    """What decides the bytes of a run.

    plan: how pairs and lam are drawn, or the path of a plan's CSV, "-" for standard input; canvas:
    how sources become pixels; label_format: one of LABEL_FORMATS; read: how labels are read.
    """

    plan: PlanOptions | str = PlanOptions()
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
    except OSError as e:
        raise InputError(f"{e.filename or store.out}: {e.strerror}; mend that first") from e
    dataset, plan = read_and_plan(source, options)
    if source is None:  # a list of files, anywhere: none of them may lie in the output folder
        out = os.path.join(os.path.realpath(store.out), "")
        for name in dataset.sources:
            if os.path.realpath(dataset.root / name).startswith(out):
                raise InputError(f"{name}: lies inside the output folder {store.out}")
    return dataset, plan


def read_and_plan(source, options):
    """The dataset under `source` and its plan."""
    piped = (options.plan, options.read.labels, options.read.files_from, options.read.classes)
    if piped.count("-") > 1:
        raise InputError("standard input can be read once; give the other one as a file")
    try:
        dataset = read_dataset(source, options.read)
    except OSError as e:
        raise InputError(f"{e.filename or source}: {e.strerror}; mend that first") from e
    if isinstance(options.plan, PlanOptions):
        return dataset, make_plan(dataset.class_of(), options.plan, dataset.classes)
    return dataset, read_plan(options.plan, dataset)


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
    kept = np.ones(len(plan), bool)
    for shard, positions in dropped.items():
        kept[plan.rows(shard).start + np.array(sorted(positions))] = False
    store.write_csv("metadata.csv", header(plan), _rows_of(plan, kept, (
        lambda shard, rows: csv_rows(plan, dataset, shard, rows)
    )))
    wide = is_wide(options.label_format, len(dataset.classes))
    store.write_csv("labels.csv", label_header(dataset.classes, wide), _rows_of(plan, kept, (
        lambda shard, rows: label_rows(dataset, plan, shard, rows, wide)
    )))
    if rejects:
        store.write_csv("rejects.csv", ("source", "reason"), sorted(rejects.items()))
    return store.complete(_record(dataset, plan, options, rejects, kept))


def _rows_of(plan, kept, table):
    """The rows of a table, shard by shard."""
    for shard in range(plan.num_shards):
        rows = plan.rows(shard)
        yield from table(shard, (rows.start + np.flatnonzero(kept[rows.start : rows.stop])).tolist())


def _record(dataset, plan, options, rejects, kept):
    """What mixup.json holds. No time, no path, no number of workers: they decide no byte."""
    return {
        "command": "augment" if isinstance(options.plan, PlanOptions) else "render",
        "options": _options(dataset, options),
        "versions": versions(),
        "counts": {
            "classes": len(dataset.classes),
            "sources": len(dataset.sources),
            "rejected": len(rejects),
            "planned": len(plan),
            "outputs": int(np.count_nonzero(kept)),
            "originals": int(np.count_nonzero(kept & ~plan.mixed)),
            "shards": plan.num_shards,
            "share_equal_to_source": round(plan.share_equal_to_source(), 4),
            "skipped": {kind: len(paths) for kind, paths in dataset.skipped.items()},
        },
        "notes": list(plan.notes),
        "label_mass": [
            {"class": name, "before": round(float(before), 3), "after": round(float(after), 3)}
            for name, before, after in zip(
                dataset.classes, *label_mass(dataset, plan, kept), strict=True
            )
        ],
    }


def _options(dataset, options):
    made = isinstance(options.plan, PlanOptions)
    canvas = options.canvas
    return {
        **(asdict(options.plan) if made else {}),
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
    record = _record(dataset, plan, options, rejects, np.ones(len(plan), bool))
    record["dry_run"] = True
    record["counts"]["estimated_bytes"] = round(np.mean(blocks) * len(plan)) if blocks else None
    return record


def _first_rows(job, count):
    return replace(job, files=job.files[:count], a=job.a[:count], b=job.b[:count])
