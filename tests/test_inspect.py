"""mixup inspect: what it counts, in text and in JSON, and a warning for each trap."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from helpers import noise, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.dataset import ReadOptions
from mixup_cli.inspect import inspect
from mixup_cli.plan import PlanOptions


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mixup_cli", "inspect", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, **options,
    )


def picture(path, size=(6, 5), mode="RGB", seed=0, **options):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(size[1], size[0], 3, seed=seed)).convert(mode).save(path, **options)
    return path


@pytest.fixture
def mixed(tmp_path):
    """Five images of several formats, sizes and modes, a hidden file, a text file and a bad image."""
    root = tmp_path / "in"
    picture(root / "cat/a.jpg", (20, 10), seed=1)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(root / "cat/b.jpg", (20, 10), seed=2, exif=turned)
    picture(root / "dog/c.png", (10, 20), "LA", seed=3)
    picture(root / "dog/d.webp", (10, 20), seed=4)
    picture(root / "dog/e.tif", (7, 7), "CMYK", seed=5)
    (root / "dog/f.png").write_bytes(b"no image")
    (root / "dog/.DS_Store").write_bytes(b"x")
    (root / "cat/notes.txt").write_bytes(b"x")
    return root


def test_the_facts_in_json(mixed):
    result = command(mixed, "--json")
    assert (result.returncode, result.stderr) == (3, "")
    report = json.loads(result.stdout)
    assert report == {
        "input": str(mixed), "reader": "folder", "split": None, "images": 6,
        "bytes": sum(p.stat().st_size for p in mixed.glob("*/[a-f].*")),
        "classes": [
            {"name": "cat", "images": 2, "weight": 2.0}, {"name": "dog", "images": 4, "weight": 4.0},
        ],
        "sizes": [  # as seen: EXIF orientation applied
            {"width": 10, "height": 20, "images": 3},
            {"width": 7, "height": 7, "images": 1},
            {"width": 20, "height": 10, "images": 1},
        ],
        "formats": {"JPEG": 2, "PNG": 1, "WEBP": 1, "TIFF": 1},
        "modes": {"RGB": 3, "LA": 1, "CMYK": 1},
        "unusable": {"dog/f.png": "not a JPEG, PNG, WebP, TIFF, BMP or PNM image"},
        "duplicates": [],
        "skipped": {"other": ["cat/notes.txt"], "hidden": ["dog/.DS_Store"]},
        "warnings": [],
    }


def test_the_facts_as_text(mixed):
    result = command(mixed)
    assert (result.returncode, result.stderr) == (3, "")
    size = sum(p.stat().st_size for p in mixed.glob("*/[a-f].*")) / 1e6
    assert result.stdout.splitlines() == [
        f"{mixed}: reader folder, 6 images of 2 classes, {size:.1f} MB",
        "  cat          2   33.3%",
        "  dog          4   66.7%",
        "Sizes: 3 sizes, 7 to 20 wide, 7 to 20 high; most often 10x20 (3)",
        "Formats: JPEG 2, PNG 1, WEBP 1, TIFF 1",
        "Colour: RGB 3, LA 1, CMYK 1",
        "1 cannot be used:",
        "  dog/f.png: not a JPEG, PNG, WebP, TIFF, BMP or PNM image",
        "2 skipped:",
        "  cat/notes.txt (other)",
        "  dog/.DS_Store (hidden)",
    ]


def test_any_number_of_workers_finds_the_same(tmp_path):
    root = write_dataset(tmp_path / "in", per_class=50)
    calls = []
    alone = inspect(root, jobs=0, progress=lambda *done: calls.append(done))
    assert alone == inspect(root, jobs=3)
    assert calls == [(32, 100), (64, 100), (96, 100), (100, 100)]
    assert command(root, "--json", "--jobs", "2").returncode == 0


def test_a_soft_dataset_has_its_weights(tmp_path):
    augment(write_dataset(tmp_path / "in"), tmp_path / "out", Options(PlanOptions(alpha=1)))
    report = inspect(tmp_path / "out", jobs=0)
    assert report["reader"] == "mixup" and report["images"] == 8
    assert sum(c["weight"] for c in report["classes"]) == pytest.approx(8)
    assert sum(c["images"] for c in report["classes"]) > 8  # most outputs have both labels
    assert "  weight " in command(tmp_path / "out").stdout


def one_image(root):
    picture(root / "bird/0.png", seed=99)


def empty_class(root):
    (root / "bird").mkdir()
    return {"allow_empty": True}


def case(root):
    picture(root / "Cat/0.png", seed=98)
    picture(root / "Cat/1.png", seed=97)


def earlier_output(root):
    augment(root, root.parent / "mixed", jobs=0)
    (root.parent / "mixed").rename(root / "mixed")


def level_too_high(root):
    for name in ("cat", "dog"):
        os.renames(root / name, root / "data" / name)
    return {"split": "."}


def split(root):
    for name in ("train", "val"):
        shutil.copytree(root / "cat", root / name / "cat")
        shutil.copytree(root / "dog", root / name / "dog")
    shutil.rmtree(root / "cat")
    shutil.rmtree(root / "dog")


def torn_duplicates(root):
    shutil.copy(root / "cat/0.png", root / "dog/copy.png")


def misnamed(root):
    shutil.copy(root / "cat/0.png", root / "cat/copy.jpg")
    picture(root / "cat/more.tiff", seed=70).rename(root / "cat/more.ppm")


@pytest.mark.parametrize("build, warning", [
    (one_image, "classes with one image, which has no partner of its own class: 1, 'bird'"),
    (empty_class, "classes without an image: 1, 'bird'"),
    (case, "classes 'Cat', 'cat' differ only by case or spaces: one class?"),
    (earlier_output, "mixed holds the output of an earlier run: passed over; move it out of the input"),
    (level_too_high, "every image lies in a folder inside its class folder: if those are the classes,"
                     " the input is one level too high"),
    (level_too_high, "all images are of one class: mixing changes no label"),
    (split, "ROOT: holds the splits train, val, and mixing across them would leak; choose one,"
            " --split train, or --split . if these are classes; this is train"),
    (torn_duplicates, "groups of equal files with different labels: 1, such as cat/0.png, dog/copy.png"),
    (misnamed, "files that are not what their names say: 2, such as cat/copy.jpg (PNG); they are read"
               " by content"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_each_trap_has_its_warning(tmp_path, build, warning):
    root = write_dataset(tmp_path / "in")
    assert inspect(root, jobs=0)["warnings"] == []
    options = ReadOptions(**build(root) or {})
    report = inspect(root, options, jobs=0)
    assert warning.replace("ROOT", str(root)) in report["warnings"]
    assert build is not split or report["images"] == 8


def test_duplicates_are_named(tmp_path):
    root = write_dataset(tmp_path / "in")
    for name in ("cat/x.png", "cat/y.png"):
        shutil.copy(root / "cat/1.png", root / name)
    report = inspect(root, jobs=0)
    assert report["duplicates"] == [["cat/1.png", "cat/x.png", "cat/y.png"]]
    assert "  cat/1.png = cat/x.png = cat/y.png" in command(root).stdout.splitlines()


def test_names_that_would_fool_a_terminal_stay_on_one_line(tmp_path):
    root = write_dataset(tmp_path / "in")
    (root / "cat/\x1b[31mred\nline.png").write_bytes(b"x")
    result = command(root)
    assert "  cat/\\x1b[31mred\\nline.png: not a JPEG" in result.stdout


def test_long_lists_are_cut_and_json_has_all(tmp_path):
    root = write_dataset(tmp_path / "in", classes=[f"class{k:02}" for k in range(25)], per_class=2)
    text = command(root).stdout
    assert "class19" in text and "class20" not in text and "… and 5 more: --json lists all" in text
    assert len(json.loads(command(root, "--json").stdout)["classes"]) == 25


def test_without_input(tmp_path):
    result = command()
    assert result.returncode == 2 and "give IN, a folder, or --files-from" in result.stderr
    result = command(tmp_path / "no")
    assert result.returncode == 2 and "no such folder" in result.stderr
