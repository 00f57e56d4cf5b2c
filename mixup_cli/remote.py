"""Files behind URLs, s3://, gs://, az:// and what else fsspec knows. The only room that knows fsspec,
which is imported when a URL is met: local files never pay for it."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from mixup_cli.errors import InputError

AHEAD = 16  # files that are fetched at a time, each waits for the network most of its time
_ahead = {}  # (url, span) -> the future of its bytes, of the shard that this process renders


def is_url(path):
    """Whether a path is a URL."""
    return "://" in os.fspath(path)


def plain(path):
    """A file:// URL as the path that it is; anything else as it came."""
    if path is not None and os.fspath(path).startswith("file://"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return url2pathname(urlsplit(path).path)
    return path


def join(url, *names):
    return "/".join([os.fspath(url).rstrip("/"), *names])


def filesystem(url):
    """(fsspec's file system, the path there) of a URL. Raises InputError if a package is missing."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(os.fspath(url), use_listings_cache=False)
    except ImportError as e:
        raise InputError(
            f"{url}: URLs need fsspec and its package for them ({e}): pip install 'mixup-cli[remote]'"
        ) from e
    except ValueError as e:
        raise InputError(f"{url}: {e}; give a path, or a URL such as s3://bucket/folder") from e


@contextlib.contextmanager
def naming(url):
    """Whatever a network or a service raises is an OSError that names the URL."""
    try:
        yield
    except OSError as e:
        reason = e.strerror or (os.strerror(e.errno) if e.errno else _reason(e))
        kinds = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}
        number = e.errno or kinds.get(type(e), errno.EIO)
        raise OSError(number, reason, os.fspath(url)) from e
    except (InputError, MemoryError):
        raise
    except Exception as e:
        raise OSError(errno.ECONNABORTED, _reason(e), os.fspath(url)) from e


def _reason(e):
    kinds = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES, FileExistsError: errno.EEXIST}
    return os.strerror(kinds[type(e)]) if type(e) in kinds else (str(e) or type(e).__name__).splitlines()[0]


def read(url, span=None, most=None):
    """The bytes of a file, or of its part span, (offset, size); at most `most` of them."""
    future = _ahead.pop((url, None if span is None else tuple(span)), None)
    return future.result() if future is not None else _fetch(url, span, most)


def _fetch(url, span, most):
    fs, path = filesystem(url)
    start, end = (0, most) if span is None else (span[0], span[0] + span[1])
    if start == end:
        return b""
    with naming(url):
        try:
            return fs.cat_file(path, start=start or None, end=end)
        except OSError as e:
            if e.errno == errno.EINVAL and fs.size(path) == 0:  # no range of an empty file
                return b""
            raise


@contextlib.contextmanager
def reading_ahead(urls_and_spans, most):
    """While the block lasts, fetch files before read() asks for them, in the order given, AHEAD of
    them at a time; each is fetched once."""
    wanted = iter(urls_and_spans)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AHEAD) as pool:

        def more(*done):
            for url, span in wanted:
                try:
                    _ahead[url, span] = future = pool.submit(_fetch, url, span, most)
                except RuntimeError:  # it is being shut down
                    break
                future.add_done_callback(more)
                break

        try:
            for _ in range(AHEAD):
                more()
            yield
        finally:
            for _ in wanted:
                pass
            pool.shutdown(cancel_futures=True)
            _ahead.clear()


def find(url):
    """{path below url: (size, what changes with its content)} of every file there."""
    fs, root = filesystem(url)
    with naming(url):
        found = fs.find(root, detail=True)
    return {
        name[len(root.rstrip("/")) + 1 :]: (int(info["size"] or 0), _state(info))
        for name, info in found.items() if not name.endswith("/") and name != root
    }


def _state(info):
    keys = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "last_modified")
    return next((str(info[key]) for key in keys if info.get(key)), "")


def exists(url):
    fs, path = filesystem(url)
    with naming(url):
        return fs.exists(path)


def size(url):
    fs, path = filesystem(url)
    with naming(url):
        return fs.size(path)


def write(url, data):
    fs, path = filesystem(url)
    with naming(url):
        fs.pipe_file(path, data)


def create(url, data):
    """Write a file that must not be there yet; False if it is. S3, Google and Azure decide that at
    once for all who try."""
    fs, path = filesystem(url)
    with naming(url):
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
    return True


def remove(url):
    """Remove a file, or all below a folder; nothing there is well."""
    fs, path = filesystem(url)
    with naming(url), contextlib.suppress(FileNotFoundError):
        fs.rm(path, recursive=True)


def upload(path, url):
    """Upload a file, or the files of a folder, many at a time; what else lies in that folder goes."""
    fs, root = filesystem(url)
    with naming(url):
        if not path.is_dir():
            fs.put_file(os.fspath(path), root)
            return 1
        names = sorted(os.listdir(path))
        left = {name.rpartition("/")[2] for name in fs.find(root)} - set(names)
        if left:
            fs.rm([f"{root}/{name}" for name in left])
        fs.put([os.fspath(path / name) for name in names], [f"{root}/{name}" for name in names])
        return len(names)


def read_all(urls):
    """{url: bytes} of small files, many at a time."""
    if not urls:
        return {}
    fs, _ = filesystem(urls[0])
    paths = {filesystem(url)[1]: url for url in urls}
    with naming(urls[0].rpartition("/")[0]):
        if len(paths) == 1:  # fsspec would give the bytes alone
            return {urls[0]: fs.cat_file(next(iter(paths)))}
        return {paths[path]: data for path, data in fs.cat(list(paths)).items()}


@contextlib.contextmanager
def local_copy(url):
    """The path of a copy of a file or of a folder's files, for as long as the block lasts; a path
    that is no URL is its own."""
    if not is_url(url):
        yield Path(url)
        return
    with tempfile.TemporaryDirectory(prefix="mixup-") as folder:
        yield download(url, Path(folder, url.rpartition("/")[2]))


def download(url, path):
    """Copy a file, or the files of a folder, to a path."""
    fs, root = filesystem(url)
    with naming(url):
        if fs.isfile(root):
            fs.get_file(root, os.fspath(path))
        else:
            names = fs.find(root)
            if not names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
            path.mkdir()
            fs.get(names, [os.fspath(path / name.rpartition("/")[2]) for name in names])
    return path


@contextlib.contextmanager
def opened(url):
    """A file for reading at any place."""
    fs, path = filesystem(url)
    with naming(url), fs.open(path, "rb") as file:
        yield file


def copy_into(url, path):
    """Download one file to a path whose folder is there."""
    with opened(url) as source, open(path, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
