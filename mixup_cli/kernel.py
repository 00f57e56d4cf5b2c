"""The arithmetic of mixup (Zhang et al. 2018, arXiv:1710.09412): numpy arrays in and out, no files."""

import math

import numpy as np

MILLION = 1_000_000  # lam and label weights have 6 decimals: counted in millionths they are exact


def sample_lam(rng, alpha, size):
    """Draw `size` mixing weights lam ~ Beta(alpha, alpha), rounded to 6 decimals.

    rng: numpy.random.Generator; alpha: finite float >= 0; size: int or shape.
    Returns float64 in [0, 1]. alpha = 0 gives ones: no mixing, plain training (the limit
    alpha -> 0 has lam in {0, 1}); alpha -> infinity tends to 1/2, the strongest mixing.
    Raises ValueError if alpha is negative or not finite.
    Source: Zhang et al. 2018, arXiv:1710.09412, section 2.
    """
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number >= 0, not {alpha}")
    if alpha == 0:
        return np.ones(size)
    # Beyond these bounds nothing changes within 6 decimals, but the sampler would over- or underflow.
    alpha = min(max(alpha, 1e-12), 1e18)
    return np.round(rng.beta(alpha, alpha, size), 6)


def blend(a, b, lam):
    """out = lam * a + (1 - lam) * b, sample by sample.

    a, b: (N, ...) of one shape and dtype, uint8, uint16 or float; lam: (N,) float in [0, 1].
    Returns a new array of that shape and dtype. Integers are rounded to nearest and clipped;
    uint8 is blended in float32 (at most 0.0001 off before rounding), uint16 in float64.
    Raises ValueError if shapes or dtypes disagree, or lam leaves [0, 1].
    Source: Zhang et al. 2018, arXiv:1710.09412, eq. (1).
    """
    lam = np.asarray(lam)
    if a.shape != b.shape or a.dtype != b.dtype or lam.shape != a.shape[:1]:
        raise ValueError(f"cannot blend {a.dtype}{a.shape} and {b.dtype}{b.shape} by lam{lam.shape}")
    if not np.all((lam >= 0) & (lam <= 1)):
        raise ValueError("lam must lie in [0, 1]")
    if a.dtype.kind not in "fu" or a.dtype.itemsize > 2 and a.dtype.kind == "u":
        raise ValueError(f"images must be uint8, uint16 or float, not {a.dtype}")
    work = {"uint8": np.float32, "float16": np.float32, "float32": np.float32}.get(
        a.dtype.name, np.float64
    )
    # (N,) against (N, H, W, C) would broadcast along the channels, silently so when C == N.
    weight = lam.astype(work).reshape(-1, *[1] * (a.ndim - 1))
    out = a * weight
    out += b * (1 - weight)
    if a.dtype.kind == "f":
        return out.astype(a.dtype, copy=False)
    np.rint(out, out=out)
    np.clip(out, 0, np.iinfo(a.dtype).max, out=out)
    return out.astype(a.dtype)


def mixup(x, y, lam, index):
    """Blend each sample with a partner: out = lam * x + (1 - lam) * x[index], labels alike.

    x: (N, H, W, C) uint8, uint16 or float; y: (N, K) float, rows sum to 1.
    lam: (N,) float in [0, 1], the weight of the sample itself; index: (N,) int, its partner.
    Returns new arrays of the shapes and dtypes of x and y; integers are rounded to nearest.
    Raises ValueError if shapes disagree, lam leaves [0, 1] or y is not float.
    Source: Zhang et al. 2018, arXiv:1710.09412, eq. (1).
    """
    x, y, index = np.asarray(x), np.asarray(y), np.asarray(index)
    if y.dtype.kind != "f":
        raise ValueError(f"labels must be float (one-hot or soft), not {y.dtype}")
    if len(x) != len(y) or index.shape != (len(x),):
        raise ValueError(f"{len(x)} images, {len(y)} labels and index{index.shape} disagree")
    return blend(x, x[index], lam), blend(y, y[index], lam)


def get_batch(x, y, step, batch_size, alpha=0.2, rng=None):
    """Take the consecutive batch number `step` of a dataset and mix it within itself.

    x: (N, H, W, C) uint8, uint16 or float; y: (N, K) float, one-hot or soft; step: int >= 0;
    batch_size: 1 to N; alpha: float >= 0, 0 returns the batch as it is; rng: Generator or seed.
    The batch wraps around the end of the dataset, so that every sample is reached.
    Returns (x, y) of batch_size samples: one lam for each sample, one partner for image and label.
    Raises ValueError if batch_size, alpha or the shapes are out of range.
    Source: Zhang et al. 2018, arXiv:1710.09412, figure 1 (there with one lam for the batch).
    """
    x, y = np.asarray(x), np.asarray(y)
    if not 1 <= batch_size <= len(x):
        raise ValueError(f"batch_size must lie in 1 to {len(x)}, not {batch_size}")
    rng = np.random.default_rng(rng)
    batch = (step * batch_size + np.arange(batch_size)) % len(x)
    lam = sample_lam(rng, alpha, batch_size)
    return mixup(x[batch], y[batch], lam, rng.permutation(batch_size))


def mix_labels(a, b, lam):
    """Mix two lists of sparse soft labels: out = lam * a + (1 - lam) * b, exact in millionths.

    a, b: (row, label, weight) int arrays of one length each, weight in millionths, each row's
    weights sum to 1,000,000; lam: (R,) float of at most 6 decimals.
    Returns (row, label, weight) sorted by row, then label, one entry for each label of a row;
    each row sums to exactly 1,000,000 (what rounding leaves over goes to the largest remainders).
    """
    millionths = np.rint(np.asarray(lam) * MILLION).astype(np.int64)
    row = np.concatenate([a[0], b[0]])
    label = np.concatenate([a[1], b[1]])
    product = np.concatenate([a[2] * millionths[a[0]], b[2] * (MILLION - millionths[b[0]])])
    pairs, position = np.unique(np.stack([row, label]), axis=1, return_inverse=True)
    total = np.zeros(pairs.shape[1], np.int64)
    np.add.at(total, position.ravel(), product)
    weight, remainder = np.divmod(total, MILLION)
    missing = MILLION - np.bincount(pairs[0], weight, len(millionths)).astype(np.int64)
    by_remainder = np.lexsort((-remainder, pairs[0]))
    first = np.searchsorted(pairs[0], np.arange(len(millionths)))
    rank = np.empty_like(weight)
    rank[by_remainder] = np.arange(len(weight)) - first[pairs[0]]
    return pairs[0], pairs[1], weight + (rank < missing[pairs[0]])
