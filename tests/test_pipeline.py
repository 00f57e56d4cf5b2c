"""mixup plan | mixup render, edited plans, pipes, and the README's section of pipelines."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import noise, read_csv, reference_output, run_measured, tree, write_dataset

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_data"
PLAN_OPTIONS = [
    "", "--pair different --count 50 --include-originals", *(
        pytest.param(options, marks=pytest.mark.slow) for options in (
            "--copies 3 --seed 5 --alpha 1", "--balance --alpha 0.2,1", "--pair same --min-mix 0.1",
            "--label-policy remix --lam 0.25",
        )
    ),
]


def mixup(*arguments, **options):
    command = [sys.executable, "-W", "error", "-m", "mixup_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=600, **options)


def images_and_tables(out):
    """Every file but mixup.json, which says how the plan was made."""
    return {name: data for name, data in tree(out).items() if name != "mixup.json"}


def assert_plan_and_render_are_augment(source, folder, plan, canvas):
    assert mixup("augment", source, folder / "a", *plan, *canvas).returncode == 0
    planned = mixup("plan", source, *plan)
    assert planned.returncode == 0
    rendered = mixup("render", source, "-", folder / "b", *canvas, input=planned.stdout)
    assert rendered.returncode == 0 and rendered.stdout == b""
    assert images_and_tables(folder / "a") == images_and_tables(folder / "b")
    assert (folder / "a/metadata.csv").read_bytes() == planned.stdout


@pytest.mark.parametrize("options", PLAN_OPTIONS)
def test_plan_and_render_give_the_files_of_augment(tmp_path, options):
    assert_plan_and_render_are_augment(SAMPLES, tmp_path, options.split(), ["--size", "40x30"])


@pytest.mark.slow
@pytest.mark.skipif("MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA is not set")
def test_plan_and_render_give_the_files_of_augment_on_photos(tmp_path):
    source = Path(os.environ["MIXUP_TEST_DATA"], "photos")
    assert_plan_and_render_are_augment(source, tmp_path, ["--copies", "2"], ["--size", "224"])


def test_an_earlier_run_is_rendered_again_from_its_metadata(tmp_path):
    canvas = ["--size", "32", "--fit", "contain", "--background", "#102030", "--mode", "RGB"]
    assert mixup("augment", SAMPLES, tmp_path / "out", "--alpha", "1", *canvas).returncode == 0
    again = mixup("render", SAMPLES, tmp_path / "out/metadata.csv", tmp_path / "again")
    assert again.returncode == 0
    assert b"mixup.json: size (32, 32), fit contain, mode RGB, background (16, 32, 48)" in again.stderr
    assert images_and_tables(tmp_path / "out") == images_and_tables(tmp_path / "again")
    other = mixup("render", SAMPLES, tmp_path / "out/metadata.csv", tmp_path / "other", "--size", "20")
    assert b": fit contain, mode RGB" in other.stderr
    with Image.open(tmp_path / "other/images/00000/00000000.png") as image:
        assert image.size == (20, 20)


def test_an_edited_plan_works(tmp_path):
    """A row dropped, the rest in another order, a lam changed, a pair of one's own."""
    source = write_dataset(tmp_path / "in")
    planned = mixup("plan", source).stdout.decode().splitlines()
    head, rows = planned[0], [line.split(",") for line in planned[1:]]
    del rows[2]
    rows[4][3] = "0.123456"
    rows.append(["images/00000/00000008.png", "cat/0.png", "dog/3.png", "0.75", "cat", "dog"])
    rows = [rows[i] for i in (3, 0, 7, 5, 2, 1, 6, 4)]
    text = "\n".join([head, *(",".join(row) for row in rows)]) + "\n"
    result = mixup("render", source, "-", tmp_path / "out", input=text.encode())
    assert result.returncode == 0 and b"Wrote 8 images" in result.stderr
    metadata = read_csv(tmp_path / "out/metadata.csv")
    assert [list(row.values()) for row in metadata] == sorted(rows)
    labels = {row.pop("file_name"): row for row in read_csv(tmp_path / "out/labels.csv")}
    assert labels["images/00000/00000008.png"] == {"cat": "0.75", "dog": "0.25"}
    for row in metadata:
        expected = reference_output(
            source / row["source_a"], source / row["source_b"], float(row["lam"])
        )
        pixels = np.asarray(Image.open(tmp_path / "out" / row["file_name"]))
        assert np.abs(pixels - expected).max() <= 0.5001
    assert mixup("verify", tmp_path / "out", "--source", source).returncode == 0


