"""Where shards run: in this process, in a pool of processes, or on a Dask cluster. Each hands out a
concurrent.futures.Executor, and shards do not care which."""

import contextlib

from mixup_cli.engine import pool
from mixup_cli.engine.cluster import Cluster, connect
from mixup_cli.engine.pool import deadly, default_jobs

__all__ = ["Cluster", "deadly", "default_jobs", "open_workers", "run"]


@contextlib.contextmanager
def open_workers(jobs, scheduler=None):
    """What run() takes as workers: the number of processes, None for as many as CPUs, 0 for none;
    or, where `scheduler` is an address or "local", a Cluster for as long as the context lasts.

    Raises InputError if no scheduler answers there.
    """
    if scheduler is None:
        yield default_jobs() if jobs is None else jobs
        return
    with connect(scheduler, default_jobs() if jobs is None else jobs) as cluster:
        yield cluster


def run(workers, function, jobs, on_wait=lambda: None, recover=None, tick=0.2):
    """Yield function(job) for every job as they finish; only a few more than there are workers are
    under way at a time. A job of None stands for: none for now, ask again when one has finished.

    on_wait is called every `tick` seconds while nothing finishes. If a worker dies, the jobs that
    were under way are tried again; recover(job) of one that kills its workers returns the job to
    run instead, or raises a MixupError.
    """
    if isinstance(workers, Cluster):
        return workers.run(function, jobs, on_wait, recover, tick)
    return pool.run(workers, function, jobs, on_wait, recover, tick)
