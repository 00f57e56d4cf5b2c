"""A real Dask scheduler and real workers on loopback: refused before any work, killed, lost."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from helpers import COMMAND, SIGNALLED, read_csv, tree, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.plan import PlanOptions
from test_faults import NAMESPACE, bash, mount  # noqa: F401

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'mixup-cli[dask]'")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]
QUIET = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}


class Cluster:
    """A scheduler and workers of one thread each, every one a process with a nanny of its own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0",
                                    "--scheduler-file", folder / "scheduler.json")
        deadline = time.monotonic() + 30
        while not (folder / "scheduler.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.address = json.loads((folder / "scheduler.json").read_text())["address"]

    def start(self, what, *arguments, before=()):
        command = [*before, sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments, "--no-dashboard"]
        self.processes.append(subprocess.Popen(
            list(map(str, command)), env=QUIET, cwd=self.folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))
        return self.processes[-1]

    def add_worker(self, before=(), nthreads=1):
        name = f"w{len(self.processes)}"
        worker = self.start("worker", self.address, "--nthreads", nthreads, "--name", name,
                            "--host", "127.0.0.1", "--local-directory", self.folder / name, before=before)
        self.wait_for(len(self.processes) - 1)
        return worker

    def wait_for(self, number):
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=30)

    def end(self):
        for process in self.processes[1:]:
            process.terminate()  # or its semaphores would stay in /dev/shm
        for process in self.processes[1:]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    found = Cluster(tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Some seconds of work, 12 shards: input and the files of --jobs 1."""
    folder = tmp_path_factory.mktemp("long")
    source = write_dataset(folder / "in", per_class=240, size=(400, 400))
    augment(source, folder / "out", Options(PlanOptions(copies=4)), jobs=1)
    return source, tree(folder / "out")


def begin(source, out, cluster, *more):
    """A run under way, with a shard in the making."""
    process = subprocess.Popen(
        [*COMMAND, source, out, "--copies", "4", "--scheduler", cluster.address, "--quiet", *more],
        stderr=subprocess.PIPE, text=True, cwd=os.path.dirname(out),
    )
    while process.poll() is None and not list(out.glob(".mixup/staging/*/*")):
        time.sleep(0.02)
    time.sleep(0.3)
    return process


def end(process):
    return process.communicate(timeout=60)[1]


def test_relative_paths_and_workers_elsewhere(source, whole, tmp_path, cluster):
    for _ in range(2):
        cluster.add_worker()
    command = [*COMMAND, os.path.relpath(source, tmp_path), "out", "--scheduler", cluster.address, "--quiet"]
    assert subprocess.run(command, cwd=tmp_path).returncode == 3
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("nthreads", [1, 4])
def test_a_worker_killed_mid_run_is_done_without(long, tmp_path, cluster, nthreads):
    source, whole = long
    workers = [cluster.add_worker(nthreads=nthreads) for _ in range(3)]
    process = begin(source, tmp_path / "out", cluster)
    os.killpg(workers[0].pid, signal.SIGKILL)  # with its nanny: the machine is gone
    child = subprocess.run(["pgrep", "-P", str(workers[1].pid), "-f", "spawn_main"], capture_output=True, text=True)
    os.kill(int(child.stdout.split()[0]), signal.SIGKILL)  # this one will be started again
    assert end(process) == "" and process.returncode == 0
    assert tree(tmp_path / "out") == whole


def test_the_scheduler_is_lost(long, tmp_path, cluster):
    source, whole = long
    cluster.add_worker()
    process = begin(source, tmp_path / "out", cluster)
    start = time.monotonic()
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    assert end(process) == (
        f"Error: {cluster.address}: the scheduler is gone; start it, then run again with --resume\n"
    )
    assert process.returncode == 4 and time.monotonic() - start < 15
    augment(source, tmp_path / "out", Options(PlanOptions(copies=4)), jobs=2, resume=True)
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_workers_idle_and_nothing_half_done(long, tmp_path, cluster, number, code):
    """What a worker still writes when the run is resumed must not become a shard."""
    source, whole = long
    cluster.add_worker()
    process = begin(source, tmp_path / "out", cluster)
    start = time.monotonic()
    process.send_signal(number)
    assert "--resume continues" in end(process)
    assert process.returncode == code and time.monotonic() - start < 5
    process = begin(source, tmp_path / "out", cluster, "--resume")
    assert end(process) == "" and process.returncode == 0
    assert tree(tmp_path / "out") == whole


def test_a_local_cluster_ends_with_its_run(long, tmp_path):
    process = subprocess.Popen(
        [*SIGNALLED, long[0], tmp_path / "out", "--copies", "4", "--scheduler", "local", "--jobs", "2"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    while process.poll() is None and not list(tmp_path.glob("out/.mixup/staging/*/*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert end(process) == "Interrupted: the output is incomplete; --resume continues\n"
    deadline = time.monotonic() + 5
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


@pytest.mark.parametrize("hidden, words", [
    ("in", "does not see the input"), ("out", "does not see the output folder"),
])
def test_a_worker_that_cannot_see_a_folder_is_named_before_any_work(source, tmp_path, cluster, mount, hidden, words):  # noqa: F811
    where = {"in": source, "out": tmp_path / "shared"}[hidden]
    (tmp_path / "shared").mkdir()
    cluster.add_worker()
    blind = shlex.join(["mount", "-t", "tmpfs", "none", str(where)]) + ' && exec "$@"'
    cluster.add_worker(before=[*NAMESPACE, "bash", "-c", blind, "bash"])
    command = [*COMMAND, source, tmp_path / "shared/out", "--scheduler", cluster.address]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and words in result.stderr and "Error: worker tcp://" in result.stderr
    assert str(where) in result.stderr and not (tmp_path / "shared/out").exists()


def test_a_worker_with_other_versions_is_named(source, tmp_path, cluster):
    """Deflate of another version writes other bytes."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("import PIL.Image\nPIL.__version__ = '0.1'\n")
    cluster.add_worker(before=["env", f"PYTHONPATH={tmp_path / 'site'}"])
    command = [*COMMAND, source, tmp_path / "out", "--scheduler", cluster.address]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and "has pillow 0.1, not " in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_that_hangs_its_workers_is_rejected_by_name(tmp_path, cluster):
    """The time limit ends the worker, again and again, until the scheduler gives the shard back."""
    source = write_dataset(tmp_path / "in", per_class=3)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        "import time\nfrom mixup_cli import render\nreal = render.decode\n"
        "def decode(data, *rest):\n    if data.endswith(b'HANG'): time.sleep(100)\n    return real(data, *rest)\n"
        "render.decode = decode\n"
    )
    with open(source / "cat/1.png", "ab") as file:
        file.write(b"HANG")
    path = f"PYTHONPATH={tmp_path / 'site'}"
    cluster.add_worker(before=["env", path])
    command = ["env", path, *COMMAND, source, tmp_path / "out", "--scheduler", cluster.address, "--timeout", "1"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert result.returncode == 3, result.stderr
    assert [row["source"] for row in read_csv(tmp_path / "out/rejects.csv")] == ["cat/1.png"]
    assert "took the decoder longer than 1 seconds" in (tmp_path / "out/rejects.csv").read_text()


def test_nobody_answers(source, tmp_path):
    command = [*COMMAND, source, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and "no scheduler answers" in result.stderr
    assert not (tmp_path / "out").exists()


def test_without_dask_the_message_says_what_to_install(source, tmp_path):
    code = "import sys; sys.modules['distributed'] = None; from mixup_cli.cli import main; main()"
    command = [sys.executable, "-c", code, "augment", source, tmp_path / "out", "--scheduler", "local"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and "pip install 'mixup-cli[dask]'" in result.stderr