def test_a_plan_cut_in_two_gives_the_images_of_the_whole(tmp_path):
    planned = mixup("plan", SAMPLES, "--copies", "60").stdout.splitlines(keepends=True)
    (tmp_path / "whole.csv").write_bytes(b"".join(planned))
    for name, rows in (("first", planned[1:1001]), ("second", planned[1001:])):
        (tmp_path / f"{name}.csv").write_bytes(planned[0] + b"".join(rows))
    for name in ("whole", "first", "second"):
        result = mixup("render", SAMPLES, tmp_path / f"{name}.csv", tmp_path / name, "--size", "8")
        assert result.returncode == 0, result.stderr
    parts = tree(tmp_path / "first/images") | tree(tmp_path / "second/images")
    assert parts == tree(tmp_path / "whole/images") and len(parts) == len(planned) - 1


@pytest.mark.parametrize("plan, words", [
    ("source_a,source_b,lam\ncat/0.png,dog/0.png,0.5\ncat/0.png,dog/0.png,7\n", "standard input:3: lam '7'"),
    ("source_a,source_b,lam\ncat/0.png,emu/0.png,1\n", "standard input:2: no such source 'emu/0.png'"),
    ("", "standard input: empty"),
])
def test_a_faulty_plan_is_refused_before_anything_is_written(tmp_path, plan, words):
    source = write_dataset(tmp_path / "in")
    result = mixup("render", source, "-", tmp_path / "out", input=plan.encode())
    assert result.returncode == 2 and not (tmp_path / "out").exists()
    assert words in result.stderr.decode() and result.stdout == b""
    assert result.stderr.count(b"\n") == 1


def test_standard_input_is_read_once(tmp_path):
    source = write_dataset(tmp_path / "in")
    result = mixup("render", source, "-", tmp_path / "out", "--labels", "-", input=b"")
    assert result.returncode == 2 and b"standard input can be read once" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_reader_that_has_seen_enough_ends_the_plan_quietly(tmp_path):
    source = write_dataset(tmp_path / "in")
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m mixup_cli plan {source} --copies 20000 | head -n 2;"
         " echo ${PIPESTATUS[0]}"], capture_output=True, text=True,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines()[0].startswith("file_name,") and result.stdout.endswith("\n0\n")


def test_a_note_goes_to_stderr_and_into_mixup_json(tmp_path):
    source = write_dataset(tmp_path / "in")
    Image.fromarray(noise(5, 5, 3)).save(source / "cat/more.png")
    planned = mixup("plan", source, "--pair", "different")
    assert b"Note: --pair different: class 'cat' has 5 of 9 images" in planned.stderr
    assert planned.stdout.count(b"\n") == 10
    mixup("augment", source, tmp_path / "out", "--pair", "different")
    record = json.loads((tmp_path / "out/mixup.json").read_bytes())
    assert record["notes"][0].startswith("--pair different")


@pytest.mark.parametrize("options, words", [
    (["--copies", "2", "--count", "3"], "--copies and --count exclude one another"),
    (["--alpha", "1", "--lam", "0.5"], "--alpha and --lam exclude one another"),
    (["--alpha", "1,2,3"], "'--alpha': 1,2,3 is out of range"),
    (["--alpha", "1,0"], "two above 0"),
    (["--lam", "0.1234567"], "at most 6 decimals"),
    (["--lam", "0.5", "--min-mix", "0.1"], "exclude one another"),
    (["--min-mix", "0.7"], "--min-mix"),
    (["--pair", "near"], "--pair"),
])
def test_options_that_make_no_sense(tmp_path, options, words):
    result = mixup("augment", write_dataset(tmp_path / "in"), tmp_path / "out", *options)
    assert result.returncode == 2 and words in result.stderr.decode()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", ["", "--copies 3", "--copies 4", "--include-originals", "--count 9"])
