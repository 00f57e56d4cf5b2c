"""Kill it anywhere, lose nothing: resume, locks, parts, signals and files that change."""

import contextlib
import ctypes
import faulthandler
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers import COMMAND, SIGNALLED, noise, read_csv, tree, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.errors import LockedError, MismatchError, StoppedError
from mixup_cli.plan import PlanOptions
from mixup_cli.store import Store, disk, folder, shard

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and file systems")

def run(source, out, *options, **popen):
    return subprocess.run(
        [*COMMAND, source, out, *options], capture_output=True, text=True, timeout=120, **popen
    )


def test_resume_on_nothing_starts_and_on_a_complete_run_does_nothing(source, whole, tmp_path):
    assert run(source, tmp_path / "out", "--resume").returncode == 3  # one source is damaged
    assert tree(tmp_path / "out") == whole
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    again = run(source, tmp_path / "out", "--resume")
    assert again.returncode == 3 and "Wrote 398" not in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}


def killed_after(source, out, seconds):
    """A run killed with all its workers after some time; True if it had not ended before."""
    process = subprocess.Popen(
        [*COMMAND, source, out, "--resume", "--jobs", "2", "--quiet"], start_new_session=True,
        stderr=subprocess.PIPE,
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        return True
    finally:
        process.communicate()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:  # workers follow their parent, no process stays behind
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.01)
        else:
            raise AssertionError("a worker outlived its parent")


@pytest.mark.slow
def test_killed_at_100_random_moments(source, whole, tmp_path):
    rng = random.Random(100)
    out, kills, ends = tmp_path / "out", 0, 0
    start = time.monotonic()
    killed_after(source, tmp_path / "first", 60)
    length = time.monotonic() - start
    while kills < 100:
        if killed_after(source, out, rng.uniform(0.2, 1.1) * length):
            kills += 1
            folders = out / "images"
            for shard in folders.iterdir() if folders.exists() else ():
                for name in os.listdir(shard):
                    path = f"images/{shard.name}/{name}"
                    assert (out / path).read_bytes() == whole[path]
        if (out / "mixup.json").exists() and not (out / ".mixup").exists():
            ends += 1
            assert tree(out) == whole
            shutil.rmtree(out)
    print(f"\n{kills} kills, {ends} runs completed by then")
    assert run(source, out, "--resume").returncode == 3
    assert tree(out) == whole and ends > 5


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """60 images that take their time."""
    return write_dataset(tmp_path_factory.mktemp("large") / "in", per_class=30, size=(600, 600))


SLOW = pytest.mark.slow


