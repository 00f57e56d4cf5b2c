"""The straight line: dataset, plan, shards, tables."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace

import numpy as np

from mixup_cli import engine, remote
from mixup_cli.dataset import read_dataset
from mixup_cli.errors import InputError, RejectedError, StoppedError, describe
from mixup_cli.plan import PlanOptions, csv_rows, header, make_plan, read_plan
from mixup_cli.provenance import Options, completed_record, identity, run_record, source_states
from mixup_cli.render import ShardJob, SourceCache, load_source, render_rows, render_shard
from mixup_cli.store import FORMATS, Pipe, class_folders, in_blocks, open_store
from mixup_cli.surroundings import surroundings
from mixup_cli.tables import ShardTables, is_wide, label_header, label_rows, placed

ON_ERROR = ("reject", "skip", "fail")
SAMPLE_ROWS = 24  # rows that a dry run renders to estimate the size of all
ATTEMPTS = 2  # more at a shard whose worker dies, when none of its sources is at fault
ENOUGH_COPIES = 4  # fewer, without the originals, trained worse than no mixup at all (README)


@dataclass(frozen=True)
class Run:
    """How a run is carried out; no byte of its output depends on it.

    jobs: worker processes, None for as many as CPUs, 0 for none; overwrite: replace an earlier run;
    resume: continue one; part: (i, n) renders part i of n, 1 to n, alone; on_error: one of ON_ERROR;
    hash_inputs: resume only if the sources have the same content, not size and time alone; sync:
    bring every shard to stable storage before it is visible; timeout: seconds for one source, 0 for
    any time, then it is rejected; scheduler: None, or that of a Dask cluster to run on instead of
    processes here, "local" for one of `jobs` workers.
    """

    jobs: int | None = None
    overwrite: bool = False
    resume: bool = False
    part: tuple | None = None
    on_error: str = "reject"
    hash_inputs: bool = False
    sync: bool = True
    timeout: float = 300
    scheduler: str | None = None

    def __post_init__(self):
        if self.on_error not in ON_ERROR:
            raise InputError(f"--on-error {self.on_error}: give one of {', '.join(ON_ERROR)}")
        if self.timeout < 0 or self.jobs is not None and self.jobs < 0:
            raise InputError(f"--timeout {self.timeout:g}, --jobs {self.jobs}: give 0 or more")
        if self.overwrite and self.continues:
            raise InputError("--overwrite excludes --resume and --part: start anew, or continue")
        if self.part is not None and not 1 <= self.part[0] <= self.part[1]:
            raise InputError("--part {}/{}: give I/N with I from 1 to N".format(*self.part))

    @property
    def continues(self):
        """Whether an unfinished run may be there; a part does not know if it is the first."""
        return self.resume or self.part is not None


def augment(source, out, options=Options(), *, progress=lambda done, total: None, **run):
    """Blend the images under `source` in pairs and write PNGs and soft labels to `out`.

    run: fields of Run, such as jobs; progress(done, total) is called often, with counts of outputs.
    Returns the record that mixup.json holds; of a part, one with the counts of shards alone.
    Raises a MixupError with where, what and what to do.
    """
    run = Run(**run)
    with open_store(remote.plain(out), run.part, options.format) as store:
        return _run_in(store, remote.plain(source), options, run, progress)


def augment_to_pipe(source, file, options=Options(), *, progress=lambda done, total: None, **run):
    """Do as augment does, and write a tar of all that it leaves to `file`, a binary stream.

    Returns the record, and "rejects", source -> reason, with it.
    """
    run = Run(sync=False, **run)
    if run.continues or run.overwrite:
        raise InputError("a pipe is written from the start; drop --resume, --part and --overwrite")
    if options.layout != "shards":  # known when the last shard is there, as the tar has long begun
        raise InputError(f"--layout {options.layout} is no order for a pipe; give an output folder")
    with tempfile.TemporaryDirectory(prefix="mixup-") as folder:
        store = Pipe(os.path.join(folder, "out"), file, options.format)
        record = _run_in(store, remote.plain(source), options, run, progress)
        return {**record, "rejects": store.rejects}


def _run_in(store, source, options, run, progress):
    out = store.where
    if options.layout != "shards" and remote.is_url(out):
        raise InputError(f"--layout {options.layout} needs links between files; give a local output folder")
    dataset, plan = check_and_plan(source, store, options, run)
    if store.is_complete() and run.continues:
        record = completed_record(dataset, plan, options, store)
        store.tidy()
        return record
    try:
        with engine.open_workers(run.jobs, run.scheduler) as workers, store, contextlib.ExitStack() as end:
            if run.scheduler is not None:
                end.enter_context(store.showing())
                workers.check(surroundings(dataset, store))
            if run.overwrite:
                store.clear()
            store.begin(identity(dataset, plan, options), source_states(dataset, run.hash_inputs))
            return _render(dataset, plan, store, options, run, workers, progress)
    except OSError as e:
        raise StoppedError(f"{describe(e, out)}, then run again {store.again}") from e


def check_and_plan(source, store, options, run):
    """All that can be refused before any work; then the dataset and its plan."""
    try:
        store.check(source, run.overwrite, run.continues)
    except OSError as e:
        raise InputError(f"{describe(e, store.where)} first") from e
    dataset, plan = read_and_plan(source, options)
    # A list has files from anywhere: none of them may lie in the output folder.
    if source is None and not remote.is_url(store.where):
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
        raise InputError(f"{describe(e, source)} first") from e
    if isinstance(options.plan, PlanOptions):
        return dataset, make_plan(dataset.class_of(), options.plan, dataset.classes)
    return dataset, read_plan(options.plan, dataset)


def _render(dataset, plan, store, options, run, workers, progress):
    """Render the shards that are not there yet, then, if this is no part, write the tables."""
    rejects, dropped = dict(dataset.unusable), {}
    committed = store.committed()
    first, last = 0, plan.num_shards
    if run.part is not None:
        part, parts = run.part
        first, last = ((plan.num_shards * k) // parts for k in (part - 1, part))
    done, missing = 0, []
    for shard in range(plan.num_shards):
        report = committed.get(plan.folder(shard))
        if report is not None:
            rejects |= report.get("rejects", {})
            dropped[shard] = report.get("dropped", [])
        if first <= shard < last:
            if report is None:
                missing.append(shard)
            else:
                done += len(plan.rows(shard))
    total = int(plan.shard_start[last] - plan.shard_start[first])
    _stop_at_first(rejects, run.on_error)
    shard_jobs = (
        replace(
            shard_job(dataset, plan, shard, store, options),
            sync=run.sync, timeout=run.timeout if workers else 0,
        )
        for shard in missing
    )
    if run.scheduler is None:
        workers = min(workers, len(missing))
    else:
        shard_jobs = map(_anywhere, shard_jobs)
    results = engine.run(
        workers, render_shard, _as_store_keeps_up(shard_jobs, store), recover=_without_deadly_sources,
        on_wait=lambda: progress(done + store.staged(), total),
    )
    with contextlib.closing(results):  # no worker goes on when this one cannot
        for result in results:
            done += len(plan.rows(result.shard))
            store.rendered(result.shard, plan.folder(result.shard))
            progress(done, total)
            dropped[result.shard] = result.dropped
            rejects |= result.rejects
            _stop_at_first(rejects, run.on_error)
    if run.part is not None:
        return {
            "part": "{}/{}".format(*run.part),
            "counts": {"shards": last - first, "rendered": len(missing), "outputs": total,
                       "shards_there": len(dropped), "shards_in_all": plan.num_shards,
                       "rejected": len(rejects)},
        }
    kept = _kept(plan, store, dropped)
    if options.layout == "classes":
        plan = placed(dataset, plan, class_folders(dataset.classes))
        store.arrange(_places(plan, kept), run.sync)
    return _finish(dataset, plan, store, options, rejects, kept)


def _as_store_keeps_up(jobs, store):
    for job in jobs:
        while store.is_behind():
            yield None
        yield job


def _anywhere(job):
    """A job with absolute paths, for a worker that has another working directory."""
    out, root, staging = (
        path if remote.is_url(path) else os.path.abspath(path) for path in (job.out, job.root, job.staging)
    )
    return replace(job, out=out, root=root, staging=staging)


def _stop_at_first(rejects, on_error):
    if rejects and on_error == "fail":
        source, reason = next(iter(rejects.items()))
        raise RejectedError(f"{source}: {reason}; mend or remove it, or drop --on-error fail")


def _without_deadly_sources(job):
    """A shard whose worker died twice, without the sources that killed it: each is tried alone."""
    suspects = [source for source in job.sources if source not in job.rejected]
    killers = engine.deadly(load_source, [(job, source) for source in suspects])
    found = {
        suspects[k]: f"took the decoder longer than {job.timeout:g} seconds (--timeout)"
        if job.timeout and seconds >= job.timeout else "crashed the decoder"
        for k, seconds in killers.items()
    }
    if not found and job.attempts < ATTEMPTS:
        return replace(job, attempts=job.attempts + 1)
    if not found:
        raise StoppedError(
            f"{job.out}: the worker for shard {job.folder} died again and again, but none of its"
            " sources alone is at fault; it may need more memory: run again with --resume and fewer --jobs"
        )
    return replace(job, rejected={**job.rejected, **found})


def shard_job(dataset, plan, shard, store, options):
    """The self-contained job of a shard."""
    job = rows_job(dataset, plan, shard, options)
    return replace(job, out=os.fspath(store.where), staging=os.fspath(store.staging))


def rows_job(dataset, plan, shard, options):
    """The job of a shard whose rows are rendered in memory: it has no place to write to."""
    rows = plan.rows(shard)
    part = slice(rows.start, rows.stop)
    used, index = np.unique(
        np.concatenate([plan.source_a[part], plan.source_b[part]]), return_inverse=True
    )
    tables = None
    if FORMATS[options.format].embeds:
        wide = is_wide(options.label_format, len(dataset.classes))
        tables = ShardTables(dataset.part(used), plan.part(shard, index), wide)
    return ShardJob(
        shard=shard,
        out="",
        folder=plan.folder(shard),
        root=os.fspath(dataset.root),
        canvas=options.canvas,
        files=[plan.file(row) for row in rows],
        sources=[dataset.sources[i] for i in used],
        a=index[: len(rows)],
        b=index[len(rows) :],
        lam=plan.lam[part],
        staging="",
        compression=options.compression,
        format=options.format,
        tables=tables,
        spans=None if dataset.spans is None else dataset.spans[used],
    )


def _kept(plan, store, dropped):
    """(R,) bool: whether each row could be rendered; every shard must hold as many files."""
    kept = np.ones(len(plan), bool)
    for shard, positions in dropped.items():
        store.check_files(plan.folder(shard), len(plan.rows(shard)) - len(positions))
        kept[plan.rows(shard).start + np.array(positions, int)] = False
    return kept


def _places(plan, kept):
    """Where each file of a shard belongs: (shard's folder, file, class's folder)."""
    for shard in range(plan.num_shards):
        folder = plan.folder(shard)
        for row in plan.rows(shard):
            if kept[row]:
                yield folder, plan.file(row), plan.place_names[plan.places[row]]


def _finish(dataset, plan, store, options, rejects, kept):
    """Write the tables, and mixup.json last."""
    store.write_text("classes.txt", "".join(f"{name}\n" for name in dataset.classes))
    store.write_csv("metadata.csv", header(plan), _rows_of(plan, kept, (
        lambda shard, rows: csv_rows(plan, dataset, shard, rows)
    )))
    wide = is_wide(options.label_format, len(dataset.classes))
    store.write_csv("labels.csv", label_header(dataset.classes, wide), _rows_of(plan, kept, (
        lambda shard, rows: label_rows(dataset, plan, shard, rows, wide)
    )))
    store.write_shard_table()
    if rejects:
        store.write_csv("rejects.csv", ("source", "reason"), sorted(rejects.items()))
    return store.complete(run_record(dataset, plan, options, rejects, kept))


def _rows_of(plan, kept, table):
    """The rows of a table, shard by shard."""
    for shard in range(plan.num_shards):
        rows = plan.rows(shard)
        yield from table(shard, (rows.start + np.flatnonzero(kept[rows.start : rows.stop])).tolist())


def dry_run(source, out, options=Options(), **run):
    """What augment would do, without writing: the counts, and the disk it would take.

    The disk is estimated from SAMPLE_ROWS outputs, rendered in memory, in whole disk blocks.
    """
    with open_store(remote.plain(out), format=options.format) as store:
        return _look(store, remote.plain(source), options, Run(**run))


def _look(store, source, options, run):
    dataset, plan = check_and_plan(source, store, options, run)
    if store.is_complete() and run.continues:
        completed_record(dataset, plan, options, store)
    sizes, rejects = [], dict(dataset.unusable)
    for shard in np.unique(np.linspace(0, plan.num_shards - 1, SAMPLE_ROWS // 4).astype(int)):
        job = rows_job(dataset, plan, int(shard), options)
        job = _first_rows(job, 4)
        cache = SourceCache(job)
        sizes += [len(png) for _, png in render_rows(job, cache)]
        rejects |= cache.rejects
    blocks = [in_blocks(size) for size in sizes]
    record = run_record(dataset, plan, options, rejects, np.ones(len(plan), bool))
    record["dry_run"] = True
    record["counts"]["estimated_bytes"] = round(np.mean(blocks) * len(plan)) if blocks else None
    return record


def _first_rows(job, count):
    return replace(job, files=job.files[:count], a=job.a[:count], b=job.b[:count])
