"""A dataset behind a URL, read by the same readers: from a local folder of the same names."""

import contextlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from mixup_cli import remote, tar
from mixup_cli.dataset.listing import EXTENSIONS
from mixup_cli.errors import InputError, SplitError

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".txt")
LARGEST_TABLE = 10_000_000_000
LARGEST_LABEL = 10_000_000


@contextlib.contextmanager
def skeleton(url):
    """The path of a folder that has the names of what is below a URL, and a function that makes the
    dataset read from it the URL's. Images are empty files there, tables are whole, and tars have all
    but the bytes of their images. Errors name the URL.
    """
    with tempfile.TemporaryDirectory(prefix="mixup-") as folder:
        root = Path(folder, "in")
        try:
            found = remote.find(url)
            if not found:
                raise InputError(f"{url}: nothing there; give the folder that holds the images")
            _write(url, found, root)
            yield root, lambda dataset: _there(dataset, root, url, found)
        except SplitError as e:
            raise SplitError(str(e).replace(os.fspath(root), url), e.split) from e
        except InputError as e:
            raise InputError(str(e).replace(os.fspath(root), url)) from e


def _there(dataset, root, url, found):
    """The dataset with the URL for its root."""
    below = Path(dataset.root).relative_to(root).as_posix()
    below = "" if below == "." else f"{below}/"
    states = {}
    for i, source in enumerate(dataset.sources):
        if dataset.spans is None:
            states[source] = tuple(map(str, found[below + source]))
        else:
            states[source] = str(dataset.spans[i][1]), found[tar.file_of(below + source)][1]
    return replace(dataset, root=remote.join(url, below).rstrip("/"), states=states)


def _write(url, found, root):
    made = set()
    for name, (size, _) in found.items():
        path = Path(root, name)
        if ".." in name.split("/") or path.is_absolute() and not path.is_relative_to(root):
            continue
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        lower = name.lower()
        if lower.endswith(".tar"):
            _write_tar(remote.join(url, name), path, size)
        elif lower.endswith(TABLES) and size <= LARGEST_TABLE and name.count("/") <= 1:
            remote.copy_into(remote.join(url, name), path)
        else:
            path.touch()


def _write_tar(url, path, size):
    """A tar with holes where its images are: the same places, and no room on disk."""
    with remote.opened(url) as source, open(path, "wb") as file:
        end = 0

        def copy(stop):
            source.seek(end)
            file.seek(end)
            file.write(source.read(stop - end))

        for name, offset, length in tar.index(url, source):
            image = name.lower().endswith(EXTENSIONS) or length > LARGEST_LABEL
            copy(offset if image else offset + length)
            end = offset + length
        file.truncate(size)
