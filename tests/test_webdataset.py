"""Tars: written, piped, and read as an input, ours and other people's."""

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile

import numpy as np
import pytest
from PIL import Image

from helpers import COMMAND, SIGNALLED, noise, read_csv, tree, write_dataset
from mixup_cli import tar
from mixup_cli.run import Options, augment
from mixup_cli.dataset import ReadOptions, read_dataset
from mixup_cli.errors import InputError, MismatchError
from mixup_cli.verify import verify
from test_durability import begun


def write_tar(path, members, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def png(seed=0):
    buffer = io.BytesIO()
    Image.fromarray(noise(9, 12, 3, seed)).save(buffer, "PNG")
    return buffer.getvalue()


def samples(number, label, kind="cls", folder=""):
    for i in range(number):
        yield f"{folder}{i:04}.png", png(i)
        yield f"{folder}{i:04}.{kind}", label(i).encode()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_a_member_is_what_the_tar_format_says(tmp_path, size):
    data = tar.member("images/00000/00000000.png", b"x" * size) + tar.END
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        info, = archive.getmembers()
        assert archive.extractfile(info).read() == b"x" * size
    assert (info.name, info.mode, info.uid, info.gid, info.mtime) == ("images/00000/00000000.png", 0o644, 0, 0, 0)
    assert info.uname == info.gname == ""
    if shutil.which("tar"):
        listed = subprocess.run(["tar", "tf", "-"], input=data, capture_output=True)
        assert (listed.returncode, listed.stdout, listed.stderr) == (0, b"images/00000/00000000.png\n", b"")


def test_a_header_for_more_than_8_gigabytes():
    header = tar.header("labels.csv", 10**11)
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 10**11


# The pipe.


def piped(source, *options, **more):
    return subprocess.run([*COMMAND, source, "-", *options], capture_output=True, timeout=120, **more)


def test_a_pipe_extracted_is_the_run_itself(source, whole, tmp_path):
    for jobs in (0, 2):
        result = piped(source, "--jobs", str(jobs))
        assert result.returncode == 3 and b"Rejected: cat/bad.png: not a JPEG" in result.stderr
        with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
            archive.extractall(tmp_path / f"out{jobs}", filter="data")
            assert archive.getnames()[-1] == "mixup.json"  # last: it means complete
        assert tree(tmp_path / f"out{jobs}") == whole
    assert verify(tmp_path / "out0", source, jobs=0)["problems"] == []


@pytest.mark.slow
def test_a_pipe_of_samples_is_one_webdataset(source, tmp_path):
    first, second = (piped(source, "--format", "webdataset", "--jobs", jobs).stdout for jobs in "02")
    assert first == second
    augment(source, tmp_path / "out", Options(format="webdataset"), jobs=0)
    expected = [("__classes__", b"cat\ndog\n")]
    for shard in sorted(tmp_path.glob("out/images/*.tar")):
        with tarfile.open(shard) as archive:
            expected += [(m.name, archive.extractfile(m).read()) for m in archive.getmembers()[1:]]
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert [(m.name, archive.extractfile(m).read()) for m in archive.getmembers()] == expected
    (tmp_path / "in").mkdir()
    (tmp_path / "in/all.tar").write_bytes(first)
    assert len(read_dataset(tmp_path / "in").sources) == 399


@pytest.mark.slow
@pytest.mark.parametrize("options, words", [
    (["--resume"], "written from the start"), (["--part", "1/2"], "written from the start"),
    (["--json"], "--json needs stdout too"), (["--format", "parquet"], "a pipe takes a tar"),
])
def test_what_a_pipe_cannot_do(source, options, words):
    result = piped(source, *options)
    assert (result.returncode, result.stdout) == (2, b"") and words.encode() in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_reader_that_goes_stops_the_run(source, tmp_path):
    command = " ".join(map(str, COMMAND))
    result = subprocess.run(
        ["bash", "-c", f"{command} {source} - --format webdataset | head -c 1000; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert result.returncode == 4 and result.stderr == (
        b"Error: standard output: its reader is gone; the tar there is incomplete\n"
    )
    assert len(result.stdout) == 1000 and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number, code, word", [
    (signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated"),
])
def test_a_signal_while_a_pipe_is_read(source, number, code, word):
    """Nobody can resume a tar that somebody else has read."""
    command = [*SIGNALLED, source, "-", "--copies", "50", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(100_000)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode()) == (code, f"{word}: the tar is incomplete; start again\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_the_pipe(source):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([*COMMAND, source, "-", "--quiet"], stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 4 and b"Error: standard output: No space left on device" in result.stderr
    assert b"from the start" in result.stderr and b"--resume" not in result.stderr


@pytest.mark.slow
def test_shards_that_finish_early_wait_for_their_turn_and_no_more_are_begun(source, tmp_path, monkeypatch):
    from mixup_cli import engine
    from mixup_cli.run import augment_to_pipe
    from mixup_cli.store import pipe

    most, real = 0, engine.run

    def last_first(workers, function, jobs, **options):
        """The first shard takes longer than all others."""
        first = next(jobs)
        for job in jobs:
            if job is None:
                break
            yield function(job)
        yield function(first)
        yield from real(workers, function, jobs, **options)

    class Watched(pipe.Pipe):
        def rendered(self, shard, folder):
            nonlocal most
            super().rendered(shard, folder)
            most = max(most, len(self.waiting))

    monkeypatch.setattr(engine, "run", last_first)
    monkeypatch.setattr(pipe, "MOST_BEHIND", 3)
    monkeypatch.setattr("mixup_cli.run.Pipe", Watched)
    out = io.BytesIO()
    augment_to_pipe(source, out, jobs=0)
    assert most == 4
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        names = [name for name in archive.getnames() if name.endswith(".png")]
    assert names == sorted(names) and len(names) == 398 + 1


# The reader.


def labels(root, **options):
    dataset = read_dataset(root, ReadOptions(**options))
    assert dataset.reader == "webdataset"
    return {source: dataset.label_text(i) for i, source in enumerate(dataset.sources)}


def test_classes_by_number_and_by_name(tmp_path):
    write_tar(tmp_path / "a/0.tar", samples(3, lambda i: str(i % 2)))
    assert labels(tmp_path / "a") == {"0.tar/0000.png": "0", "0.tar/0001.png": "1", "0.tar/0002.png": "0"}
    (tmp_path / "a/classes.txt").write_text("cat\ndog\n")
    assert set(labels(tmp_path / "a").values()) == {"cat", "dog"}
    (tmp_path / "a/classes.txt").write_text("cat\n")
    with pytest.raises(InputError, match=r"0.tar: 0001.cls: class '1' is not among the 1 of classes.txt"):
        labels(tmp_path / "a")
    write_tar(tmp_path / "b/0.tar", samples(2, lambda i: ["cat", "dog"][i] + "\n", folder="x/y.d/"))
    assert labels(tmp_path / "b") == {"0.tar/x/y.d/0000.png": "cat", "0.tar/x/y.d/0001.png": "dog"}


def test_labels_in_json(tmp_path):
    write_tar(tmp_path / "a/0.tar", samples(2, lambda i: json.dumps({"label": i, "w": ["x", "y"]}), "json"))
    assert set(labels(tmp_path / "a").values()) == {"0", "1"}
    assert set(labels(tmp_path / "a", label_column="w").values()) == {"x:0.5|y:0.5"}
    write_tar(tmp_path / "b/0.tar", samples(2, lambda i: '{"classes": [3, 1], "weights": [0.25, 0.75]}', "json"))
    assert set(labels(tmp_path / "b").values()) == {"1:0.75|3:0.25"}


@pytest.mark.parametrize("label, words", [
    ("[1", "not JSON"), ("{}", "name its key by --label-column"), ('{"soft_label": 3}', "no list of numbers"),
    ('{"soft_label": ["x"]}', "no list of numbers"), ('{"soft_label": [-1, 2]}', "below 0"),
    ('{"soft_label": [0, 0]}', "all weights are 0"), ('{"label": "=x"}', "formula"),
    ('{"soft_label": [NaN]}', "below 0 or infinite"), ('{"label": {"a": 1}}', "give a class name"),
])
def test_labels_that_are_refused_by_name(tmp_path, label, words):
    write_tar(tmp_path / "in/0.tar", samples(2, lambda i: label, "json"))
    with pytest.raises(InputError, match="in/0.tar: 0000.json: ") as e:
        labels(tmp_path / "in")
    assert words in str(e.value)


def test_what_is_no_sample_is_counted_and_what_is_damaged_is_rejected(tmp_path):
    members = [*samples(4, lambda i: "ab"[i % 2]), ("note.txt", b"x"), ("lone.jpg", png()), ("bad.png", b"no"), ("bad.cls", b"a")]
    write_tar(tmp_path / "in/0.tar", members)
    (tmp_path / "in/.hidden.tar").write_bytes(b"")
    (tmp_path / "in/LICENSE").write_bytes(b"")
    dataset = read_dataset(tmp_path / "in")
    assert dataset.skipped == {
        "hidden": [".hidden.tar"], "other": ["LICENSE", "0.tar/note.txt"], "unlabelled": ["0.tar/lone.jpg"],
    }
    augment(tmp_path / "in", tmp_path / "out", jobs=0)
    assert [row["source"] for row in read_csv(tmp_path / "out/rejects.csv")] == ["0.tar/bad.png"]


def test_tars_that_cannot_be_read(tmp_path):
    whole = write_tar(tmp_path / "whole.tar", samples(8, str)).read_bytes()
    (tmp_path / "in").mkdir()
    for data, words in [
        (whole[: len(whole) // 2], "cut short|no tar file"), (b"x" * 2000, "no tar file that can be read"),
        (whole[:600] + b"\xff" + whole[601:], None),
    ]:
        (tmp_path / "in/0.tar").write_bytes(data)
        if words:
            with pytest.raises(InputError, match=f"in/0.tar: ({words})"):
                read_dataset(tmp_path / "in")
    with tarfile.open(tmp_path / "in/0.tar", "w:gz"):
        pass
    with pytest.raises(InputError, match="uncompressed"):
        read_dataset(tmp_path / "in")


def test_a_key_that_is_there_twice(tmp_path):
    write_tar(tmp_path / "in/0.tar", [*samples(1, str), ("x.txt", b""), *samples(1, str)])
    with pytest.raises(InputError, match="0.tar/0000.png: there twice"):
        read_dataset(tmp_path / "in")


def test_splits_are_never_mixed(tmp_path):
    for name in ("set-train-000.tar", "set-val-000.tar"):
        write_tar(tmp_path / "in" / name, samples(2, str))
    with pytest.raises(InputError, match="splits train, val"):
        read_dataset(tmp_path / "in")
    for name in ("train", "val"):
        write_tar(tmp_path / "split" / name / "000.tar", samples(2, str))
    with pytest.raises(InputError, match="--split train"):
        read_dataset(tmp_path / "split")
    assert len(labels(tmp_path / "split", split="train")) == 2


def test_a_tar_beside_class_folders_is_but_a_download(tmp_path):
    write_dataset(tmp_path / "in")
    write_tar(tmp_path / "in/download.tar", samples(2, str))
    assert read_dataset(tmp_path / "in").reader == "folder"


def test_the_pixels_are_those_of_the_files_in_the_tar(tmp_path):
    """The same images as files and as members give the same outputs."""
    folder = write_dataset(tmp_path / "folder", per_class=10)
    members = []
    for path in sorted(folder.rglob("*.png"), reverse=True):  # a tar has an order of its own
        key = path.relative_to(folder).with_suffix("").as_posix().replace("/", "-")
        members += [(f"{key}.png", path.read_bytes()), (f"{key}.cls", path.parent.name.encode())]
    write_tar(tmp_path / "tars/0.tar", members)
    augment(folder, tmp_path / "a", jobs=0)
    augment(tmp_path / "tars", tmp_path / "b", jobs=2)
    assert tree(tmp_path / "a/images") == tree(tmp_path / "b/images")
    assert tree(tmp_path / "a")["labels.csv"] == tree(tmp_path / "b")["labels.csv"]
    assert verify(tmp_path / "b", tmp_path / "tars", jobs=0)["problems"] == []


@pytest.mark.slow
@pytest.mark.parametrize("hash_inputs", [False, True])
def test_a_tar_that_changed_is_refused(tmp_path, hash_inputs):
    path = write_tar(tmp_path / "in/0.tar", samples(200, lambda i: "ab"[i % 2]))
    begun(tmp_path / "in", tmp_path / "out", hash_inputs=hash_inputs)
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    os.utime(path, (1, 1))
    with pytest.raises(MismatchError, match="source 0.tar/0000.png was changed"):
        augment(tmp_path / "in", tmp_path / "out", resume=True, hash_inputs=hash_inputs, jobs=0)


def test_the_record_of_a_sample_says_where_it_comes_from(tmp_path):
    source = write_dataset(tmp_path / "in")
    augment(source, tmp_path / "out", Options(format="webdataset"), jobs=0)
    with tarfile.open(tmp_path / "out/images/00000.tar") as archive:
        record = json.load(archive.extractfile("images/00000/00000002.json"))
    row = read_csv(tmp_path / "out/metadata.csv")[2]
    assert {k: str(v) for k, v in record.items() if k != "soft_label"} == {
        k: v for k, v in row.items() if k != "file_name"
    }
    assert np.isclose(sum(record["soft_label"]), 1)
