import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from helpers import beta_pvalue
from mixup_cli import blend, get_batch, mixup, sample_lam
from mixup_cli.kernel import mix_labels

DTYPES = [np.uint8, np.uint16, np.float32, np.float64]


def batch(dtype, shape=(5, 4, 3, 3), seed=0):
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (rng.random(shape) * top).astype(dtype)


@pytest.mark.parametrize("alpha", [0.2, 1])
def test_lam_is_beta_distributed(alpha):
    lam = sample_lam(np.random.default_rng(1), alpha, 20_000)
    assert beta_pvalue(lam, alpha) > 0.01
    assert beta_pvalue(lam, alpha * 1.2) < 1e-6  # the test can tell


def test_a_wrong_sampler_is_found():
    """Two releases of known libraries drew U(0, 1) for every alpha."""
    lam = np.round(np.random.default_rng(1).random(2000), 6)
    assert beta_pvalue(lam, 0.2) < 1e-6


def test_lam_has_6_decimals():
    for lam in sample_lam(np.random.default_rng(0), 0.2, 500).tolist():
        assert float(f"{lam:.6f}") == lam


@pytest.mark.parametrize("alpha", [1e-320, 1e-12, 1e12, 1e300])
def test_extreme_alpha_is_finite_and_symmetric(alpha):
    lam = sample_lam(np.random.default_rng(0), alpha, 2000)
    assert np.all((lam >= 0) & (lam <= 1)) and abs(lam.mean() - 0.5) < 0.05


def test_alpha_zero_is_plain_training():
    assert sample_lam(np.random.default_rng(0), 0, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("alpha", [-0.1, np.nan, np.inf])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match="alpha"):
        sample_lam(np.random.default_rng(0), alpha, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lam_one_gives_a_and_lam_zero_gives_b(dtype):
    a, b = batch(dtype, seed=1), batch(dtype, seed=2)
    np.testing.assert_array_equal(blend(a, b, np.ones(5)), a)
    np.testing.assert_array_equal(blend(a, b, np.zeros(5)), b)


@given(
    pixels=npst.arrays(np.uint8, (2, 3, 4, 2, 3)),
    lam=npst.arrays(np.float64, 3, elements=st.floats(0, 1)),
)
def test_half_a_grey_level_and_between_a_and_b(pixels, lam):
    a, b = pixels
    out = blend(a, b, lam)
    exact = a * lam[:, None, None, None] + b * (1 - lam[:, None, None, None])
    assert np.abs(out - exact).max() <= 0.5 + 1e-4
    assert np.all(out >= np.minimum(a, b)) and np.all(out <= np.maximum(a, b))


@given(
    pixels=npst.arrays(np.uint16, (2, 1, 6, 2, 1)),
    lam=npst.arrays(np.float64, 1, elements=st.floats(0, 1)),
)
def test_uint16_half_a_level(pixels, lam):
    a, b = pixels
    exact = a.astype(np.float64) * lam + b.astype(np.float64) * (1 - lam)
    assert np.abs(blend(a, b, lam) - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("shape", [(3, 5, 3, 4), (3, 5, 4, 3)])
def test_lam_weighs_samples_not_columns_or_channels(shape):
    a, b = np.full(shape, 100, np.uint8), np.zeros(shape, np.uint8)
    out = blend(a, b, np.array([0, 0.5, 1]))
    assert [int(np.unique(o).item()) for o in out] == [0, 50, 100]


def test_mixup_uses_one_lam_and_one_partner_for_image_and_label():
    x, y = batch(np.float64, (6, 2, 2, 1)), np.eye(6)
    before = x.copy()
    lam, index = np.linspace(0, 1, 6), np.array([1, 2, 3, 4, 5, 0])
    out_x, out_y = mixup(x, y, lam, index)
    for i in range(6):
        np.testing.assert_allclose(out_x[i], lam[i] * x[i] + (1 - lam[i]) * x[index[i]])
        assert out_y[i, i] == lam[i] and out_y[i, index[i]] == 1 - lam[i]
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    "arguments",
    [
        (np.zeros((2, 3, 3, 1), np.uint8), np.eye(2), np.array([0.5]), np.array([1, 0])),
        (np.zeros((2, 3, 3, 1), np.uint8), np.eye(3), np.ones(2), np.array([1, 0])),
        (np.zeros((2, 3, 3, 1), np.uint8), np.eye(2), np.array([0.5, 1.1]), np.array([1, 0])),
        (np.zeros((2, 3, 3, 1), np.uint8), np.eye(2, dtype=int), np.ones(2), np.array([1, 0])),
        (np.zeros((2, 3, 3, 1), np.int64), np.eye(2), np.ones(2), np.array([1, 0])),
    ],
)
def test_mixup_refuses(arguments):
    with pytest.raises(ValueError):
        mixup(*arguments)


def test_get_batch_reaches_every_sample_and_wraps():
    x = np.arange(7, dtype=np.float64).reshape(7, 1, 1, 1)
    seen = []
    for step in range(3):
        out, labels = get_batch(x, np.eye(7), step, 3, alpha=0)
        seen += out.ravel().tolist()
        assert labels.argmax(1).tolist() == out.ravel().tolist()
    assert seen == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_get_batch_of_the_whole_dataset():
    x, y = get_batch(batch(np.uint8), np.eye(5), 0, 5, alpha=1, rng=0)
    assert x.shape == (5, 4, 3, 3) and x.dtype == np.uint8
    np.testing.assert_allclose(y.sum(1), 1)


@pytest.mark.parametrize("size, alpha", [(0, 0.2), (6, 0.2), (2, -1)])
def test_get_batch_refuses(size, alpha):
    with pytest.raises(ValueError):
        get_batch(batch(np.uint8), np.eye(5), 0, size, alpha)


@given(
    st.lists(st.integers(0, 1_000_000), min_size=1, max_size=20),
    st.integers(0, 2**32),
)
def test_soft_labels_sum_exactly_and_are_right(millionths, seed):
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(millionths)), 2)

    def labels():
        first = rng.integers(0, 3, len(millionths))
        weight = rng.integers(1, 1_000_000, len(millionths))
        label = np.stack([first, first + 1], 1).ravel()
        return rows, label, np.stack([weight, 1_000_000 - weight], 1).ravel()

    a, b, lam = labels(), labels(), np.array(millionths) / 1e6
    row, label, weight = mix_labels(a, b, lam)
    dense = np.zeros((len(lam), 4))
    exact = np.zeros((len(lam), 4))
    np.add.at(dense, (row, label), weight)
    np.add.at(exact, a[:2], a[2] * lam[rows])
    np.add.at(exact, b[:2], b[2] * (1 - lam[rows]))
    assert np.all(dense.sum(1) == 1_000_000)
    assert np.abs(dense - exact).max() <= 1
