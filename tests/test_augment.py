"""Whole runs, judged by independent arithmetic on what they leave on disk."""

import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers import noise, read_csv, reference_output, tree, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.canvas import MODES, Canvas
from mixup_cli.dataset import ReadOptions
from mixup_cli.errors import InputError, RejectedError
from mixup_cli.plan import PlanOptions
from mixup_cli.store import Store

SEED_OF_RUNS = 3


@pytest.fixture(scope="module")
def mixed_modes(tmp_path_factory):
    """Two sources of every Pillow mode that a listed format can store, of several sizes."""
    root = tmp_path_factory.mktemp("modes")
    (root / "one").mkdir()
    (root / "two").mkdir()
    rgb = Image.fromarray(noise(11, 14, 3, seed=1))
    grey = Image.fromarray(noise(9, 15, 1, seed=2))
    grey_alpha = Image.merge("LA", [grey, Image.fromarray(noise(9, 15, 1, seed=3))])
    transparent_palette = rgb.quantize(8)
    transparent_palette.info["transparency"] = 3
    rotated = Image.Exif()
    rotated[0x0112] = 6
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    pictures = {
        "L.png": (grey, {}),
        "1.png": (grey.convert("1"), {}),
        "LA.png": (grey_alpha, {}),
        "I16.png": (Image.fromarray(noise(8, 10, 1, seed=4, dtype=np.uint16)), {}),
        "I16.tif": (Image.fromarray(noise(8, 10, 1, seed=5, dtype=np.uint16)), {}),
        "I.pgm": (Image.fromarray(noise(7, 10, 1, seed=6, dtype=np.uint16).astype(np.int32)), {}),
        "RGB.png": (rgb, {}),
        "RGB.bmp": (rgb, {}),
        "RGB.webp": (rgb, {"lossless": True}),
        "RGB.jpg": (rgb, {}),
        "L.jpg": (grey, {}),
        "RGBA.png": (Image.fromarray(noise(12, 9, 4, seed=7)), {}),
        "RGBA.webp": (Image.fromarray(noise(12, 9, 4, seed=8)), {"lossless": True}),
        "P.png": (rgb.quantize(16), {}),
        "PA.png": (transparent_palette, {"transparency": 3}),
        "RGBkey.png": (rgb, {"transparency": tuple(int(v) for v in np.asarray(rgb)[0, 0])}),
        "CMYK.jpg": (rgb.convert("CMYK"), {}),
        "CMYK.tif": (rgb.convert("CMYK"), {}),
        "YCbCr.tif": (rgb.convert("YCbCr"), {}),
        "LAB.tif": (ImageCms.profileToProfile(rgb, srgb, lab, outputMode="LAB"), {}),
        "turned.jpg": (rgb, {"exif": rotated}),
        "turned.png": (rgb, {"exif": rotated}),
    }
    for name, (image, options) in pictures.items():
        image.save(root / "one" / name, **options)
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "two" / name, **options)
    return root


