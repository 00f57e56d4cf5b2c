"""What a dataset is: sources, classes and sparse soft labels in exact millionths."""

import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mixup_cli.errors import InputError

MILLION = 1_000_000
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True)
class ReadOptions:
    """How to read an input; every reader takes what concerns it.

    reader: a key of READERS or "auto"; split: a subfolder such as train; allow_empty,
    follow_symlinks: see the command line; labels: path of a table, "-" for stdin; file_column,
    label_column: its columns, by name or number from 1; label_delimiter: between several labels;
    files_from: path of a list of files, from0: separated by NUL; classes: path of a classes.txt;
    include, exclude: class names.
    """

    reader: str = "auto"
    split: str | None = None
    allow_empty: bool = False
    follow_symlinks: bool = False
    labels: str | None = None
    file_column: str | None = None
    label_column: str | None = None
    label_delimiter: str | None = None
    files_from: str | None = None
    from0: bool = False
    classes: str | None = None
    include: tuple = ()
    exclude: tuple = ()

    def select(self, dataset, reader):
        """Apply classes, include and exclude to what a reader found."""
        if self.classes is not None:
            dataset = _in_order(dataset, read_class_list(self.classes), self.classes)
        for name in (*self.include, *self.exclude):
            if name not in dataset.classes:
                raise InputError(
                    f"no class {name!r}; the classes are {', '.join(dataset.classes[:20])}"
                )
        chosen = [
            k
            for k, name in enumerate(dataset.classes)
            if (not self.include or name in self.include) and name not in self.exclude
        ]
        if len(chosen) < len(dataset.classes):
            dataset = _keep_classes(dataset, np.array(chosen, int))
        return replace(dataset, reader=reader)


@dataclass(frozen=True)
class Dataset:
    """Images under `root` with sparse soft labels.

    sources: N paths relative to root, with '/', in code-point order.
    label_start (N + 1,), label (E,), weight (E,): source i has the classes
    label[label_start[i]:label_start[i + 1]] with weights in millionths that sum to 1,000,000.
    skipped: what the reader passed over, kind -> relative paths; unusable: source -> reason;
    reader: the key of READERS that read it; spans: None where each source is a file, else (N, 2)
    int64, the offset and size of each in the tar whose path comes before it, a.tar/b.png;
    states: source -> (size, what changes with its content) where root is a URL, else None.
    """

    root: Path
    sources: list
    classes: tuple
    label_start: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    skipped: dict = field(default_factory=dict)
    unusable: dict = field(default_factory=dict)
    reader: str = ""
    spans: np.ndarray | None = None
    states: dict | None = None

    def labels_of(self, sources):
        """The labels of several sources, (R,) int, as (row, label, weight) int64 arrays."""
        count = self.label_start[sources + 1] - self.label_start[sources]
        row = np.repeat(np.arange(len(sources)), count)
        inside = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        entry = self.label_start[sources][row] + inside
        return row, self.label[entry].astype(np.int64), self.weight[entry].astype(np.int64)

    def part(self, chosen):
        """The dataset of some sources alone; chosen: (M,) int, increasing."""
        _, label, weight = self.labels_of(chosen)
        count = self.label_start[chosen + 1] - self.label_start[chosen]
        return Dataset(
            self.root, [self.sources[i] for i in chosen], self.classes,
            np.concatenate([[0], np.cumsum(count)]), label.astype(np.int32), weight.astype(np.int32),
        )

    def class_of(self):
        """The heaviest class of each source, (N,) int; the first of equals."""
        if len(self.label) == len(self.sources):
            return self.label
        row = np.repeat(np.arange(len(self.sources)), np.diff(self.label_start))
        by_weight = np.lexsort((self.label, -self.weight.astype(np.int64), row))
        return self.label[by_weight][self.label_start[:-1]]

    def label_text(self, source):
        """The class name of a source, or `cat:0.7|dog:0.3` where it has several."""
        entries = range(self.label_start[source], self.label_start[source + 1])
        if len(entries) == 1:
            return self.classes[self.label[entries[0]]]
        return "|".join(
            f"{self.classes[self.label[e]]}:{weight_text(int(self.weight[e]))}" for e in entries
        )


def hard_dataset(root, sources, classes, label, **found):
    """A dataset of one class for each source: label (N,) int indices into classes."""
    return Dataset(
        root=root,
        sources=sources,
        classes=tuple(classes),
        label_start=np.arange(len(sources) + 1, dtype=np.int32),
        label=np.asarray(label, np.int32),
        weight=np.broadcast_to(np.int32(MILLION), len(sources)),  # no memory for a million of them
        **found,
    )


