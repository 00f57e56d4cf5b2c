"""What is promised of every run, over every engine and every format of the shards."""

import io
import os
import random
import re
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from helpers import COMMAND, read_csv, reference_output, tree, write_dataset
from mixup_cli.run import Options, augment
from mixup_cli.dataset import ReadOptions
from mixup_cli.plan import PlanOptions
from mixup_cli.store import FORMATS
from mixup_cli.verify import verify

SLOW = pytest.mark.slow
ENGINES = {
    "one process": ("--jobs", "1"),
    "pool": ("--jobs", "2"),
    "local cluster": ("--scheduler", "local", "--jobs", "2"),
    "cluster": ("--scheduler",),
}
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler with two workers."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'mixup-cli[dask]'")
    from test_cluster import Cluster

    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    for _ in range(2):
        cluster.add_worker()
    yield cluster.address
    cluster.end()


@pytest.fixture(params=[
    pytest.param(name, marks=() if name == "pool" else SLOW) for name in ENGINES
])
def engine(request):
    """Options that choose an engine."""
    options = ENGINES[request.param]
    return (*options, request.getfixturevalue("address")) if request.param == "cluster" else options


@pytest.fixture(params=list(FORMATS))
def format(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mixup-cli[parquet]'")
    return request.param


@pytest.fixture(scope="session")
def wholes(source, tmp_path_factory):
    """format -> the files of an uninterrupted run in this process."""
    found = {}

    def whole(format):
        if format not in found:
            out = tmp_path_factory.mktemp("whole") / "out"
            augment(source, out, Options(format=format), jobs=0)
            found[format] = tree(out)
        return found[format]

    return whole


def run(source, out, *options):
    return subprocess.run(
        [*COMMAND, source, out, "--quiet", *options], capture_output=True, text=True, timeout=300
    )


def start(source, out, *options):
    """A run of which a shard is there, and not all."""
    process = subprocess.Popen(
        [*COMMAND, source, out, "--quiet", *options], stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if any(not p.name.startswith(".") for p in out.glob("images/*")):
            break
        time.sleep(0.002)
    return process


def test_the_files_are_those_of_one_process(source, wholes, tmp_path, engine, format):
    result = run(source, tmp_path / "out", "--format", format, *engine)
    assert (result.returncode, result.stderr) == (3, "")  # one source is damaged
    assert tree(tmp_path / "out") == wholes(format)


@posix
def test_killed_again_and_again_and_resumed(source, wholes, tmp_path, engine, format):
    out, options = tmp_path / "out", ("--format", format, *engine)
    for _ in range(3):
        process = start(source, out, "--resume", *options)
        process.kill()
        process.communicate()
        for name, data in tree(out / "images").items() if (out / "images").exists() else ():
            assert data == wholes(format)[f"images/{name}"]  # what is visible is complete
    result = run(source, out, "--resume", *options)
    assert (result.returncode, result.stderr) == (3, "")
    assert tree(out) == wholes(format)


@SLOW
@posix
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_resumed(source, wholes, tmp_path, engine, format, number, code):
    out, options = tmp_path / "out", ("--format", format, *engine)
    process = start(source, out, *options)
    began = time.monotonic()
    process.send_signal(number)
    process.communicate()
    assert process.returncode in (code, 3) and time.monotonic() - began < 5
    result = run(source, out, "--resume", *options)
    assert (result.returncode, result.stderr) == (3, "")
    assert tree(out) == wholes(format)


@SLOW
@posix
def test_two_runs_never_write_to_one_folder(source, wholes, tmp_path, engine, format):
    out, options = tmp_path / "out", ("--format", format, *engine)
    process = start(source, out, *options)
    process.send_signal(signal.SIGSTOP)
    try:
        second = run(source, out, "--resume", *options) if process.poll() is None else None
    finally:
        process.send_signal(signal.SIGCONT)
    process.communicate()
    assert second is None or (second.returncode, "another run is writing" in second.stderr) == (5, True)
    assert process.returncode == 3 and tree(out) == wholes(format)


@SLOW
def test_parts_and_whoever_resumes_finishes(source, wholes, tmp_path, engine, format):
    out, options = tmp_path / "out", ("--format", format, *engine)
    for part in ("2/3", "1/3", "3/3"):
        assert run(source, out, "--part", part, *options).returncode in (0, 3)
    assert run(source, out, "--resume", *options).returncode == 3
    assert tree(out) == wholes(format)


@SLOW
def test_an_unfinished_run_of_another_format_is_refused(source, tmp_path, format):
    other = next(name for name in FORMATS if name != format)
    assert run(source, tmp_path / "out", "--format", format, "--part", "1/3").returncode in (0, 3)
    result = run(source, tmp_path / "out", "--format", other, "--resume")
    assert result.returncode == 6 and f"format {format} then, {other} now" in result.stderr
    assert run(source, tmp_path / "out", "--format", other, "--overwrite").returncode == 3


# What each format holds, read by the package that its readers use.


def read_folder(out):
    labels = {row.pop("file_name"): list(map(float, row.values())) for row in read_csv(out / "labels.csv")}
    for name, label in labels.items():
        yield name, Image.open(out / name), label


def read_webdataset(out):
    wds = pytest.importorskip("webdataset", reason="the webdataset package is not installed")
    shards = sorted(map(str, out.glob("images/*.tar")))
    for key, image, record in wds.WebDataset(shards, shardshuffle=False).decode().to_tuple("__key__", "png", "json"):
        yield f"{key}.png", Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image, record["soft_label"]


def read_parquet(out):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    files = sorted(map(str, out.glob("images/*.parquet")))
    found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(out / "cache"))
    for row in found:
        yield row["file_name"], row["image"], row["soft_label"]


ROWS = {"folder": read_folder, "webdataset": read_webdataset, "parquet": read_parquet}


@pytest.fixture(scope="module")
def colourful(tmp_path_factory):
    """Three classes, grey and colour, of several sizes."""
    root = write_dataset(tmp_path_factory.mktemp("colours") / "in", ("a", "b", "c"), per_class=4)
    Image.open(root / "a/0.png").convert("L").save(root / "a/9.png")
    return write_dataset(root, ("d",), per_class=4, size=(20, 31))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset closes late
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("policy", ["mixup", "remix"])
def test_the_pixels_and_labels_are_those_of_float64(colourful, tmp_path, format, policy):
    out = tmp_path / "out"
    plan = PlanOptions(alpha=1.0, copies=3, label_policy=policy, kappa=1.0)
    augment(colourful, out, Options(plan, format=format), jobs=0)
    rows = read_csv(out / "metadata.csv")
    assert any(row.get("label_lam", row["lam"]) != row["lam"] for row in rows) == (policy == "remix")
    found = list(ROWS[format](out))
    assert [name for name, _, _ in found] == [row["file_name"] for row in rows]
    for row, (_, image, label) in zip(rows, found, strict=True):
        lam = float(row["lam"])
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        pixels = np.asarray(image, np.float64)
        expected = reference_output(colourful / row["source_a"], colourful / row["source_b"], lam)
        assert np.abs(pixels.reshape(expected.shape) - expected).max() <= 0.5001
        wanted = dict.fromkeys("abcd", 0.0)
        lam = float(row.get("label_lam", lam))
        wanted[row["label_a"]] += lam
        wanted[row["label_b"]] += 1 - lam
        assert label == pytest.approx(list(wanted.values()), abs=5e-7)
    assert verify(out, colourful, jobs=0)["problems"] == []


def test_the_tables_are_those_of_a_folder(source, wholes, format):
    for name in ("labels.csv", "metadata.csv", "classes.txt", "rejects.csv"):
        assert wholes(format)[name] == wholes("folder")[name]


@pytest.mark.parametrize("options", [
    Options(PlanOptions(label_policy="remix", include_originals=True), label_format="sparse"),
    Options(PlanOptions(copies=40)),
], ids=["remix, sparse", "copies"])
def test_verify_passes_what_is_sound(colourful, tmp_path, format, options):
    from dataclasses import replace

    augment(colourful, tmp_path / "out", replace(options, format=format), jobs=0)
    report = verify(tmp_path / "out", colourful, jobs=2)
    assert report["problems"] == [] and report["files"] == report["rows"] > 0


def test_verify_finds_one_flipped_bit_anywhere(colourful, tmp_path, format):
    out, rng = tmp_path / "out", random.Random(8)
    augment(colourful, out, Options(format=format), jobs=0)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for at in rng.sample(range(len(data)), min(len(data), 20)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            found = [p["file"] for p in verify(out, jobs=0)["problems"]]
            assert any(path.relative_to(out).as_posix() in file for file in found), (path, at)
        path.write_bytes(data)
    assert verify(out, jobs=0)["problems"] == []


def test_a_shard_that_is_missing_is_found(colourful, tmp_path, format):
    out = tmp_path / "out"
    augment(colourful, out, Options(format=format), jobs=0)
    shard = next((out / "images").iterdir())
    shard.rename(out / "elsewhere")
    assert [p["file"] for p in verify(out, jobs=0)["problems"]] == [f"images/{shard.name}"]


@SLOW
def test_labels_are_kept_when_an_output_is_the_input(colourful, tmp_path, format):
    if format == "parquet":
        pytest.skip("parquet is written, not read")
    augment(colourful, tmp_path / "mixed", Options(PlanOptions(alpha=1.0), format=format), jobs=0)
    augment(tmp_path / "mixed", tmp_path / "again", Options(PlanOptions(alpha=1.0), format=format), jobs=0)
    plain = Options(PlanOptions(alpha=1.0))
    augment(colourful, tmp_path / "plain", plain, jobs=0)
    augment(tmp_path / "plain", tmp_path / "plain again", plain, jobs=0)
    assert (tmp_path / "again/labels.csv").read_bytes() == (tmp_path / "plain again/labels.csv").read_bytes()
    assert verify(tmp_path / "again", tmp_path / "mixed", ReadOptions(), jobs=0)["problems"] == []


@SLOW
def test_a_shard_that_somebody_else_changed_stops_the_run_before_it_is_called_complete(source, tmp_path, format):
    out = tmp_path / "out"
    assert run(source, out, "--format", format, "--part", "1/3").returncode in (0, 3)
    shard = sorted((out / "images").iterdir())[0]
    with open(shard / "99999999.png" if format == "folder" else shard, "ab") as file:
        file.write(b"x")
    result = run(source, out, "--format", format, "--resume")
    assert result.returncode == 4 and f"{shard}: " in result.stderr and "remove it" in result.stderr
    assert not (out / "mixup.json").exists()
    for path in [shard / "99999999.png"] if format == "folder" else [shard]:
        path.unlink()
    assert run(source, out, "--format", format, "--resume").returncode == 3
    assert verify(out, jobs=0)["problems"] == []


@SLOW
def test_a_report_shows_images_of_every_format(colourful, tmp_path, format):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'mixup-cli[report]'")
    pytest.importorskip("jinja2", reason="jinja2 is not installed: pip install 'mixup-cli[report]'")
    pages = []
    for name in {"folder", format}:
        augment(colourful, tmp_path / name, Options(format=name), jobs=0)
        command = [*COMMAND[:-1], "report", tmp_path / name, "-o", "-"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        pages.append(set(re.findall(r"data:image/png;base64,[\w+/=]+", result.stdout)))
    assert pages[0] and all(page == pages[0] for page in pages)
