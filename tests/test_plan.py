"""Who is paired with whom, with which lam: the statistics of each option, and plans as text."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from helpers import beta_pvalue, run_measured
from mixup_cli.dataset.model import hard_dataset
from mixup_cli.errors import InputError
from mixup_cli.plan import SHARD_ROWS, PlanOptions, csv_rows, header, make_plan, read_plan

# Images of each class; in all but the first, one class is rare, in the last it has one image.
SIZES = {"equal": (20, 20, 20), "half": (150, 100, 50), "rare": (301, 300, 2), "one": (40, 41, 1)}


def classes(*sizes, seed=3):
    """The class of each source, in no order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def plan_of(class_of, **options):
    """A plan; class_of may be a number of sources, all of one class."""
    if isinstance(class_of, int):
        class_of = np.zeros(class_of, int)
    return make_plan(class_of, PlanOptions(**options))


def uses(plan, n):
    """How often each source serves as a, and as b."""
    return np.bincount(plan.source_a, minlength=n), np.bincount(plan.source_b, minlength=n)


@pytest.mark.parametrize("n", [2, 3, 7, 51, 100, 101, 999, 4001])
@pytest.mark.parametrize("copies", [1, 3, 400, 1200])
def test_every_source_serves_once_as_a_and_once_as_b_in_each_copy(n, copies):
    if n * copies > 500_000:
        copies = 20
    plan = plan_of(n, copies=copies)
    assert len(plan) == n * copies and np.all(plan.mixed)
    for used in uses(plan, n):
        assert np.all(used == copies)
    sizes = np.diff(plan.shard_start)
    assert sizes.sum() == len(plan) and sizes.min() >= 1 and sizes.max() <= SHARD_ROWS


