"""The output of a run as arrays: file names, soft labels and classes, with numpy alone."""

import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from mixup_cli.dataset import Table, parse_label, read_class_list, read_table
from mixup_cli.errors import InputError
from mixup_cli.store import read_record
from mixup_cli.tables import label_header


@dataclass(frozen=True)
class SparseLabels:
    """Soft labels, the E weights above 0 alone: row, label (E,) int64, weight (E,) float32, sorted by
    row; scipy.sparse.coo_array((weight, (row, label)), shape) takes them as they are.
    """

    row: NDArray[np.int64]
    label: NDArray[np.int64]
    weight: NDArray[np.float32]
    shape: tuple[int, int]

    def toarray(self) -> NDArray[np.float32]:
        """(N, K) float32."""
        dense = np.zeros(self.shape, np.float32)
        np.add.at(dense, (self.row, self.label), self.weight)
        return dense


Labels = TypeVar("Labels", NDArray[np.float32], SparseLabels)


class Loaded(NamedTuple, Generic[Labels]):
    """files: N paths that begin with the output folder; labels: N rows that sum to 1, (N, K) float32
    or SparseLabels; classes: K names, in the order of the columns."""

    files: list[str]
    labels: Labels
    classes: tuple[str, ...]


@overload
def load(out: str | os.PathLike[str], *, sparse: Literal[False] = False) -> Loaded[NDArray[np.float32]]:
    ...


@overload
def load(out: str | os.PathLike[str], *, sparse: Literal[True]) -> Loaded[SparseLabels]:
    ...


def load(
    out: str | os.PathLike[str], *, sparse: bool = False
) -> Loaded[NDArray[np.float32]] | Loaded[SparseLabels]:
    """The files, soft labels and classes of a complete run, in the order of its rows.

    Dense labels take 4 bytes for each row and class: 1.28 million rows of 1,000 classes are 5 GB,
    with sparse=True some 50 MB.
    Raises InputError if `out` holds no complete run, or its tables are not those of one.
    """
    out = Path(out)
    read_record(out)  # it is written last
    classes = tuple(read_class_list(out / "classes.txt"))
    table = read_table(out / "labels.csv")
    labels: NDArray[np.float32] | SparseLabels
    if table.header == list(label_header(classes, True)):
        names, labels = _read_wide(out / "labels.csv", len(classes))
    elif table.header == list(label_header(classes, False)):
        names, labels = _read_sparse(table, classes)
    else:
        raise InputError(f"{table.where}:1: the columns are not the classes of {out / 'classes.txt'}")
    files = [os.path.join(out, name) for name in names]
    if sparse:
        return Loaded(files, labels if isinstance(labels, SparseLabels) else _sparse(labels), classes)
    return Loaded(files, labels.toarray() if isinstance(labels, SparseLabels) else labels, classes)


def _sparse(labels: NDArray[np.float32]) -> SparseLabels:
    row, label = np.nonzero(labels)
    return SparseLabels(row, label, labels[row, label], (labels.shape[0], labels.shape[1]))


def _read_wide(path: Path, num_classes: int) -> tuple[list[str], NDArray[np.float32]]:
    """file_name and a weight for each class: numpy reads the weights, ten times as fast."""
    files = [row[0] for _, row in read_table(path).rows]
    if not files:
        return files, np.empty((0, num_classes), np.float32)
    try:
        labels = np.loadtxt(
            path, np.float32, comments=None, delimiter=",", skiprows=1, quotechar='"', ndmin=2,
            usecols=range(1, num_classes + 1), encoding="utf-8",
        )
    except ValueError as e:
        raise InputError(f"{path}: {e}; run mixup verify {path.parent}") from e
    return files, labels


def _read_sparse(table: Table, classes: tuple[str, ...]) -> tuple[list[str], SparseLabels]:
    """file_name, class_a, weight_a, class_b, weight_b, each class one or a list cat:0.7|dog:0.3."""
    index = {name: k for k, name in enumerate(classes)}
    files: list[str] = []
    row, label, weight = array("q"), array("q"), array("f")
    for line, (name, class_a, weight_a, class_b, weight_b) in table.rows:
        mixed: dict[int, float] = {}
        try:
            for text, share in ((class_a, float(weight_a)), (class_b, float(weight_b))):
                for part, inside in parse_label(text, index).items():
                    mixed[index[part]] = mixed.get(index[part], 0.0) + share * inside
        except ValueError as e:
            raise table.fault(line, e) from e
        for k in sorted(mixed):
            if mixed[k]:
                row.append(len(files))
                label.append(k)
                weight.append(mixed[k])
        files.append(name)
    return files, SparseLabels(
        np.array(row, np.int64), np.array(label, np.int64), np.array(weight, np.float32),
        (len(files), len(classes)),
    )