@pytest.mark.parametrize("seconds", [pytest.param(0.0, marks=SLOW), 0.4, pytest.param(1.0, marks=SLOW)])
@pytest.mark.parametrize("whom", [os.kill, os.killpg])  # a supervisor, or a terminal's Ctrl-C
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_its_workers_within_5_seconds(
    large, tmp_path, number, code, whom, seconds
):
    """More workers than processors, on large images."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*SIGNALLED, large, out, "--copies", "30", "--jobs", "6", "--quiet"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    while not (out / ".mixup/staging").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    start = time.monotonic()
    whom(process.pid, number)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - start < 5
    assert process.returncode == code
    assert stderr == f"{'Interrupted' if code == 130 else 'Terminated'}: the output is incomplete; --resume continues\n"
    with pytest.raises(ProcessLookupError):  # no process stays behind; init reaps the last at leisure
        for _ in range(50):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    assert not (out / "mixup.json").exists()
    sizes = [len(list(shard.iterdir())) for shard in (out / "images").iterdir()]
    assert all(size >= 18 for size in sizes)  # what is there is complete


class Killed(BaseException):
    """What stands for SIGKILL inside this process: nothing may catch it and go on."""


@pytest.mark.slow
@pytest.mark.parametrize("place, name", [
    (disk.Sync, "__call__"), (disk, "sync_folder"), (disk, "replacing"), (os, "rename"),
    (shard.StagedShard, "__init__"), (shard.StagedShard, "commit"),
])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_call_of_the_store(source, whole, tmp_path, monkeypatch, place, name, after):
    """At its first, second, … call, before and after it; then resumed."""
    real = getattr(place, name)
    for fatal in range(1, 40):
        calls = 0

        def deadly(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == fatal and not after:
                raise Killed
            result = real(*args, **kwargs)
            if calls == fatal:
                raise Killed
            return result

        out = tmp_path / "out"
        with monkeypatch.context() as patch:
            patch.setattr(place, name, deadly)
            # SIGKILL runs no clean-up: what discards a shard when an error passes must not either.
            patch.setattr(shard, "discard", lambda staging: None)
            try:
                augment(source, out, jobs=0)
                break
            except Killed:
                pass
        augment(source, out, jobs=0, resume=True)
        assert tree(out) == whole, (name, fatal)
        shutil.rmtree(out)
    assert fatal > 2


@pytest.mark.parametrize("complete", [True, False])
def test_killed_while_an_earlier_run_is_cleared(source, whole, tmp_path, monkeypatch, complete):
    """No shard of the other run may be taken for one of this."""
    out, other = tmp_path / "out", Options(PlanOptions(seed=1))
    if complete:
        augment(source, out, other, jobs=0)
    else:
        begun(source, out, other)

    def deadly(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(folder.shutil, "rmtree", deadly)
        augment(source, out, jobs=0, overwrite=True)
    assert any((out / "images").iterdir())
    augment(source, out, jobs=0, resume=True)
    assert tree(out) == whole


def begun(source, out, options=Options(), **run):
    """An unfinished run with two shards."""
    with pytest.raises(Killed):
        def stop(done, total):
            if done > 90:
                raise Killed
        augment(source, out, options, jobs=0, progress=stop, **run)


@pytest.mark.parametrize("options, words", [
    (Options(PlanOptions(alpha=0.4)), "alpha 0.2 then, 0.4 now"),
    (Options(PlanOptions(seed=1)), "seed 0 then, 1 now"),
    (Options(PlanOptions(copies=2)), "copies 1 then, 2 now"),
    (Options(label_format="sparse"), "label_format auto then, sparse now"),
])
def test_other_options_are_refused(source, tmp_path, options, words):
    begun(source, tmp_path / "out")
    with pytest.raises(MismatchError, match=words):
        augment(source, tmp_path / "out", options, resume=True, jobs=0)
    augment(source, tmp_path / "out", resume=True, jobs=0)
    with pytest.raises(MismatchError, match=words):
        augment(source, tmp_path / "out", options, resume=True, jobs=0)


def test_other_versions_are_refused(source, tmp_path, monkeypatch):
    begun(source, tmp_path / "out")
    path = tmp_path / "out/.mixup/run.json"
    found = json.loads(path.read_text())
    assert "python" not in found  # its version decides no byte
    path.write_text(json.dumps({**found, "pillow": "1.0"}))
    with pytest.raises(MismatchError, match="pillow 1.0 then"):
        augment(source, tmp_path / "out", resume=True, jobs=0)


def test_the_exit_code_and_the_message_of_a_mismatch(source, tmp_path):
    begun(source, tmp_path / "out")
    result = run(source, tmp_path / "out", "--resume", "--alpha", "1")
    assert result.returncode == 6
    assert result.stderr == (
        f"Error: {tmp_path / 'out'}: the run that is there differs: alpha 0.2 then, 1.0 now; resume it"
        " as it was begun, or start again by --overwrite\n"
    )
    result = run(source, tmp_path / "out")
    assert result.returncode == 2 and "unfinished run" in result.stderr and "--resume" in result.stderr
    assert run(source, tmp_path / "out", "--overwrite", "--resume").returncode == 2
    assert run(source, tmp_path / "out", "--overwrite").returncode == 3


@pytest.mark.parametrize("change, words", [
    (lambda cat: (cat / "0.png").unlink(), "outputs|source cat/0.png was removed"),
    (lambda cat: shutil.copy(cat / "0.png", cat / "more.png"), "outputs|source cat/more.png was added"),
    (lambda cat: (cat / "0.png").rename(cat / "0000.png"), "source cat/0.png was removed; source cat/0000"),
    (lambda cat: Image.fromarray(noise(9, 12, 3)).save(cat / "1.png"), "source cat/1.png was changed"),
    (lambda cat: os.utime(cat / "1.png", (1, 1)), "source cat/1.png was changed"),
])
def test_sources_that_changed_are_refused(tmp_path, change, words):
    source = write_dataset(tmp_path / "in", per_class=100)
    begun(source, tmp_path / "out")
    change(source / "cat")
    with pytest.raises(MismatchError, match=words):
        augment(source, tmp_path / "out", resume=True, jobs=0)


def test_hashed_inputs_may_be_touched_but_not_changed(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=100)
    begun(source, tmp_path / "out", hash_inputs=True)
    os.utime(source / "cat/1.png", (1, 1))
    data = (source / "cat/1.png").read_bytes()
    (source / "cat/1.png").write_bytes(data[:-1] + b"\0")
    with pytest.raises(MismatchError, match="source cat/1.png was changed"):
        augment(source, tmp_path / "out", resume=True, hash_inputs=True, jobs=0)
    (source / "cat/1.png").write_bytes(data)
    augment(source, tmp_path / "out", resume=True, hash_inputs=True, jobs=0)


def test_the_second_of_two_runs_exits_5_and_the_first_is_unharmed(source, whole, tmp_path):
    out, second = tmp_path / "out", []

    def meanwhile(done, total):
        if not second:
            second.extend(run(source, out, option) for option in ("--resume", "--overwrite", "--part=1/2"))

    augment(source, out, jobs=0, progress=meanwhile)
    for result in second:
        assert result.returncode == 5 and "another run is writing here" in result.stderr
    assert tree(out) == whole


def test_a_stale_lock_file_holds_nobody_up(source, whole, tmp_path):
    begun(source, tmp_path / "out")
    assert (tmp_path / "out/.mixup/lock").exists()
    augment(source, tmp_path / "out", resume=True, jobs=0)
    assert tree(tmp_path / "out") == whole


def test_parts_at_once_and_whoever_resumes_finishes(source, whole, tmp_path):
    out = tmp_path / "out"
    parts = [
        subprocess.Popen([*COMMAND, source, out, "--part", f"{i}/8", "--jobs", "1"],
                         stderr=subprocess.PIPE, text=True)
        for i in range(1, 9)
    ]
    said = [part.communicate(timeout=120)[1] for part in parts]
    assert {part.returncode for part in parts} <= {0, 3}, said
    assert all("when all are, --resume finishes" in text for text in said)
    assert not (out / "mixup.json").exists()
    assert run(source, out, "--resume").returncode == 3
    assert tree(out) == whole
    assert run(source, out, "--part", "3/8").returncode == 3  # complete: nothing to do


def test_a_part_that_runs_twice_at_once_is_refused(source, tmp_path):
    with Store(tmp_path / "out", (1, 2)):
        with Store(tmp_path / "out", (2, 2)):
            pass
        with pytest.raises(LockedError), Store(tmp_path / "out", (1, 2)):
            pass
        with pytest.raises(LockedError), Store(tmp_path / "out"):
            pass


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_parts_that_make_no_sense(source, tmp_path, part):
    result = run(source, tmp_path / "out", "--part", part)
    assert result.returncode == 2 and "I/N" in result.stderr and not (tmp_path / "out").exists()


def test_files_that_somebody_else_put_into_a_shard(source, tmp_path):
    begun(source, tmp_path / "out")
    shard = next((tmp_path / "out/images").iterdir())
    (shard / "99999999.png").write_bytes(b"x")
    result = run(source, tmp_path / "out", "--resume")
    assert result.returncode == 4 and f"images/{shard.name}: " in result.stderr
    shutil.rmtree(shard)
    assert run(source, tmp_path / "out", "--resume").returncode == 3


def test_without_sync_the_files_are_the_same(source, whole, tmp_path, monkeypatch):
    calls = []
    real = disk.Sync.__call__
    monkeypatch.setattr(disk.Sync, "__call__", lambda sync: calls.append(sync.folder) or real(sync))
    augment(source, tmp_path / "a", jobs=0)
    assert len(calls) == 9
    augment(source, tmp_path / "b", jobs=0, sync=False)
    assert len(calls) == 9 and tree(tmp_path / "b") == whole
    assert run(source, tmp_path / "c", "--no-sync").returncode == 3
    assert tree(tmp_path / "c") == whole


def test_the_input_is_only_read(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=30)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_mode) for p in [source, *source.rglob("*")]}
    data = tree(source)
    augment(source, tmp_path / "out", jobs=2)
    assert data == tree(source)
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_mode) for p in [source, *source.rglob("*")]}


def test_rejects_of_before_are_named_after_a_resume(source, whole, tmp_path):
    """Those of shards that are not rendered again are kept beside the run."""
    out = tmp_path / "out"
    begun(source, out)
    reports = list((out / ".mixup/reports").iterdir())
    rendered = [shard.name for shard in (out / "images").iterdir()]
    assert len(rendered) >= 2 and {Path(r).stem for r in reports} <= set(rendered)
    augment(source, out, jobs=0, resume=True)
    assert tree(out)["rejects.csv"] == whole["rejects.csv"]


# Workers that die or hang. They are forked from this process, and so is what is put into it.


def touchy_decoder(monkeypatch):
    """A decoder that a few bytes crash, or hang beyond Python's reach."""
    from mixup_cli import render

    real = render.decode

    def decode(data, *how):
        if data.endswith(b"CRASH"):
            faulthandler.disable()  # pytest's, which would print where
            os.kill(os.getpid(), signal.SIGSEGV)
        if data.endswith(b"HANG"):
            ctypes.PyDLL(None).sleep(100)  # holds the interpreter's lock, as a decoder's loop does
        return real(data, *how)

    monkeypatch.setattr(render, "decode", decode)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
