"""What a worker on another machine must find there: the same folders and the same versions."""

import os
import uuid
from dataclasses import dataclass

from mixup_cli import remote, tar
from mixup_cli.provenance import versions


@dataclass(frozen=True)
class Surroundings:
    """Called on a worker, it returns None, or what is wrong there and what to do.

    format, versions: of the shards, and (name, version) pairs that decide their bytes; sources: (path, bytes) of some files;
    token, text: a file of the output folder and what it holds; all paths are absolute.
    """

    format: str
    versions: tuple
    sources: tuple
    token: str
    text: str

    def __call__(self):
        try:
            seen = _read(self.token) == self.text.encode()
        except OSError:
            seen = False
        folder = os.path.dirname(os.path.dirname(self.token))
        if not seen:
            return f"does not see the output folder {folder}; share it with that machine"
        try:
            _write_and_remove(f"{self.token}-{uuid.uuid4().hex}")
        except OSError as e:
            return f"cannot write to the output folder {folder} ({e.strerror}); let it"
        for path, size in self.sources:
            try:
                seen = _size(path) == size
            except OSError:
                seen = False
            if not seen:
                return f"does not see the input {path}; share that folder with that machine"
        return self._other_versions()

    def _other_versions(self):
        here = dict(versions_of_bytes(self.format))
        other = [f"{name} {here.get(name)}, not {wanted}" for name, wanted in self.versions
                 if here.get(name) != wanted]
        return f"has {', '.join(other)}; install the same versions there" if other else None


def versions_of_bytes(format):
    """The versions that decide the bytes, as (name, version) pairs; Python's does not."""
    return tuple((name, version) for name, version in versions(format).items() if name != "python")


def surroundings(dataset, store):
    """The Surroundings that the workers of a run must have; `store` must have its token."""
    some = {dataset.sources[i] for i in (0, len(dataset.sources) // 2, -1)}
    sources = []
    for name in sorted(some):
        path = os.path.join(dataset.root, name)
        path = path if dataset.spans is None else tar.file_of(path)
        path = path if remote.is_url(path) else os.path.abspath(path)
        try:
            sources.append((path, _size(path)))
        except OSError:  # it will be rejected, wherever that is found
            continue
    token = store.token if remote.is_url(store.token) else os.path.abspath(store.token)
    return Surroundings(
        store.format, versions_of_bytes(store.format), tuple(sources), token, store.token_text
    )


def _read(path):
    if remote.is_url(path):
        return remote.read(path)
    with open(path, "rb") as file:
        return file.read()


def _size(path):
    return remote.size(path) if remote.is_url(path) else os.stat(path).st_size


def _write_and_remove(path):
    if remote.is_url(path):
        remote.write(path, b"")
        remote.remove(path)
    else:
        with open(path, "xb"):
            pass
        os.unlink(path)
