"""The output of a run behind a URL. An object store knows no rename and no lock that ends with its
holder: a shard is uploaded under its final name, and a small object, its mark, last. A shard with a
mark is complete, and nothing else is. mixup.json comes last of all.

What Store keeps in the output folder, Bucket keeps there too, and works on copies in a local folder.
"""

import contextlib
import json
import os
import socket
import tempfile
import uuid
from pathlib import Path

from mixup_cli import remote
from mixup_cli.errors import InputError, LockedError
from mixup_cli.store.folder import RUN, SOURCES, TABLES, Store
from mixup_cli.store.formats import FORMATS, require
from mixup_cli.store.shard import WORK


class Bucket(Store):
    """A Store whose `where` is a URL, and whose `out` is a local folder with copies of its tables."""

    def __init__(self, url, local, part=None, format="folder"):
        super().__init__(Path(local, "out"), part, format)
        self.where = url.rstrip("/")
        self.out.mkdir()
        self.marks = None

    def url(self, *names):
        return remote.join(self.where, *names)

    def check(self, source, overwrite=False, resume=False):
        """Refuse, before any work, an output that must not be written."""
        require(self.format)
        if source is not None and remote.is_url(source):
            a, b = (f"{os.fspath(url).rstrip('/')}/" for url in (self.where, source))
            if a.startswith(b) or b.startswith(a):
                raise InputError(
                    f"{self.where}: input and output lie inside one another ({source}); choose an output"
                    " folder elsewhere"
                )
        complete, unfinished = self.is_complete(), remote.exists(self.url(WORK, RUN))
        if not complete and not unfinished:
            if any(not name.startswith(f"{WORK}/") for name in remote.find(self.where)):
                raise InputError(
                    f"{self.where}: not empty, and not from an earlier run; choose a new output folder"
                )
            return
        self._refuse_earlier(complete, overwrite, resume)
        if overwrite:
            foreign = next((n for n in remote.find(self.url("images")) if not self.is_ours(n)), None)
            if foreign:
                url = self.url("images", foreign)
                raise InputError(f"{url}: not from a run of mixup; move it away first")

    def is_complete(self):
        """Whether a run was completed here; its record is copied."""
        url = self.url("mixup.json")
        if not remote.exists(url):
            return False
        remote.copy_into(url, self.out / "mixup.json")
        return True

    def __exit__(self, *exc):
        for url in self._locks:
            with contextlib.suppress(OSError):  # the network is gone; whoever comes next on this
                remote.remove(url)  # machine sees that this process has ended

    def _lock(self):
        """Put a lock object; then see that no other is there that excludes it."""
        name = "lock" if self.part is None else "lock-{}-of-{}".format(*self.part)
        mine = self.url(WORK, name)
        if not remote.create(mine, json.dumps(_holder()).encode()):
            self._take_over(mine)
        others = [
            other for other in remote.find(self.url(WORK))
            if other.startswith("lock") and other != name and (self.part is None or other == "lock")
        ]
        for other in others:
            try:
                self._take_over(self.url(WORK, other), remove=True)
            except LockedError:
                remote.remove(mine)
                raise
        return [mine]

    def _take_over(self, url, remove=False):
        """Take the lock of a process of this machine that has ended. Raises LockedError otherwise."""
        try:
            holder = json.loads(remote.read(url))
        except FileNotFoundError:
            holder = None
        except ValueError:
            holder = {"host": "?", "pid": "?"}
        if holder is None or _has_ended(holder):
            remote.remove(url)
            if remove or remote.create(url, json.dumps(_holder()).encode()):
                return
            holder = {"host": "?", "pid": "?"}
        raise LockedError(
            f"{self.where}: another run is writing here, process {holder.get('pid')} on"
            f" {holder.get('host')}; wait for it, or if it was killed, remove {url}"
        )

    @contextlib.contextmanager
    def showing(self):
        """As a folder's, an object `token` that holds its own name."""
        self.token_text = f"token-{uuid.uuid4().hex}"
        self.token = self.url(WORK, self.token_text)
        remote.write(self.token, self.token_text.encode())
        try:
            yield
        finally:
            remote.remove(self.token)

    def clear(self):
        """Remove what an earlier run left, the marks first: a shard without one is none."""
        for name in [n for n in remote.find(self.url(WORK)) if n.startswith("done-")]:
            remote.remove(self.url(WORK, name))
        for url in (self.url(WORK, RUN), *map(self.url, TABLES), self.url("images")):
            remote.remove(url)

    def tidy(self):
        """Remove what a run left that was killed after its last step but one."""
        if remote.exists(self.url(WORK)):
            with self:
                remote.remove(self.url(WORK))

    def begin(self, identity, sources):
        """Begin a run, or continue the one that is there, as Store does. Its marks have a name of
        their own: a worker that was left behind by an earlier one marks no shard of this."""
        self.work.mkdir(exist_ok=True)
        (self.out / "images").mkdir(exist_ok=True)
        run = {**identity, "marks": f"done-{uuid.uuid4().hex[:8]}"}
        if not remote.exists(self.url(WORK, RUN)):
            self._write_run(run, sources)
            remote.upload(self.work / SOURCES, self.url(WORK, SOURCES))
            if remote.create(self.url(WORK, RUN), (self.work / RUN).read_bytes()):
                self.marks = self.url(WORK, run["marks"])
                return
            sources = iter(list(self._sources_now()))  # a part was faster: what it began is this run too
        for name in (RUN, SOURCES):
            remote.copy_into(self.url(WORK, name), self.work / name)
        self._compare(identity, sources)
        self.marks = self.url(WORK, json.loads((self.work / RUN).read_bytes())["marks"])

    @property
    def staging(self):
        return self.marks

    @staging.setter
    def staging(self, path):
        """Workers stage in a temporary folder of their own."""

    def committed(self):
        """The shards that have a mark: folder -> what the mark holds."""
        urls = [remote.join(self.marks, name) for name in remote.find(self.marks)]
        marks = remote.read_all(urls)
        return {
            url.rpartition("/")[2].removesuffix(".json"): json.loads(data)
            for url, data in sorted(marks.items())
        }

    def check_files(self, folder, number):
        """A mark is written when all that its shard holds is there."""

    def staged(self):
        return 0

    def write_text(self, name, text):
        super().write_text(name, text)
        remote.upload(self.out / name, self.url(name))

    def write_csv(self, name, header, rows):
        super().write_csv(name, header, rows)
        remote.upload(self.out / name, self.url(name))

    def complete(self, record):
        """Write mixup.json, then remove what an unfinished run needs."""
        record = super().complete(record)
        remote.remove(self.url(WORK))
        return record


