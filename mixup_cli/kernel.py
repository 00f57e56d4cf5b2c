"""The arithmetic of mixup (Zhang et al. 2018, arXiv:1710.09412): numpy arrays in and out, no files."""

import math

import numpy as np

BAND_VALUES = 160_000  # blended at a time, twice in float32: an image of 224x224x3, in the CPU's cache
MILLION = 1_000_000  # lam and label weights have 6 decimals: counted in millionths they are exact


def sample_lam(rng, alpha, size, min_mix=0.0):
    """Draw `size` mixing weights lam ~ Beta(alpha, alpha), rounded to 6 decimals.

    rng: numpy.random.Generator; alpha: finite float >= 0, or a pair (A, B) for Beta(A, B);
    size: int or shape; min_mix: 0 to 0.5, only lam with min(lam, 1 - lam) >= min_mix are drawn.
    Returns float64 in [0, 1]. alpha = 0 gives ones: no mixing, plain training (the limit
    alpha -> 0 has lam in {0, 1}); alpha -> infinity tends to 1/2, the strongest mixing.
    Raises ValueError if alpha is negative or not finite, or no such lam exists.
    Source: Zhang et al. 2018, arXiv:1710.09412, section 2.
    """
    a, b = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    if not all(math.isfinite(x) and x >= 0 for x in (a, b)) or (a == 0) != (b == 0):
        raise ValueError(f"alpha must be a finite number >= 0, or two > 0, not {alpha}")
    if not 0 <= min_mix <= 0.5:
        raise ValueError(f"min_mix must lie in 0 to 0.5, not {min_mix}")
    if a == 0:
        if min_mix:
            raise ValueError("alpha = 0 mixes nothing, so no lam reaches min_mix")
        return np.ones(size)
    # Beyond these bounds nothing changes within 6 decimals, but the sampler would over- or underflow.
    a, b = (min(max(x, 1e-12), 1e18) for x in (a, b))
    if min_mix == 0:
        lam = rng.beta(a, b, size)
        return np.round(lam, 6, out=lam if np.ndim(lam) else None)
    least = math.ceil(min_mix * MILLION) / MILLION
    if least == 0.5:
        return np.full(size, 0.5)
    lam = _truncated_beta(rng, a, b, int(np.prod(size)), least)
    return np.clip(np.round(lam, 6), least, 1 - least).reshape(size)


def _truncated_beta(rng, a, b, size, least):
    """Exact draws of Beta(a, b) given least <= lam <= 1 - least, by rejection.

    In t = log(lam / (1 - lam)) the density is log-concave, h(t) = a log(lam) + b log(1 - lam), and
    lies below its tangent at its highest point. Under that tangent most draws are accepted, except
    where the peak is narrow and inside: there the plain Beta is.
    """
    high = math.log((1 - least) / least)
    top = min(max(math.log(a / b), -high), high)  # the peak, or the end next to it
    at_top = 1 / (1 + math.exp(-top))
    slope = a * (1 - at_top) - b * at_top if abs(top) == high else 0.0
    spread = 1 / math.sqrt((a + b) * at_top * (1 - at_top))
    drawn, missing = [], size
    while missing:
        count = missing + missing // 2 + 16
        if slope == 0 and 2 * high > 3 * spread:
            lam = rng.beta(a, b, count)
            lam = lam[(lam >= least) & (lam <= 1 - least)]
        else:
            # Distance from the top: exponential, truncated to the width, 2 * high; or uniform.
            u, rate = rng.random(count), abs(slope)
            if rate * high < 1e-9:
                t = high * (2 * u - 1)
            else:
                t = top + math.copysign(1, -top) * -np.log1p(u * np.expm1(-2 * rate * high)) / rate
            gain = -a * np.log1p(np.exp(-t)) - b * np.log1p(np.exp(t))
            most = -a * math.log1p(math.exp(-top)) - b * math.log1p(math.exp(top)) + slope * (t - top)
            lam = 1 / (1 + np.exp(-t[np.log(rng.random(count)) <= gain - most]))
        drawn.append(lam[:missing])
        missing -= len(drawn[-1])
    return np.concatenate(drawn) if drawn else np.empty(0)


def remix_lam(lam, count_a, count_b, kappa=3.0, tau=0.5):
    """The weight of label a by Remix: shifted toward the class with far fewer images.

    lam (R,): the weight of image a; count_a, count_b (R,): images of the two classes.
    0 where a's class is at least kappa times as large and lam < tau; 1 where b's is, and
    1 - lam < tau; else lam.
    Source: Chou et al. 2020, arXiv:2007.03943, eq. (6); they take kappa = 3, tau = 0.5.
    """
    to_b = (count_a >= kappa * count_b) & (lam < tau)
    to_a = (count_b >= kappa * count_a) & (1 - lam < tau)
    return np.where(to_b, 0.0, np.where(to_a, 1.0, lam))


def blend(a, b, lam):
    """out = lam * a + (1 - lam) * b, sample by sample.

    a, b: (N, ...) of one shape and dtype, uint8, uint16 or float; lam: (N,) float in [0, 1].
    Returns a new array of that shape and dtype. Integers are rounded to nearest;
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
    out = np.empty(a.shape, a.dtype)
    if not out.size:
        return out
    # Flat, so that one lam for each sample cannot be taken for one of each channel.
    flat = [array.reshape(len(array), -1) for array in (a, b, out)]
    weight = lam.astype(work).reshape(-1, 1)
    samples = max(1, BAND_VALUES // flat[0].shape[1])
    scratch = np.empty((2, min(a.size, BAND_VALUES)), work)
    for first in range(0, len(a), samples):
        for start in range(0, flat[0].shape[1], BAND_VALUES):
            part = slice(first, first + samples), slice(start, start + BAND_VALUES)
            _blend_band(*(array[part] for array in flat), weight[part[0]], scratch)
    return out


def _blend_band(a, b, out, weight, scratch):
    """Blend into out, in scratch (2, at least a.size): fresh large arrays would cost more, in page
    faults, than all the arithmetic."""
    mixed, other = (buffer[: a.size].reshape(a.shape) for buffer in scratch)
    np.copyto(mixed, a)
    mixed *= weight
    np.copyto(other, b)
    other *= 1 - weight
    mixed += other
    if out.dtype.kind == "u":  # between a and b, give or take 2 ** -22 of them: there is nothing to clip
        np.rint(mixed, out=mixed)
    np.copyto(out, mixed, casting="unsafe")


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
