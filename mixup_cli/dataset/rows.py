"""Rows of a table, strictly: CSV, TSV and JSON lines, read as a stream with their line numbers."""

import csv
import itertools
import json
import sys
from dataclasses import dataclass
from typing import Iterator

from mixup_cli.errors import InputError

LONGEST_LINE = 10_000_000  # bytes; 20,000 classes with a weight each need a tenth of it


@dataclass
class Table:
    """where: its name in messages; header: column names; rows: yields (line number, cells), as
    many cells as the header has."""

    where: str
    header: list
    rows: Iterator

    def fault(self, line, reason):
        """The error of a line."""
        return InputError(f"{self.where}:{line}: {reason}")

    def peek(self):
        """The cells of the next row, which stays in place; None at the end."""
        first = next(self.rows, None)
        if first is None:
            return None
        self.rows = itertools.chain([first], self.rows)
        return first[1]

    def column(self, wanted, known=()):
        """The index of a column: by name or number from 1 if wanted, else the first of the known
        names; None if there is none of those."""
        names = [name.strip() for name in self.header]
        if wanted is None:
            lower = [name.lower() for name in names]
            return next((lower.index(name) for name in known if name in lower), None)
        if wanted in names:
            return names.index(wanted)
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.header):
            return int(wanted) - 1
        raise InputError(f"{self.where}: no column {wanted!r}; its columns are {self.columns()}")

    def columns(self):
        return ", ".join(self.header[:20]) + (" …" if len(self.header) > 20 else "")


def read_table(path):
    """A CSV or TSV file, or - for standard input; the first row is taken for the header."""
    where = "standard input" if path == "-" else str(path)
    rows = _csv_rows(where, _lines(path, where))
    _, header = next(rows, (0, None))
    if header is None:
        raise InputError(f"{where}: empty; give a row for each image")
    return Table(where, header, rows)


def read_json_lines(path):
    """A file of JSON objects, one a line; the keys of the first are the columns."""
    rows = _json_rows(str(path), _lines(path, str(path)))
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: empty; give a line for each image")
    header = list(first[1])
    cells = (
        (line, [record.get(name) for name in header])
        for line, record in itertools.chain([first], rows)
    )
    return Table(str(path), header, cells)


def _lines(path, where):
    """Text lines of a UTF-8 file; a byte order mark is passed over."""
    try:
        with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
            for number in itertools.count(1):
                line = file.readline(LONGEST_LINE)
                if not line:
                    return
                if len(line) == LONGEST_LINE:
                    raise InputError(
                        f"{where}:{number}: longer than {LONGEST_LINE:,} bytes; this is no table"
                    )
                if b"\0" in line:
                    raise InputError(f"{where}:{number}: a NUL byte; this is no text file")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except OSError as e:
        raise InputError(f"{where}: {e.strerror}; give a file that can be read") from e
    except UnicodeDecodeError as e:
        raise InputError(f"{where}:{number}: not UTF-8; save the file as UTF-8") from e


def _csv_rows(where, lines):
    first = next(lines, "")
    delimiter = next((c for c in "\t,;" if c in first), ",")
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    line, width = 1, None
    try:
        for row in reader:
            if row:
                width = width or len(row)
                if len(row) != width:
                    raise InputError(f"{where}:{line}: {len(row)} fields, but line 1 has {width}")
                yield line, row
            line = reader.line_num + 1
    except csv.Error as e:
        raise InputError(f"{where}:{line}: {e}; mend the quotes of this row") from e


def _json_rows(where, lines):
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise InputError(f"{where}:{number}: not JSON ({e}); write an object a line") from e
        if not isinstance(record, dict):
            raise InputError(f"{where}:{number}: not a JSON object; write an object a line")
        yield number, record
