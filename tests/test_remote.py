"""Inputs and outputs on a real S3 server on loopback: killed, resumed, locked, lost."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from helpers import COMMAND, read_csv, tree, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.store import FORMATS
from mixup_cli.verify import verify

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'mixup-cli[remote]'")
pytest.importorskip("moto", reason="no S3 server: moto[server] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]
VERIFY = [*COMMAND[:-1], "verify"]


class Server:
    """moto's S3 in a process of its own, and a bucket."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.env = {
            **os.environ, "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.number = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.url, timeout=1).close()
                break
            time.sleep(0.1)

    def new(self):
        """A URL where nothing is."""
        self.number += 1
        return f"s3://bucket/{self.number}/out"

    def run(self, *command, **options):
        return subprocess.run(
            list(map(str, command)), env=self.env, capture_output=True, text=True, timeout=300, **options
        )

    def tree(self, url):
        return {name: self.fs.cat_file(f"{url}/{name}") for name in self.names(url)}

    def names(self, url):
        root = url.removeprefix("s3://")
        return sorted(path.removeprefix(f"{root}/") for path in self.fs.find(root))

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def s3():
    import s3fs

    server = Server()
    server.fs = s3fs.S3FileSystem(
        endpoint_url=server.url, key="test", secret="test", use_listings_cache=False,
    )
    server.fs.mkdir("bucket")
    yield server
    server.end()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """120 images and a damaged one."""
    root = write_dataset(tmp_path_factory.mktemp("small") / "in", per_class=60)
    (root / "cat/bad.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def wholes(small, tmp_path_factory):
    """format -> the files of a run on this machine."""
    found = {}
    for format in FORMATS:
        out = tmp_path_factory.mktemp("whole") / "out"
        augment(small, out, Options(format=format), jobs=0)
        found[format] = tree(out)
    return found


@pytest.fixture(scope="module")
def uploaded(small, s3):
    s3.fs.put(str(small), "bucket/", recursive=True)
    return "s3://bucket/in"


@pytest.mark.parametrize("format", FORMATS)
def test_the_objects_are_the_files_of_a_local_run(small, uploaded, s3, wholes, format):
    """From files and from objects; then verified where they are."""
    for source, jobs in ((small, 2), (uploaded, 2), (uploaded, 0)):
        out = s3.new()
        result = s3.run(*COMMAND, source, out, "--jobs", jobs, "--format", format, "--quiet")
        assert (result.returncode, result.stderr) == (3, "")
        assert s3.tree(out) == wholes[format]
    assert s3.run(*VERIFY, out, "--source", uploaded, "--jobs", "0", "--quiet").returncode == 0
    name = next(name for name in s3.names(out) if name.startswith("images/"))
    data = bytearray(wholes[format][name])
    data[len(data) // 2] ^= 4
    s3.fs.pipe_file(f"{out}/{name}", bytes(data))
    result = s3.run(*VERIFY, out, "--json", "--jobs", "0")
    assert result.returncode == 3 and name in [p["file"] for p in json.loads(result.stdout)["problems"]]
    s3.fs.rm(f"{out}/{name}")
    assert s3.run(*VERIFY, out, "--quiet", "--jobs", "0").returncode == 3


@pytest.mark.parametrize("format", FORMATS)
def test_killed_and_resumed(small, s3, wholes, format):
    out, kills = s3.new(), 0
    for after in (0, 1, 2):
        process = subprocess.Popen(
            list(map(str, [*COMMAND, small, out, "--resume", "--jobs", "2", "--quiet", "--format", format])),
            env=s3.env, stderr=subprocess.PIPE,
        )
        while process.poll() is None and len([n for n in s3.names(out) if n.startswith("images/")]) <= after:
            time.sleep(0.01)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        marked = {n.rpartition("/")[2].removesuffix(".json") for n in s3.names(out) if "/done-" in n}
        for name, data in wholes[format].items():  # what has its mark is complete
            if name.startswith("images/") and name.split("/")[1].split(".")[0] in marked:
                assert s3.fs.cat_file(f"{out}/{name}") == data
    result = s3.run(*COMMAND, small, out, "--resume", "--jobs", "2", "--quiet", "--format", format)
    assert (result.returncode, result.stderr) == (3, "") and kills
    assert s3.tree(out) == wholes[format]


@pytest.mark.parametrize("name", ["upload", "write", "create"])
def test_killed_at_each_call_to_the_bucket(s3, small, wholes, monkeypatch, name):
    """Before its first, second, … call and after it; then resumed."""
    from mixup_cli import remote
    from test_durability import Killed

    for key, value in s3.env.items():
        if key.startswith("AWS_"):
            monkeypatch.setenv(key, value)
    real, options = getattr(remote, name), Options(format="webdataset")
    for fatal in range(1, 40):
        for after in (False, True):
            calls, out = 0, s3.new()

            def deadly(*args):
                nonlocal calls
                calls += 1
                if calls == fatal and not after:
                    raise Killed
                result = real(*args)
                if calls == fatal:
                    raise Killed
                return result

            ended = False
            with monkeypatch.context() as patch:
                patch.setattr(remote, name, deadly)
                try:
                    augment(small, out, options, jobs=0)
                    ended = True
                except Killed:
                    pass
            augment(small, out, options, jobs=0, resume=True)
            assert s3.tree(out) == wholes["webdataset"], (name, fatal, after)
        if ended:
            break
    assert fatal > 1 and ended


def test_a_shard_without_its_mark_is_none(small, s3, wholes):
    """What a killed worker has uploaded, and what somebody else has put there."""
    out = s3.new()
    assert s3.run(*COMMAND, small, out, "--part", "1/2", "--jobs", "1", "--quiet").returncode in (0, 3)
    mark = next(name for name in s3.names(out) if "/done-" in name)
    folder = mark.rpartition("/")[2].removesuffix(".json")
    s3.fs.rm(f"{out}/{mark}")
    s3.fs.pipe_file(f"{out}/images/{folder}/99999999.png", b"x")
    s3.fs.pipe_file(f"{out}/images/{folder}/00000000.png", b"half")
    assert s3.run(*COMMAND, small, out, "--resume", "--jobs", "1", "--quiet").returncode == 3
    assert s3.tree(out) == wholes["folder"]


def test_locks_and_parts(small, s3, wholes):
    out = s3.new()
    parts = [
        subprocess.Popen(list(map(str, [*COMMAND, small, out, "--part", f"{i}/3", "--jobs", "1", "--quiet"])),
                         env=s3.env, stderr=subprocess.PIPE, text=True)
        for i in (1, 2, 3)
    ]
    while parts[0].poll() is None and ".mixup/lock-1-of-3" not in s3.names(out):
        time.sleep(0.01)
    parts[0].send_signal(signal.SIGSTOP)
    try:
        for option in ("--resume", "--part=1/3"):
            result = s3.run(*COMMAND, small, out, option)
            assert result.returncode == 5 and f"{out}: another run is writing here, process " in result.stderr
    finally:
        parts[0].send_signal(signal.SIGCONT)
    assert [part.communicate()[1] for part in parts] == ["", "", ""]
    assert not [name for name in s3.names(out) if "lock" in name]
    assert s3.run(*COMMAND, small, out, "--resume", "--quiet").returncode == 3
    assert s3.tree(out) == wholes["folder"]


def test_the_lock_of_another_machine_is_respected_and_that_of_a_dead_process_taken(small, s3):
    from mixup_cli.store.bucket import _holder

    out = s3.new()
    holder = {**_holder(), "host": "elsewhere", "machine": ["elsewhere"]}
    s3.fs.pipe_file(f"{out}/.mixup/lock", json.dumps(holder).encode())
    result = s3.run(*COMMAND, small, out)
    assert result.returncode == 5 and "on elsewhere" in result.stderr and f"remove {out}/.mixup/lock" in result.stderr
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    s3.fs.pipe_file(f"{out}/.mixup/lock", json.dumps({**_holder(), "pid": dead.pid}).encode())
    assert s3.run(*COMMAND, small, out, "--quiet", "--jobs", "1").returncode == 3


def test_earlier_runs_other_options_and_what_is_not_ours(small, s3, wholes):
    out = s3.new()
    assert s3.run(*COMMAND, small, out, "--part", "1/2", "--quiet", "--alpha", "1").returncode in (0, 3)
    result = s3.run(*COMMAND, small, out)
    assert result.returncode == 2 and f"{out}: holds an unfinished run" in result.stderr
    result = s3.run(*COMMAND, small, out, "--resume")
    assert result.returncode == 6 and f"{out}: the run that is there differs: alpha 1.0 then, 0.2 now" in result.stderr
    assert s3.run(*COMMAND, small, out, "--overwrite", "--quiet", "--jobs", "1").returncode == 3
    assert s3.tree(out) == wholes["folder"]
    result = s3.run(*COMMAND, small, out, "--resume", "--seed", "1")
    assert result.returncode == 6 and "seed 0 then, 1 now" in result.stderr
    s3.fs.pipe_file(f"{out}/images/thesis.tex", b"years of work")
    result = s3.run(*COMMAND, small, out, "--overwrite")
    assert result.returncode == 2 and f"{out}/images/thesis.tex: not from a run" in result.stderr
    other = s3.new()
    s3.fs.pipe_file(f"{other}/thesis.tex", b"years of work")
    result = s3.run(*COMMAND, small, other, "--overwrite")
    assert result.returncode == 2 and "not from an earlier run" in result.stderr
    assert s3.names(other) == ["thesis.tex"]


def test_inputs_that_are_refused_name_the_url(s3, small, uploaded):
    for source, words in [
        ("s3://bucket/none", "s3://bucket/none: nothing there"),
        ("s3://no-bucket/in", "s3://no-bucket/in: "), ("nonsense://x", "nonsense://x: "),
        (f"{uploaded}/cat", f"{uploaded}/cat: no class folders"),
    ]:
        result = s3.run(*COMMAND, source, s3.new())
        assert result.returncode == 2 and words in result.stderr and "mixup-" not in result.stderr.replace("mixup-cli", "")
    result = s3.run(*COMMAND, uploaded, f"{uploaded}/out")
    assert result.returncode == 2 and "inside one another" in result.stderr
    s3.fs.put(str(small), "bucket/splits/train/", recursive=True)
    s3.fs.put(str(small), "bucket/splits/val/", recursive=True)
    result = s3.run(*COMMAND, "s3://bucket/splits", s3.new())
    assert result.returncode == 2 and "s3://bucket/splits: holds the splits train, val" in result.stderr


def test_an_object_that_changed_is_refused(s3, small, tmp_path):
    s3.fs.put(str(small), "bucket/changing/", recursive=True)
    assert s3.run(*COMMAND, "s3://bucket/changing/in", tmp_path / "out", "--part", "1/2", "--quiet").returncode in (0, 3)
    s3.fs.pipe_file("bucket/changing/in/cat/0.png", (small / "cat/1.png").read_bytes())
    result = s3.run(*COMMAND, "s3://bucket/changing/in", tmp_path / "out", "--resume")
    assert result.returncode == 6 and "source cat/0.png was changed" in result.stderr


def test_an_object_that_goes_is_rejected_by_name(s3, small, tmp_path):
    s3.fs.put(str(small), "bucket/going/", recursive=True)
    code = (
        "import sys, s3fs; import mixup_cli.run as augment; real = augment._render\n"
        "def render(*a):\n"
        "    s3fs.S3FileSystem().rm('bucket/going/in/dog/5.png')\n"
        "    return real(*a)\n"
        "augment._render = render; from mixup_cli.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "augment", "s3://bucket/going/in", tmp_path / "out", "--jobs", "1"]
    assert s3.run(*command).returncode == 3
    rejects = {row["source"]: row["reason"] for row in read_csv(tmp_path / "out/rejects.csv")}
    assert rejects.keys() == {"cat/bad.png", "dog/5.png"} and "No such file" in rejects["dog/5.png"]


def test_tar_shards_in_a_bucket(s3, small, uploaded, tmp_path, wholes):
    """Our own output as an input; only its headers and labels are read to plan."""
    tars = s3.new()
    assert s3.run(*COMMAND, uploaded, tars, "--format", "webdataset", "--quiet").returncode == 3
    assert s3.run(*COMMAND, tars, tmp_path / "out", "--quiet", "--jobs", "2").returncode == 0
    augment(small, tmp_path / "local", Options(format="webdataset"), jobs=0)
    augment(tmp_path / "local", tmp_path / "again", jobs=0)
    assert tree(tmp_path / "out") == tree(tmp_path / "again")
    assert s3.run(*VERIFY, tmp_path / "out", "--source", tars, "--quiet", "--jobs", "0").returncode == 0
    assert s3.run(*COMMAND[:-1], "inspect", tars, "--quiet", "--jobs", "0").returncode == 0


def test_a_pipe_from_a_bucket(s3, uploaded, tmp_path, wholes):
    command = " ".join(map(str, COMMAND))
    s3.run("bash", "-c", f"{command} {uploaded} - --quiet | tar x -C {tmp_path}")
    assert tree(tmp_path) == wholes["folder"]


def test_a_cluster_on_a_bucket_and_a_worker_that_may_not_see_it(s3, uploaded, wholes, tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    from test_cluster import Cluster

    cluster, out = Cluster(tmp_path), s3.new()
    try:
        keys = [f"{key}={value}" for key, value in s3.env.items() if key.startswith("AWS_")]
        cluster.add_worker(before=["env", *keys])
        options = ("--scheduler", cluster.address, "--quiet")
        assert s3.run(*COMMAND, uploaded, out, *options).returncode == 3
        assert s3.tree(out) == wholes["folder"]
        cluster.add_worker(before=["env", *keys, "AWS_ENDPOINT_URL=http://127.0.0.1:9"])
        other = s3.new()
        result = s3.run(*COMMAND, uploaded, other, *options)
        assert result.returncode == 2 and "does not see the output folder" in result.stderr
        assert s3.names(other) == []
    finally:
        cluster.end()


def test_a_server_that_goes_stops_the_run(small, tmp_path):
    import s3fs

    server = Server()
    server.fs = s3fs.S3FileSystem(endpoint_url=server.url, key="test", secret="test", use_listings_cache=False)
    server.fs.mkdir("bucket")
    process = subprocess.Popen(
        list(map(str, [*COMMAND, small, "s3://bucket/out", "--jobs", "1"])), env=server.env,
        stderr=subprocess.PIPE, text=True,
    )
    while process.poll() is None and not server.fs.exists("bucket/out/.mixup/run.json"):
        time.sleep(0.01)
    server.end()
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 4 and "Error: s3://bucket/out/" in said and "--resume" in said, said


def test_a_file_url_is_a_path(small, tmp_path, wholes):
    augment(small.as_uri(), (tmp_path / "out").as_uri(), jobs=0)
    assert tree(tmp_path / "out") == wholes["folder"]
    assert verify((tmp_path / "out").as_uri(), small.as_uri(), jobs=0)["problems"] == []


def test_without_fsspec_the_message_says_what_to_install(small):
    for module in ("fsspec", "s3fs"):
        code = f"import sys; sys.modules[{module!r}] = None; from mixup_cli.cli import main; main()"
        command = [sys.executable, "-c", code, "augment", small, "s3://bucket/out"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 2 and "pip install 'mixup-cli[remote]'" in result.stderr


def test_local_files_pay_nothing_for_it(small, tmp_path):
    code = (
        "import sys; from mixup_cli.run import augment;"
        f"augment({str(small)!r}, {str(tmp_path / 'out')!r}, jobs=0);"
        "assert not {'fsspec', 's3fs', 'distributed', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