@pytest.mark.parametrize("tail, reason", [
    (b"CRASH", "crashed the decoder"),
    pytest.param(b"HANG", "took the decoder longer than 0.5 seconds (--timeout)", marks=pytest.mark.slow),
])
def test_an_image_that_kills_or_hangs_its_worker_is_rejected_by_name(
    tmp_path, monkeypatch, tail, reason
):
    source = write_dataset(tmp_path / "in", per_class=80)
    fatal = ["cat/3.png", "dog/7.png"]
    for name in fatal:
        with open(source / name, "ab") as file:
            file.write(tail)
    touchy_decoder(monkeypatch)
    calls = []
    record = augment(source, tmp_path / "out", jobs=2, timeout=0.5, progress=lambda *c: calls.append(c))
    rejects = read_csv(tmp_path / "out/rejects.csv")
    assert [(row["source"], row["reason"]) for row in rejects] == [(name, reason) for name in fatal]
    assert calls[-1] == (160, 160)
    monkeypatch.undo()
    for name in fatal:
        (source / name).write_bytes(b"no image")
    augment(source, tmp_path / "damaged", jobs=0)
    for name in ("labels.csv", "metadata.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "damaged" / name).read_bytes()
    assert tree(tmp_path / "out/images") == tree(tmp_path / "damaged/images")
    assert record["counts"]["outputs"] < 160


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in found.split()]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pgrep") is None, reason="pgrep is not installed")
def test_workers_killed_mid_shard_are_replaced(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=150, size=(200, 200))
    augment(source, tmp_path / "whole", Options(PlanOptions(copies=4)), jobs=0)
    process = subprocess.Popen(
        [*COMMAND, source, tmp_path / "out", "--copies", "4", "--jobs", "2"],
        stderr=subprocess.PIPE, text=True,
    )
    killed = 0
    while process.poll() is None and killed < 3:
        time.sleep(0.25)
        for child in children(process.pid)[:1]:
            with contextlib.suppress(ProcessLookupError):  # gone by itself
                os.kill(child, signal.SIGKILL)
                killed += 1
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 0, stderr
    assert killed and tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_shard_that_kills_workers_without_a_source_at_fault_stops_the_run(source, whole, tmp_path, monkeypatch):
    from mixup_cli import render

    with monkeypatch.context() as patch:
        patch.setattr(render, "encode_pngs", lambda *block: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(StoppedError, match="died again and again, but none of its sources alone is at fault"):
            augment(source, tmp_path / "out", jobs=1)
    augment(source, tmp_path / "out", jobs=0, resume=True)
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | true"])
def test_a_closed_stdout_or_stderr_does_not_stop_the_job(tmp_path, closed):
    source = write_dataset(tmp_path / "in", per_class=30)
    augment(source, tmp_path / "whole", jobs=0)
    command = f"{sys.executable} -m mixup_cli augment {source} {tmp_path}/out {closed}"
    subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], check=True)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
