"""--layout classes: each PNG in the folder of its dominant class, with the promises of every run."""

import csv
import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import COMMAND, read_csv, tree, write_dataset
from mixup_cli import ReadOptions, load, read_dataset
from mixup_cli.errors import InputError
from mixup_cli.plan import PlanOptions
from mixup_cli.run import Options, augment
from mixup_cli.store import Store, class_folders
from mixup_cli.verify import verify

BY_CLASS = Options(PlanOptions(alpha=1.0), layout="classes")


def run(source, out, *options):
    return subprocess.run([*COMMAND, source, out, "--jobs", "0", *options], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def arranged(source, tmp_path_factory):
    """The files of an uninterrupted run, arranged by class."""
    out = tmp_path_factory.mktemp("arranged") / "out"
    augment(source, out, BY_CLASS, jobs=0)
    return out


def test_each_file_lies_in_the_folder_of_its_dominant_class(source, arranged, tmp_path):
    """By labels.csv; the pictures and tables are those of the other layout, but for their place."""
    augment(source, tmp_path / "shards", replace(BY_CLASS, layout="shards"), jobs=0)
    plain = {Path(name).name: data for name, data in tree(tmp_path / "shards/images").items()}
    assert {Path(name).name: data for name, data in tree(arranged / "images").items()} == plain
    even = 0
    for row in read_csv(arranged / "labels.csv"):
        _, folder, _ = row.pop("file_name").split("/")
        weights = {name: float(weight) for name, weight in row.items()}
        assert weights[folder] == max(weights.values())
        even += max(weights.values()) < 0.6
    for name in ("labels.csv", "metadata.csv"):
        here, there = (read_csv(out / name) for out in (arranged, tmp_path / "shards"))
        for row in (*here, *there):
            row["file_name"] = os.path.basename(row["file_name"])
        assert here == there
    result = run(source, tmp_path / "out", "--layout", "classes", "--alpha", "1", "--jobs", "2")
    assert f"{even:,} of {len(plain):,} outputs nearly even" in result.stderr and even > 20
    assert tree(tmp_path / "out") == tree(arranged)
    result = run(source, tmp_path / "honest", "--layout", "classes", "--alpha", "1", "--max-mix", "0.4")
    assert result.returncode == 3 and "nearly even" not in result.stderr


def test_other_tools_and_our_own_commands_understand_it(source, arranged, tmp_path):
    assert verify(arranged, jobs=0)["problems"] == []
    report = verify(arranged, source, jobs=2)
    assert report["problems"] == [] and report["files"] == report["rows"] > 300
    files, labels, classes = load(arranged)
    assert all(os.path.isfile(file) for file in files)
    for file, label in zip(files, labels, strict=True):
        assert classes[label.argmax()] == Path(file).parent.name
    hard = read_dataset(arranged / "images", ReadOptions(reader="folder"))
    assert hard.classes == classes and len(hard.sources) == len(files)
    soft = read_dataset(arranged)
    assert soft.reader == "mixup" and len(soft.sources) == len(files)


def test_its_metadata_is_a_plan(source, arranged, tmp_path):
    """Rendered again in both layouts; with rows dropped, the others keep their names."""
    for layout in ("classes", "shards"):
        out = tmp_path / layout
        augment(source, out, Options(str(arranged / "metadata.csv"), layout=layout), jobs=0)
        wanted = {Path(name).name: data for name, data in tree(arranged / "images").items()}
        assert {Path(name).name: data for name, data in tree(out / "images").items()} == wanted
        assert verify(out, source, jobs=0)["problems"] == []
    assert tree(tmp_path / "classes/images") == tree(arranged / "images")
    lines = (arranged / "metadata.csv").read_text().splitlines()
    (tmp_path / "plan.csv").write_text("\n".join([lines[0], *lines[:0:-2]]) + "\n")
    augment(source, tmp_path / "half", Options(str(tmp_path / "plan.csv"), layout="classes"), jobs=0)
    half, whole = tree(tmp_path / "half/images"), tree(arranged / "images")
    assert len(half) == len(lines) // 2 and all(whole[name] == data for name, data in half.items())
    assert verify(tmp_path / "half", source, jobs=0)["problems"] == []
    (tmp_path / "plan.csv").write_text("\n".join([*lines[:3], lines[1].replace("/cat/", "/dog/")]))
    with pytest.raises(InputError, match="stands in line 2 too|stands in line"):
        augment(source, tmp_path / "twice", Options(str(tmp_path / "plan.csv")), jobs=0)


STOPS = {  # where the process dies: after so many calls of a function of the operating system
    "in mid-link": ("link", 57), "before the shards go aside": ("rename", 0),
    "between the two steps": ("rename", 1), "after both": ("replace", 0), "between tables": ("replace", 2),
    "before mixup.json": ("replace", 4),
}
DIES = """
import os, sys
import mixup_cli.store.classes as classes, mixup_cli.store.folder as folder
from mixup_cli.cli import main
name, calls = sys.argv[1], int(sys.argv[2])
original, begun, arrange = getattr(os, name), [], classes.arrange
def counted(*args, **kwargs):
    if begun:
        begun.append(1)
        if len(begun) - 1 > calls:
            os._exit(9)
    return original(*args, **kwargs)
def watched(*args, **kwargs):
    begun.append(1)
    return arrange(*args, **kwargs)
classes.arrange = watched
setattr(os, name, counted)
sys.argv[:3] = ["mixup"]
main()
"""


@pytest.mark.parametrize("stop", [
    pytest.param(stop, marks=() if stop == "between the two steps" else pytest.mark.slow) for stop in STOPS
])
def test_killed_while_it_arranges_and_resumed(source, arranged, tmp_path, stop):
    """At every step: the resumed run ends with the files of an uninterrupted one, as does a new one."""
    name, calls = STOPS[stop]
    out, options = tmp_path / "out", ["--layout", "classes", "--alpha", "1"]
    command = [sys.executable, "-c", DIES, name, str(calls), "augment", source, out, "--jobs", "0", *options]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert killed.returncode == 9, killed.stderr
    assert not (out / "mixup.json").exists()
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", out, copy], check=True)
    assert run(source, out, *options, "--resume").returncode == 3
    assert tree(out) == tree(arranged)
    assert run(source, copy, *options, "--overwrite").returncode == 3
    assert tree(copy) == tree(arranged)


class Killed(BaseException):
    """What stands for SIGKILL: nothing may catch it and go on."""


@pytest.mark.parametrize("layout", ["classes", "shards"])
def test_killed_while_an_earlier_run_is_removed(tmp_path, monkeypatch, layout):
    """Before and after each file or folder that --overwrite removes: what is left is a run of ours,
    which --resume and --overwrite take."""
    source = write_dataset(tmp_path / "in")
    options = Options(layout=layout)
    augment(source, tmp_path / "whole", options, jobs=0)
    out, kills = tmp_path / "out", 0
    steps = [(os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "rename")]
    for again in ("overwrite", "resume"):
        for fatal in range(1, 200):
            if not (out / "mixup.json").exists():
                augment(source, out, options, jobs=0, **{again: True})
            calls = 0

            def deadly(real):
                def call(*args, **kwargs):
                    nonlocal calls
                    calls += 1
                    if calls == fatal:
                        raise Killed
                    return real(*args, **kwargs)
                return call

            with Store(out) as store, monkeypatch.context() as patch:
                for module, name in steps:
                    patch.setattr(module, name, deadly(getattr(module, name)))
                try:
                    store.clear()
                except Killed:
                    kills += 1
            if calls < fatal:
                break
            augment(source, out, options, jobs=0, **{again: True})
            assert tree(out) == tree(tmp_path / "whole")
    assert kills > 20


def test_without_hard_links_files_are_copied(source, arranged, tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    augment(source, tmp_path / "out", BY_CLASS, jobs=0)
    assert tree(tmp_path / "out") == tree(arranged)


@pytest.mark.slow
def test_overwrite_resume_and_what_is_not_ours(source, arranged, tmp_path):
    source = write_dataset(tmp_path / "in")
    out, by_class = tmp_path / "out", ("--layout", "classes")
    assert run(source, out, *by_class).returncode == 0
    before = tree(out)
    assert run(source, out, *by_class, "--resume").returncode == 0 and tree(out) == before
    result = run(source, out, "--resume")
    assert result.returncode == 6 and "layout classes then, shards now" in result.stderr
    assert run(source, out, "--overwrite").returncode == 0 and (out / "images/00000").is_dir()
    assert run(source, out, *by_class, "--overwrite").returncode == 0 and tree(out) == before
    for foreign in (out / "images/cat/mine.txt", out / "images/holiday/00000000.png"):
        foreign.parent.mkdir(exist_ok=True)
        foreign.write_text("mine")
        result = run(source, out, *by_class, "--overwrite")
        assert result.returncode == 2 and "not from a run" in result.stderr and foreign.exists()
        foreign.unlink()
    (out / "images/holiday").rmdir()
    for part in ("1/2", "2/2"):
        assert run(source, tmp_path / "parts", *by_class, "--part", part).returncode == 0
    assert run(source, tmp_path / "parts", *by_class, "--resume").returncode == 0
    assert tree(tmp_path / "parts") == before
    result = run(source, tmp_path / "no", *by_class, "--format", "webdataset")
    assert result.returncode == 2 and "needs --format folder" in result.stderr
    result = run(source, "-", *by_class)
    assert result.returncode == 2 and "no order for a pipe" in result.stderr and result.stdout == ""


def test_verify_finds_what_is_wrong(source, arranged, tmp_path):
    def problems(change):
        out = tmp_path / change.__name__
        subprocess.run(["cp", "-r", arranged, out], check=True)
        change(out / "images")
        return {(p["file"], p["problem"]) for p in verify(out, jobs=0)["problems"]}

    first = sorted(os.listdir(arranged / "images/cat"))[0]

    def missing(images):
        (images / "cat" / first).unlink()

    def moved(images):
        (images / "cat" / first).rename(images / "dog" / first)

    def more(images):
        (images / "dog/99999999.png").write_bytes((images / "cat" / first).read_bytes())

    def flipped(images):
        data = bytearray((images / "cat" / first).read_bytes())
        data[len(data) // 2] ^= 4
        (images / "cat" / first).write_bytes(data)

    name = f"images/cat/{first}"
    assert problems(missing) == {(name, "missing")}
    assert problems(moved) == {(name, "missing"), (f"images/dog/{first}", "no row names this file")}
    assert problems(more) == {("images/dog/99999999.png", "no row names this file")}
    assert [file for file, _ in problems(flipped)] == [name]

    def elsewhere(images):
        """Row and file agree with one another, and both are wrong."""
        (images / "cat" / first).rename(images / "dog" / first)
        for table in ("labels.csv", "metadata.csv"):
            text = (images.parent / table).read_text()
            (images.parent / table).write_text(text.replace(name, f"images/dog/{first}"))

    assert (f"images/dog/{first}", "not in the folder of its class, cat") in problems(elsewhere)


ODD = ("a/b", "A", "a", "é", "e\u0301", "con", "..", "x.", " y", "00007", "50%", "a~2", "NA", "q?*", "z" * 300)


def test_odd_class_names_get_folders_of_their_own(tmp_path):
    write_dataset(tmp_path / "in", ("images",), per_class=2 * len(ODD))
    with open(tmp_path / "labels.csv", "w", encoding="utf-8", newline="") as file:
        rows = ((f"images/{i}.png", ODD[i // 2]) for i in range(2 * len(ODD)))
        csv.writer(file).writerows([("file", "label"), *rows])
    out, read = tmp_path / "out", ReadOptions(labels=str(tmp_path / "labels.csv"))
    augment(tmp_path / "in", out, replace(BY_CLASS, plan=PlanOptions(pair="same"), read=read), jobs=0)
    folder_of = dict(zip(read_dataset(tmp_path / "in", read).classes, class_folders(
        read_dataset(tmp_path / "in", read).classes), strict=True))
    assert sorted(os.listdir(out / "images")) == sorted(folder_of.values())
    for row in read_csv(out / "metadata.csv"):
        assert row["file_name"].split("/")[1] == folder_of[row["label_a"]]
    assert verify(out, tmp_path / "in", read, jobs=0)["problems"] == []
    assert folder_of["e\u0301"] == "e\u0301" and folder_of["a"] == "a~2" and folder_of["a~2"] == "a~2~2"
    assert folder_of["50%"] == "50%25" and folder_of["é"] == "é~2" and folder_of["NA"] == "NA"


@given(st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=20).filter(str.strip)
    | st.sampled_from(ODD), unique=True, min_size=1, max_size=20,
))
def test_folders_are_one_to_one_and_safe(classes):
    folders = class_folders(tuple(classes))
    assert len({folder.casefold() for folder in folders}) == len(classes)
    for folder in folders:
        assert folder not in ("", ".", "..") and not set('/\\:*?"<>|\0') & set(folder)
        assert folder[0] not in ". " and folder[-1] not in ". " and len(folder.encode()) < 255
        assert not (folder.isdecimal() and folder.isascii() and len(folder) >= 5)
