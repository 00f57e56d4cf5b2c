"""The rows of labels.csv, what shards hold beside pixels, and what the labels of a plan add up to."""

from dataclasses import dataclass, replace

import numpy as np

from mixup_cli.dataset import MILLION, Dataset, weight_text
from mixup_cli.kernel import mix_labels
from mixup_cli.plan import LABEL_LAM, Plan, csv_rows, header

LABEL_FORMATS = ("auto", "wide", "sparse")
NEARLY_EVEN = 0.6  # of a label; with less, no class clearly dominates
WIDE_CLASSES = 256  # above, `auto` writes sparse labels
SPARSE_COLUMNS = ("class_a", "weight_a", "class_b", "weight_b")


def is_wide(label_format, num_classes):
    """Whether labels.csv has a column for each class."""
    return label_format == "wide" or label_format == "auto" and num_classes <= WIDE_CLASSES


def label_header(classes, wide):
    """The columns of labels.csv."""
    return ("file_name", *(classes if wide else SPARSE_COLUMNS))


def label_rows(dataset, plan, shard, rows, wide):
    """The rows of a shard as labels.csv holds them; rows: a list of int."""
    return (_wide_rows if wide else _sparse_rows)(dataset, plan, shard, rows)


def _weights_of_a(plan):
    return plan.lam if plan.label_lam is None else plan.label_lam


def _wide_rows(dataset, plan, shard, rows):
    """file_name and a weight for each class."""
    table = [["0.0"] * len(dataset.classes) for _ in rows]
    labels_a, labels_b = (
        dataset.labels_of(source[rows]) for source in (plan.source_a, plan.source_b)
    )
    mixed = mix_labels(labels_a, labels_b, _weights_of_a(plan)[rows])
    for row, label, weight in zip(*map(np.ndarray.tolist, mixed), strict=True):
        table[row][label] = weight_text(weight)
    for row, weights in zip(rows, table, strict=True):
        yield [plan.path(shard, row), *weights]


def _sparse_rows(dataset, plan, shard, rows):
    """file_name, class_a, weight_a, class_b, weight_b; a pair of one class has all its weight in
    weight_a, and 0.0 in weight_b."""
    weights = np.rint(_weights_of_a(plan)[rows] * MILLION).astype(int).tolist()
    for row, weight in zip(rows, weights, strict=True):
        a = dataset.label_text(int(plan.source_a[row]))
        b = dataset.label_text(int(plan.source_b[row]))
        weight = MILLION if a == b else weight
        yield [plan.path(shard, row), a, weight_text(weight), b, weight_text(MILLION - weight)]


@dataclass(frozen=True)
class ShardTables:
    """What a worker needs to write the tables' rows into a shard: dataset, the sources that the
    shard needs alone; plan, its rows alone; wide, see is_wide."""

    dataset: Dataset
    plan: Plan
    wide: bool

    def records(self):
        """A record for each row, see as_record."""
        rows = list(range(len(self.plan)))
        names = header(self.plan)
        cells = csv_rows(self.plan, self.dataset, 0, rows)
        labels = soft_labels(self.dataset, self.plan, rows, self.wide)
        return [as_record(names, row, label) for row, label in zip(cells, labels, strict=True)]


def as_record(names, cells, label):
    """A row of metadata.csv as a dict, without its file's name, and its soft label before."""
    numbers = ("lam", LABEL_LAM)
    return label | {
        name: float(cell) if name in numbers else cell
        for name, cell in zip(names, cells, strict=True) if name != "file_name"
    }


def soft_labels(dataset, plan, rows, wide):
    """Yield {"soft_label": a weight for each class}, or {"classes": indices, "weights": theirs}."""
    labels_a, labels_b = (dataset.labels_of(source[rows]) for source in (plan.source_a, plan.source_b))
    found = [{} for _ in rows]
    mixed = mix_labels(labels_a, labels_b, _weights_of_a(plan)[rows])
    for row, label, weight in zip(*map(np.ndarray.tolist, mixed), strict=True):
        if weight:
            found[row][label] = weight / MILLION
    for weights in found:
        if wide:
            yield {"soft_label": [weights.get(k, 0.0) for k in range(len(dataset.classes))]}
        else:
            chosen = sorted(weights)
            yield {"classes": chosen, "weights": [weights[k] for k in chosen]}


def dominant(dataset, plan, rows):
    """(label, weight) of the heaviest class of each row, the first of equals: (R,) int indices, and
    (R,) int millionths."""
    labels_a, labels_b = (dataset.labels_of(source[rows]) for source in (plan.source_a, plan.source_b))
    row, label, weight = mix_labels(labels_a, labels_b, _weights_of_a(plan)[rows])
    order = np.lexsort((label, -weight, row))
    first = order[np.searchsorted(row, np.arange(len(rows)))]
    return label[first], weight[first]


def placed(dataset, plan, folders):
    """The plan with each row's file in the folder of its dominant class; folders: one for each."""
    places = [dominant(dataset, plan, np.array(plan.rows(s)))[0] for s in range(plan.num_shards)]
    return replace(plan, places=np.concatenate(places), place_names=folders)


def nearly_even(dataset, plan, kept):
    """How many of the rows kept have less than NEARLY_EVEN of their label in any one class."""
    return sum(
        int(np.count_nonzero(dominant(dataset, plan, rows)[1] < NEARLY_EVEN * MILLION))
        for start, stop in zip(plan.shard_start[:-1], plan.shard_start[1:], strict=True)
        if len(rows := start + np.flatnonzero(kept[start:stop]))
    )


def label_mass(dataset, plan, kept):
    """(before, after): the label weights of each class, summed over all sources, and over the rows
    of a plan that are kept, (R,) bool; (num_classes,) float each."""
    size, lam = len(dataset.classes), _weights_of_a(plan)
    after = np.zeros(size)
    for start, stop in zip(plan.shard_start[:-1], plan.shard_start[1:], strict=True):
        rows = start + np.flatnonzero(kept[start:stop])
        for source, share in ((plan.source_a, lam[rows]), (plan.source_b, 1 - lam[rows])):
            row, label, weight = dataset.labels_of(source[rows])
            after += np.bincount(label, weight * share[row], size)
    return np.bincount(dataset.label, dataset.weight, size) / MILLION, after / MILLION