@pytest.mark.parametrize("pair", ["any", "same", "different"])
@pytest.mark.parametrize("n, count", [
    (2, 1), (2, 3), (6, 1), (60, 7), (60, 59), (60, 60), (60, 61), (60, 1000), (1800, 5), (1800, 1801),
    (1800, 4000),
])
def test_a_count_is_spread_evenly(n, count, pair):
    class_of = classes(n // 2, n - n // 2) if n > 2 else np.array([0, 0] if pair == "same" else [0, 1])
    plan = plan_of(class_of, count=count, pair=pair)
    assert len(plan) == count and np.all(plan.mixed)
    for used in uses(plan, n):
        assert used.max() - used.min() <= 1
    assert np.diff(plan.shard_start).max() <= SHARD_ROWS


@pytest.mark.parametrize("sizes", ["equal", "half", "rare"])
@pytest.mark.parametrize("copies", [1, 3, 30])
def test_partners_of_the_same_class_without_exception(sizes, copies):
    class_of = classes(*SIZES[sizes])
    plan = plan_of(class_of, pair="same", copies=copies)
    assert np.all(class_of[plan.source_a] == class_of[plan.source_b]) and np.all(plan.mixed)
    for used in uses(plan, len(class_of)):
        assert np.all(used == copies)


@pytest.mark.parametrize("sizes", [
    *SIZES.values(), (1, 1), (2, 2, 1), (3, 2, 1), (1, 1, 1), (500, 500), (499, 499, 1), (333, 333, 333),
    (2500, 1200, 1300), (2499, 1200, 1300), (1,) * 101, (100, *(1,) * 100), (100, *(1,) * 101),
])
@pytest.mark.parametrize("copies", [1, 3, 30])
def test_partners_of_another_class_without_exception(sizes, copies):
    class_of = classes(*sizes)
    for seed in range(3):
        plan = plan_of(class_of, pair="different", copies=copies, seed=seed)
        assert np.all(class_of[plan.source_a] != class_of[plan.source_b])
        for used in uses(plan, len(class_of)):
            assert np.all(used == copies)


@pytest.mark.parametrize("sizes", [(6, 5), (2, 1), (90, 10), (999, 1), (3000, 40, 3)])
@pytest.mark.parametrize("copies", [1, 7])
def test_partners_of_another_class_when_one_has_more_than_half(sizes, copies):
    class_of = classes(*sizes)
    plan = make_plan(class_of, PlanOptions(pair="different", copies=copies), ["cat", "dog", "fox"])
    assert np.all(class_of[plan.source_a] != class_of[plan.source_b])
    assert np.all(uses(plan, len(class_of))[0] == copies)
    assert plan.notes == (
        f"--pair different: class 'cat' has {sizes[0]:,} of {sum(sizes):,} images, more than half, so"
        " images of the other classes serve more often as b",
    )


@pytest.mark.parametrize("pair", ["any", "same", "different"])
@pytest.mark.parametrize("sizes, copies", [
    ((20, 20, 20), 1), ((150, 100, 50), 2), ((301, 300, 2), 1), ((301, 300, 2), 10), ((90, 10), 3),
    ((1000, 900, 7, 3), 2),
])
def test_balance_within_one(sizes, copies, pair):
    class_of = classes(*sizes)
    plan = plan_of(class_of, balance=True, pair=pair, copies=copies, seed=8)
    assert len(plan) == len(class_of) * copies and np.all(plan.mixed)
    served = np.bincount(class_of[plan.source_a])
    assert served.max() - served.min() <= 1
    as_a, as_b = uses(plan, len(class_of))
    for k in range(len(sizes)):  # inside a class too, everybody serves equally often
        assert np.ptp(as_a[class_of == k]) <= 1
    same = class_of[plan.source_a] == class_of[plan.source_b]
    if pair == "any":
        assert np.abs(as_b - copies).mean() < 0.1 * copies  # b is drawn as it would be without
    else:
        assert np.all(same == (pair == "same"))


def test_balance_with_a_class_of_one_image():
    class_of = classes(*SIZES["one"])
    for pair in ("any", "different"):
        plan = plan_of(class_of, balance=True, pair=pair, copies=4)
        assert np.all(plan.mixed)
        assert np.ptp(np.bincount(class_of[plan.source_a])) <= 1
    with pytest.raises(InputError, match="only image of class number 2"):
        plan_of(class_of, balance=True, pair="same")


@pytest.mark.parametrize("options, sizes, allowed", [
    ({}, (3, 3), lambda i, j: i != j),
    ({"pair": "same"}, (3, 4), lambda i, j: (i < 3) == (j < 3) and i != j),
    ({"pair": "different"}, (2, 2, 2), lambda i, j: i // 2 != j // 2),
    ({"pair": "different"}, (3, 3), lambda i, j: (i < 3) != (j < 3)),
    ({"count": 4}, (3, 3), lambda i, j: i != j),
    ({"balance": True, "pair": "different"}, (3, 3), lambda i, j: (i < 3) != (j < 3)),
])
def test_partners_are_uniform_over_a_small_dataset(options, sizes, allowed):
    class_of = np.repeat(np.arange(len(sizes)), sizes)
    n = len(class_of)
    counts = np.zeros((n, n))
    for seed in range(2000):
        plan = plan_of(class_of, seed=seed, **options)
        np.add.at(counts, (plan.source_a, plan.source_b), 1)
    table = [[counts[i, j] for j in range(n) if allowed(i, j)] for i in range(n)]
    assert sum(map(sum, table)) == counts.sum()
    for row in table:
        assert stats.chisquare(row).pvalue > 0.0005


@pytest.mark.parametrize("options", [
    {"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 8.0}, {"alpha": (0.2, 1.0)}, {"alpha": (5.0, 2.0)},
    {"alpha": 0.2, "pair": "same"}, {"alpha": 0.2, "pair": "different"}, {"alpha": 0.4, "balance": True},
    {"alpha": 0.3, "include_originals": True}, {"alpha": 0.3, "count": 4321},
    {"alpha": 0.2, "min_mix": 0.1}, {"alpha": 0.01, "min_mix": 0.4}, {"alpha": 1.0, "min_mix": 0.05},
    {"alpha": 8.0, "min_mix": 0.2}, {"alpha": 300.0, "min_mix": 0.45}, {"alpha": (0.2, 1.0), "min_mix": 0.3},
    {"alpha": (60.0, 1.0), "min_mix": 0.4}, {"alpha": (1.0, 60.0), "min_mix": 0.4},
    {"alpha": (3.0, 40.0), "min_mix": 0.01}, {"alpha": 0.2, "min_mix": 0.000001},
    {"alpha": 0.2, "max_mix": 0.4}, {"alpha": 0.2, "max_mix": 0.01}, {"alpha": 1.0, "max_mix": 0.25},
    {"alpha": 8.0, "max_mix": 0.3}, {"alpha": 300.0, "max_mix": 0.45}, {"alpha": 60.0, "max_mix": 0.1},
    {"alpha": (0.2, 1.0), "max_mix": 0.1}, {"alpha": (60.0, 1.0), "max_mix": 0.2},
    {"alpha": (1.0, 60.0), "max_mix": 0.001}, {"alpha": (3.0, 40.0), "max_mix": 0.1},
    {"alpha": (3.0, 5.0), "max_mix": 0.3}, {"alpha": (3.0, 1.0), "max_mix": 0.25},
    {"alpha": 0.2, "min_mix": 0.1, "max_mix": 0.4}, {"alpha": 8.0, "min_mix": 0.01, "max_mix": 0.3},
    {"alpha": (0.2, 1.0), "min_mix": 0.2, "max_mix": 0.3}, {"alpha": (5.0, 2.0), "min_mix": 0.25, "max_mix": 0.35},
    {"alpha": (30.0, 10.0), "min_mix": 0.2, "max_mix": 0.499}, {"alpha": 1.0, "max_mix": 0.499999},
])
def test_lam_has_the_distribution_asked_for(options):
    plan = plan_of(classes(3000, 3000, 3000), seed=5, **options)
    lam, least, most = plan.lam[plan.mixed], options.get("min_mix", 0.0), options.get("max_mix", 0.5)
    mix = np.minimum(lam, 1 - lam)
    assert mix.min() >= least - 1e-12 and mix.max() <= most + 1e-12
    assert np.array_equal(np.round(lam, 6), lam)
    assert beta_pvalue(lam, options["alpha"], least, most) > 0.01


@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 1e9, (1e-6, 1e6), (1e9, 1e-9), (1e5, 1.0), (1e5, 2e5)])
@pytest.mark.parametrize("least", [0.0, 1e-6, 0.01, 0.3, 0.499999, 0.5])
@pytest.mark.parametrize("most", [1e-6, 0.01, 0.3, 0.499999, 0.5])
def test_extreme_truncations_end_and_keep_the_bounds(alpha, least, most):
    if least > most:
        with pytest.raises(InputError, match="no lam of 6 decimals"):
            plan_of(500, alpha=alpha, min_mix=least, max_mix=most)
        return
    lam = plan_of(500, alpha=alpha, min_mix=least, max_mix=most).lam
    mix = np.minimum(lam, 1 - lam)
    assert mix.min() >= least - 1e-12 and mix.max() <= most + 1e-12


def test_alpha_near_0_truncated_is_uniform_in_log_odds():
    """The limit, which no cumulative distribution function can be trusted with."""
    lam = plan_of(5000, alpha=1e-9, min_mix=0.01).lam
    log_odds = np.log(lam / (1 - lam))
    high = np.log(99)
    assert stats.kstest(log_odds, "uniform", (-high, 2 * high)).pvalue > 0.01


def test_lam_between_two_bounds_that_meet_is_on_either_side():
    """As often as the densities there: 0.1^2 0.9^4 to 0.9^2 0.1^4."""
    lam = plan_of(5000, alpha=(3.0, 5.0), min_mix=0.1, max_mix=0.1).lam
    left = np.count_nonzero(lam == 0.1)
    assert left + np.count_nonzero(lam == 0.9) == len(lam)
    assert stats.binomtest(left, len(lam), 81 / 82).pvalue > 0.001


def test_a_fixed_lam():
    plan = plan_of(100, lam=0.3)
    assert np.all(plan.lam == 0.3)


def test_originals_are_in_every_shard_once_each_as_themselves():
    for options in ({"copies": 3}, {"count": 10}, {"pair": "same"}, {"balance": True}):
        class_of = classes(100, 101, 102)
        plan = plan_of(class_of, include_originals=True, **options)
        originals = ~plan.mixed
        assert np.all(plan.lam[originals] == 1)
        assert sorted(plan.source_a[originals].tolist()) == list(range(303))
        mixed = options.get("count", 303 * options.get("copies", 1))
        assert len(plan) == 303 + mixed


def test_remix_shifts_the_label_to_the_rare_class():
    class_of = classes(300, 100, 99, 30)
    plan = plan_of(class_of, alpha=1.0, label_policy="remix", copies=20)
    count = np.bincount(class_of)
    for a, b, lam, label_lam in zip(plan.source_a, plan.source_b, plan.lam, plan.label_lam, strict=True):
        ratio = count[class_of[a]] / count[class_of[b]]
        if ratio >= 3 and lam < 0.5:
            assert label_lam == 0
        elif ratio <= 1 / 3 and 1 - lam < 0.5:
            assert label_lam == 1
        else:
            assert label_lam == lam
    assert {0.0, 1.0} <= set(plan.label_lam)
    assert plan_of(class_of).label_lam is None


def test_neighbouring_rows_share_an_image():
    for options in ({}, {"pair": "same"}, {"pair": "different"}):
        plan = plan_of(classes(100, 100), **options)
        shared = plan.source_b[:-1] == plan.source_a[1:]
        assert shared.mean() > 0.8


@pytest.mark.parametrize("pair", ["any", "same", "different"])
def test_a_shard_needs_few_sources(pair):
    plan = plan_of(classes(20_000, 20_000), copies=10, pair=pair)
    for shard in range(0, plan.num_shards, 37):
        rows = plan.rows(shard)
        assert len(np.unique(plan.source_a[rows.start : rows.stop])) * 10 == len(rows)


@pytest.mark.parametrize("sizes", [(5000,), (2,) * 2500])
def test_shards_are_many_and_large_enough(sizes):
    plan = plan_of(classes(*sizes), pair="same")
    assert 30 <= np.median(np.diff(plan.shard_start)) <= 100


def test_the_seed_decides_and_nothing_else():
    for options in ({}, {"balance": True}, {"pair": "same"}, {"pair": "different"}):
        class_of = classes(40, 30, 30)
        first, same, other = (plan_of(class_of, seed=seed, **options) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.source_a, same.source_a)
        np.testing.assert_array_equal(first.lam, same.lam)
        assert not np.array_equal(first.source_a, other.source_a)
        assert not np.array_equal(first.lam, other.lam)


def test_names_sort_as_rows_do():
    plan = plan_of(2000, copies=3)
    names = [
        f"{plan.folder(s)}/{plan.file(r)}" for s in range(plan.num_shards) for r in plan.rows(s)
    ]
    assert names == sorted(names) and len(set(names)) == 6000


def test_share_equal_to_source_at_alpha_02():
    for originals in (False, True):
        share = plan_of(20_000, include_originals=originals).share_equal_to_source()
        assert 0.28 < share < 0.32


@pytest.mark.parametrize("options, sizes, words", [
    ({}, (1,), "1 images"),
    ({"copies": 0}, (9,), "--copies 0"),
    ({"count": 0}, (9,), "--count 0"),
    ({"alpha": -1.0}, (9,), "alpha must be"),
    ({"alpha": (0.0, 1.0)}, (9,), "alpha must be"),
    ({"alpha": 0.0, "min_mix": 0.1}, (9,), "mixes nothing"),
    ({"min_mix": 0.6}, (9,), "--min-mix 0.6: give 0 to 0.5"),
    ({"lam": 1.5}, (9,), "--lam 1.5"),
    ({"lam": 0.1234567}, (9,), "6 decimals"),
    ({"lam": 0.1, "min_mix": 0.1}, (9,), "exclude one another"),
    ({"max_mix": 0.6}, (9,), "--max-mix 0.6: give 0 to 0.5"),
    ({"max_mix": 0.0}, (9,), "max_mix must lie above 0"),
    ({"max_mix": 1e-7}, (9,), "no lam of 6 decimals"),
    ({"lam": 0.1, "max_mix": 0.1}, (9,), "exclude one another"),
    ({"pair": "other"}, (9,), "--pair other: give one of any, same, different"),
    ({"pair": "same"}, (9, 1, 1), "only image of class number 1, number 2"),
    ({"pair": "different"}, (9,), "one class"),
    ({"balance": True}, (9,), "one class"),
    ({"label_policy": "smooth"}, (9,), "--label-policy smooth"),
    ({"kappa": 0.5}, (9,), "--kappa 0.5: give 1 or more"),
])
def test_refuses(options, sizes, words):
    with pytest.raises(InputError, match=words):
        plan_of(classes(*sizes), **options)


def test_messages_have_the_names_of_classes():
    with pytest.raises(InputError, match="only image of class 'bird'"):
        make_plan(np.array([0, 0, 1]), PlanOptions(pair="same"), ["cat", "bird"])


# A plan as text.

NAMES = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(30)]
DATASET = hard_dataset(Path("in"), NAMES, ("cat", "dog"), [0] * 30 + [1] * 30)


