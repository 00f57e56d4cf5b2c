"""Full disks, limits, failing syncs and power cuts: stopped with a line that helps, then resumed."""

import ctypes
import errno
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from helpers import COMMAND, tree
from mixup_cli.run import augment
from mixup_cli.errors import StoppedError
from mixup_cli.store import disk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX limits and file systems")
NAMESPACE = ["unshare", "--mount"] if os.name != "nt" and os.geteuid() == 0 else ["unshare", "-Urm"]


def mixup(*arguments):
    return shlex.join(map(str, [*COMMAND, *arguments]))


def bash(script, *before):
    """A script's exit code, and what it said on stdout and stderr."""
    result = subprocess.run(
        [*before, "bash", "-c", script], capture_output=True, text=True, timeout=300
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def mount(tmp_path):
    """A folder to mount on, in a mount namespace of the script's own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    code, _, stderr = bash(f"mount -t tmpfs none {folder}", *NAMESPACE) if shutil.which("unshare") \
        else (1, "", "unshare is not installed")
    if code:
        pytest.skip(f"no file system may be mounted here: {stderr.strip()}")
    return folder


def stopped(said, path, *words):
    """Whether the only line is an error that names a path and what to do."""
    assert re.fullmatch(rf"Error: {re.escape(str(path))}[^\n]*; [^\n]*, then run again with --resume\n", said), said
    for word in words:
        assert word in said
    return True


@pytest.mark.parametrize("jobs", [0, 2])
@pytest.mark.parametrize("limits, words", [
    ("size=400k", ["No space left on device", "free space or inodes"]),
    ("size=64m,nr_inodes=200", ["No space left on device", "free space or inodes"]),
])
def test_a_full_disk_stops_the_run_and_more_room_resumes_it(
    source, whole, tmp_path, mount, limits, words, jobs
):
    out = mount / "out"
    code, _, said = bash(f"""
        mount -t tmpfs -o {limits} none {mount}
        {mixup(source, out, "--jobs", jobs)} 2> {tmp_path}/first
        echo $? > {tmp_path}/code
        [ ! -e {out}/mixup.json ] || exit 9
        cp -r {out}/images {tmp_path}/before
        mount -o remount,size=64m,nr_inodes=9999 {mount}
        {mixup(source, out, "--jobs", jobs, "--resume", "--quiet")}
        code=$?; cp -r {out} {tmp_path}/out; exit $code
    """, *NAMESPACE)
    assert stopped((tmp_path / "first").read_text(), out, *words)
    assert (tmp_path / "code").read_text() == "4\n"
    for name, data in tree(tmp_path / "before").items():
        assert whole[f"images/{name}"] == data
    assert (code, said) == (3, "") and tree(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_disk_that_is_full_at_every_step(source, whole, tmp_path, mount):
    """From one that holds nothing to one that holds all but the last table."""
    codes = []
    for size in [8, 16, 40, *range(100, 2000, 150)]:
        out = mount / "out"
        code, _, said = bash(f"""
            mount -t tmpfs -o size={size}k,nr_inodes=9999 none {mount}
            {mixup(source, out, "--jobs", 0, "--resume", "--quiet")}; code=$?
            if [ $code = 4 ]; then
                mount -o remount,size=64m {mount}
                {mixup(source, out, "--jobs", 0, "--resume", "--quiet")} || exit 99
            fi
            rm -rf {tmp_path}/out; cp -r {out} {tmp_path}/out; exit $code
        """.replace("|| exit 99", "; [ $? = 3 ] || exit 99"), *NAMESPACE)
        codes.append(code)
        assert code == 3 or code == 4 and stopped(said, out), (size, code, said)
        assert tree(tmp_path / "out") == whole
    assert codes[0] == 4 and codes[-1] == 3


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_limit_on_the_size_of_a_file(source, whole, tmp_path, blocks):
    """As a quota does: RLIMIT_FSIZE, in blocks of 1,024 bytes."""
    code, _, said = bash(f"ulimit -f {blocks}; {mixup(source, tmp_path / 'out')}")
    assert code == 4 and stopped(said, tmp_path / "out", "File too large", "ulimit -f")
    augment(source, tmp_path / "out", jobs=0, resume=True)
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("files", [
    12, 32, *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 24) if n != 12)
])
def test_a_limit_on_open_files(source, whole, tmp_path, files):
    """Either it does without, or it stops: no source is blamed, nothing hangs."""
    out = tmp_path / "out"
    code, _, said = bash(f"ulimit -n {files}; {mixup(source, out, '--quiet')}")
    if code == 4 and out.exists():
        assert "Too many open files" in said and "ulimit -n" in said.splitlines()[-1]
        assert said.count("\n") == 1 or files < 16  # multiprocessing in dire need may print its own
    elif code != 3:
        assert files < 12, (code, said)  # Python itself does not start
    if code != 3:
        augment(source, out, jobs=0, resume=True)
    assert tree(out) == whole


def test_a_read_only_disk_is_refused_before_any_work(source, mount):
    code, _, said = bash(f"""
        mount -t tmpfs -o ro none {mount}
        {mixup(source, mount / "out")}
    """, *NAMESPACE)
    assert code == 2 and said.startswith(f"Error: {mount}: no permission to write")


def test_a_disk_that_becomes_read_only(source, whole, tmp_path, mount):
    out = mount / "out"
    code, _, said = bash(f"""
        mount -t tmpfs none {mount}
        {mixup(source, out, "--part", "1/2", "--quiet")}
        mount -o remount,ro {mount}
        {mixup(source, out, "--resume")}; echo $?
        mount -o remount,rw {mount}
        {mixup(source, out, "--resume", "--quiet")}
        code=$?; cp -r {out} {tmp_path}/out; exit $code
    """, *NAMESPACE)
    assert "make it writable" in said or "no permission to write" in said
    assert code == 3 and tree(tmp_path / "out") == whole


def test_a_sync_that_failed_is_not_tried_again_on_the_same_files(source, whole, tmp_path, monkeypatch):
    """The system drops pages that it could not write, and the next sync of them succeeds."""
    synced = []
    real = disk.Sync.__call__

    def failing(sync):
        synced.append(sync.folder)
        if len(synced) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(sync.folder))
        real(sync)

    monkeypatch.setattr(disk.Sync, "__call__", failing)
    out = tmp_path / "out"
    with pytest.raises(StoppedError, match=f"{out}.*Input/output error; check that disk"):
        augment(source, out, jobs=0)
    assert len(list((out / "images").iterdir())) == 2 and not synced[2].exists()
    augment(source, out, jobs=0, resume=True)
    assert len(set(synced)) == len(synced) and tree(out) == whole


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is of Linux")
def test_the_folder_is_open_before_its_files_are_written(tmp_path, monkeypatch):
    """What fails to reach the disk before the sync is reported to those who had it open."""
    from mixup_cli.store import StagedShard

    (tmp_path / "images").mkdir()
    synced = []
    libc = ctypes.CDLL(None, use_errno=True)

    class Libc:
        def syncfs(self, descriptor):
            synced.append(descriptor)
            return libc.syncfs(descriptor)

    monkeypatch.setattr(disk, "_libc", Libc)
    with StagedShard(tmp_path, tmp_path, "00000") as shard:
        opened = shard.sync.descriptor
        assert os.path.samestat(os.fstat(opened), os.stat(shard.path))
        shard.write("00000000.png", b"x")
        shard.commit({})
    assert synced == [opened]
    with pytest.raises(OSError):
        os.fstat(opened)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call, error", [
    ("syncfs", "EIO"), *(pytest.param(*fault, marks=pytest.mark.slow) for fault in (
        ("syncfs", "ENOSPC"), ("fsync", "EIO"), ("mkdir", "ENOSPC"), ("rename", "EROFS"),
    )),
])
def test_a_system_call_that_fails(source, whole, tmp_path, call, error):
    out = tmp_path / "out"
    trace = f"strace -f -qq -o /dev/null -e trace={call} -e inject={call}:error={error}:when=3"
    code, _, said = bash(f"{trace} {mixup(source, out, '--jobs', 1)}")
    if "PTRACE" in said or "Operation not permitted" in said:
        pytest.skip(f"strace may not trace here: {said.strip()}")
    assert code == 4 and stopped(said, out), (code, said)
    augment(source, out, jobs=0, resume=True)
    assert tree(out) == whole


FS_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # linux/fs.h, ext4.h: as if the power were gone
CUT = (
    "import array, fcntl, os, sys;"
    f"fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), {FS_IOC_SHUTDOWN}, array.array('I', [{NO_LOG_FLUSH}]))"
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ext4 and its shutdown are of Linux")
@pytest.mark.parametrize("after, sync", [
    (0, True), (1, True), (3, True), (6, True), (9, True), (9, False),
])
def test_a_power_cut(source, whole, tmp_path, after, sync):
    """After so many shards are visible the disk stops as if the power were gone. What is visible
    when it is back is whole; without the sync it is not, or this test would prove nothing."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    out = folder / "out"
    folder.mkdir()
    code, _, said = bash(f"""
        set -e
        truncate -s 64M {image}; mkfs.ext4 -q {image}
        mount -o loop,commit=1 {image} {folder}; umount {folder}
    """, *NAMESPACE)
    if code:
        pytest.skip(f"ext4 cannot be mounted from a file here: {said.strip().splitlines()[-1]}")
    options = ("--jobs", 2, "--quiet") if sync else ("--jobs", 2, "--quiet", "--no-sync")
    code, _, said = bash(f"""
        mount -o loop,commit=1 {image} {folder}
        {mixup(source, out, *options)} 2> {tmp_path}/first &
        until [ "$(ls {out}/images 2> /dev/null | wc -l)" -ge {after} ] && [ -d {out} ]; do
            kill -0 $! 2> /dev/null || break
        done
        {"" if sync else "wait; sleep 2.5"}
        {sys.executable} -c {shlex.quote(CUT)} {folder} || exit 7
        wait
        umount {folder} || exit 8
        mount -o loop {image} {folder} || exit 9
        mkdir {tmp_path}/before; cp -r {out}/images {tmp_path}/before/images
        if [ -e {out}/mixup.json ]; then cp {out}/mixup.json {tmp_path}/before; fi
        {mixup(source, out, "--jobs", 2, "--quiet", "--resume")} 2> {tmp_path}/second
        code=$?; cp -r {out} {tmp_path}/out; umount {folder}; exit $code
    """, *NAMESPACE)
    if code == 7:
        pytest.skip(f"no disk may be shut down here: {said.strip().splitlines()[-1]}")
    assert code in (3, 4), (code, said)
    found = tree(tmp_path / "before")
    said = (tmp_path / "first").read_text()
    assert said == "" or stopped(said, out)
    if not sync:
        assert any(whole.get(name) != data for name, data in found.items())
        return
    for name, data in found.items():
        assert whole[name] == data, name
    images = tmp_path / "before/images"
    shards = os.listdir(images) if images.exists() else []
    assert len(shards) >= after
    for shard in shards:
        files = {name for name in whole if name.startswith(f"images/{shard}/")}
        assert {f"images/{shard}/{name}" for name in os.listdir(images / shard)} == files
    assert code == 3 and tree(tmp_path / "out") == whole, (tmp_path / "second").read_text()