def read_output(path):
    """An output by OpenCV, which reads 16-bit RGB where Pillow does not: (H, W, C), RGB order."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] >= 3:
        pixels = np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=2)
    return pixels.astype(np.float64)


def assert_outputs_are_right(source, out, slack, **canvas):
    rows = read_csv(out / "metadata.csv")
    assert rows
    for row in rows:
        expected = reference_output(
            source / row["source_a"], source / row["source_b"], float(row["lam"]), **canvas
        )
        actual = read_output(out / row["file_name"])
        assert actual.shape == expected.shape, row
        error = np.abs(actual - expected).max()
        assert error <= 0.5 + slack, (error, row)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_fit_is_within_half_a_grey_level(mixed_modes, tmp_path, mode, fit):
    background = (250, 10, 100) if mode in ("RGB", "RGB16", "RGBA") else (40, 40, 40)
    canvas = Canvas((13, 8), fit, mode, background)
    augment(mixed_modes, tmp_path / "out", Options(PlanOptions(alpha=1), canvas=canvas), jobs=0)
    assert_outputs_are_right(
        mixed_modes, tmp_path / "out", 1e-4, size=(13, 8), fit=fit, mode=mode, background=background
    )


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_without_a_size_the_output_has_the_size_of_a(mixed_modes, tmp_path, fit):
    canvas = Canvas(fit=fit, background=(40, 40, 40))
    augment(mixed_modes, tmp_path / "out", Options(PlanOptions(alpha=1, copies=3), canvas=canvas), jobs=0)
    assert_outputs_are_right(mixed_modes, tmp_path / "out", 1e-4, fit=fit, background=(40, 40, 40))


def test_the_files_of_a_run(tmp_path):
    source = write_dataset(tmp_path / "in", classes=("cat", 'd,o"g', "NA", "007", "größe"))
    record = augment(source, tmp_path / "out", Options(PlanOptions(copies=2)), jobs=1)
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "classes.txt", "images", "labels.csv", "metadata.csv", "mixup.json"
    ]
    classes = (out / "classes.txt").read_text("utf-8").splitlines()
    assert classes == ["007", "NA", "cat", 'd,o"g', "größe"]
    labels, rows = read_csv(out / "labels.csv"), read_csv(out / "metadata.csv")
    assert list(labels[0]) == ["file_name", *classes]
    assert list(rows[0]) == ["file_name", "source_a", "source_b", "lam", "label_a", "label_b"]
    assert len(labels) == len(rows) == record["counts"]["outputs"] == 40
    for label, row in zip(labels, rows, strict=True):
        assert label.pop("file_name") == row["file_name"] and (out / row["file_name"]).is_file()
        assert row["source_a"] != row["source_b"]
        assert row["source_a"].split("/")[0] == row["label_a"]
        lam, weights = Decimal(row["lam"]), {name: Decimal(text) for name, text in label.items()}
        assert sum(weights.values()) == 1
        expected = dict.fromkeys(classes, Decimal(0))
        expected[row["label_a"]] += lam
        expected[row["label_b"]] += 1 - lam
        assert weights == expected
    assert b"\r" not in (out / "labels.csv").read_bytes()
    assert json.loads((out / "mixup.json").read_text("utf-8")) == record


def test_sparse_labels(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=20)
    augment(source, tmp_path / "out", Options(label_format="sparse"), jobs=0)
    labels = read_csv(tmp_path / "out/labels.csv")
    for label, row in zip(labels, read_csv(tmp_path / "out/metadata.csv"), strict=True):
        assert Decimal(label["weight_a"]) + Decimal(label["weight_b"]) == 1
        assert (label["class_a"], label["class_b"]) == (row["label_a"], row["label_b"])
        same = row["label_a"] == row["label_b"]
        assert Decimal(label["weight_a"]) == (1 if same else Decimal(row["lam"]))


def test_257_classes_are_sparse_by_default(tmp_path):
    source = write_dataset(tmp_path / "in", [f"{k:03d}" for k in range(257)], 1, size=(2, 2))
    augment(source, tmp_path / "out", jobs=0)
    assert "class_a" in read_csv(tmp_path / "out/labels.csv")[0]


def test_the_bytes_depend_on_the_seed_and_not_on_the_workers(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=60)
    for name, seed, jobs in [("one", 1, 1), ("two", 1, 2), ("here", 1, 0), ("other", 2, 2)]:
        augment(source, tmp_path / name, Options(PlanOptions(seed=seed, alpha=1)), jobs=jobs)
    first = tree(tmp_path / "one")
    assert len([name for name in first if name.endswith(".png")]) == 120
    assert len({Path(name).parent for name in first if name.endswith(".png")}) >= 2
    assert tree(tmp_path / "two") == first == tree(tmp_path / "here")
    other = tree(tmp_path / "other")
    assert other["metadata.csv"] != first["metadata.csv"]
    assert other["images/00000/00000000.png"] != first["images/00000/00000000.png"]


def test_a_bad_source_costs_only_the_outputs_that_need_it(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=40)
    augment(source, tmp_path / "good", jobs=0)
    (source / "cat/1.png").write_bytes(b"")
    (source / "dog/2.png").write_text("no image")
    picture = (source / "dog/3.png").read_bytes()
    (source / "dog/3.png").write_bytes(picture[: len(picture) // 2])
    record = augment(source, tmp_path / "bad", jobs=2)
    rejects = read_csv(tmp_path / "bad/rejects.csv")
    assert [r["source"] for r in rejects] == ["cat/1.png", "dog/2.png", "dog/3.png"]
    assert "0 bytes" in rejects[0]["reason"] and "not a JPEG" in rejects[1]["reason"]
    bad = {r["source"] for r in rejects}
    good, kept = read_csv(tmp_path / "good/metadata.csv"), read_csv(tmp_path / "bad/metadata.csv")
    assert kept == [r for r in good if not bad & {r["source_a"], r["source_b"]}]
    assert len(kept) == record["counts"]["outputs"] < 80
    before, after = tree(tmp_path / "good/images"), tree(tmp_path / "bad/images")
    assert len(after) == len(kept) and after.items() <= before.items()


def test_on_error_fail_stops(tmp_path):
    source = write_dataset(tmp_path / "in")
    (source / "cat/1.png").write_bytes(b"")
    with pytest.raises(RejectedError, match="cat/1.png"):
        augment(source, tmp_path / "out", jobs=0, on_error="fail")
    assert not (tmp_path / "out/mixup.json").exists()


def test_two_images_and_one(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=1)
    assert augment(source, tmp_path / "out", jobs=0)["counts"]["outputs"] == 2
    (source / "dog/0.png").unlink()
    with pytest.raises(InputError, match="1 image found"):
        augment(source, tmp_path / "again", Options(read=ReadOptions(allow_empty=True)), jobs=0)
    assert not (tmp_path / "again").exists()


def test_a_source_is_decoded_once_in_its_shard(tmp_path):
    from mixup_cli.run import read_and_plan, shard_job
    from mixup_cli.render import SourceCache, render_rows

    source = write_dataset(tmp_path / "in", per_class=30)
    for copies in (1, 5, 20):
        dataset, plan = read_and_plan(source, Options(PlanOptions(copies=copies)))
        decodes = 0
        for shard in range(plan.num_shards):
            cache = SourceCache(shard_job(dataset, plan, shard, Store(tmp_path), Options()))
            list(render_rows(cache.job, cache))
            assert not cache.images  # nothing is kept that no row needs any more
            decodes += cache.decodes
        assert decodes == 60
        job = shard_job(dataset, plan, 0, Store(tmp_path), Options())
        short = SourceCache(job, budget=0)
        pngs = list(render_rows(job, short))
        assert short.decodes <= len(job.files) + copies
        assert pngs == list(render_rows(job, SourceCache(job)))


@pytest.mark.parametrize("mode", ["auto", "RGBA", "L16"])
@pytest.mark.parametrize("size", [None, (24, 18)])
def test_a_png_made_once_for_a_source_is_that_of_each_row_that_leaves_it_as_it_is(tmp_path, monkeypatch, mode, size):
    """Against every row blended and encoded alone: sizes, depths and colours that differ in each
    pair, and weights on both sides of the one that moves a level."""
    from mixup_cli import render
    from mixup_cli.run import read_and_plan, shard_job

    rng = np.random.default_rng(3)
    for label in ("cat", "dog"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for i in range(5):
            pixels = noise(*rng.integers(8, 30, 2), (1, 3, 4, 3, 1)[i], seed=i)
            Image.fromarray(pixels.astype(np.uint16) * 257 if i == 4 else pixels).save(tmp_path / f"in/{label}/{i}.png")
    options = Options(PlanOptions(copies=30), Canvas(size=size, mode=mode))
    dataset, plan = read_and_plan(tmp_path / "in", options)
    near = [0.0, 1e-6, 7e-6, 8e-6, 0.001960, 0.001961]
    lam = rng.choice([*near, *(1 - x for x in near), 0.3], len(plan)).round(6)
    encoded = []
    encode = render.encode_pngs
    monkeypatch.setattr(render, "encode_pngs", lambda block, *how: encoded.extend(block) or encode(block, *how))
    plan = replace(plan, lam=lam)
    for shard in range(plan.num_shards):
        job = shard_job(dataset, plan, shard, Store(tmp_path), options)
        pngs = dict(render.render_rows(job, render.SourceCache(job)))
        assert list(pngs) == list(range(len(job.files)))
        for rows, images in render.blend_rows(job, render.SourceCache(job)):
            for row, image in zip(rows, images, strict=True):
                assert pngs[row] == encode(image[None])[0]
    assert len(encoded) < 0.8 * len(plan)  # rows in ten that move no level: 8 of 13, 6 at 16 bits


def test_small_files_hold_the_same_pixels_and_are_verified(tmp_path):
    from mixup_cli.verify import verify

    source = write_dataset(tmp_path / "in")
    sizes = {}
    for name in ("fast", "small"):
        out = tmp_path / name
        record = augment(source, out, Options(compression=name), jobs=0)
        assert record["options"]["compression"] == name
        assert verify(out, source, jobs=0)["problems"] == []
        sizes[name] = {p.name: read_output(p) for p in sorted(out.rglob("*.png"))}
    assert sizes["fast"].keys() == sizes["small"].keys() and len(sizes["fast"]) == 8
    for file, pixels in sizes["fast"].items():
        np.testing.assert_array_equal(pixels, sizes["small"][file])
    with pytest.raises(InputError, match="--compression tiny: give one of fast, small"):
        Options(compression="tiny")


@pytest.mark.parametrize("decode", ["scaled", "full"])
def test_how_jpegs_are_decoded_is_known_to_render_and_verify(tmp_path, decode):
    """The way is in mixup.json: a plan rendered again, and a check, take the same one."""
    from mixup_cli.verify import verify

    for k in range(4):
        path = tmp_path / "in" / "ab"[k % 2] / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(160, 200, 3, seed=k)).save(path, quality=95)
    canvas = Canvas((16, 16), decode=decode)
    augment(tmp_path / "in", tmp_path / "out", Options(canvas=canvas), jobs=0)
    assert verify(tmp_path / "out", tmp_path / "in", jobs=0)["problems"] == []
    other = Canvas((16, 16), decode={"scaled": "full", "full": "scaled"}[decode])
    augment(tmp_path / "in", tmp_path / "other", Options(canvas=other), jobs=0)
    command = [sys.executable, "-m", "mixup_cli", "render", "in", "out/metadata.csv", "again"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    pngs = [{k: v for k, v in tree(tmp_path / out).items() if k.endswith("png")} for out in ("out", "again", "other")]
    assert pngs[0] == pngs[1] and pngs[0] != pngs[2]


@pytest.mark.skipif(sys.platform == "win32", reason="files have no mode on Windows")
def test_images_are_no_programs(tmp_path):
    """Every file has the mode that the user's umask gives to a new file."""
    augment(write_dataset(tmp_path / "in"), tmp_path / "out", jobs=0)
    (tmp_path / "new").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "new").stat().st_mode}


def test_an_output_from_before_decode_is_rendered_and_verified(tmp_path):
    """JPEGs were decoded whole then, and mixup.json did not say so."""
    from mixup_cli.store import read_record, sealed
    from mixup_cli.verify import verify

    for k in range(4):
        path = tmp_path / "in" / "ab"[k % 2] / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(160, 200, 3, seed=k)).save(path, quality=95)
    out = tmp_path / "out"
    augment(tmp_path / "in", out, Options(canvas=Canvas((16, 16), decode="full")), jobs=0)
    record = read_record(out)
    for name in ("decode", "compression", "format", "layout", "max_mix"):
        del record["options"][name]
    (out / "mixup.json").write_text(sealed(record), encoding="utf-8")
    assert verify(out, tmp_path / "in", jobs=0)["problems"] == []
    command = [sys.executable, "-m", "mixup_cli", "render", "in", "out/metadata.csv", "again"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    pngs = [{k: v for k, v in tree(tmp_path / name).items() if k.endswith("png")} for name in ("out", "again")]
    assert pngs[0] == pngs[1]
