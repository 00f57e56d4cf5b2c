"""What several modules run on."""

import warnings

import pytest

with warnings.catch_warnings():
    # Its plugins warn when they are loaded, trio's does; pytest loads it last of all, where a warning
    # is an error and ends the tests in a traceback, unless a test has loaded it before.
    warnings.simplefilter("ignore")
    import hypothesis  # noqa: F401

from helpers import tree, write_dataset
from mixup_cli.run import augment


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """400 small images of two classes, and a damaged one: 9 shards."""
    root = write_dataset(tmp_path_factory.mktemp("durable") / "in", per_class=200)
    (root / "cat/bad.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="session")
def whole(source, tmp_path_factory):
    """The files of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "out"
    augment(source, out, jobs=0)
    return tree(out)
