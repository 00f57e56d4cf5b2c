"""What a plan is: rows in shards, and the names of their files."""

from dataclasses import dataclass
from typing import Sequence

import numpy as np

SHARD_ROWS = 1000
COLUMNS = ("file_name", "source_a", "source_b", "lam", "label_a", "label_b")


@dataclass(frozen=True)
class Plan:
    """R rows in S shards.

    source_a, source_b (R,) int32: indices into Dataset.sources; lam (R,) float64 with 6 decimals,
    the weight of a; label_lam (R,): the same for the labels, where a label policy parts them, else
    None. shard_start (S + 1,) int64: shard s is the rows shard_start[s]:shard_start[s + 1].
    shard_names (S,), file_names (R,): the numbers that name the folders and files, increasing;
    digits: how many digits each of the two has. A new plan numbers both from 0.
    notes: what the user should know of it. places (R,): where files lie by class and not by shard,
    the index of each row's folder in place_names.
    """

    source_a: np.ndarray
    source_b: np.ndarray
    lam: np.ndarray
    label_lam: np.ndarray | None
    shard_start: np.ndarray
    shard_names: Sequence
    file_names: Sequence
    digits: tuple
    notes: tuple = ()
    places: np.ndarray | None = None
    place_names: tuple = ()

    def __len__(self):
        return len(self.lam)

    @property
    def num_shards(self):
        return len(self.shard_start) - 1

    @property
    def mixed(self):
        """(R,) bool: False for the rows that are a source as itself."""
        return self.source_a != self.source_b

    def rows(self, shard):
        """The rows of a shard as a range."""
        return range(int(self.shard_start[shard]), int(self.shard_start[shard + 1]))

    def folder(self, shard):
        """The folder of a shard under images/: digits only, so that sort order is row order."""
        return f"{self.shard_names[shard]:0{self.digits[0]}d}"

    def file(self, row):
        """The file of a row inside its shard's folder."""
        return f"{self.file_names[row]:0{self.digits[1]}d}.png"

    def path(self, shard, row):
        """The file of a row as the tables name it."""
        folder = self.folder(shard) if self.places is None else self.place_names[self.places[row]]
        return f"images/{folder}/{self.file(row)}"

    def part(self, shard, index):
        """The plan of one shard alone; index: (2R,) int, its sources a, then b, in another dataset."""
        rows = self.rows(shard)
        some, label_lam = slice(rows.start, rows.stop), self.label_lam
        return Plan(
            index[: len(rows)], index[len(rows) :], self.lam[some],
            None if label_lam is None else label_lam[some], np.array([0, len(rows)]),
            [self.shard_names[shard]], self.file_names[some], self.digits,
        )

    def share_equal_to_source(self, kept=True):
        """The share of mixed outputs whose 8-bit pixels surely equal one of their sources: there
        the other one moves no pixel by half a level, min(lam, 1 - lam) * 255 < 1/2.

        kept: (R,) bool, the rows that count, those that were written.
        """
        mixed = self.mixed & kept
        equal = mixed & ((self.lam < 0.5 / 255) | (self.lam > 1 - 0.5 / 255))
        return np.count_nonzero(equal) / max(1, np.count_nonzero(mixed))


def numbered(source_a, source_b, lam, label_lam, shard_sizes, notes=()):
    """A plan whose shards and files are numbered in order, with enough digits to sort as text."""
    start = np.cumsum([0, *shard_sizes])
    digits = (max(5, len(str(len(start) - 2))), max(8, len(str(len(lam) - 1))))
    names = range(len(start) - 1), range(len(lam))
    return Plan(source_a, source_b, lam, label_lam, start, *names, digits, notes)


def near_equal(total, most):
    """Cut `total` into the fewest near-equal sizes of at most `most`."""
    count = -(-total // most)
    return [total * (i + 1) // count - total * i // count for i in range(count)]