def text(plan, dataset=DATASET):
    """A plan as lines of CSV."""
    rows = (csv_rows(plan, dataset, s, plan.rows(s)) for s in range(plan.num_shards))
    return [",".join(row) + "\n" for row in itertools.chain([header(plan)], *rows)]


def read(tmp_path, lines):
    path = tmp_path / "plan.csv"
    path.write_text("".join(lines), encoding="utf-8")
    return read_plan(path, DATASET)


def assert_same_plan(one, other):
    assert text(one) == text(other)
    for name in ("source_a", "source_b", "lam", "shard_start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("options", [{}, {"include_originals": True}, {"label_policy": "remix", "alpha": 1.0}])
def test_a_plan_survives_as_text(tmp_path, options):
    plan = make_plan(DATASET.class_of(), PlanOptions(copies=40, **options))
    assert_same_plan(plan, read(tmp_path, text(plan)))


def test_reordered_rows_are_put_in_the_order_of_their_names(tmp_path):
    plan = make_plan(DATASET.class_of(), PlanOptions(copies=40))
    head, *rows = text(plan)
    shuffled = np.random.default_rng(0).permutation(rows)
    assert_same_plan(plan, read(tmp_path, [head, *shuffled]))


def test_dropped_rows_leave_the_names_of_the_others(tmp_path):
    plan = make_plan(DATASET.class_of(), PlanOptions(copies=40))
    head, *rows = text(plan)
    assert plan.num_shards == 3
    half = read(tmp_path, [head, *rows[1500:]])
    assert text(half) == [head, *rows[1500:]] and half.num_shards == 2


def test_without_names_files_are_numbered_by_row_in_shards_of_1000(tmp_path):
    rows = ["source_a,source_b,lam\n", *["dog/3.png,cat/7.png,0.25\n"] * 2500]
    plan = read(tmp_path, rows)
    assert np.diff(plan.shard_start).tolist() == [1000, 1000, 500]
    assert text(plan)[2001] == "images/00002/00002000.png,dog/3.png,cat/7.png,0.25,dog,cat\n"


def test_columns_in_any_order_and_weights_as_people_write_them(tmp_path):
    plan = read(tmp_path, ["lam,source_b,label_b,source_a\n", "1e-1,cat/0.png,cat,dog/0.png\n",
                           ".12345649,cat/0.png,cat,cat/0.png\n", "1,cat/1.png,cat,dog/0.png\n"])
    assert plan.lam.tolist() == [0.1, 0.123456, 1.0]


GOOD = "images/00000/00000000.png,cat/0.png,dog/0.png,0.5,cat,dog\n"


@pytest.mark.parametrize("change, line, words", [
    (("0.5", "1.5"), 2, "lam '1.5'; give a number, 0 to 1"),
    (("0.5", "nan"), 2, "lam 'nan'"),
    (("0.5", ""), 2, "lam ''"),
    (("cat/0.png", "cat/99.png"), 2, "no such source 'cat/99.png'; paths are relative to in"),
    (("cat/0.png", "../x.png"), 2, "no such source"),
    ((",cat,", ",dog,"), 2, "label_a 'dog', but 'cat/0.png' is 'cat'"),
    (("00000000.png", "mine.png"), 2, "file_name 'images/00000/mine.png'; it is written"),
    (("images/", "../images/"), 2, "file_name"),
    (("00000000.png", "000000000.png"), 3, "more or fewer digits"),
    (("0.5,", "0.5,,"), 2, "7 fields, but line 1 has 6"),
    ((GOOD, GOOD * 2), 3, "file_name 'images/00000/00000000.png' stands in line 2 too"),
])
def test_a_faulty_row_is_refused_by_line(tmp_path, change, line, words):
    second = GOOD.replace("00000000.png", "00000001.png")
    with pytest.raises(InputError) as caught:
        read(tmp_path, [",".join(header(plan_of(2))) + "\n", GOOD.replace(*change), second])
    assert f"plan.csv:{line}: " in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize("lines, words", [
    ([], "plan.csv: empty"),
    (["source_a,source_b,lam\n"], "no rows"),
    (["source_a,lam\n", "cat/0.png,1\n"], "no column source_b"),
    (["source_a,source_b,lam,weight\n"], "columns source_a, source_b, lam, weight; a plan has"),
    (["source_a,source_a,lam\n"], "each once"),
])
def test_a_table_that_is_no_plan_is_refused(tmp_path, lines, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, lines)


def test_a_folder_of_more_than_1000_files_is_refused(tmp_path):
    rows = [f"images/00000/{i:08d}.png,cat/0.png,dog/0.png,0.5\n" for i in range(1001)]
    with pytest.raises(InputError, match="plan.csv:1002: more than 1,000 files in folder 00000"):
        read(tmp_path, ["file_name,source_a,source_b,lam\n", *rows])


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "pair='different'", "balance=True", "pair='same'"])
def test_imagenet_with_ten_copies_is_planned_within_1_gb(options):
    code = (
        "import numpy; from mixup_cli.plan import PlanOptions, make_plan;"
        "class_of = numpy.random.default_rng(0).integers(0, 1000, 1_280_000);"
        f"print(len(make_plan(class_of, PlanOptions(copies=10, {options}))))"
    )
    result, peak = run_measured(sys.executable, "-c", code)
    assert int(result.stdout) == 12_800_000 and peak < 1_000_000_000, f"{peak:,}"
