"""Readers whose labels stand in a table: CSV and TSV, Hugging Face's metadata, our own output."""

import math
import os
from array import array

from mixup_cli.dataset.listing import EXTENSIONS, Listing, printable
from mixup_cli.dataset.model import (
    check_class_name, parse_label, read_class_list, soft_dataset, to_millionths,
)
from mixup_cli.dataset.rows import read_json_lines, read_table
from mixup_cli.errors import InputError

METADATA = ("metadata.csv", "metadata.jsonl")
OUTPUT_TABLES = (
    "mixup.json", "labels.csv", "metadata.csv", "classes.txt", "rejects.csv", "shards.csv",
)
# The names that Kaggle, fastai, AutoGluon, Keras and Hugging Face give these columns.
FILE_COLUMNS = (
    "file_name", "filename", "file", "image", "image_id", "image_name", "image_path", "path",
    "filepath", "filepaths", "fname", "img", "id", "name",
)
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "category", "target", "tags", "species", "y",
)
SPARSE = ["file_name", "class_a", "weight_a", "class_b", "weight_b"]


def read_csv(root, options):
    """A table of labels, --labels FILE: file and label, file and several, or file and weights."""
    if options.labels is None:
        raise InputError("--reader csv needs --labels FILE")
    table = read_table(options.labels)
    images = _Images(root, options)
    named = _take_header(table, images, options.file_column)
    file_column = table.column(options.file_column, FILE_COLUMNS) or 0
    labels_of = _one_label_column(table, file_column, options)
    if labels_of is not None:
        return _gather(table, images, file_column, labels_of)
    rest = [k for k in range(len(table.header)) if k != file_column]
    first = table.peek()
    if not rest or (first and not all(_is_number(first[k]) for k in rest)):
        raise _which_column(table)
    if named:
        classes = [table.header[k].strip() for k in rest]
        for name in classes:
            check_class_name(name, f"{table.where}:1")
    else:
        classes = read_class_list(options.classes) if options.classes else []
        if len(classes) != len(rest):
            raise InputError(
                f"{table.where}: {len(rest)} columns of weights without a header, but"
                f" {len(classes)} names; give one for each by --classes"
            )
    return _gather(
        table, images, file_column,
        lambda row: _weights(classes, [row[k] for k in rest]), classes,
    )


def read_imagefolder(root, options):
    """Hugging Face's imagefolder: metadata.csv or metadata.jsonl with file_name and a label; that
    of a split may lie beside its folder."""
    folders = [root] if options.split is None else [root, root.parent]
    paths = [folder / name for folder in folders for name in METADATA]
    path = next(filter(os.path.isfile, paths), None)
    if path is None:
        raise InputError(f"{root}: no {' and no '.join(METADATA)}; --reader folder reads folders")
    table = (read_json_lines if path.suffix == ".jsonl" else read_table)(path)
    if "file_name" not in table.header:
        raise InputError(f"{path}: no column file_name; its columns are {table.columns()}")
    _check_columns(table)
    file_column = table.header.index("file_name")
    labels_of = _one_label_column(table, file_column, options)
    if labels_of is None:
        raise _which_column(table, ", or --reader folder if folders are the classes")
    return _gather(table, _Images(root, options), file_column, labels_of)


def read_mixup(root, options):
    """The output of an earlier run: its images with their soft labels."""
    if next((root / "images").glob("*.parquet"), None):
        raise InputError(
            f"{root}: its images are in Parquet, which is written and not read; give an output of"
            " another --format"
        )
    table = read_table(root / "labels.csv")
    classes = read_class_list(root / "classes.txt")
    if table.header == SPARSE:
        index = {name: k for k, name in enumerate(classes)}

        def labels_of(row):
            weights = {}
            for text, share in ((row[1], row[2]), (row[3], row[4])):
                share = _weight(text, share)
                for name, part in parse_label(text, index).items():
                    weights[name] = weights.get(name, 0) + share * part
            return above_zero(weights)

    elif table.header == ["file_name", *classes]:

        def labels_of(row):
            return _weights(classes, row[1:])

    else:
        raise InputError(f"{table.where}:1: the columns are not the classes of {root}/classes.txt")
    return _gather(table, _Images(root, options), 0, labels_of, classes)


