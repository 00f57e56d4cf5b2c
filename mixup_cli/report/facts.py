"""What an output folder holds, read as a stream: a million rows take no more than three arrays."""

import functools
import os
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixup_cli.alpha import beta_cdf
from mixup_cli.codec import decode, parse_colour
from mixup_cli.dataset import MILLION, parse_label, read_class_list, read_table
from mixup_cli.draw import png, thumbnail
from mixup_cli.errors import InputError, SourceError
from mixup_cli.plan import LABEL_LAM
from mixup_cli.store import FORMATS, file_digest, in_blocks, read_image, read_record

BINS = 50  # of the histogram of lam
SAMPLES = 10  # one from each tenth of lam
SAMPLE_SIDE = 160  # pixels
MOST_CLASSES = 40  # that a heat map tells apart; more are grouped
MOST_REJECTS = 100  # that the page lists
COLUMNS_USED = ("file_name", "lam", "source_a", "source_b", "label_a", "label_b")  # of metadata.csv
ANY_SIZE = 1 << 40  # pixels: what a run has written may be read


@dataclass(frozen=True)
class Sample:
    """An output: file name, lam, the weight of a's label, which is lam unless a label policy parts
    them, the labels of its sources, and the picture as bytes of a PNG."""

    file: str
    lam: float
    label_lam: float
    label_a: str
    label_b: str
    picture: bytes


@dataclass(frozen=True)
class Facts:
    """record: what mixup.json holds; lam (BINS,): mixed outputs by lam, and expected (BINS,) of
    them by the distribution that lam was drawn from, or None; classes: their names; groups: names of
    runs of classes; pairs (G, G): mixed outputs by the group of a and of b; samples; parted: whether
    labels have weights of their own, label_lam; rejects: the first of them, (source, reason); files, num_bytes, num_blocks: what is on disk, the blocks in
    bytes."""

    record: dict
    lam: np.ndarray
    expected: np.ndarray | None
    classes: list
    groups: list
    pairs: np.ndarray
    samples: list
    parted: bool
    rejects: list
    files: int
    num_bytes: int
    num_blocks: int


