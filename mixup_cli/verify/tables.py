"""What an output folder says of itself, table against table, and what its shards shall hold."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from mixup_cli import remote
from mixup_cli.dataset import (
    MILLION, Dataset, parse_label, read_class_list, read_dataset, read_table, to_millionths,
)
from mixup_cli.errors import InputError
from mixup_cli.plan import COLUMNS, LABEL_LAM, SHARD_ROWS, numbered, read_plan
from mixup_cli.provenance import READ_AS, Options, canvas_of
from mixup_cli.run import shard_job
from mixup_cli.store import FORMATS, OPTIONAL, TABLES, Store, class_folders, file_digest, read_record
from mixup_cli.tables import as_record, dominant, label_header, label_rows, soft_labels
from mixup_cli.verify.shard import Check


class Verification:
    """What is known of an output folder, and the problems found so far."""

    def __init__(self, out, where):
        self.out, self.where, self.problems = out, where, []
        self.outputs = self.files = self.rows = 0
        self.shards, self.all_rows_read = set(), False
        self.named = {}  # by class: the folder's files that rows name
        self.dataset = self.plan = self.record = None
        try:
            self.record = read_record(out)
        except InputError as e:
            self.problems.append(("mixup.json", self._named(e)))
        options = self.record["options"] if self.record else {}
        self.format, self.layout = options.get("format", "folder"), options.get("layout", "shards")
        for name in TABLES[1:]:
            self._check_digest(name)

    def _named(self, error):
        """An error's text with the place that the user gave."""
        return str(error).replace(os.fspath(self.out), os.fspath(self.where))

    def _check_digest(self, name):
        wanted = self.record and self.record["digests"].get(name)
        try:
            digest = file_digest(self.out / name)
        except OSError as e:
            if wanted or name not in OPTIONAL:
                self.problems.append((name, e.strerror))
            return
        if self.record and digest != wanted:
            self.problems.append((name, "not as the run wrote it: its digest does not hold"))

    def read_source(self, source, read):
        """Read the input as the run did, and the plan that metadata.csv is."""
        options = self.record["options"] if self.record else {}
        if self.record is None:
            return
        read = replace(
            read,
            split=read.split or options["split"],
            include=read.include or tuple(options["include_class"]),
            exclude=read.exclude or tuple(options["exclude_class"]),
            **{name: getattr(read, name) or options.get(name) for name in READ_AS if options.get(name)},
        )
        self.dataset = read_dataset(source, read)
        try:
            self.plan = read_plan(self.out / "metadata.csv", self.dataset)
        except InputError as e:
            self.problems.append(("metadata.csv", self._named(e)))
        if self._classes() != self.dataset.classes:
            self.problems.append(("classes.txt", f"not the classes of {source}"))

    def _classes(self):
        try:
            return tuple(read_class_list(self.out / "classes.txt"))
        except InputError:  # its digest told
            return None

    def checks(self):
        """Yield the Check of every folder that metadata.csv names, the labels compared."""
        store = Store(self.out, format=self.format)
        jobs, digests = self._render_jobs(store), {}
        try:
            if self.layout == "classes":
                yield from self._checks_by_class(store, jobs)
                self.all_rows_read = True
                return
            if FORMATS[store.format].suffix:
                table = read_table(self.out / "shards.csv")
                digests = {cells[0]: cells[-1] for _, cells in table.rows}
            for folder, rows in itertools.groupby(self._labelled_rows(), _folder_of):
                rows = list(rows)
                folder = folder.removeprefix("images/")
                name = store.shard_name(folder)
                path = os.path.join(self.where, "images", name)
                self.shards.add(name)
                files = [name.rpartition("/")[2] for name, _ in rows]
                records = [record for _, record in rows if record is not None]
                yield Check(path, folder, files, store.format, records,
                            digests.get(f"images/{name}"), jobs(folder))
            self.all_rows_read = True
        except InputError as e:
            self.problems.append(("metadata.csv, labels.csv", self._named(e)))

    def _checks_by_class(self, store, jobs):
        """Yield a Check of every thousand rows, whose files lie in the folders of their classes."""
        rows = (name.removeprefix("images/") for name, _ in self._labelled_rows())
        for shard in itertools.count():
            files = list(itertools.islice(rows, SHARD_ROWS))
            if not files:
                return
            for file in files:
                folder, _, name = file.rpartition("/")
                self.named.setdefault(folder, set()).add(name)
            job = jobs(self.plan.folder(shard)) if self.plan and shard < self.plan.num_shards else None
            yield Check(str(store.out / "images"), "", files, render=job, layout=self.layout)

    def _render_jobs(self, store):
        if self.plan is None:
            return lambda folder: None
        options = Options(canvas=canvas_of(self.record))
        shard_of = {self.plan.folder(s): s for s in range(self.plan.num_shards)}
        return lambda folder: shard_job(
            self.dataset, self.plan, shard_of[folder], store, options
        ) if folder in shard_of else None

    def _labelled_rows(self):
        """Yield (file_name, record) of metadata.csv; labels.csv must have the same rows."""
        metadata, labels = read_table(self.out / "metadata.csv"), read_table(self.out / "labels.csv")
        classes = self._classes()
        wide = labels.header != list(label_header((), False))
        if not set(COLUMNS) <= set(metadata.header) or classes is None or (
            wide and tuple(labels.header) != label_header(classes, True)
        ):
            raise InputError(f"{self.out}: the columns are not those of a run")
        embeds = FORMATS[self.format].embeds
        folders = class_folders(classes) if self.layout == "classes" else None
        expected = _Labels(metadata.header, classes, wide, embeds, folders)
        pairs = itertools.zip_longest(metadata.rows, labels.rows)
        while block := list(itertools.islice(pairs, 1000)):
            if None in block[-1] or None in block[0]:
                raise InputError(f"{self.out}: metadata.csv and labels.csv have not as many rows")
            wanted = expected.of(metadata, [row for row, _ in block])
            for ((line, row), (label_line, cells)), (weights, label, folder) in zip(
                block, wanted, strict=True
            ):
                self.rows += 1
                if folder is not None and row[0].split("/")[1:-1] != [folder]:
                    self.problems.append((row[0], f"not in the folder of its class, {folder}"))
                if cells[0] != row[0]:
                    raise labels.fault(label_line, f"{cells[0]!r}, but line {line} of metadata.csv is"
                                       f" {row[0]!r}")
                if cells[1:] != weights:
                    self.problems.append(
                        (row[0], f"labels.csv:{label_line}: not the labels that metadata.csv gives")
                    )
                yield row[0], as_record(metadata.header, row, label) if embeds else None

    def add(self, checked):
        shard = f"images/{checked.folder}".rstrip("/")
        self.outputs += checked.rows
        self.files += checked.files
        self.problems += [
            (f"{shard}{checked.suffix}" if name is None else f"{shard}/{name}", what)
            for name, what in checked.problems
        ]

    def report(self, source):
        """All that was found, for JSON."""
        for name in self._names() if self.all_rows_read else ():
            if name in self.named and (self.out / "images" / name).is_dir():
                for file in sorted(set(os.listdir(self.out / "images" / name)) - self.named[name]):
                    self.problems.append((f"images/{name}/{file}", "no row names this file"))
            elif name not in self.shards:
                self.problems.append((f"images/{name}", "no row names a file in it"))
        if self.record and self.all_rows_read and self.rows != self.record["counts"]["outputs"]:
            self.problems.append(
                ("mixup.json", f"{self.record['counts']['outputs']:,} outputs, but {self.rows:,} rows")
            )
        return {
            "out": os.fspath(self.where),
            "source": None if source is None else os.fspath(source),
            "rows": self.rows,
            "files": self.files,
            "problems": [{"file": file, "problem": what} for file, what in self.problems],
        }

    def _names(self):
        """What lies under images/."""
        if remote.is_url(self.where):
            return sorted({name.split("/")[0] for name in remote.find(remote.join(self.where, "images"))})
        images = self.out / "images"
        return sorted(os.listdir(images)) if images.is_dir() else []