class UploadedShard:
    """A shard that is written into a temporary folder and uploaded by commit(); see StagedShard."""

    def __init__(self, out, marks, folder, format, classes, like):
        self.folder, self.marks = folder, marks
        self.temporary = tempfile.TemporaryDirectory(prefix="mixup-")
        name = f"{folder}{FORMATS[format].suffix}"
        self.final = remote.join(out, "images", name)
        self.path = Path(self.temporary.name, name)
        self.writer = FORMATS[format].writer(self.path, folder, classes, like)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.writer.drop()
        self.temporary.cleanup()

    def write(self, name, png, record=None):
        """Write one row of the shard; record: its labels, for a format that embeds them."""
        self.writer.add(name, png, record)

    def commit(self, report):
        """Upload the shard, and its mark when all is there."""
        self.writer.close(False)
        if self.writer.digest is not None:
            report = {**report, "bytes": self.writer.num_bytes, "digest": self.writer.digest}
        remote.upload(self.path, self.final)
        remote.write(remote.join(self.marks, f"{self.folder}.json"), json.dumps(report).encode())


def _holder():
    """Which process of which machine: its name, and where Linux tells, its boot and its container."""
    machine = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            machine.append(os.readlink(path) if "ns" in path.split("/") else Path(path).read_text().strip())
    return {"host": machine[0], "machine": machine, "pid": os.getpid()}


def _has_ended(holder):
    """Whether the holder of a lock was a process of this machine that is gone."""
    if holder.get("machine") != _holder()["machine"] or os.name == "nt":
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, KeyError, ValueError):
        return False
    return holder["pid"] == os.getpid()
