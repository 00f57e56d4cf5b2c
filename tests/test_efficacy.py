"""benchmarks/efficacy.py runs, counts right, and is what docs/efficacy.md shows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import write_dataset

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks/efficacy.py"
FASHION = Path("/usr/share/datasets/fashion-mnist")
pytestmark = pytest.mark.slow


def run(*arguments):
    pytest.importorskip("torch", reason="torch is not installed")
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("network", ["small", "preact18"])
def test_a_tiny_study_of_a_folder(tmp_path, network):
    """Every arm once, the offline ones by the command; run again, nothing is trained twice."""
    write_dataset(tmp_path / "in", ("b", "a"), per_class=20, size=(32, 32))
    options = ["--data", tmp_path / "in", "--images", 20, "--held-out", 10, "--steps", 2, "--batch", 4,
               "--network", network, "--crop-and-flip", "--seeds", "0", "--alphas", "1", "--copies", "1",
               "--results", tmp_path / "r.jsonl"]
    first = run(*options)
    arms = [json.loads(line)["arm"] for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert arms == ["plain", "plain, label smoothing 0.1", "online, α 1", "×1, α 1", "×1 and originals, α 1"]
    again = run(*options)
    assert again.stderr == "" and again.stdout == first.stdout
    assert first.stdout.count("\n") == 2 + len(arms)


def test_the_scores_are_those_of_an_independent_count(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})
import json, torch
from efficacy import scores, temperature_of
torch.manual_seed(0)
logits = torch.randn(500, 4, dtype=torch.double) * 3
labels = torch.distributions.Categorical(logits=logits / 2).sample()
print(json.dumps([logits.tolist(), labels.tolist(), scores(logits, labels), temperature_of(logits, labels)]))
"""
    pytest.importorskip("torch", reason="torch is not installed")
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    logits, labels, found, temperature = json.loads(out)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right, top = p.argmax(1) == labels, p.max(1)
    ece = sum(
        abs(right[inside].mean() - top[inside].mean()) * inside.mean()
        for k in range(15) if (inside := (top > k / 15) & (top <= (k + 1) / 15)).any()
    )
    assert found["error"] == pytest.approx(100 * (1 - right.mean()))
    assert found["nll"] == pytest.approx(-np.log(p[np.arange(500), labels]).mean())
    assert found["ece"] == pytest.approx(100 * ece)
    assert 1.6 < temperature < 2.5  # the labels were drawn at 2


@pytest.mark.skipif(not FASHION.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_page_shows_the_results_beside_it(tmp_path):
    """Nothing is left to train, and the table is the page's, to the letter."""
    page = (ROOT / "docs/efficacy.md").read_text(encoding="utf-8")
    results = tmp_path / "efficacy.jsonl"
    results.write_bytes((ROOT / "docs/efficacy.jsonl").read_bytes())
    shown = run("--results", results)
    assert shown.stderr == "" and shown.stdout.strip() in page
