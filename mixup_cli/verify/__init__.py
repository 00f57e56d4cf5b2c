"""Whether an output folder is what its run wrote: every file, every row, every sum."""

import tempfile
from pathlib import Path

from mixup_cli import engine, remote
from mixup_cli.dataset import ReadOptions
from mixup_cli.errors import InputError
from mixup_cli.store import TABLES, require
from mixup_cli.verify.shard import check_shard
from mixup_cli.verify.tables import Verification


def verify(out, source=None, read=ReadOptions(), *, jobs=None, progress=lambda done, total: None):
    """Check an output folder; with `source`, the input of its run, render every row again.

    jobs: worker processes, None for as many as CPUs, 0 for none. Returns a dict for JSON, whose
    "problems" are empty if all is well. Raises InputError if there is no folder to check, or no
    input that can be read.
    """
    out, source = remote.plain(out), remote.plain(source)
    if not remote.is_url(out):
        if not Path(out).is_dir():
            raise InputError(f"{out}: no such folder; give the output folder of a run")
        return _verify(Path(out), out, source, read, jobs, progress)
    with tempfile.TemporaryDirectory(prefix="mixup-") as folder:
        for name in TABLES:
            if remote.exists(remote.join(out, name)):
                remote.copy_into(remote.join(out, name), Path(folder, name))
        return _verify(Path(folder), out, source, read, jobs, progress)


def _verify(tables, out, source, read, jobs, progress):
    """verify, with the tables in a local folder and the shards below `out`."""
    found = Verification(tables, out)
    require(found.format)
    if source is not None:
        found.read_source(source, read)
    total = found.record["counts"]["outputs"] if found.record else 0
    jobs = engine.default_jobs() if jobs is None else jobs
    for checked in engine.run(jobs, check_shard, found.checks()):
        found.add(checked)
        progress(found.outputs, max(total, found.outputs))
    return found.report(source)
