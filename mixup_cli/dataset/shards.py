"""The reader of tar shards in the WebDataset convention: members of one name, up to its first dot,
are a sample."""

import itertools
import json
import os
import re
from array import array

import numpy as np

from mixup_cli import tar
from mixup_cli.dataset.listing import EXTENSIONS, Listing, is_hidden, printable
from mixup_cli.dataset.model import check_class_name, read_class_list, soft_dataset, to_millionths
from mixup_cli.dataset.splits import HELD_OUT, TRAIN
from mixup_cli.dataset.table import LABEL_COLUMNS, OUTPUT_TABLES, above_zero, names_in
from mixup_cli.errors import InputError

TAR = (".tar",)
CLASSES = "__classes__"  # a member with the names of the classes, as our own shards have it
LARGEST_LABEL = 10_000_000  # bytes


def read_webdataset(root, options):
    """Images and labels from *.tar, at any depth: a .cls with a class, by number or by name, or a
    .json with a soft label of ours or the key that --label-column names."""
    listing = Listing(os.fspath(root), options.follow_symlinks, frozenset(OUTPUT_TABLES), TAR)
    shards = sorted(listing.images())
    if not shards:
        raise InputError(f"{root}: no .tar file; --reader folder reads folders of images")
    _check_splits(root, shards)
    samples = _Samples(root, options, listing)
    for shard in shards:
        with open(os.path.join(root, shard), "rb") as file:
            samples.add(shard, file)
    return samples.dataset()


def has_shards(root):
    """Whether a folder holds tar files and no folders: beside folders a tar is but a download."""
    with os.scandir(root) as found:
        entries = [entry for entry in found if not is_hidden(entry.name)]
    tars = any(entry.name.lower().endswith(TAR) and entry.is_file() for entry in entries)
    return tars and not any(entry.is_dir() for entry in entries)


def _check_splits(root, shards):
    """Refuse tars named after train and after a split that is held out: mixing them would leak."""
    words = set(itertools.chain.from_iterable(re.findall("[a-z]+", s.lower()) for s in shards))
    if words & TRAIN and words & HELD_OUT:
        raise InputError(
            f"{root}: holds tars of the splits {', '.join(sorted(words & (TRAIN | HELD_OUT)))}, and"
            " mixing across them would leak; put those of one into a folder of their own"
        )


class _Samples:
    """Samples, gathered tar by tar in arrays so that millions fit."""

    def __init__(self, root, options, listing):
        self.root, self.options, self.listing = root, options, listing
        path = os.path.join(root, "classes.txt")
        self.classes = options.classes or (path if os.path.isfile(path) else None)
        self.classes = self.classes and read_class_list(self.classes)
        self.known, self.sources = {}, []
        self.counts, self.labels, self.weights = array("i"), array("i"), array("i")
        self.spans = array("q")

    def add(self, shard, file):
        """The samples of one tar."""
        where = f"{self.root}/{shard}"
        members = list(tar.index(where, file))
        for name, offset, size in members[:1]:
            if name == CLASSES and self.classes is None:
                file.seek(offset)
                self.classes = file.read(size).decode().splitlines()
        grouped = itertools.groupby(members, lambda member: _key(member[0]))
        for key, found in grouped:
            if key is not None:
                fields = {name[len(key) + 1 :].lower(): (name, *span) for name, *span in found}
                self._add_sample(where, shard, key, fields, file)

    def _add_sample(self, where, shard, key, fields, file):
        image = next((f for f in fields if f".{f.rpartition('.')[2]}" in EXTENSIONS), None)
        label = next((f for f in ("json", "cls") if f in fields), None)
        source = f"{shard}/{fields[image or next(iter(fields))][0]}"
        if image is None:
            return self.listing.skip("other", source)
        if source != printable(source):
            self.listing.unusable[printable(source)] = "file name is not UTF-8; rename the file"
            return None
        if label is None:
            return self.listing.skip("unlabelled", source)
        try:
            weights = self._weights(label, self._read(file, *fields[label][1:]))
            for name in weights.keys() - self.known.keys():
                check_class_name(name, "its label")
                self.known[name] = len(self.known)
        except InputError as e:
            raise InputError(f"{where}: {key}.{label}: {e}") from e
        parts = to_millionths(weights.values())
        kept = [(self.known[name], part) for name, part in zip(weights, parts, strict=True) if part]
        self.sources.append(source)
        self.counts.append(len(kept))
        self.labels.extend(index for index, _ in kept)
        self.weights.extend(part for _, part in kept)
        self.spans.extend(fields[image][1:])
        return None

    def _read(self, file, offset, size):
        if size > LARGEST_LABEL:
            raise InputError(f"{size:,} bytes; that is no label")
        file.seek(offset)
        try:
            return file.read(size).decode()
        except UnicodeDecodeError as e:
            raise InputError("not UTF-8; that is no label") from e

    def _weights(self, kind, text):
        """{class: weight} of a label's text."""
        if kind == "cls":
            return {self._name(text.strip()): 1}
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise InputError(f"not JSON ({e})") from e
        if isinstance(found, dict) and self.options.label_column is None:
            if "soft_label" in found:
                return self._soft(found["soft_label"])
            if "classes" in found and "weights" in found:
                return self._soft(found["weights"], found["classes"])
        return self._hard(found)

    def _hard(self, found):
        wanted = self.options.label_column
        column = wanted or next((c for c in LABEL_COLUMNS if isinstance(found, dict) and c in found), None)
        if not isinstance(found, dict) or column not in found:
            raise InputError("no label in it; name its key by --label-column")
        names = names_in(found[column], self.options.label_delimiter)
        return {self._name(name): weight for name, weight in names.items()}

    def _soft(self, weights, classes=None):
        try:
            classes = range(len(weights)) if classes is None else classes
            pairs = zip(classes, weights, strict=True)
            weights = {self._name(str(k)): float(w) for k, w in pairs if w}
        except (TypeError, ValueError) as e:
            raise InputError(f"its soft label is no list of numbers ({e})") from e
        if not all(0 <= w < float("inf") for w in weights.values()):
            raise InputError("a weight is below 0 or infinite; give numbers, 0 or more")
        return above_zero(weights)

    def _name(self, text):
        """The class that a label names, itself or by its number in the list of classes."""
        if self.classes is None or text in self.classes and not text.isdecimal():
            return text
        if text.isdecimal() and int(text) < len(self.classes):
            return self.classes[int(text)]
        raise InputError(f"class {text!r} is not among the {len(self.classes)} of classes.txt")

    def dataset(self):
        """The dataset of all that was added."""
        if len(set(self.sources)) < len(self.sources):
            twice = next(s for k, s in enumerate(self.sources) if s in self.sources[:k])
            raise InputError(f"{self.root}/{twice}: there twice; a key must be of one sample")
        spans = dict(zip(self.sources, np.frombuffer(self.spans, np.int64).reshape(-1, 2).tolist()))
        return soft_dataset(
            self.root, self.sources, list(self.known), (self.counts, self.labels, self.weights),
            classes=sorted(self.known) if self.classes is None else self.classes,
            skipped=self.listing.skipped, unusable=self.listing.unusable,
            spans=np.array([spans[s] for s in sorted(spans)], np.int64).reshape(-1, 2),
        )


def _key(name):
    """The name of a member up to the first dot of its last part; None for what is no sample's."""
    folder, slash, base = name.rpartition("/")
    stem, dot, _ = base.partition(".")
    return f"{folder}{slash}{stem}" if stem and dot and not name.startswith("__") else None
