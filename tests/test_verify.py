"""mixup verify: a sound output passes, and whatever is changed in it is found and named."""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import noise, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.canvas import Canvas
from mixup_cli.errors import InputError
from mixup_cli.plan import PlanOptions
from mixup_cli.store import sealed
from mixup_cli.verify import verify


@pytest.fixture
def run(tmp_path):
    """An input and its output."""
    source = write_dataset(tmp_path / "in")
    augment(source, tmp_path / "out", Options(PlanOptions(alpha=1.0)), jobs=0)
    return source, tmp_path / "out"


def problems(out, source=None, **options):
    return [(p["file"], p["problem"]) for p in verify(out, source, jobs=0, **options)["problems"]]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mixup_cli", "verify", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )


@pytest.mark.parametrize("options", [
    Options(),
    Options(PlanOptions(copies=300)),
    Options(PlanOptions(label_policy="remix", include_originals=True), label_format="sparse"),
    Options(PlanOptions(pair="different"), Canvas((8, 8), "contain", "RGB16", (200, 10, 30))),
    Options(canvas=Canvas((5, 9), mode="L16")),
    Options(canvas=Canvas(mode="RGBA")),
], ids=str)
def test_a_sound_output_passes(tmp_path, options):
    source = write_dataset(tmp_path / "in")
    (source / "cat/bad.png").write_bytes(b"no image")
    record = augment(source, tmp_path / "out", options, jobs=0)
    for jobs in (0, 2):
        report = verify(tmp_path / "out", source, jobs=jobs)
        assert report["problems"] == []
        assert report["rows"] == report["files"] == record["counts"]["outputs"]


def test_a_soft_input_and_options_of_the_run(tmp_path):
    source = write_dataset(tmp_path / "in", classes=("a", "b", "c"))
    augment(source, tmp_path / "mixed", Options(PlanOptions(alpha=1.0)), jobs=0)
    augment(tmp_path / "mixed", tmp_path / "again", Options(label_format="sparse"), jobs=0)
    assert problems(tmp_path / "again", tmp_path / "mixed") == []


@pytest.mark.slow
def test_one_flipped_bit_in_any_file_is_found(run):
    source, out = run
    rng = random.Random(3)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        data = path.read_bytes()
        table = path.suffix != ".png"
        places = range(len(data)) if table or path.name == "00000000.png" else rng.sample(range(len(data)), 20)
        for at in places:
            flipped = bytearray(data)
            flipped[at] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            found = problems(out)
            assert found, (path, at)
            name = path.relative_to(out).as_posix()
            assert any(name in file for file, _ in found), (name, at, found)
        path.write_bytes(data)
    assert problems(out, source) == []


def test_files_and_rows_that_do_not_match(run):
    source, out = run
    shard = out / "images/00000"
    (shard / "00000003.png").unlink()
    (shard / "00000099.png").write_bytes((shard / "00000001.png").read_bytes())
    (out / "images/00007").mkdir()
    assert problems(out) == [
        ("images/00000/00000003.png", "missing"),
        ("images/00000/00000099.png", "no row names this file"),
        ("images/00007", "no row names a file in it"),
    ]
    shutil.rmtree(shard)
    assert ("images/00000", "its folder: No such file or directory") in problems(out)


def test_pixels_of_another_row_are_found_with_the_source_alone(run):
    source, out = run
    shard = out / "images/00000"
    one, other = ((shard / name).read_bytes() for name in ("00000001.png", "00000002.png"))
    (shard / "00000001.png").write_bytes(other)
    (shard / "00000002.png").write_bytes(one)
    assert problems(out) == []
    what = "its pixels are not those of its row"
    assert problems(out, source) == [(f"images/00000/0000000{i}.png", what) for i in (1, 2)]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGB16"])
def test_one_grey_level_of_one_pixel_is_found(tmp_path, mode):
    from mixup_cli.png import encode_pngs

    source = write_dataset(tmp_path / "in")
    out = tmp_path / "out"
    augment(source, out, Options(canvas=Canvas(mode=mode)), jobs=0)
    block = noise(9, 12, 3, dtype=np.uint16 if mode == "RGB16" else np.uint8)
    block = block[None] if mode != "L" else block[None, ..., :1]
    path = out / "images/00000/00000000.png"
    path.write_bytes(encode_pngs(block)[0])
    assert [file for file, _ in problems(out, source)] == ["images/00000/00000000.png"]


