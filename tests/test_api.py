"""The functions that the package gives out: docs/api.md, results, loading, types."""

import csv
import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mixup_cli
from helpers import tree, write_dataset
from mixup_cli import Canvas, Options, PlanOptions, ReadOptions, Run, augment, load
from mixup_cli.errors import InputError

ROOT = Path(__file__).parent.parent
IN_PROCESS = Run(jobs=0)


def test_the_page_of_the_api_is_true(tmp_path, monkeypatch):
    """Every example gives what the page says; every name and field has its place on it."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs/api.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 15 and found.failed == 0
    text = page.read_text(encoding="utf-8")
    for name in mixup_cli.__all__:
        thing = getattr(mixup_cli, name)
        assert re.search(rf"\b{name}\b", text), name
        assert len(inspect.getdoc(thing)) > 40, name
        for field in getattr(thing, "__dataclass_fields__", ()) if name in ("PlanOptions", "Canvas", "Run") else ():
            assert f"`{field}`" in text, (name, field)


def test_names_are_imported_when_they_are_used():
    code = (
        "import sys, mixup_cli; assert 'numpy' not in sys.modules; assert 'load' in dir(mixup_cli);"
        "from mixup_cli import augment, mixup; import mixup_cli.cli.writing, mixup_cli.verify;"
        "assert all(callable(getattr(mixup_cli, name)) for name in mixup_cli.__all__);"
        "from mixup_cli import augment as again; assert again is augment\n"
        "try: mixup_cli.agument\nexcept AttributeError: pass\nelse: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_augment_is_the_command_and_names_its_files(tmp_path):
    source = write_dataset(tmp_path / "in")
    (source / "cat/bad.png").write_bytes(b"no image")
    seen = []
    result = augment(
        str(source), tmp_path / "a", Options(PlanOptions(copies=3, seed=4), Canvas(size=(8, 8))),
        IN_PROCESS, progress=lambda *counts: seen.append(counts),
    )
    command = [sys.executable, "-m", "mixup_cli", "augment", source, tmp_path / "b", "--copies", "3",
               "--seed", "4", "--size", "8", "--jobs", "0", "--on-error", "skip"]
    subprocess.run(command, check=True, capture_output=True)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert result.out == tmp_path / "a" and seen[-1][0] == seen[-1][1] > len(result.files)
    pngs = sorted(str(p) for p in (tmp_path / "a").rglob("*.png"))
    assert result.files == pngs and len(pngs) == result.record["counts"]["outputs"] < 27
    assert list(result.rejects) == ["cat/bad.png"] and "image" in result.rejects["cat/bad.png"]


def test_a_part_names_what_is_there(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=60)
    first = augment(source, tmp_path / "out", run=Run(jobs=0, part=(1, 2)))
    assert len(first.files) == first.record["counts"]["outputs"] == 40
    augment(source, tmp_path / "out", run=Run(jobs=0, part=(2, 2)))
    whole = augment(source, tmp_path / "out", run=Run(jobs=0, resume=True))
    assert len(whole.files) == 120 and whole.files[: len(first.files)] == first.files


def labels_by_hand(out):
    """file -> {class: weight} from metadata.csv alone."""
    found = {}
    with open(out / "metadata.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            weights = found[os.path.join(out, row["file_name"])] = {}
            for side, lam in (("a", float(row["lam"])), ("b", 1 - float(row["lam"]))):
                parts = [p.rpartition(":") for p in row[f"label_{side}"].split("|")]
                for name, colon, part in parts:
                    name, part = (name, float(part)) if colon else (part, 1.0)
                    weights[name] = weights.get(name, 0) + lam * part
    return found


@pytest.mark.parametrize("label_format", ["wide", "sparse"])
@pytest.mark.parametrize("soft", [False, True])
def test_load_gives_the_labels_of_the_rows(tmp_path, label_format, soft):
    """Names that other readers turn into something else, and sources that are soft themselves."""
    names = ('a, "b"', "007", "NA", "é")
    source = write_dataset(tmp_path / "in", names, per_class=3)
    if soft:
        augment(source, tmp_path / "first", Options(PlanOptions(alpha=1.0, seed=2)), IN_PROCESS)
        source = tmp_path / "first"
    out = tmp_path / "out"
    options = Options(PlanOptions(alpha=1.0, copies=2), label_format=label_format)
    result = augment(source, out, options, IN_PROCESS)
    files, labels, classes = load(out)
    assert files == result.files and all(os.path.isfile(file) for file in files)
    assert classes == tuple(sorted(names)) and labels.dtype == np.float32
    for file, row in zip(files, labels, strict=True):
        wanted = labels_by_hand(out)[file]
        assert np.allclose(row, [wanted.get(name, 0) for name in classes], atol=2e-6)
    sparse = load(out, sparse=True).labels
    assert np.array_equal(sparse.toarray(), labels) and sparse.weight.all()
    assert np.all(np.diff(sparse.row) >= 0)


def test_load_refuses_what_is_no_complete_run(tmp_path):
    source = write_dataset(tmp_path / "in")
    with pytest.raises(InputError, match="no complete output"):
        load(tmp_path / "in")
    out = tmp_path / "out"
    augment(source, out, run=IN_PROCESS)
    text = (out / "labels.csv").read_text()
    (out / "labels.csv").write_text(text.replace("cat", "cow", 1))
    with pytest.raises(InputError, match="labels.csv:1"):
        load(out)
    (out / "labels.csv").write_text(text.replace("0.0", "much", 1))
    with pytest.raises(InputError, match="mixup verify"):
        load(out)


USE = '''
import numpy as np
from numpy.typing import NDArray
from mixup_cli import (
    Canvas, Loaded, Options, PlanOptions, Result, Run, SparseLabels, augment, get_batch, load,
    make_plan, mixup, read_dataset,
)

def use() -> None:
    result: Result = augment("in", "out", Options(PlanOptions(alpha=0.2), Canvas((8, 8))), Run(jobs=2),
                             progress=lambda done, total: None)
    files: list[str] = result.files
    labels: NDArray[np.float32] = load("out").labels
    sparse: SparseLabels = load("out", sparse=True).labels
    plan = make_plan(read_dataset("in"), PlanOptions(copies=2))
    x, y = np.zeros((4, 2, 2, 3), np.uint8), np.eye(4)
    mixed: NDArray[np.uint8] = mixup(x, y, np.ones(4), np.arange(4))[0]
    batch: NDArray[np.uint8] = get_batch(x, y, 0, 2)[0]
'''


@pytest.mark.slow
def test_the_api_itself_passes_mypy_strict(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_types_hold_under_mypy_strict(tmp_path):
    """A user's module passes, and one with a slip does not."""
    pytest.importorskip("mypy", reason="mypy is not installed")

    def check(text):
        (tmp_path / "use.py").write_text(text)
        command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
                   "--cache-dir", tmp_path / "cache", tmp_path / "use.py"]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path,
                              env={**os.environ, "MYPYPATH": str(ROOT)})

    good = check(USE)
    assert good.returncode == 0, good.stdout
    for right, wrong in [("PlanOptions(alpha=0.2)", "PlanOptions(alpha='much')"), ("load,", "laod,"),
                         ("jobs=2", "jbos=2"), ("list[str] = result", "list[int] = result")]:
        assert check(USE.replace(right, wrong)).returncode == 1, wrong


