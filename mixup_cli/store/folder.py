"""The output folder of a run: may it be written, is it the same run, what is there, what is left."""

import contextlib
import csv
import itertools
import json
import os
import re
import shutil
import uuid
from pathlib import Path

from mixup_cli.errors import InputError, MismatchError, StoppedError
from mixup_cli.store import classes, disk
from mixup_cli.store.formats import FORMATS, require
from mixup_cli.store.record import file_digest, sealed
from mixup_cli.store.shard import WORK

RUN, SOURCES = "run.json", "sources.csv"  # in WORK: what an unfinished run is
CLEARED = "cleared.json"  # in WORK: the run.json or mixup.json of a run that is being removed
REPORT, GENERATOR = "report.html", b'<meta name="generator" content="mixup-cli '
TABLES = ("mixup.json", "metadata.csv", "labels.csv", "classes.txt", "rejects.csv", "shards.csv")
OPTIONAL = ("rejects.csv", "shards.csv")  # only if a source was rejected, or shards are files
_SHARD = re.compile(r"\d{5,}")
_FILE = re.compile(r"\d{5,}(%s)" % "|".join(re.escape(f.suffix) for f in FORMATS.values() if f.suffix))
_PNG = re.compile(r"\d{8,}\.png")


class Store:
    """An output folder, held by this run while used as a context manager.

    part: (i, n) if this run renders one part of n; other parts may write at the same time; format:
    a key of FORMATS.
    """

    def __init__(self, out, part=None, format="folder"):
        self.out = self.where = Path(out)
        self.format = format
        self.again = "with --resume" if part is None else "with the same --part"
        self.work = self.out / WORK
        self.part = part
        self.whose = "whole" if part is None else "{}-of-{}".format(*part)
        # New for each run: a worker on another machine may outlive the run that it worked for, and
        # must find no folder to write into.
        self.staging = self.work / "staging" / f"{self.whose}.{uuid.uuid4().hex[:8]}"

    def check(self, source, overwrite=False, resume=False):
        """Refuse, before any work, an output folder that cannot or must not be written."""
        require(self.format)
        if source is not None and _nested(self.out, source):
            raise InputError(
                f"{self.out}: input and output lie inside one another ({source}); choose an output"
                " folder elsewhere"
            )
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out}: not a folder; choose another output folder")
        parent = next(p for p in (self.out, *self.out.absolute().parents) if p.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(f"{parent}: no permission to write; choose another output folder")
        if not self.out.exists() or not any(self.out.iterdir()):
            return
        if self.work.exists():
            for lock in self._lock():
                os.close(lock)
        elif not self._is_ours():
            raise InputError(
                f"{self.out}: not empty, and not from an earlier run; choose a new output folder"
            )
        self._refuse_earlier(self.is_complete(), overwrite, resume)
        foreign = next(self._foreign(), None)
        if foreign:
            raise InputError(f"{foreign}: not from a run of mixup; move it away first")

    def _refuse_earlier(self, complete, overwrite, resume):
        if not overwrite and not resume:
            state, way = "an unfinished", "--resume to continue it, or"
            if complete:
                state, way = "an earlier", ""
            raise InputError(
                f"{self.where}: holds {state} run; choose another output folder, or pass"
                f" {way} --overwrite to replace that run".replace("  ", " ")
            )

    @staticmethod
    def is_ours(name):
        """Whether a path below images/ is one that a run of ours writes."""
        folder, _, file = name.rpartition("/")
        return bool(_SHARD.fullmatch(folder) and _PNG.fullmatch(file) or _FILE.fullmatch(name))

    def is_complete(self):
        """Whether a run was completed here."""
        return (self.out / "mixup.json").exists()

    def _is_ours(self):
        """Whether mixup.json says that a run of ours was completed here."""
        try:
            record = json.loads((self.out / "mixup.json").read_bytes())
            return "mixup_cli" in record["versions"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _foreign(self):
        """Whatever under images/ no run of ours writes; beside images/ anything may stay."""
        images, folders = self.out / "images", self._class_folders()
        for shard in sorted(images.iterdir()) if images.is_dir() else ():
            if _FILE.fullmatch(shard.name) and shard.is_file() and not shard.is_symlink():
                continue
            ours = _SHARD.fullmatch(shard.name) or shard.name in folders
            if shard.is_symlink() or not shard.is_dir() or not ours:
                yield shard
            else:
                yield from (f for f in shard.iterdir() if not _PNG.fullmatch(f.name))

    def _class_folders(self):
        """The folders of the classes that the run that is here put, or was putting, its files into."""
        for path in (self.out / "mixup.json", self.work / RUN, self.work / CLEARED):
            try:
                record = json.loads(path.read_bytes())
                names = record.get("classes") or [c["class"] for c in record["label_mass"]]
                if record.get("options", record).get("layout") == "classes":
                    return classes.class_folders(names)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
        return ()

    def __enter__(self):
        self.work.mkdir(parents=True, exist_ok=True)
        self._locks = self._lock()
        return self

    def __exit__(self, *exc):
        for lock in self._locks:
            os.close(lock)

    def _lock(self):
        """A whole run holds the folder alone; parts share it, each part alone."""
        if self.part is None:
            return [disk.lock(self.work / "lock")]
        shared = disk.lock(self.work / "lock", shared=True)
        try:
            return [shared, disk.lock(self.work / "lock-{}-of-{}".format(*self.part))]
        except BaseException:
            os.close(shared)
            raise

    @contextlib.contextmanager
    def showing(self):
        """A file `token` in the folder, which holds its own name, for workers elsewhere to find. If
        they do not, InputError, an empty run is not left behind."""
        self.token_text = f"token-{uuid.uuid4().hex}"
        self.token = self.work / self.token_text
        try:
            self.token.write_text(self.token_text, encoding="ascii")
            yield
        except InputError:
            self._leave_unused()
            raise
        finally:
            self.token.unlink(missing_ok=True)

    def _leave_unused(self):
        if self.part is None and not (self.work / RUN).exists():
            shutil.rmtree(self.work)
            with contextlib.suppress(OSError):  # not empty: it was there before
                self.out.rmdir()

    def clear(self):
        """Remove what an earlier run left, what says that it is worth anything first; what names the
        folders of its classes last, or one that is killed in here would leave folders of nobody."""
        for path in (self.work / RUN, self.out / TABLES[0]):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, self.work / CLEARED)
        for name in TABLES:
            (self.out / name).unlink(missing_ok=True)
        if is_report(self.out / REPORT):
            (self.out / REPORT).unlink()
        # Staging first: without it, no worker that was left behind commits a shard any more.
        if (self.work / "staging").is_dir():
            shutil.rmtree((self.work / "staging").rename(self.work / f"left-{uuid.uuid4().hex[:8]}"))
        for folder in (self.work / "reports", self.work / classes.SHARDS, self.out / "images"):
            if folder.is_dir():
                shutil.rmtree(folder)
        (self.work / CLEARED).unlink(missing_ok=True)

    def tidy(self):
        """Remove what a run left that was killed after its last step but one."""
        if self.work.exists():
            with self:
                shutil.rmtree(self.work)

    def begin(self, identity, sources):
        """Begin a run, or continue the one that is there.

        identity: what decides its bytes, names and values; sources: an iterator of (source,
        state) sorted by source, the state a tuple of str. Raises MismatchError with what differs
        from the run that is there.
        """
        lock = disk.lock(self.work / "begin", wait=True)  # several parts begin at the same time
        try:
            if not (self.work / RUN).exists():  # shards of a run that was being cleared are not ours
                self.clear()
            classes.restore(self.out, self.work)
            (self.out / "images").mkdir(exist_ok=True)
            (self.work / "reports").mkdir(exist_ok=True)
            for left in self.staging.parent.glob(f"{self.whose}.*"):
                # Renamed first, or whoever still writes there would commit half a shard.
                gone = left.with_name(f"{self.whose}.left-{uuid.uuid4().hex[:8]}")
                shutil.rmtree(left.rename(gone), ignore_errors=True)
            self.staging.mkdir(parents=True)
            if (self.work / RUN).exists():
                self._compare(identity, sources)
                return
            self._write_run(identity, sources)
        finally:
            os.close(lock)

    def _write_run(self, identity, sources):
        with self._replacing(SOURCES, self.work) as file:
            csv.writer(file, lineterminator="\n").writerows((s, *state) for s, state in sources)
        with self._replacing(RUN, self.work) as file:
            json.dump(identity, file, indent=2, ensure_ascii=False)

    def _sources_now(self):
        """The sources that _write_run wrote."""
        with open(self.work / SOURCES, encoding="utf-8", newline="") as file:
            yield from ((source, tuple(state)) for source, *state in csv.reader(file))

    def _compare(self, identity, sources):
        found = json.loads((self.work / RUN).read_bytes())
        different = [
            f"{name} {_value(found.get(name))} then, {_value(value)} now"
            for name, value in json.loads(json.dumps(identity)).items()
            if found.get(name) != value and name != "plan"
        ]
        if not different:
            different = list(itertools.islice(_changes(self._sources_now(), sources), 5))
        if not different and found.get("plan") != identity["plan"]:
            different = ["the rows of the plan"]
        if different:
            raise MismatchError(
                f"{self.where}: the run that is there differs: {'; '.join(different)}; resume it as it"
                " was begun, or start again by --overwrite"
            )

    def committed(self):
        """The shards that are there: folder -> {"dropped": positions, "rejects": reasons}, and the
        bytes and digest of one that is a file."""
        found, suffix = {}, FORMATS[self.format].suffix
        for name in sorted(os.listdir(self.out / "images")):
            if name.endswith(suffix):
                folder = name.removesuffix(suffix)
                report = self.work / "reports" / f"{folder}.json"
                found[folder] = json.loads(report.read_bytes()) if report.exists() else {}
        return found

    def shard_name(self, folder):
        """The name of a shard under images/."""
        return f"{folder}{FORMATS[self.format].suffix}"

    def rendered(self, shard, folder):
        """A shard was committed."""

    def is_behind(self):
        """Whether no more shards should be begun for now."""
        return False

    def check_files(self, folder, number):
        """Raise StoppedError unless a shard has as many images as it has rows, or, if it is a file,
        as many bytes as were written."""
        path, what = self.out / "images" / self.shard_name(folder), "rows"
        if FORMATS[self.format].suffix:
            report = json.loads((self.work / "reports" / f"{folder}.json").read_bytes())
            there, number, what = os.path.getsize(path), report["bytes"], "bytes that were written"
        else:
            there = len(os.listdir(path))
        if there != number:
            unit = "files" if what == "rows" else "bytes"
            raise StoppedError(
                f"{path}: {there:,} {unit}, but {number:,} {what}; somebody else"
                " writes there; remove it and run again with --resume"
            )

    def arrange(self, places, sync):
        """Move the files of all shards into the folders of their classes, see classes.arrange."""
        classes.arrange(self.out, self.work, places, sync)

    def write_shard_table(self):
        """shards.csv, for a format whose shards are files: their sizes and BLAKE2b digests."""
        if FORMATS[self.format].suffix:
            self.write_csv("shards.csv", ("shard", "bytes", "digest"), (
                (f"images/{self.shard_name(folder)}", report["bytes"], report["digest"])
                for folder, report in self.committed().items()
            ))

    def _replacing(self, name, folder=None):
        return disk.replacing((folder or self.out) / name, self.work / f"{name}.part")

    def staged(self):
        """How many outputs lie in shards not yet committed: progress inside a shard."""
        with contextlib.suppress(OSError):  # a shard may be renamed under our eyes
            return sum(len(os.listdir(self.staging / shard)) for shard in os.listdir(self.staging))
        return 0

    def write_text(self, name, text):
        """Write a small file in one step."""
        with self._replacing(name) as file:
            file.write(text)

    def write_csv(self, name, header, rows):
        """Write a table in one step; `rows` may be a generator of any length."""
        with self._replacing(name) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    def complete(self, record):
        """Write mixup.json and remove the work folder: the run is complete. Returns what it holds."""
        tables = [name for name in TABLES if (self.out / name).exists()]
        digests = {name: file_digest(self.out / name) for name in sorted(tables)}
        text = sealed({**record, "digests": digests})
        self.write_text("mixup.json", text)
        if not disk.REMOVES_OPEN_FILES:
            for lock in self._locks:
                os.close(lock)
            self._locks = []
        shutil.rmtree(self.work)
        return json.loads(text)


def is_report(path):
    """Whether a file is a report of ours, as its head says."""
    try:
        with open(path, "rb") as file:
            return GENERATOR in file.read(500)
    except OSError:
        return False


def _nested(a, b):
    """Whether one of two folders lies inside the other, or is it, through links too."""
    a, b = os.path.realpath(a), os.path.realpath(b)
    try:
        return os.path.commonpath([a, b]) in (a, b)
    except ValueError:  # two drives of Windows
        return False


def _changes(then, now):
    """What became of sources, in words; both are iterators of (source, state) sorted by source."""
    before, after = next(then, None), next(now, None)
    while before or after:
        if after is None or before and before[0] < after[0]:
            yield f"source {before[0]} was removed"
            before = next(then, None)
        elif before is None or after[0] < before[0]:
            yield f"source {after[0]} was added"
            after = next(now, None)
        else:
            if before[1] != after[1]:
                yield f"source {before[0]} was changed"
            before, after = next(then, None), next(now, None)


def _value(value):
    return "none" if value is None else value