def _folder_of(row):
    return row[0].rpartition("/")[0]


class _Labels:
    """The cells of labels.csv that rows of metadata.csv ask for."""

    def __init__(self, header, classes, wide, embeds, folders):
        self.classes, self.wide, self.embeds, self.folders = classes, wide, embeds, folders
        self.index = {name: k for k, name in enumerate(classes)}
        self.lam = header.index("lam")
        self.label_lam = header.index(LABEL_LAM) if LABEL_LAM in header else self.lam
        self.labels = header.index("label_a"), header.index("label_b")

    def of(self, table, rows):
        """For each of rows, [(line, cells)], its weights as cells, as shards hold them, and the
        folder of its class, where files lie so."""
        texts, start, label, weight = {}, [0], [], []
        for line, cells in rows:
            for text in (cells[k] for k in self.labels):
                if text in texts:
                    continue
                try:
                    found = parse_label(text, self.index)
                except InputError as e:
                    raise table.fault(line, e) from e
                texts[text] = len(texts)
                parts = to_millionths(found.values())
                label += [self.index[name] for name in found]
                weight += parts
                start.append(len(label))
        dataset = Dataset(
            Path(), list(texts), self.classes, np.array(start), np.array(label), np.array(weight)
        )
        a, b = ([texts[cells[k]] for _, cells in rows] for k in self.labels)
        try:
            lam = np.array([round(float(cells[self.label_lam]) * MILLION) for _, cells in rows])
        except ValueError as e:
            raise InputError(f"{table.where}: {e}") from e
        plan = numbered(np.array(a), np.array(b), lam / MILLION, None, [len(rows)])
        rows = list(range(len(rows)))
        cells = label_rows(dataset, plan, 0, rows, self.wide)
        labels = soft_labels(dataset, plan, rows, self.wide) if self.embeds else rows
        folders = [None] * len(rows)
        if self.folders is not None:
            folders = [self.folders[k] for k in dominant(dataset, plan, np.array(rows))[0]]
        return [(row[1:], *rest) for row, *rest in zip(cells, labels, folders, strict=True)]
