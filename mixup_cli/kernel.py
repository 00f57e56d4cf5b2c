"""The arithmetic of mixup (Zhang et al. 2018, arXiv:1710.09412): numpy arrays in and out, no files."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixel = TypeVar("Pixel", bound=np.generic)  # uint8, uint16 or float
Weight = TypeVar("Weight", bound=np.floating[Any])

FAR = 700.0  # log-odds beyond which lam is 0 or 1, and exp would overflow
BAND_VALUES = 160_000  # blended at a time, twice in float32: an image of 224x224x3, in the CPU's cache
MILLION = 1_000_000  # lam and label weights have 6 decimals: counted in millionths they are exact


def sample_lam(
    rng: np.random.Generator,
    alpha: float | tuple[float, float],
    size: int | tuple[int, ...],
    min_mix: float = 0.0,
    max_mix: float = 0.5,
) -> NDArray[np.float64]:
    """Draw `size` mixing weights lam ~ Beta(alpha, alpha), rounded to 6 decimals.

    rng: numpy.random.Generator; alpha: finite float >= 0, or a pair (A, B) for Beta(A, B);
    size: int or shape; min_mix, max_mix: 0 to 0.5, only lam with
    min_mix <= min(lam, 1 - lam) <= max_mix are drawn.
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
    if not 0 < max_mix <= 0.5:
        raise ValueError(f"max_mix must lie above 0, up to 0.5, not {max_mix}")
    if a == 0:
        if min_mix:
            raise ValueError("alpha = 0 mixes nothing, so no lam reaches min_mix")
        return np.ones(size)
    # Beyond these bounds nothing changes within 6 decimals, but the sampler would over- or underflow.
    a, b = (min(max(x, 1e-12), 1e18) for x in (a, b))
    if min_mix == 0 and max_mix == 0.5:
        lam = rng.beta(a, b, size)
        return np.round(lam, 6, out=lam if np.ndim(lam) else None)
    least, most = math.ceil(min_mix * MILLION) / MILLION, math.floor(max_mix * MILLION) / MILLION
    if least > most or most == 0:
        raise ValueError(f"no lam of 6 decimals from min_mix {min_mix} to max_mix {max_mix}")
    if least == 0.5:
        return np.full(size, 0.5)
    lam = _truncated_beta(rng, a, b, int(np.prod(size)), least, most)
    clipped: NDArray[np.float64] = np.clip(np.round(lam, 6), least, 1 - least)
    return clipped.reshape(size)


def _truncated_beta(
    rng: np.random.Generator, a: float, b: float, size: int, least: float, most: float
) -> NDArray[np.float64]:
    """Exact draws of Beta(a, b) given least <= min(lam, 1 - lam) <= most, by rejection.

    In t = log(lam / (1 - lam)) the density is log-concave, so over each span that is allowed it lies
    below its tangent at the span's highest point. Under these tangents most draws are accepted,
    except where the peak is narrow and inside a span, or next to one: there the plain Beta is.
    """
    high = math.log((1 - least) / least) if least else math.inf
    low = math.log((1 - most) / most)
    spans = [(-high, high)] if most == 0.5 else [(-high, -low), (low, high)]
    tangents = [_Tangent(a, b, *span) for span in spans]
    mode = math.log(a / b)
    spread = math.sqrt((a + b) / a / b)  # of a normal distribution with that peak
    plain = any(
        (t.slope == 0 or len(spans) == 2 and abs(mode - t.top) < spread) and t.width > 3 * spread
        for t in tangents
    )
    drawn, missing = [], size
    while missing:
        count = missing + missing // 2 + 16
        if plain:
            lam = rng.beta(a, b, count)
            mix = np.minimum(lam, 1 - lam)
            lam = lam[(lam >= least) & (lam <= 1 - least) & (mix <= most)]
        else:
            t, accepted = tangents[0].draw(rng, count)
            if len(tangents) == 2:  # each as often as the area under it says
                right, accepted_right = tangents[1].draw(rng, count)
                more_left = tangents[0].log_area - tangents[1].log_area
                share = 1 / (1 + math.exp(min(more_left, FAR)))
                is_right = rng.random(count) < share
                t = np.where(is_right, right, t)
                accepted = np.where(is_right, accepted_right, accepted)
            lam = 1 / (1 + np.exp(-np.clip(t[accepted], -FAR, FAR)))
        drawn.append(lam[:missing])
        missing -= len(drawn[-1])
    return np.concatenate(drawn) if drawn else np.empty(0)


