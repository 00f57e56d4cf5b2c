"""Making a plan: who is paired with whom, with which lam, in which order.

The sources are put in a random order and cut into windows of near-equal size. Inside a window each
copy is a ring: every source is paired with its successor, so every source serves once as a and once
as b in each copy, none is its own partner, and neighbouring rows share an image, which is then
decoded once. The ways to pair are ways to choose windows and to order their rings.
"""

import math
from dataclasses import dataclass

import numpy as np

from mixup_cli.errors import InputError
from mixup_cli.kernel import remix_lam, sample_lam
from mixup_cli.plan.model import SHARD_ROWS, near_equal, numbered

PAIRS = ("any", "same", "different")
LABEL_POLICIES = ("mixup", "remix")
# Small datasets are cut finer, so that several workers have something to do; never by the number
# of workers, on which no byte may depend. 50 partners to choose from are still plenty.
LEAST_SHARDS = 64
LEAST_SOURCES = 50


@dataclass(frozen=True)
class PlanOptions:
    """What is mixed with what.

    alpha: lam ~ Beta(alpha, alpha), or (A, B) for Beta(A, B); copies: outputs for each source, or
    count: outputs in all; seed: int >= 0; pair: one of PAIRS; balance: every class serves equally
    often as a; lam: one weight for all instead of alpha; min_mix, max_mix: the least
    and the largest min(lam, 1 - lam), 0 to 0.5; include_originals: each source once more, as itself; label_policy: one of LABEL_POLICIES;
    kappa, tau: those of remix.
    Raises InputError if a value is out of range, or two exclude one another.
    """

    alpha: float | tuple = 0.2
    copies: int = 1
    count: int | None = None
    seed: int = 0
    pair: str = "any"
    balance: bool = False
    lam: float | None = None
    min_mix: float = 0.0
    max_mix: float = 0.5
    include_originals: bool = False
    label_policy: str = "mixup"
    kappa: float = 3.0
    tau: float = 0.5

    def __post_init__(self):
        for name, choices in (("pair", PAIRS), ("label_policy", LABEL_POLICIES)):
            if getattr(self, name) not in choices:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {getattr(self, name)}: give one of {', '.join(choices)}")
        for name, least, most in (
            ("copies", 1, math.inf), ("count", 1, math.inf), ("seed", 0, math.inf), ("lam", 0, 1),
            ("min_mix", 0, 0.5), ("max_mix", 0, 0.5), ("kappa", 1, math.inf), ("tau", 0, 1),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                bound = f"{least} to {most}" if most < math.inf else f"{least} or more"
                raise InputError(f"--{name.replace('_', '-')} {value}: give {bound}")
        if self.count is not None and self.copies != 1:
            raise InputError("--copies and --count exclude one another; drop one")
        if self.lam is not None and round(self.lam, 6) != self.lam:
            raise InputError(f"--lam {self.lam}: give at most 6 decimals")
        for name, limits in (("min-mix", self.min_mix > 0), ("max-mix", self.max_mix < 0.5)):
            if self.lam is not None and limits:
                raise InputError(f"--lam and --{name} exclude one another: a fixed lam is not drawn")

    @property
    def beta(self):
        """The two parameters of the Beta distribution."""
        return self.alpha if isinstance(self.alpha, tuple) else (self.alpha, self.alpha)


def make_plan(class_of, options=PlanOptions(), names=()):
    """Pair sources: class_of (N,) int is the class of each, its heaviest where it has several;
    names: those of the classes, for messages.

    Raises InputError if the sources cannot be paired in the way asked for.
    """
    class_of = np.asarray(class_of)
    num_sources = len(class_of)
    if num_sources < 2:
        raise InputError(f"{num_sources} images, but mixup blends pairs; add images")
    notes = tuple(_check_classes(class_of, options, names))
    order_rng, pair_rng, lam_rng = np.random.default_rng(options.seed).spawn(3)
    total = num_sources * options.copies if options.count is None else options.count
    windows = _windows(class_of, total, options, order_rng)
    pairs = _Pairs(class_of, total, options, pair_rng)
    a = np.empty(total + num_sources * options.include_originals, np.int32)
    b = np.empty_like(a)
    end, sizes = 0, []
    for members, rows in windows:
        start, end = end, end + rows
        a[start:end], b[start:end] = pairs.of(members, rows)
        if options.include_originals:
            a[end : end + len(members)] = b[end : end + len(members)] = members
            end += len(members)
        sizes.append(end - start)
    lam = _draw_lam(options, lam_rng, total)
    if options.include_originals:
        lam_of_mixed, lam = lam, np.ones(len(a))
        lam[a != b] = lam_of_mixed
    label_lam = None
    if options.label_policy == "remix":
        count = np.bincount(class_of)[class_of]  # images of the class that a source belongs to
        label_lam = remix_lam(lam, count[a], count[b], options.kappa, options.tau)
    return numbered(a, b, lam, label_lam, _shard_sizes(sizes, len(a)), notes)


def _draw_lam(options, rng, size):
    if options.lam is not None:
        return np.full(size, options.lam)
    try:
        return sample_lam(rng, options.alpha, size, options.min_mix, options.max_mix)
    except ValueError as e:
        raise InputError(f"--alpha, --min-mix, --max-mix: {e}") from e


def _check_classes(class_of, options, names):
    """Refuse what cannot be paired, and yield a note on what is uneven, by the names of classes."""
    counts = np.bincount(class_of)

    def name(k):
        return repr(names[k]) if names else f"number {k}"

    if options.pair == "same" and 1 in counts:
        lonely = [name(k) for k in np.flatnonzero(counts == 1)]
        listed = ", ".join(lonely[:20]) + (" …" if len(lonely) > 20 else "")
        raise InputError(
            f"--pair same: no partner of its own class for the only image of class {listed}; add"
            " images, leave such classes out by --exclude-class, or take --pair any"
        )
    if (options.pair == "different" or options.balance) and np.count_nonzero(counts) == 1:
        wanted = "--balance" if options.balance else "--pair different"
        raise InputError(f"{wanted}: all images are of one class; it needs at least two")
    largest = int(counts.argmax())
    if options.pair == "different" and not options.balance and _has_more_than_half(class_of):
        yield (
            f"--pair different: class {name(largest)} has {counts[largest]:,} of {len(class_of):,}"
            " images, more than half, so images of the other classes serve more often as b"
        )


def _has_more_than_half(class_of):
    return 2 * np.bincount(class_of).max() > len(class_of)


def _window_size(num_sources, total, options):
    """How many sources a window has: so many that its rows make a shard."""
    rows_of_each = -(-total // num_sources) + options.include_originals
    size = min(SHARD_ROWS // rows_of_each, max(LEAST_SOURCES, num_sources // LEAST_SHARDS))
    return max(2, size)


def _windows(class_of, total, options, rng):
    """The sources in windows: yields (members, rows), rows as even as can be, `total` in all."""
    size = _window_size(len(class_of), total, options)
    order = rng.permutation(np.arange(len(class_of), dtype=np.int32))
    if options.pair != "same":
        cut = _cut_mixed if _is_rotated(class_of, options) else _cut
        yield from _share(cut(order, size, class_of, rng), total)
        return
    order = order[np.argsort(class_of[order], kind="stable")]
    classes, start = np.unique(class_of[order], return_index=True)
    groups = np.split(order, start[1:])
    if options.balance:
        totals = _even(total, len(classes), rng)
    else:
        bounds = [*start.tolist(), len(order)]
        shares = [total * bound // len(order) for bound in bounds]
        totals = [shares[k + 1] - shares[k] for k in range(len(classes))]
    windows = [
        window
        for group, rows in zip(groups, totals, strict=True)
        for window in _share(_cut(group, size, class_of, rng), rows)
    ]
    for i in rng.permutation(len(windows)):  # not one class after the other
        yield windows[i]


def _is_rotated(class_of, options):
    """Whether partners of another class can be had by a ring, everybody serving equally often."""
    return options.pair == "different" and not options.balance and not _has_more_than_half(class_of)


def _cut(order, size, class_of, rng):
    """Windows of near-equal size, at least two."""
    count = max(1, min(-(-len(order) // size), len(order) // 2))
    return np.array_split(order, count)


def _cut_mixed(order, size, class_of, rng):
    """Windows in none of which a class has more than half, given that none has so in all.

    By class, source i and source i + half are never of one class; such pairs are dealt out.
    """
    order = _by_class(order, class_of, rng)
    half = len(order) // 2
    pairs = rng.permutation(np.stack([order[:half], order[half : 2 * half]], axis=1))
    windows = [part.ravel() for part in _cut(pairs, max(1, size // 2), class_of, rng)]
    if len(order) % 2:  # the odd one joins a window with a pair that is not of its class
        own = class_of[order[-1]]
        for i, window in enumerate(windows):
            if 2 * np.count_nonzero(class_of[window] == own) < len(window):
                windows[i] = np.append(window, order[-1])
                break
    return windows


def _by_class(members, class_of, rng):
    """The members grouped by class: the classes in random order, and random inside."""
    members = rng.permutation(members)
    _, index = np.unique(class_of[members], return_inverse=True)
    rank = rng.permutation(index.max() + 1)
    return members[np.argsort(rank[index], kind="stable")]


def _share(windows, total):
    """Give each window its rows of `total`, each source as many as any other, within one."""
    sources, seen = sum(map(len, windows)), 0
    for members in windows:
        rows = total * (seen + len(members)) // sources - total * seen // sources
        seen += len(members)
        yield members, rows


def _even(total, parts, rng):
    """Cut total into parts that differ by at most one; chance says which are larger."""
    return (total // parts + (rng.permutation(parts) < total % parts)).tolist()


class _Pairs:
    """Deals out the pairs of one window after the other."""

    def __init__(self, class_of, total, options, rng):
        self.class_of, self.rng = class_of, rng
        rotated = _is_rotated(class_of, options)
        self.ring = self._rotated if rotated else self._ring
        self.balanced = self.key = None
        if options.balance and options.pair != "same":
            self.balanced, self.dealt = self._balanced_sequence(total), 0
        # What a and b must not share, where a ring does not see to it: the class, or the source.
        if options.pair == "different" and not rotated:
            self.key = class_of
        elif self.balanced is not None:
            self.key = np.arange(len(class_of))

    def of(self, members, rows):
        """(a, b), (rows,) each, for the members of a window."""
        a, b = self.ring(members, -(-rows // len(members)))
        a, b = a[:rows], b[:rows]
        if self.balanced is not None:
            a = self.balanced[self.dealt : self.dealt + rows]
            self.dealt += rows
        return (a, b) if self.key is None else (a, self._without_clash(a, b, members))

    def _without_clash(self, a, b, members):
        """b, and where it clashes with a, another of the members that does not, all in turn."""
        key = self.key
        for avoid in np.unique(key[a[key[a] == key[b]]]):
            allowed = members[key[members] != avoid]
            if not len(allowed):  # none in this window
                allowed = np.flatnonzero(key != avoid)
            clash = np.flatnonzero((key[a] == avoid) & (key[b] == avoid))
            b[clash] = np.resize(self.rng.permutation(allowed), len(clash))
        return b

    def _ring(self, members, copies):
        rings = self.rng.permuted(np.tile(members, (copies, 1)), axis=1)
        return rings.ravel(), np.roll(rings, -1, axis=1).ravel()

    def _rotated(self, members, copies):
        """Rings without two neighbours of one class.

        Grouped by class, none of which has more than half, whoever is `shift` places on is of
        another class, if the shift is at least as far as the largest class is long. That one's
        place goes to a random member of the same class, so that rings are long.
        """
        a, b = [], []
        size = len(members)
        for _ in range(copies):
            grouped = _by_class(members, self.class_of, self.rng)
            _, block = np.unique(self.class_of[grouped], return_inverse=True)
            largest = np.bincount(block).max()
            shift = self.rng.integers(largest, size - largest, endpoint=True)
            first = np.flatnonzero(np.diff(block, prepend=-1))  # where each class begins
            starts = np.zeros(size, np.int64)
            starts[first] = first
            shuffled = np.lexsort((self.rng.random(size), np.maximum.accumulate(starts)))
            partner = np.roll(shuffled, -shift)
            ring = np.array(_follow(partner.tolist()))
            a.append(grouped[ring])
            b.append(grouped[partner[ring]])
        return np.concatenate([members[:0], *a]), np.concatenate([members[:0], *b])

    def _balanced_sequence(self, total):
        """`total` sources, every class equally often within one, spread evenly: one source of each
        class, in random order, then one of each again; every source of a class in turn."""
        order = np.argsort(self.class_of, kind="stable")
        classes, start = np.unique(self.class_of[order], return_index=True)
        source, turn = [], []
        for members, rows in zip(
            np.split(order, start[1:]), _even(total, len(classes), self.rng), strict=True
        ):
            source.append(self._ring(members, -(-rows // len(members)))[0][:rows])
            turn.append(np.arange(rows))
        source, turn = np.concatenate(source), np.concatenate(turn)
        return source[np.lexsort((self.rng.random(total), turn))]


def _follow(partner):
    """The order in which everybody comes after the one whose partner he is, ring by ring."""
    order, seen = [], bytearray(len(partner))
    for place in range(len(partner)):
        while not seen[place]:
            seen[place] = 1
            order.append(place)
            place = partner[place]
    return order


def _shard_sizes(windows, total):
    """Shards of whole windows, of at most SHARD_ROWS; a window that is larger is cut."""
    target = min(SHARD_ROWS, max(LEAST_SOURCES, total // LEAST_SHARDS)) // 2
    sizes, current = [], 0
    for rows in windows:
        if current and (current + rows > SHARD_ROWS or current >= target):
            sizes += near_equal(current, SHARD_ROWS)
            current = 0
        current += rows
    return sizes + (near_equal(current, SHARD_ROWS) if current else [])