def read_facts(out):
    """The Facts of an output folder. Raises InputError if it is not as its run wrote it."""
    out = Path(out)
    record = read_record(out)
    for name, digest in record["digests"].items():
        _check_digest(out, name, digest)
    classes = read_class_list(out / "classes.txt")
    rows = _Rows(read_table(out / "metadata.csv"), classes)
    lam, a, b = rows.arrays()
    starts = _group_starts(len(classes))
    files, num_bytes, num_blocks = _disk_used(out, record)
    histogram = np.bincount(np.minimum(lam.astype(np.int64) * BINS // MILLION, BINS - 1), None, BINS)
    return Facts(
        record=record,
        lam=histogram,
        expected=_expected(record, histogram.sum()),
        classes=classes,
        groups=_group_names(classes, starts),
        pairs=_pairs(a, b, starts),
        samples=[_sample(out, record, *row) for row in rows.samples()],
        parted=rows.parted,
        rejects=_rejects(out, record),
        files=files, num_bytes=num_bytes, num_blocks=num_blocks,
    )


def _check_digest(out, name, digest):
    try:
        found = file_digest(out / name)
    except OSError as e:
        raise InputError(f"{out / name}: {e.strerror}; mixup verify names all that is wrong") from e
    if found != digest:
        raise InputError(
            f"{out / name}: not as the run wrote it; mixup verify names all that is wrong"
        )


class _Rows:
    """The mixed rows of metadata.csv: lam in millionths, and the heaviest classes of a and b."""

    def __init__(self, table, classes):
        index = {name: k for k, name in enumerate(classes)}
        self.parted = LABEL_LAM in table.header
        self.lam, self.a, self.b = array("i"), array("i"), array("i")
        self.best = {}  # tenth of lam -> the row that shows it best
        column = {name: table.header.index(name) for name in table.header}
        file, lam, one, other, label_a, label_b = (column[name] for name in COLUMNS_USED)
        label_lam = column.get(LABEL_LAM, lam)

        @functools.lru_cache(100_000)
        def heaviest(text):
            return index[max((found := parse_label(text, index)), key=found.get)]

        for _, row in table.rows:
            if row[one] == row[other]:
                continue
            weight = round(float(row[lam]) * MILLION)
            self.lam.append(weight)
            self.a.append(heaviest(row[label_a]))
            self.b.append(heaviest(row[label_b]))
            self._offer(weight, row[file], row[label_lam], row[label_a], row[label_b])

    def _offer(self, weight, file, label_lam, label_a, label_b):
        """Keep the row if it is the nearest to the middle of its tenth; two classes show more."""
        tenth = min(weight * SAMPLES // MILLION, SAMPLES - 1)
        middle = (2 * tenth + 1) * MILLION // (2 * SAMPLES)
        rank = (label_a == label_b, abs(weight - middle))
        if tenth not in self.best or rank < self.best[tenth][0]:
            self.best[tenth] = rank, (file, weight, float(label_lam), label_a, label_b)

    def samples(self):
        """(file, lam in millionths, label_lam, label of a, label of b), one for each tenth of lam that
        occurs."""
        return [self.best[tenth][1] for tenth in sorted(self.best)]

    def arrays(self):
        """lam, a, b: (R,) int32 each."""
        return tuple(np.frombuffer(column, np.int32) for column in (self.lam, self.a, self.b))


def _expected(record, total):
    """How many outputs of each bin the distribution of lam promises; None if it is not known."""
    options = record["options"]
    if record["command"] != "augment" or options["lam"] is not None or options["alpha"] == 0:
        return None
    alpha = options["alpha"]
    a, b = alpha if isinstance(alpha, list) else (alpha, alpha)
    least, most = options["min_mix"], options["max_mix"]

    def allowed_below(x):
        left, right = min(max(x, least), most), min(max(x, 1 - most), 1 - least)
        return beta_cdf(left, a, b) + beta_cdf(right, a, b)

    share = np.diff([allowed_below(x) for x in np.linspace(0, 1, BINS + 1)])
    return total * share / share.sum() if share.sum() else None


def _group_starts(num_classes):
    """The first class of each group: a class by itself, or runs of near-equal length."""
    count = min(num_classes, MOST_CLASSES)
    return np.array([num_classes * k // count for k in range(count)])


def _group_names(classes, starts):
    stops = [*starts[1:].tolist(), len(classes)]
    return [
        classes[i] if j == i + 1 else f"{classes[i]} … {classes[j - 1]}"
        for i, j in zip(starts.tolist(), stops, strict=True)
    ]


def _pairs(a, b, starts):
    size = len(starts)
    a, b = (np.searchsorted(starts, side, side="right") - 1 for side in (a, b))
    return np.bincount(a * size + b, minlength=size * size).reshape(size, size)


def _sample(out, record, file, weight, label_lam, label_a, label_b):
    try:
        format = record["options"].get("format", "folder")
        pixels = decode(read_image(out, file, format), ANY_SIZE).pixels
    except (OSError, SourceError, InputError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise InputError(f"{out / file}: {reason}; mixup verify names all that is wrong") from e
    small = thumbnail(pixels, SAMPLE_SIDE, parse_colour(record["options"]["background"]))
    return Sample(file, weight / MILLION, label_lam, label_a, label_b, png(small))


def _rejects(out, record):
    if "rejects.csv" not in record["digests"]:
        return []
    rows = read_table(out / "rejects.csv").rows
    return [tuple(cells) for _, (_, cells) in zip(range(MOST_REJECTS), rows, strict=False)]


def _disk_used(out, record):
    """(files, bytes, bytes in whole blocks) of what the run wrote; a report is not counted.

    Raises InputError if an image is missing, or a shard where shards are files.
    """
    files = num_bytes = num_blocks = there = 0
    tables = ["mixup.json", *record["digests"]]
    suffix = FORMATS[record["options"].get("format", "folder")].suffix
    wanted = record["counts"]["shards" if suffix else "outputs"]
    sizes, folders = [(out / name).stat().st_size for name in tables], [out / "images"]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    sizes.append(entry.stat(follow_symlinks=False).st_size)
                    there += entry.name.endswith(suffix or ".png")
        files += len(sizes)
        num_bytes += sum(sizes)
        num_blocks += sum(map(in_blocks, sizes))
        sizes = []
    if there < wanted:
        raise InputError(
            f"{out / 'images'}: {there:,} files of {wanted:,} are there; mixup verify names all that is wrong"
        )
    return files, num_bytes, num_blocks