def test_reading_options_serve_the_api(tmp_path):
    source = write_dataset(tmp_path / "in", ("cat", "dog", "owl"))
    dataset = mixup_cli.read_dataset(source, ReadOptions(include=("cat", "owl")))
    plan = mixup_cli.make_plan(dataset, PlanOptions(pair="same"))
    kinds = dataset.class_of()
    assert len(plan) == 8 and np.array_equal(kinds[plan.source_a], kinds[plan.source_b])


@pytest.mark.parametrize("make, words", [
    (lambda: Options(format="zip"), "--format zip: give one of"),
    (lambda: Options(label_format="zip"), "--label-format zip: give one of"),
    (lambda: PlanOptions(copies=2, count=3), "exclude one another"),
    (lambda: Run(jobs=-1), "give 0 or more"), (lambda: Run(timeout=-1), "give 0 or more"),
    (lambda: Canvas(size=64), "give \\(width, height\\)"),
    (lambda: Canvas(background="white"), "give \\(R, G, B\\)"),
    (lambda: mixup_cli.read_dataset("sample_data", mixup_cli.ReadOptions(reader="zzz")), "--reader zzz: give one of"),
])
def test_a_value_that_the_command_line_would_refuse_is_refused(make, words):
    with pytest.raises(mixup_cli.MixupError, match=words):
        make()
