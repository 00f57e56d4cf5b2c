"""Real images: photos of many sizes, small pictures, and Fashion-MNIST's 60,000."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import beta_pvalue, read_csv, run_measured
from test_augment import assert_outputs_are_right, read_output

from mixup_cli.run import Options, augment
from mixup_cli.canvas import Canvas
from mixup_cli.plan import PlanOptions

ROOT = Path(__file__).parent.parent
FASHION = Path("/usr/share/datasets/fashion-mnist")
pytestmark = pytest.mark.slow
needs_data = pytest.mark.skipif(
    "MIXUP_TEST_DATA" not in os.environ, reason="MIXUP_TEST_DATA (photos/, cifar/) is not set"
)
needs_fashion = pytest.mark.skipif(
    not FASHION.exists(), reason="Debian's package dataset-fashion-mnist is not installed"
)


@needs_data
@pytest.mark.parametrize("size, fit", [((224, 224), "cover"), ((96, 160), "contain"), (None, "cover")])
def test_photos_are_within_half_a_grey_level(tmp_path, size, fit):
    source = Path(os.environ["MIXUP_TEST_DATA"], "photos")
    augment(source, tmp_path / "out", Options(PlanOptions(alpha=1), canvas=Canvas(size, fit, decode="full")))
    assert_outputs_are_right(source, tmp_path / "out", 1e-4, size=size, fit=fit)


@needs_data
def test_small_images_are_within_half_a_grey_level(tmp_path):
    source = Path(os.environ["MIXUP_TEST_DATA"], "cifar")
    augment(source, tmp_path / "out", Options(PlanOptions(copies=2)))
    assert_outputs_are_right(source, tmp_path / "out", 1e-4)


@needs_data
def test_a_worker_needs_less_than_150_mb_at_224(tmp_path):
    result, peak = run_measured(
        sys.executable, "-m", "mixup_cli", "augment", Path(os.environ["MIXUP_TEST_DATA"], "photos"),
        tmp_path / "out", "--size", "224", "--copies", "5", "--jobs", "2", "--quiet",
    )
    assert result.returncode == 0 and peak < 150e6, f"{peak:,} bytes"


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    """Fashion-MNIST as folders of 10,000 and of 60,000 images, made by the script users run."""
    folder = tmp_path_factory.mktemp("fashion")
    for count in (10_000, 60_000):
        subprocess.run(
            [sys.executable, ROOT / "benchmarks/fashion_mnist.py", folder / f"{count}",
             "--count", f"{count}"], check=True, capture_output=True,
        )
    return folder


def peak_memory(source, out):
    """Peak resident memory, in bytes, of the largest process of a whole run."""
    result, peak = run_measured(
        sys.executable, "-m", "mixup_cli", "augment", source, out, "--jobs", "2", "--quiet"
    )
    assert result.returncode == 0, result.stderr
    return peak


@needs_fashion
def test_fashion_mnist_memory_does_not_grow_and_all_is_right(fashion, tmp_path):
    small = peak_memory(fashion / "10000", tmp_path / "small")
    large = peak_memory(fashion / "60000", tmp_path / "large")
    assert large <= 1.2 * small, f"{large:,} bytes for 60,000 images, {small:,} for 10,000"
    rows = read_csv(tmp_path / "large/metadata.csv")
    assert len(rows) == 60_000
    assert beta_pvalue(np.array([float(row["lam"]) for row in rows]), 0.2) > 0.01
    for row in rows[::97]:
        a, b = (read_output(fashion / "60000" / row[key]) for key in ("source_a", "source_b"))
        lam = float(row["lam"])
        error = np.abs(read_output(tmp_path / "large" / row["file_name"]) - lam * a - (1 - lam) * b)
        assert error.max() <= 0.5 + 1e-4
