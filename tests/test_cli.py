"""The command as a user runs it: a real process, its exit code, stdout and stderr."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers import AS_ORDINARY_USER, read_csv, tree, write_dataset
from mixup_cli.cli import COMMANDS
from mixup_cli.cli.progress import Progress


def mixup(*arguments, **options):
    command = [sys.executable, "-W", "error", "-m", "mixup_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture
def source(tmp_path):
    return write_dataset(tmp_path / "in")


def assert_refused(result, code, *words):
    """One clear line and the exit code, no traceback."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr and result.stdout == ""
    assert result.stderr.strip().splitlines()[-1].startswith("Error: ")
    for word in words:
        assert str(word) in result.stderr


def test_a_run_and_its_summary(source, tmp_path):
    result = mixup("augment", source, tmp_path / "out", "--json")
    assert result.returncode == 0 and "Wrote 8 images from 8 sources of 2 classes" in result.stderr
    record = json.loads(result.stdout)
    assert record["counts"]["outputs"] == 8 and record["out"] == str(tmp_path / "out")


def test_quiet_says_nothing(source, tmp_path):
    result = mixup("augment", source, tmp_path / "out", "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_bar_in_a_terminal(source, tmp_path):
    terminal, inner = os.openpty()
    command = [sys.executable, "-m", "mixup_cli", "augment", source, tmp_path / "out"]
    subprocess.run(command, stderr=inner, check=True)
    os.close(inner)
    printed = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "100%" in printed and "8/8" in printed and "images/s" in printed


def test_a_plain_line_without_a_terminal():
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress(10, 100)
    assert stream.getvalue() == ""  # the first 10 seconds are silent
    progress.started -= 20
    progress.last_line -= 20
    progress(50, 100)
    progress(51, 100)
    line = stream.getvalue()
    assert line.count("\n") == 1 and line.startswith("50 of 100 images, ") and line.endswith(" left\n")


def test_dry_run_writes_nothing(source, tmp_path):
    result = mixup("augment", source, tmp_path / "out", "--dry-run", "--copies", "3")
    assert result.returncode == 0 and not (tmp_path / "out").exists()
    assert "24 images in 1 shard to" in result.stderr and "0.1 MB" in result.stderr


def test_skipped_files_are_counted(source, tmp_path):
    (source / ".ipynb_checkpoints").mkdir()
    (source / "cat/._0.png").write_bytes(b"x")
    (source / "cat/notes.txt").write_text("x")
    (source / "README.md").write_text("x")
    result = mixup("augment", source, tmp_path / "out")
    assert result.returncode == 0
    assert "Skipped: 2 hidden, 1 not images by name, 1 in no class folder" in result.stderr


@pytest.mark.parametrize("alpha", ["-1", "nan", "inf", "much", ""])
def test_alpha_must_be_a_number(source, tmp_path, alpha):
    assert_refused(mixup("augment", source, tmp_path / "out", f"--alpha={alpha}"), 2, "--alpha")


def test_missing_empty_and_unclassed_inputs(source, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    assert_refused(mixup("augment", tmp_path / "no", out), 2, "no such folder")
    assert_refused(mixup("augment", tmp_path / "empty", out), 2, "no class folders")
    assert_refused(mixup("augment", source / "cat", out), 2, "no class folders")
    assert_refused(mixup("augment", source / "cat/0.png", out), 2, "not a folder")
    (source / "bird").mkdir()
    assert_refused(mixup("augment", source, out), 2, source / "bird", "--allow-empty")
    assert mixup("augment", source, out, "--allow-empty").returncode == 0


def test_input_and_output_must_not_contain_one_another(source, tmp_path):
    (tmp_path / "link").symlink_to(source)
    for out in (source, source / "out", tmp_path, tmp_path / "link/out"):
        assert_refused(mixup("augment", source, out), 2, "inside one another")
    assert not (source / "out").exists()


def test_what_is_not_ours_is_never_touched(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    for flags in ([], ["--overwrite"]):
        assert_refused(mixup("augment", source, out, *flags), 2, "not from an earlier run")
    assert tree(out) == {"thesis.tex": b"years of work"}


def test_overwrite_replaces_an_earlier_run_and_keeps_the_rest(source, tmp_path):
    out = tmp_path / "out"
    mixup("augment", source, out, "--copies", "2")
    (out / "notes.txt").write_text("mine")
    assert_refused(mixup("augment", source, out), 2, "--overwrite")
    assert mixup("augment", source, out, "--overwrite").returncode == 0
    fresh = tmp_path / "fresh"
    mixup("augment", source, fresh)
    assert tree(out) == {**tree(fresh), "notes.txt": b"mine"}
    (out / "images/00000/mine.png").write_bytes(b"x")
    assert_refused(mixup("augment", source, out, "--overwrite"), 2, "mine.png")
    assert (out / "mixup.json").exists()


@pytest.mark.skipif(not shutil.which(AS_ORDINARY_USER[0]), reason="root needs setpriv to be refused anything")
@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_no_permission_to_write_or_to_read():
    """As an ordinary user, even where the tests run as root, who may do everything."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        source = write_dataset(root / "in")
        (root / "locked").mkdir(mode=0o500)

        def run(source, out):
            command = [*AS_ORDINARY_USER, "augment", source, out]
            return subprocess.run(command, capture_output=True, text=True, cwd=root)

        assert_refused(run("in", "locked/out"), 2, "locked")
        (source / "cat").chmod(0)
        (root / "open").mkdir()
        (root / "open").chmod(0o777)
        assert_refused(run("in", "open/out"), 2, "in/cat")
        assert not (root / "open/out").exists()


def test_rejected_sources_decide_the_exit_code(source, tmp_path):
    (source / "cat/0.png").write_text("not a picture")
    result = mixup("augment", source, tmp_path / "out")
    assert result.returncode == 3 and "1 source rejected" in result.stderr
    assert len(read_csv(tmp_path / "out/rejects.csv")) == 1
    assert mixup("augment", source, tmp_path / "b", "--on-error", "skip").returncode == 0
    assert_refused(mixup("augment", source, tmp_path / "c", "--on-error", "fail"), 3, "cat/0.png")


def test_another_run_holds_the_output(source, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    work = tmp_path / "out/.mixup"
    work.mkdir(parents=True)
    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(mixup("augment", source, tmp_path / "out"), 5, "another run")


def test_help_version_and_start_up():
    assert "augment" in mixup("--help").stdout
    assert "Examples:" in mixup("augment", "--help").stdout
    assert mixup("--version").stdout.startswith("mixup, version 0.1.0")
    code = (
        "import sys; from mixup_cli.cli import cli; cli(['--help'], standalone_mode=False);"
        "assert not {'numpy', 'PIL', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for arguments in ([], *([name] for name in COMMANDS)):
        assert all(len(line) <= 80 for line in mixup(*arguments, "--help").stdout.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number, code, word", [
    (signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated"),
])
def test_a_signal_to_a_command_that_writes_nothing(number, code, word):
    """There is nothing that --resume continues."""
    program = (
        "import os, sys, mixup_cli.inspect\n"
        f"mixup_cli.inspect.inspect = lambda *args, **options: os.kill(os.getpid(), {int(number)})\n"
        "from mixup_cli.cli import main\n"
        "sys.argv = ['mixup', 'inspect', 'sample_data']\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", f"{word}\n")


@pytest.mark.parametrize("arguments, words", [
    (["--lam", "0.5", "--max-mix", "0.3"], "--lam and --max-mix exclude one another; drop one"),
    (["--lam", "0.1", "--min-mix", "0.3"], "--lam and --min-mix exclude one another; drop one"),
    (["--overwrite", "--part", "1/2"], "--overwrite and --part exclude one another; drop one"),
    (["--scheduler", "bogus"], "--scheduler bogus: not an address; give one such as tcp://host:8786, or local"),
    (["--size", "20000"], "--size 20000x20000: 400,000,000 pixels, more than --max-pixels 100 megapixels"),
])
def test_what_is_refused_is_named_as_it_was_given(source, tmp_path, arguments, words):
    result = mixup("augment", source, tmp_path / "out", *arguments)
    assert result.returncode == 2 and result.stderr.endswith("\n") and "Traceback" not in result.stderr
    assert words in result.stderr.splitlines()[-1] and not (tmp_path / "out").exists()


def test_links_that_leave_the_input_are_named_where_nothing_else_is_there(source, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in source.iterdir():
        (linked / folder.name).symlink_to(folder, target_is_directory=True)
    result = mixup("augment", linked, tmp_path / "out")
    assert result.returncode == 2 and "--follow-symlinks" in result.stderr and result.stderr.count("\n") == 1
    assert mixup("augment", linked, tmp_path / "out", "--follow-symlinks").returncode == 0
    result = mixup("verify", tmp_path / "out", "--source", linked)  # which reads the input as the run did
    assert result.returncode == 0, result.stdout


def test_a_dry_run_of_a_resume_is_refused_as_that_is(source, tmp_path):
    assert mixup("augment", source, tmp_path / "out", "--size", "16").returncode == 0
    for more in ([], ["--dry-run"]):
        result = mixup("augment", source, tmp_path / "out", "--size", "3", "--resume", *more)
        assert result.returncode == 6 and "size" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["0", "1"])
def test_too_little_memory_is_no_bug(source, tmp_path, jobs):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
    code = f"{limited} import sys; sys.argv[0] = 'mixup'; from mixup_cli.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "augment", source, tmp_path / "out", "--size", "20000", "--max-pixels", "400",
         "--count", "1", "--jobs", jobs], capture_output=True, text=True, timeout=120,
    )
    assert result.returncode == 4, result.stderr
    assert "Error: out of memory" in result.stderr and "a smaller --size" in result.stderr
    assert "bug" not in result.stderr and "Traceback" not in result.stderr
