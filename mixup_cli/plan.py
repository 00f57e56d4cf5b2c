"""The plan: which source is blended with which, by how much, and in which shard.

All randomness of a run ends here. A plan is a table with a row for each output; whoever renders a
row needs the row and its two files, no generator and no state.
"""

from dataclasses import dataclass

import numpy as np

from mixup_cli.dataset import MILLION, weight_text
from mixup_cli.errors import InputError
from mixup_cli.kernel import sample_lam

SHARD_ROWS = 1000
# Small datasets are cut finer, so that several workers have something to do; never by the number
# of workers, on which no byte may depend. 50 partners to choose from are still plenty.
LEAST_SHARDS = 64
LEAST_SOURCES = 50
COLUMNS = ("file_name", "source_a", "source_b", "lam", "label_a", "label_b")


@dataclass(frozen=True)
class Plan:
    """R rows in S shards: source_a, source_b (R,) int32 indices into Dataset.sources,
    lam (R,) float64 with 6 decimals, the weight of a; shard_start (S + 1,) int64: shard s is the
    rows shard_start[s]:shard_start[s + 1].
    """

    source_a: np.ndarray
    source_b: np.ndarray
    lam: np.ndarray
    shard_start: np.ndarray

    def __len__(self):
        return len(self.lam)

    @property
    def num_shards(self):
        return len(self.shard_start) - 1

    def rows(self, shard):
        """The rows of a shard as a range."""
        return range(int(self.shard_start[shard]), int(self.shard_start[shard + 1]))

    def folder(self, shard):
        """The folder of a shard under images/: digits only, so that sort order is row order."""
        return f"{shard:0{max(5, len(str(self.num_shards - 1)))}d}"

    def file(self, row):
        """The file of a row inside its shard's folder."""
        return f"{row:0{max(8, len(str(len(self) - 1)))}d}.png"

    def share_equal_to_source(self):
        """The share of outputs whose 8-bit pixels surely equal one of their sources: there the
        other one moves no pixel by half a level, min(lam, 1 - lam) * 255 < 1/2.
        """
        return float(np.mean(np.minimum(self.lam, 1 - self.lam) * 255 < 0.5))


def make_plan(num_sources, alpha=0.2, copies=1, seed=0):
    """Pair every source with a partner, `copies` times.

    The sources are put in a random order and cut into windows of near-equal size; inside a window
    each copy shuffles the window anew and pairs every source with its successor in the ring. So
    every source is once a and once b in each copy, none is its own partner, and neighbouring rows
    share an image. A window's rows are a shard (several, where they would exceed SHARD_ROWS).
    Raises InputError if an argument is out of range.
    """
    if num_sources < 2:
        raise InputError(f"{num_sources} images, but mixup blends pairs; add images")
    if copies < 1:
        raise InputError(f"--copies {copies}: give 1 or more")
    order_rng, ring_rng, lam_rng = np.random.default_rng(seed).spawn(3)
    order = order_rng.permutation(num_sources).astype(np.int32)
    source_a = np.empty(num_sources * copies, np.int32)
    source_b = np.empty_like(source_a)
    row, shard_sizes = 0, []
    for windows in _cut_windows(order, copies):
        ring = np.repeat(windows[:, None, :], copies, axis=1)
        ring = ring_rng.permuted(ring, axis=2)
        source_a[row : row + ring.size] = ring.ravel()
        source_b[row : row + ring.size] = np.roll(ring, -1, axis=2).ravel()
        row += ring.size
        shard_sizes += _near_equal(copies * windows.shape[1], SHARD_ROWS) * len(windows)
    try:
        lam = sample_lam(lam_rng, alpha, len(source_a))
    except ValueError as e:
        raise InputError(f"--alpha: {e}") from e
    return Plan(source_a, source_b, lam, np.cumsum([0, *shard_sizes]))


def _cut_windows(order, copies):
    """The random order as at most two arrays (windows, window size), the sizes one apart."""
    n = len(order)
    size = min(SHARD_ROWS // copies, max(LEAST_SOURCES, n // LEAST_SHARDS))
    count = max(1, min(-(-n // max(size, 2)), n // 2))
    small, larger = divmod(n, count)
    cut = larger * (small + 1)
    parts = [order[:cut].reshape(-1, small + 1), order[cut:].reshape(-1, small)]
    return [part for part in parts if len(part)]


def _near_equal(total, most):
    """Cut `total` into the fewest near-equal sizes of at most `most`."""
    count = -(-total // most)
    return [total * (i + 1) // count - total * i // count for i in range(count)]


def csv_rows(plan, dataset, shard, rows):
    """The rows of a shard as metadata.csv holds them, in the order of COLUMNS."""
    folder = plan.folder(shard)
    for row in rows:
        a, b = int(plan.source_a[row]), int(plan.source_b[row])
        yield (
            f"images/{folder}/{plan.file(row)}",
            dataset.sources[a],
            dataset.sources[b],
            weight_text(round(float(plan.lam[row]) * MILLION)),
            dataset.label_text(a),
            dataset.label_text(b),
        )
