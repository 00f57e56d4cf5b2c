"""Jobs on a Dask cluster, whoever started it: dask-jobqueue, Kubernetes, YARN, a cloud, or we."""

import contextlib
import logging
import multiprocessing
import multiprocessing.resource_tracker
import re
import signal
import threading
import time
from collections import deque
from concurrent.futures import CancelledError

from mixup_cli.engine.pool import first_done, keep_freed_memory
from mixup_cli.engine.signals import SignalsHeld
from mixup_cli.errors import InputError, StoppedError

LOCAL = "local"
CONNECT_SECONDS = 10
COUNT_SECONDS = 5  # between two looks at how many workers there are: a cluster grows and shrinks
# Dask waits 20 seconds for what is no address, and complains once more when it is thrown away.
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|inproc)://.+")
LAST_SECONDS = 2  # for the scheduler to hear that we leave

_one_at_a_time = threading.Lock()  # of a worker that has several threads: see _on_worker
_checked = set()


class Cluster:
    """A connection to a scheduler. run() is engine.run; check() looks at every worker first."""

    def __init__(self, client, address):
        self.client, self.address = client, address
        self.probe = None
        self.count, self.counted = 1, -COUNT_SECONDS

    def check(self, probe):
        """Call probe(), which returns None or what is wrong, on every worker there is, and later on
        each that joins before its first job. Raises InputError with the worker and what is wrong.
        """
        self.probe = probe
        with self._lost_if_it_fails():
            found = self.client.run(_probe, probe, on_error="return")
        for worker, wrong in sorted(found.items()):
            if isinstance(wrong, BaseException):
                wrong = f"cannot run mixup: {type(wrong).__name__}: {wrong}; install it there"
            if wrong is not None:
                raise InputError(f"worker {worker}: {wrong}")

    def run(self, function, jobs, on_wait, recover, tick):
        """Yield function(job) for every job, submitted as others finish: a scheduler holds a million
        at a time badly."""
        executor = self.client.get_executor(pure=False)
        jobs, again, waiting = iter(jobs), deque(), {}
        try:
            while True:
                most = 2 * self._num_workers() + 1  # the next one is there when one is done
                while len(waiting) < most:
                    job = again.popleft() if again else next(jobs, None)
                    if job is None:
                        break
                    with SignalsHeld():
                        future = executor.submit(_on_worker, function, job, self.probe)
                    waiting[future] = job
                if not waiting:
                    return
                done = first_done(waiting, tick)
                on_wait()
                for future in done:
                    job = waiting.pop(future)
                    if self._killed_its_workers(future):
                        again.append(self._recovered(job, recover))
                    else:
                        yield future.result()
        finally:
            executor.shutdown(wait=False)

    def _num_workers(self):
        if time.monotonic() - self.counted > COUNT_SECONDS:
            with self._lost_if_it_fails():
                self.count = max(1, len(self.client.nthreads()))
            self.counted = time.monotonic()
        return self.count

    def _killed_its_workers(self, future):
        from distributed import KilledWorker

        try:
            return isinstance(future.exception(), KilledWorker)
        except CancelledError as e:
            raise self._lost() from e

    def _recovered(self, job, recover):
        if recover is None:
            raise StoppedError(f"{self.address}: workers died again and again on the same files")
        return recover(job)

    @contextlib.contextmanager
    def _lost_if_it_fails(self):
        try:
            yield
        except (OSError, CancelledError, RuntimeError, ValueError) as e:
            raise self._lost() from e

    def _lost(self):
        return StoppedError(f"{self.address}: the scheduler is gone; start it, then run again with --resume")


@contextlib.contextmanager
def connect(scheduler, jobs):
    """A Cluster at an address such as tcp://host:8786; "local" starts one of `jobs` workers here,
    which ends with the context, as the connection does; jobs under way are cancelled."""
    try:
        import distributed
    except ImportError as e:
        raise InputError("--scheduler needs Dask: pip install 'mixup-cli[dask]'") from e
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        address = scheduler
        if scheduler != LOCAL and not _ADDRESS.fullmatch(scheduler):
            raise InputError(
                f"--scheduler {scheduler}: not an address; give one such as tcp://host:8786, or {LOCAL}"
            )
        if scheduler == LOCAL:
            address = stack.enter_context(_local_cluster(max(1, jobs))).scheduler_address
        try:
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as e:
            raise InputError(
                f"--scheduler {scheduler}: no scheduler answers ({e or type(e).__name__}); start one by"
                " `dask scheduler`, or give its address, such as tcp://host:8786"
            ) from e
        stack.callback(_close, client)
        yield Cluster(client, address)


@contextlib.contextmanager
def _local_cluster(jobs):
    """A scheduler in this process and `jobs` workers; no worker outlives it."""
    import distributed

    # Ctrl-C reaches every process of a terminal: the threads made here, and the workers that they
    # start, leave it to this process. What starts with the first worker would unblock it again.
    multiprocessing.resource_tracker.ensure_running()
    block = getattr(signal, "pthread_sigmask", lambda how, what: None)
    held = block(getattr(signal, "SIG_BLOCK", 0), {signal.SIGINT})
    try:
        cluster = distributed.LocalCluster(
            n_workers=jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    finally:
        block(getattr(signal, "SIG_SETMASK", 0), held)
    try:
        yield cluster
    finally:
        for nanny in cluster.workers.values():
            nanny.auto_restart = False
        mine = {nanny.pid for nanny in cluster.workers.values()}
        for worker in multiprocessing.active_children():
            if worker.pid in mine:
                worker.kill()  # what it has not committed is of no use any more
        _close(cluster)


def _close(what):
    with contextlib.suppress(OSError, RuntimeError):  # a scheduler that is gone needs no goodbye
        what.close(timeout=LAST_SECONDS)


@contextlib.contextmanager
def _quiet():
    """What Dask logs of lost connections and workers, we say ourselves in one line."""
    loggers = [
        logging.getLogger(name) for name in list(logging.root.manager.loggerDict)
        if name.split(".")[0] in ("distributed", "tornado")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _probe(probe):
    if probe in _checked:
        return None
    keep_freed_memory()  # as a worker of the pool does
    wrong = probe()
    if wrong is None:
        _checked.add(probe)
    return wrong


def _on_worker(function, job, probe):
    """On a worker: run a job, one at a time even in a worker of several threads, because a source's
    time limit and the silencing of libtiff are the whole process's. Errors say which worker it was."""
    from distributed import get_worker

    worker = get_worker().address
    with _one_at_a_time:
        wrong = None if probe is None else _probe(probe)
        if wrong is not None:
            raise StoppedError(f"worker {worker}: {wrong}, then run again with --resume")
        try:
            return function(job)
        except OSError as e:
            raise OSError(e.errno, f"{e.strerror} (worker {worker})", e.filename) from e