def test_the_summary_and_its_advice(tmp_path, options):
    source = write_dataset(tmp_path / "in", per_class=6)
    shutil.rmtree(source / "dog")
    write_dataset(source, classes=("dog",), per_class=3)
    out = tmp_path / "out"
    result = mixup("augment", source, out, "--alpha", "1", *options.split())
    said = result.stderr.decode()
    few = options not in ("--copies 4", "--include-originals")
    assert ("Advice: few copies without the originals" in said) == few
    record = json.loads((out / "mixup.json").read_bytes())
    rows = read_csv(out / "labels.csv")
    after = {name: sum(float(row[name]) for row in rows) for name in ("cat", "dog")}
    for found in record["label_mass"]:
        assert found["before"] == {"cat": 6, "dog": 3}[found["class"]]
        assert found["after"] == pytest.approx(after[found["class"]], abs=1e-3)
    share = {name: mass / sum(after.values()) for name, mass in after.items()}
    assert f"Label mass: cat 66.7% -> {share['cat']:.1%}, dog 33.3% -> {share['dog']:.1%}" in said
    lam = np.array([float(r["lam"]) for r in read_csv(out / "metadata.csv") if r["source_a"] != r["source_b"]])
    equal = np.mean(np.minimum(lam, 1 - lam) < 1 / 510)
    assert record["counts"]["share_equal_to_source"] == round(equal, 4)
    assert record["counts"]["outputs"] == len(rows)
    assert f"{equal:.1%} of the " in said and "equal one of their sources in 8 bits" in said


def test_only_outputs_that_were_written_count_as_equal_to_a_source(tmp_path):
    source = write_dataset(tmp_path / "in", per_class=3)
    (source / "cat/0.png").write_bytes(b"no image")
    (tmp_path / "plan.csv").write_text(
        "source_a,source_b,lam\ncat/0.png,dog/1.png,1\ncat/1.png,dog/1.png,1\ncat/2.png,dog/2.png,0.5\n"
    )
    result = mixup("render", source, tmp_path / "plan.csv", tmp_path / "out")
    counts = json.loads((tmp_path / "out/mixup.json").read_bytes())["counts"]
    assert result.returncode == 3 and b"50.0% of the outputs equal" in result.stderr
    assert counts["outputs"] == 2 and counts["share_equal_to_source"] == 0.5


def test_many_classes_are_summed_up(tmp_path):
    source = write_dataset(tmp_path / "in", classes=[f"c{k:02}" for k in range(11)], per_class=2)
    said = mixup("augment", source, tmp_path / "out", "--dry-run").stderr.decode()
    assert "Label mass of a class: 9.09% to 9.09% -> " in said


def test_remix_has_both_weights_in_its_tables(tmp_path):
    source = write_dataset(tmp_path / "in", classes=("cat",), per_class=9)
    write_dataset(source, classes=("fox",), per_class=3)
    out = tmp_path / "out"
    assert mixup("augment", source, out, "--label-policy", "remix", "--alpha", "1", "--copies", "9").returncode == 0
    labels = read_csv(out / "labels.csv")
    shifted = 0
    for row, label in zip(read_csv(out / "metadata.csv"), labels, strict=True):
        expected = {"cat": 0.0, "fox": 0.0}
        expected[row["label_a"]] += float(row["label_lam"])
        expected[row["label_b"]] += 1 - float(row["label_lam"])
        assert {k: float(label[k]) for k in expected} == pytest.approx(expected)
        shifted += row["lam"] != row["label_lam"]
    assert shifted > 5
    header = (out / "metadata.csv").read_text().splitlines()[0]
    assert header == "file_name,source_a,source_b,lam,label_lam,label_a,label_b"
    assert mixup("verify", out, "--source", source).returncode == 0