class _Images:
    """The images below a root, found by path, or by path without extension."""

    def __init__(self, root, options):
        self.root, self.split = root, options.split
        tables = {options.labels and os.path.relpath(options.labels, root), *OUTPUT_TABLES, *METADATA}
        self.listing = Listing(os.fspath(root), options.follow_symlinks, tables)
        self.paths = set(self.listing.images())
        self.by_stem = None

    def find(self, name):
        """The image that a cell names, relative to root; None for one that cannot be used, or that
        lies in another split."""
        if not isinstance(name, str) or not name:
            raise InputError(f"file name {name!r}; give the path of an image")
        path = self._relative(name)
        found = path if path in self.paths else self._by_stem(name, path)
        if found is not None:
            return found
        if printable(path) in self.listing.unusable:
            return None
        if self.split is not None:
            split, _, inside = path.partition("/")
            if split == self.split and inside:
                return self.find(inside)
            if os.path.isdir(self.root.parent / split):
                self.listing.skip("other split", path)
                return None
        raise InputError(f"no such image {name!r}; paths are relative to {self.root}")

    def has(self, name):
        """Whether a cell names an image, be it there or not."""
        return name.lower().endswith(EXTENSIONS) or self._by_stem(name, name) is not None

    def _relative(self, name):
        path = os.path.normpath(name)
        if os.path.isabs(path):
            path = os.path.relpath(path, os.path.abspath(self.root))
        path = path.replace(os.sep, "/")
        if "\0" in name or path.startswith("../") or path == ".." or os.path.isabs(path):
            raise InputError(f"{name!r} lies outside {self.root}; paths are relative to it")
        return path

    def _by_stem(self, name, path):
        if self.by_stem is None:  # most tables write extensions and never need it
            self.by_stem = {}
            for image in sorted(self.paths):
                self.by_stem.setdefault(os.path.splitext(image)[0], []).append(image)
        found = self.by_stem.get(path, [None])
        if len(found) > 1:
            raise InputError(f"{name!r} may be {' or '.join(found)}; write the extension")
        return found[0]


def _take_header(table, images, file_column):
    """Whether the first row is a header. If it names an image it is not, and columns are known by
    number alone."""
    by_name = file_column is not None and not file_column.isdecimal()
    column = int(file_column) - 1 if file_column and not by_name else 0
    if by_name or not 0 <= column < len(table.header) or not images.has(table.header[column]):
        _check_columns(table)
        return True
    first, rest = (1, table.header), table.rows
    table.header = [str(k + 1) for k in range(len(table.header))]
    table.rows = (row for part in ([first], rest) for row in part)
    return False


def _check_columns(table):
    """No two columns of one name: which one would be meant?"""
    double = next((name for name in table.header if table.header.count(name) > 1), None)
    if double is not None:
        raise table.fault(1, f"two columns are named {double!r}; rename one")


def _one_label_column(table, file_column, options):
    """row -> {class: weight} from the column that holds the label; None if no column is known."""
    column = table.column(options.label_column, LABEL_COLUMNS)
    if column is None and len(table.header) == 2:
        column = 1 - file_column
    if column is None or column == file_column:
        return None
    return lambda row: names_in(row[column], options.label_delimiter)


def _which_column(table, other=""):
    return InputError(
        f"{table.where}: which column holds the label? Its columns are {table.columns()};"
        f" give --label-column{other}"
    )


def _gather(table, images, file_column, labels_of, classes=None):
    """The dataset of a table's rows; classes in the order given, else sorted."""
    line_of, checked = {}, {name: k for k, name in enumerate(classes or ())}
    counts, labels, weights = array("i"), array("i"), array("i")
    for line, row in table.rows:
        try:
            path = images.find(row[file_column])
            if path is None:
                continue
            if path in line_of:
                raise InputError(f"{path!r} is labelled already, in line {line_of[path]}")
            found = labels_of(row)
        except InputError as e:
            raise table.fault(line, e) from e
        for name in found.keys() - checked.keys():
            check_class_name(name, f"{table.where}:{line}")
            checked[name] = len(checked)
        line_of[path] = line
        parts = to_millionths(found.values())
        labels.extend(checked[name] for name, part in zip(found, parts, strict=True) if part)
        weights.extend(part for part in parts if part)
        counts.append(sum(part > 0 for part in parts))
    unlabelled = images.paths - line_of.keys()
    if unlabelled:
        images.listing.skipped["unlabelled"] = sorted(unlabelled)
    return soft_dataset(
        images.root, list(line_of), list(checked), (counts, labels, weights),
        classes=sorted(checked) if classes is None else classes,
        skipped=images.listing.skipped, unusable=images.listing.unusable,
    )


def names_in(cell, delimiter):
    """One class, or several of equal weight: split at the delimiter, or a list in JSON."""
    if isinstance(cell, str):
        names = cell.split(delimiter) if delimiter else [cell]
    else:
        names = cell if isinstance(cell, list) else [cell]
    if not names or not all(isinstance(name, (str, int)) for name in names):
        raise InputError(f"label {cell!r}; give a class name, or a list of them")
    weights = dict.fromkeys((str(name).strip() for name in names), 1)
    if len(weights) < len(names):
        raise InputError(f"label {cell!r} names a class twice")
    return weights


def _weights(classes, texts):
    """Class -> weight, of those above 0."""
    return above_zero({
        name: _weight(name, text)
        for name, text in zip(classes, texts, strict=True)
        if text not in ("0.0", "0")
    })


def above_zero(weights):
    weights = {name: weight for name, weight in weights.items() if weight}
    if not weights:
        raise InputError("all weights are 0; give at least one above 0")
    return weights


def _weight(name, text):
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"weight {text!r} of class {name!r}; give a number, 0 or more")
    return weight


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