class _Tangent:
    """The tangent to the log-density of Beta(a, b), h(t) = a log(lam) + b log(1 - lam) in
    t = log(lam / (1 - lam)), at its highest point between low and high."""

    def __init__(self, a: float, b: float, low: float, high: float) -> None:
        self.a, self.b, self.low, self.high = a, b, low, high
        self.width = high - low
        self.top = min(max(math.log(a / b), low), high)  # the peak, or the end next to it
        at_top = 1 / (1 + math.exp(-self.top))
        self.slope = a * (1 - at_top) - b * at_top if self.top in (low, high) else 0.0
        self.height = -a * math.log1p(math.exp(-self.top)) - b * math.log1p(math.exp(self.top))
        rate = abs(self.slope)
        self.flat = rate == 0 or rate * self.width / 2 < 1e-9
        # A span of no width has as much as another such, its height apart.
        area = (self.width or 1.0) if self.flat else -math.expm1(-rate * self.width) / rate
        self.log_area = self.height + math.log(area)

    def draw(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(t, accepted): proposals under the tangent, and whether they lie under the density."""
        u, rate = rng.random(count), abs(self.slope)
        if self.flat:
            t = (self.low + self.high) / 2 + self.width / 2 * (2 * u - 1)
        else:  # the distance from the top: exponential, truncated to the width
            inward = 1 if self.top == self.low else -1
            t = self.top + inward * -np.log1p(u * np.expm1(-rate * self.width)) / rate
        near = np.clip(t, -FAR, FAR)
        gain = -self.a * np.log1p(np.exp(-near)) - self.b * np.log1p(np.exp(near))
        gain += np.where(t < 0, self.a, -self.b) * (t - near)
        return t, np.log(rng.random(count)) <= gain - (self.height + self.slope * (t - self.top))


def remix_lam(
    lam: NDArray[np.float64], count_a: NDArray[Any], count_b: NDArray[Any],
    kappa: float = 3.0, tau: float = 0.5,
) -> NDArray[np.float64]:
    """The weight of label a by Remix: shifted toward the class with far fewer images.

    lam (R,): the weight of image a; count_a, count_b (R,): images of the two classes.
    0 where a's class is at least kappa times as large and lam < tau; 1 where b's is, and
    1 - lam < tau; else lam.
    Source: Chou et al. 2020, arXiv:2007.03943, eq. (6); they take kappa = 3, tau = 0.5.
    """
    to_b = (count_a >= kappa * count_b) & (lam < tau)
    to_a = (count_b >= kappa * count_a) & (1 - lam < tau)
    return np.where(to_b, 0.0, np.where(to_a, 1.0, lam))


def blend(a: NDArray[Pixel], b: NDArray[Pixel], lam: ArrayLike) -> NDArray[Pixel]:
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
            bands = flat[0][part], flat[1][part], flat[2][part]
            _blend_band(*bands, weight[part[0]], scratch)
    return out


def _blend_band(
    a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], weight: NDArray[Any], scratch: NDArray[Any]
) -> None:
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


def mixup(
    x: NDArray[Pixel], y: NDArray[Weight], lam: ArrayLike, index: ArrayLike
) -> tuple[NDArray[Pixel], NDArray[Weight]]:
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


def get_batch(
    x: NDArray[Pixel],
    y: NDArray[Weight],
    step: int,
    batch_size: int,
    alpha: float | tuple[float, float] = 0.2,
    rng: np.random.Generator | int | None = None,
) -> tuple[NDArray[Pixel], NDArray[Weight]]:
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


Labels = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # (row, label, weight)


def mix_labels(a: Labels, b: Labels, lam: ArrayLike) -> Labels:
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