def pipelines():
    """The commands of README's sections on parts and pipelines, block by block."""
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.split("\n## Interrupted, ")[1].split("\n## Exit codes")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.S)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("commands", pipelines())
def test_the_pipelines_of_readme(tmp_path, commands):
    for tool in ("awk", "jq", "find"):
        if re.search(rf"\b{tool} ", commands) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    shutil.copytree(SAMPLES, tmp_path / "photos")
    script = f'mixup() {{ {sys.executable} -m mixup_cli "$@"; }}\nset -euo pipefail\n{commands}'
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for out in sorted(tmp_path.iterdir()):
        if (out / "mixup.json").exists():
            assert mixup("verify", out).returncode == 0
            assert any((out / "images").rglob("*.png"))


SBATCH = """#!/usr/bin/env bash
# Runs what SLURM's sbatch would, one task after the other, with the variables that it sets.
array=0-0; cpus=1
while [ $# -gt 0 ]; do
  case $1 in
    --array=*) array=${1#*=};;
    --cpus-per-task=*) cpus=${1#*=};;
    --dependency=afterany:*) [ -e "job-${1#*:}" ] || exit 9;;
    --wrap) script=$2; shift;;
    --parsable) ;;
    *) echo "sbatch: unknown option $1" >&2; exit 8;;
  esac
  shift
done
export SLURM_CPUS_PER_TASK=$cpus SLURM_ARRAY_TASK_COUNT=$((${array#*-} - ${array%-*} + 1))
for task in $(seq ${array%-*} ${array#*-}); do
  SLURM_ARRAY_TASK_ID=$task sh -c "$script" || exit 7
done
touch job-$$; echo $$
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_the_slurm_example_of_readme(tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    example = readme.split("<!-- slurm -->\n```sh\n")[1].split("```")[0]
    assert "--array=1-8" in example
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("mixup", f'#!/bin/sh\nexec {sys.executable} -m mixup_cli "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    source = write_dataset(tmp_path / "photos", per_class=40)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    example = example.replace("1-8", "1-2")  # fewer tasks, in the same words
    result = subprocess.run(["bash", "-ec", example], cwd=tmp_path, env=environment, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert b"Part 2/2: " in result.stderr and mixup("augment", source, tmp_path / "whole").returncode == 0
    assert tree(tmp_path / "mixed") == tree(tmp_path / "whole")


@pytest.mark.slow
def test_a_plan_of_10_million_rows_streams_within_1_gb(tmp_path):
    for k in range(2):
        folder = tmp_path / f"in/class-{k}"
        folder.mkdir(parents=True)
        for i in range(5000):
            (folder / f"{i:05}.png").touch()  # a plan opens no image
    script = "from mixup_cli.cli import main; main()"
    code = (
        "import subprocess, sys;"
        f"p = subprocess.Popen([sys.executable, '-c', {script!r}, 'plan', {str(tmp_path / 'in')!r},"
        " '--copies', '1000'], stdout=subprocess.PIPE);"
        "print(sum(block.count(b'\\n') for block in iter(lambda: p.stdout.read(1 << 20), b'')));"
        "sys.exit(p.wait())"
    )
    result, peak = run_measured(sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == 10_000_001 and peak < 1_000_000_000, f"{peak:,}"


def test_a_plan_is_a_table_for_the_csv_module(tmp_path):
    source = write_dataset(tmp_path / "in", classes=('a,b "c"', "größe"))
    text = mixup("plan", source).stdout.decode("utf-8")
    rows = list(csv.reader(text.splitlines(keepends=True)))
    assert {len(row) for row in rows} == {6} and {row[4] for row in rows[1:]} == {'a,b "c"', "größe"}
    assert mixup("render", source, "-", tmp_path / "out", input=text.encode()).returncode == 0
