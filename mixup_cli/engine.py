"""Where shards run: in this process or in a pool of processes, each a concurrent.futures.Executor."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from mixup_cli.errors import StoppedError


def default_jobs():
    """How many CPUs this process may use: its affinity mask, less a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max": no quota
        quota, period = open_text("/sys/fs/cgroup/cpu.max").split()
        count = min(count, -(-int(quota) // int(period)))
    return max(1, count or 1)


def open_text(path):
    with open(path, encoding="ascii") as file:
        return file.read()


class InProcess(Executor):
    """Runs each job at once in this process: for debugging, and where no process can be started."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as e:
            future.set_exception(e)
        return future


@contextlib.contextmanager
def open_executor(jobs):
    """An executor of `jobs` worker processes; 0 runs in this process. No worker outlives it."""
    if jobs == 0:
        yield InProcess()
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, _context(), initializer=_start_worker)
    try:
        yield pool
        pool.shutdown()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
            worker.join(5)


def _context():
    """Fork where it is safe: a worker starts in a millisecond, with numpy loaded already."""
    fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if fork else "spawn")


def _start_worker():
    """Leave Ctrl-C to the parent, die on SIGTERM, and never outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def run(executor, function, jobs, in_flight, on_wait, tick=0.2):
    """Yield function(job) for every job as they finish, at most `in_flight` at a time.

    on_wait is called every `tick` seconds while nothing finishes.
    """
    waiting = set()
    jobs = iter(jobs)
    try:
        while True:
            for job in jobs:
                waiting.add(executor.submit(function, job))
                if len(waiting) >= in_flight:
                    break
            if not waiting:
                return
            done, waiting = wait(waiting, tick, FIRST_COMPLETED)
            on_wait()
            for future in done:
                yield future.result()
    except BrokenProcessPool as e:
        raise StoppedError(
            "a worker process died (out of memory, or a crash in a decoder); try fewer --jobs"
        ) from e