def soft_dataset(root, sources, names, entries, classes, **found):
    """A dataset from sources in any order: entries = (counts, label, weight), where source i has
    the next counts[i] of label, indices into names, and weight, in millionths."""
    counts, label, weight = (np.asarray(part, np.int32) for part in entries)
    order = np.array(sorted(range(len(sources)), key=sources.__getitem__), np.int64)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    index = {name: k for k, name in enumerate(classes)}
    label = np.array([index[name] for name in names], np.int32)[label]
    entry = np.lexsort((label, np.repeat(rank, counts)))
    return Dataset(
        root=root,
        sources=[sources[i] for i in order],
        classes=tuple(classes),
        label_start=np.concatenate([[0], np.cumsum(counts[order])]),
        label=label[entry],
        weight=weight[entry],
        **found,
    )


def to_millionths(weights):
    """Scale weights >= 0, not all 0, to integers that sum to exactly 1,000,000 (largest remainders)."""
    top = max(weights)  # dividing by it first, no sum of finite weights overflows
    weights = [w / top for w in weights]
    total = sum(weights)
    exact = [w / total * MILLION for w in weights]
    parts = [int(e) for e in exact]
    order = sorted(range(len(exact)), key=lambda i: parts[i] - exact[i])
    for i in order[: MILLION - sum(parts)]:
        parts[i] += 1
    return parts


def parse_label(text, index):
    """The inverse of Dataset.label_text: {class name: weight}. index: the classes, as a dict.

    Raises InputError if text names no class and is no list of them.
    """
    if text in index:
        return {text: 1.0}
    weights = {}
    for entry in text.split("|"):
        name, _, weight = entry.rpartition(":")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0.0
        if name not in index or not 0 < weights[name] <= 1:
            raise InputError(f"label {text!r}: neither a class nor a list like cat:0.7|dog:0.3")
    return weights


def weight_text(millionths):
    """Millionths as the shortest exact decimal: 700000 -> '0.7'.

    Always with a point: readers that guess a column's type from its first rows must see floats.
    """
    whole, part = divmod(millionths, MILLION)
    return f"{whole}.{f'{part:06d}'.rstrip('0') or '0'}"


def check_class_name(name, where):
    """Refuse a class name that would break a table or run as a formula in a spreadsheet."""
    reason = None
    if not name.strip():
        reason = "an empty class name"
    elif name.splitlines() != [name] or "\0" in name:
        reason = f"class name {name!r} holds a line break"
    elif "\t" in name:
        reason = f"class name {name!r} holds a tab, which would separate columns"
    elif name == "file_name":
        reason = "a class named file_name would clash with the first column of labels.csv"
    elif name[0] in "=+-@" and not _NUMBER.fullmatch(name):
        reason = f"class name {name!r} would run as a formula in a spreadsheet"
    elif name != name.encode("utf-8", "replace").decode("utf-8"):
        reason = f"class name {name!r} is not UTF-8"
    elif "|" in name:
        reason = f"class name {name!r} holds '|', which stands between the classes of a soft label"
    if reason:
        raise InputError(f"{where}: {reason}; rename it")


def read_class_list(path):
    """A classes.txt: a name a line, in the order wanted."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        names = data.decode("utf-8-sig").splitlines()
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; give a text file with a class name a line") from e
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8; save it as UTF-8") from e
    first = {}
    for number, name in enumerate(names, 1):
        check_class_name(name, f"{path}:{number}")
        if name in first:
            raise InputError(f"{path}:{number}: class {name!r} stands in line {first[name]} too")
        first[name] = number
    return names


def _in_order(dataset, names, path):
    index = {name: k for k, name in enumerate(names)}
    missing = [name for name in dataset.classes if name not in index]
    if missing:
        raise InputError(f"{path}: class {missing[0]!r} of the input is not listed; add it")
    new = np.array([index[name] for name in dataset.classes], np.int32)
    return replace(dataset, classes=tuple(names), label=new[dataset.label])


def _keep_classes(dataset, chosen):
    """Keep the sources all of whose classes are chosen."""
    new = np.full(len(dataset.classes), -1, np.int32)
    new[chosen] = np.arange(len(chosen))
    outside = np.concatenate([[0], np.cumsum(new[dataset.label] < 0)])
    keep = outside[dataset.label_start[1:]] == outside[dataset.label_start[:-1]]
    count = np.diff(dataset.label_start)
    entries = np.repeat(keep, count)
    return replace(
        dataset,
        sources=[source for source, kept in zip(dataset.sources, keep, strict=True) if kept],
        classes=tuple(dataset.classes[k] for k in chosen),
        label_start=np.concatenate([[0], np.cumsum(count[keep])]),
        label=new[dataset.label[entries]],
        weight=dataset.weight[entries],
        spans=None if dataset.spans is None else dataset.spans[keep],
    )