def test_the_same_pixels_from_another_encoder_are_accepted(run):
    """Deflate may choose other code on another processor; the promise is pixels."""
    source, out = run
    for path in sorted(out.rglob("*.png")):
        Image.open(path).save(path, optimize=True)
    assert problems(out, source) == []


def test_a_source_that_changed_or_went(run):
    source, out = run
    Image.fromarray(noise(9, 12, 3, seed=77)).save(source / "cat/0.png")
    found = problems(out, source)
    assert len(found) == 2 and {what for _, what in found} == {"its pixels are not those of its row"}
    (source / "cat/0.png").unlink()
    assert any("no such source 'cat/0.png'" in what for _, what in problems(out, source))
    (source / "cat/0.png").write_bytes(b"no image")
    assert all("cannot be rendered again: cat/0.png: not a JPEG" in what for _, what in problems(out, source))


def test_other_labels_in_the_source(run):
    source, out = run
    (source / "dog").rename(source / "hound")
    found = dict(problems(out, source))
    assert "classes.txt" in found and "metadata.csv" in found


def reseal(out, change=lambda record: None):
    """Somebody who rewrites mixup.json too, digests and all."""
    from mixup_cli.store import file_digest

    record = json.loads((out / "mixup.json").read_text())
    record.pop("digest")
    change(record)
    record["digests"] = {name: file_digest(out / name) for name in record["digests"]}
    (out / "mixup.json").write_text(sealed(record), newline="\n")


def test_labels_that_are_not_those_of_their_row(run):
    _, out = run
    lines = (out / "labels.csv").read_text().splitlines()
    name, *weights = lines[3].split(",")
    lines[3] = ",".join([name, *reversed(weights)])
    (out / "labels.csv").write_text("\n".join(lines) + "\n")
    reseal(out)
    assert problems(out) == [(name, "labels.csv:4: not the labels that metadata.csv gives")]


def test_a_row_dropped_from_one_table(run):
    _, out = run
    lines = (out / "labels.csv").read_text().splitlines()
    (out / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    reseal(out)
    assert any("not as many rows" in what for _, what in problems(out))


def test_counts_that_do_not_agree(run):
    _, out = run
    reseal(out, lambda record: record["counts"].update(outputs=9))
    assert problems(out) == [("mixup.json", "9 outputs, but 8 rows")]


def test_an_incomplete_output(run):
    _, out = run
    (out / "mixup.json").unlink()
    (file, what), = problems(out)
    assert file == "mixup.json" and "no complete output" in what
    shutil.rmtree(out)
    with pytest.raises(InputError, match="no such folder"):
        verify(out)
    os.mkdir(out)
    assert problems(out)


def test_the_command(run):
    source, out = run
    result = command(out, "--source", source)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{out}: 8 rows, 8 files, compared with {source}: all is well\n"
    (out / "images/00000/00000003.png").unlink()
    result = command(out)
    assert result.returncode == 3
    assert result.stdout.splitlines() == [
        "images/00000/00000003.png: missing", f"{out}: 8 rows, 7 files: 1 problem found",
    ]
    result = command(out, "--json")
    assert result.returncode == 3
    assert json.loads(result.stdout)["problems"] == [
        {"file": "images/00000/00000003.png", "problem": "missing"}
    ]
    result = command(out, "--quiet")
    assert (result.returncode, result.stdout) == (3, "")
    assert command(out / "no").returncode == 2


def test_many_problems_are_cut_and_json_has_all(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=20)
    augment(source, tmp_path / "out", jobs=0)
    for path in (tmp_path / "out").rglob("*.png"):
        path.write_bytes(b"")
    result = command(tmp_path / "out")
    assert "… and 20 more: --json lists all" in result.stdout and "40 problems found" in result.stdout
    assert len(json.loads(command(tmp_path / "out", "--json").stdout)["problems"]) == 40
