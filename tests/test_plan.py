import sys

import numpy as np
import pytest
from scipy import stats

from helpers import beta_pvalue, run_measured
from mixup_cli.errors import InputError
from mixup_cli.plan import SHARD_ROWS, make_plan


@pytest.mark.parametrize("n", [2, 3, 7, 51, 100, 101, 999, 4001])
@pytest.mark.parametrize("copies", [1, 3, 400, 1200])
def test_every_source_serves_once_as_a_and_once_as_b_in_each_copy(n, copies):
    if n * copies > 500_000:
        copies = 20
    plan = make_plan(n, copies=copies)
    assert len(plan) == n * copies
    assert np.all(plan.source_a != plan.source_b)
    assert np.all(np.bincount(plan.source_a, minlength=n) == copies)
    assert np.all(np.bincount(plan.source_b, minlength=n) == copies)
    sizes = np.diff(plan.shard_start)
    assert sizes.sum() == len(plan) and sizes.min() >= 1 and sizes.max() <= SHARD_ROWS


def test_neighbouring_rows_share_an_image():
    plan = make_plan(200)
    for shard in range(plan.num_shards):
        rows = plan.rows(shard)
        assert np.all(plan.source_b[rows.start : rows.stop - 1] == plan.source_a[rows.start + 1 : rows.stop])
        assert plan.source_b[rows.stop - 1] == plan.source_a[rows.start]


def test_a_shard_needs_few_sources():
    plan = make_plan(40_000, copies=10)
    for shard in range(0, plan.num_shards, 37):
        rows = plan.rows(shard)
        assert len(np.unique(plan.source_a[rows.start : rows.stop])) * 10 == len(rows)


def test_partners_are_uniform_over_a_small_dataset():
    n = 6
    counts = np.zeros((n, n))
    for seed in range(2000):
        plan = make_plan(n, seed=seed)
        np.add.at(counts, (plan.source_a, plan.source_b), 1)
    off_diagonal = counts[~np.eye(n, dtype=bool)]
    assert stats.chisquare(off_diagonal).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.2, 1])
def test_lam_of_a_plan_is_beta_distributed(alpha):
    lam = make_plan(10_000, alpha=alpha, seed=5).lam
    assert beta_pvalue(lam, alpha) > 0.01


def test_the_seed_decides_and_nothing_else():
    first, same, other = make_plan(100, seed=1), make_plan(100, seed=1), make_plan(100, seed=2)
    np.testing.assert_array_equal(first.source_a, same.source_a)
    np.testing.assert_array_equal(first.lam, same.lam)
    assert not np.array_equal(first.source_a, other.source_a)
    assert not np.array_equal(first.lam, other.lam)


def test_names_sort_as_rows_do():
    plan = make_plan(2000, copies=3)
    names = [f"{plan.folder(s)}/{plan.file(r)}" for s in range(plan.num_shards) for r in plan.rows(s)]
    assert names == sorted(names) and len(set(names)) == 6000


def test_share_equal_to_source_at_alpha_02():
    assert 0.28 < make_plan(20_000, alpha=0.2).share_equal_to_source() < 0.32


@pytest.mark.parametrize("arguments", [{"num_sources": 1}, {"copies": 0}, {"alpha": -1}])
def test_refuses(arguments):
    with pytest.raises(InputError):
        make_plan(**{"num_sources": 10, **arguments})


@pytest.mark.slow
def test_imagenet_with_ten_copies_is_planned_within_1_gb():
    code = "from mixup_cli.plan import make_plan; print(len(make_plan(1_280_000, copies=10)))"
    result, peak = run_measured(sys.executable, "-c", code)
    assert int(result.stdout) == 12_800_000 and peak < 1_000_000_000
