"""Jobs in this process or in a pool of processes, each a concurrent.futures.Executor."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from mixup_cli.engine.signals import ENDING, SignalsHeld
from mixup_cli.errors import StoppedError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 1 << 25
LAST_SECONDS = 2  # for a worker to end; more than that it takes only where the system holds it


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


class Pool(ProcessPoolExecutor):
    """A pool of processes that no signal disturbs at work: what a handler raises while processes are
    forked Python would lose, and a worker shall not run its parent's handlers before it has its own."""

    def submit(self, fn, /, *args, **kwargs):
        with SignalsHeld():
            if not hasattr(signal, "pthread_sigmask"):  # Windows
                return super().submit(fn, *args, **kwargs)
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            try:
                return super().submit(fn, *args, **kwargs)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def shutdown(self, wait=True, *, cancel_futures=False):
        with SignalsHeld():
            super().shutdown(wait, cancel_futures=cancel_futures)


@contextlib.contextmanager
def open_executor(jobs):
    """An executor of `jobs` worker processes; 0 runs in this process. No worker outlives it."""
    if jobs == 0:
        yield InProcess()
        return
    pool = Pool(jobs, _context(), initializer=_start_worker)
    try:
        yield pool
        pool.shutdown()
    finally:
        with SignalsHeld():
            workers = list((pool._processes or {}).values())  # its own: other threads may have theirs
            for worker in workers:
                worker.terminate()
            last = time.monotonic() + LAST_SECONDS
            for worker in workers:
                worker.join(max(0, last - time.monotonic()))
                worker.kill()
            pool.shutdown(cancel_futures=True)  # its threads too: beside threads nothing can be forked


def _context():
    """Fork where it is safe: a worker starts in a millisecond, with numpy loaded already."""
    fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if fork else "spawn")


def _start_worker():
    """Leave Ctrl-C to the parent, die on SIGTERM, and never outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_follow_parent, daemon=True).start()
    keep_freed_memory()


def keep_freed_memory():
    """Let glibc keep memory that is freed for the next image: to hand it back and fetch it again
    costs a page fault for each 4 kB, for small arrays more than the work that is done on them."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(MMAP_THRESHOLD, KEPT_BYTES // 2)


def _follow_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def run(workers, function, jobs, on_wait, recover, tick):
    """engine.run on `workers` processes (0: in this one), at most one more job than there are
    processes at a time; of those under way when a worker died each is tried again alone."""
    jobs, suspects = iter(jobs), deque()
    while True:
        waiting = {}
        # A suspect runs alone, so that it is known who kills the worker.
        alone = bool(suspects)
        source = iter([suspects.popleft()]) if alone else jobs
        try:
            with open_executor(min(workers, 1) if alone else workers) as executor:
                yield from _run(executor, function, source, waiting, workers + 1, on_wait, tick)
            if not alone:
                return
        except BrokenProcessPool as e:
            for future in [f for f in waiting if f.done() and f.exception() is None]:
                del waiting[future]
                yield future.result()
            if alone and recover is not None:
                suspects.extend(recover(job) for job in waiting.values())
            elif alone:
                raise StoppedError(
                    "a worker process died twice on the same files; try fewer --jobs"
                ) from e
            else:
                suspects.extend(waiting.values())


def _run(executor, function, jobs, waiting, in_flight, on_wait, tick):
    """Yield results; `waiting` holds the jobs under way, future -> job."""
    while True:
        for job in jobs:
            if job is None:  # none for now
                break
            try:
                future = executor.submit(function, job)
            except BrokenProcessPool:
                waiting[Future()] = job  # it was not even taken
                raise
            waiting[future] = job
            if len(waiting) >= in_flight:
                break
        if not waiting:
            return
        done = first_done(waiting, tick)
        on_wait()
        for future in sorted(done, key=lambda f: isinstance(f.exception(), BrokenProcessPool)):
            result = future.result()  # a job whose worker died stays in waiting
            del waiting[future]
            yield result


def first_done(futures, tick):
    """Those that are done, as soon as one is; none where `tick` seconds have passed."""
    with SignalsHeld():
        return wait(futures, tick, FIRST_COMPLETED).done


def deadly(function, jobs, tick=0.2):
    """Run jobs one by one, in a worker that is replaced when it dies; returns those that killed it
    twice, since once may be anybody's deed: {position in jobs: seconds that it took}."""
    found, position, again = {}, 0, False
    while position < len(jobs):
        try:
            with open_executor(1) as executor:
                while position < len(jobs):
                    start = time.monotonic()
                    future = executor.submit(function, jobs[position])
                    while not first_done([future], tick):
                        pass
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        raise error
                    position, again = position + 1, False
        except BrokenProcessPool:
            if again:
                found[position] = time.monotonic() - start
                position += 1
            again = not again
    return found
