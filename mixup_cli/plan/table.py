"""A plan as CSV, the columns of metadata.csv: written as it goes, read back line by line."""

import math
import re
from array import array

import numpy as np

from mixup_cli.dataset import MILLION, read_table, weight_text
from mixup_cli.errors import InputError
from mixup_cli.plan.model import COLUMNS, SHARD_ROWS, Plan, numbered

LABEL_LAM = "label_lam"  # one more column, after lam, where labels have a weight of their own
_FILE_NAME = re.compile(r"images/(\d{5,18})/(\d{8,18})\.png")
_BY_CLASS = re.compile(r"images/([^/]+)/(\d{8,18})\.png")  # --layout classes


def header(plan):
    """The columns of a plan's CSV."""
    after = COLUMNS.index("lam") + 1
    return COLUMNS if plan.label_lam is None else (*COLUMNS[:after], LABEL_LAM, *COLUMNS[after:])


def csv_rows(plan, dataset, shard, rows):
    """The rows of a shard as metadata.csv holds them, in the order of header()."""
    sources, texts = dataset.sources, {}
    part = slice(rows[0], rows[-1] + 1) if rows else slice(0)
    first = part.start
    a, b = plan.source_a[part].tolist(), plan.source_b[part].tolist()
    for source in {*a, *b}:
        texts[source] = dataset.label_text(source)
    lams = [_lam_texts(lam[part]) for lam in (plan.lam, plan.label_lam) if lam is not None]
    for row in rows:
        i = row - first
        yield (
            plan.path(shard, row), sources[a[i]], sources[b[i]],
            *(texts_of_lam[i] for texts_of_lam in lams), texts[a[i]], texts[b[i]],
        )


def _lam_texts(lam):
    return [weight_text(millionths) for millionths in np.rint(lam * MILLION).astype(int).tolist()]


def read_plan(path, dataset):
    """Read a plan for a dataset from a CSV file, or - for standard input.

    Rows are put in the order of their file names; without that column they are numbered as they
    come. The columns label_a and label_b may be left out; where they stand, they must be the
    dataset's. Raises InputError by file and line.
    """
    table = read_table(path)
    reader = _Rows(table, dataset)
    for line, cells in table.rows:
        try:
            reader.add(line, cells)
        except ValueError as e:
            raise table.fault(line, e) from e
    return reader.plan()


class _Rows:
    """The rows of a plan, gathered in arrays so that millions fit."""

    def __init__(self, table, dataset):
        self.table, self.dataset = table, dataset
        names = [name.strip() for name in table.header]
        known = [*COLUMNS, LABEL_LAM]
        unknown = [name for name in names if name not in known]
        if unknown or len(set(names)) < len(names):
            raise InputError(
                f"{table.where}:1: columns {table.columns()}; a plan has {', '.join(known)},"
                " each once"
            )
        missing = [name for name in ("source_a", "source_b", "lam") if name not in names]
        if missing:
            raise InputError(f"{table.where}:1: no column {', '.join(missing)}; a plan needs it")
        self.at = {name: names.index(name) for name in names}
        self.source_of = {source: i for i, source in enumerate(dataset.sources)}
        self.a, self.b, self.lam, self.label_lam = array("i"), array("i"), array("i"), array("i")
        self.shards, self.files, self.lines = array("q"), array("q"), array("q")
        self.digits = None

    def add(self, line, cells):
        for side, sources in (("a", self.a), ("b", self.b)):
            sources.append(self._source(cells, side))
        self.lam.append(_millionths(cells[self.at["lam"]], "lam"))
        if LABEL_LAM in self.at:
            self.label_lam.append(_millionths(cells[self.at[LABEL_LAM]], LABEL_LAM))
        if "file_name" in self.at:
            self._name(cells[self.at["file_name"]])
            self.lines.append(line)

    def _source(self, cells, side):
        name = cells[self.at[f"source_{side}"]]
        source = self.source_of.get(name)
        if source is None:
            reason = self.dataset.unusable.get(name)
            why = f": {reason}" if reason else f"; paths are relative to {self.dataset.root}"
            raise ValueError(f"no such source {name!r}{why}")
        column = self.at.get(f"label_{side}")
        if column is not None and cells[column] != self.dataset.label_text(source):
            raise ValueError(
                f"label_{side} {cells[column]!r}, but {name!r} is {self.dataset.label_text(source)!r}"
                " in the input; mend it, or drop the label columns"
            )
        return source

    def _name(self, name):
        found = _FILE_NAME.fullmatch(name)
        by_class = None if found else _BY_CLASS.fullmatch(name)
        if not found and not by_class:
            raise ValueError(
                f"file_name {name!r}; it is written images/00000/00000000.png (5 digits or more, 8 or"
                " more), or drop the column to have files numbered"
            )
        digits = (None, len(by_class[2])) if by_class else (len(found[1]), len(found[2]))
        self.digits = self.digits or digits
        if digits != self.digits:
            raise ValueError(f"file_name {name!r} has more or fewer digits than the first row's")
        self.shards.append(0 if by_class else int(found[1]))
        self.files.append(int((by_class or found)[2]))

    def plan(self):
        if not len(self.lam):
            raise InputError(f"{self.table.where}: no rows; a plan has one for each output")
        a, b = np.frombuffer(self.a, np.int32), np.frombuffer(self.b, np.int32)
        lam = np.frombuffer(self.lam, np.int32) / MILLION
        label_lam = np.frombuffer(self.label_lam, np.int32) / MILLION if self.label_lam else None
        if self.digits is None:
            full, rest = divmod(len(lam), SHARD_ROWS)
            return numbered(a, b, lam, label_lam, [SHARD_ROWS] * full + [rest] * (rest > 0))
        return self._named(a, b, lam, label_lam)

    def _named(self, a, b, lam, label_lam):
        shards, files = np.frombuffer(self.shards, np.int64), np.frombuffer(self.files, np.int64)
        order = np.lexsort((files, shards))
        shards, files = shards[order], files[order]
        same = (np.diff(shards) == 0) & (np.diff(files) == 0)
        if same.any():
            first = int(np.flatnonzero(same)[0])
            lines = sorted(self.lines[int(i)] for i in order[first : first + 2])
            name = f"{files[first]:0{self.digits[1]}d}.png"
            if self.digits[0]:
                name = f"images/{shards[first]:0{self.digits[0]}d}/{name}"
            raise self.table.fault(lines[1], f"file_name {name!r} stands in line {lines[0]} too")
        if self.digits[0] is None:  # the class of a file does not tell its shard
            shards = np.arange(len(order)) // SHARD_ROWS
            self.digits = max(5, len(str(shards[-1]))), self.digits[1]
        names, start = np.unique(shards, return_index=True)
        start = np.append(start, len(shards))
        large = np.flatnonzero(np.diff(start) > SHARD_ROWS)
        if len(large):
            line = self.lines[int(order[start[large[0]] + SHARD_ROWS])]
            raise self.table.fault(
                line, f"more than {SHARD_ROWS:,} files in folder {names[large[0]]:0{self.digits[0]}d};"
                " use more folders, or drop the column to have files numbered"
            )
        label_lam = label_lam if label_lam is None else label_lam[order]
        return Plan(a[order], b[order], lam[order], label_lam, start, names, files, self.digits)


def _millionths(text, column):
    """A weight, rounded to 6 decimals as those that are drawn."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{column} {text!r}; give a number, 0 to 1")
    return round(value * MILLION)
