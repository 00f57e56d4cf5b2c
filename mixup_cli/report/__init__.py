"""The report on a run: one page that opens from disk, without a network and without a script.

`facts` reads an output folder as a stream, `charts` draws by matplotlib, `page` fills the template.
"""

import importlib.util
import os
from pathlib import Path

from mixup_cli.errors import InputError
from mixup_cli.store import REPORT, is_report, replace_file

__all__ = ["REPORT", "check_report", "report", "write_report"]

NEEDS = ("matplotlib", "jinja2")


def check_report(path=None):
    """Refuse, before any work, what would fail after it: a missing library, and where `path` is
    given, a file there that is no report of ours, or a folder that takes no file."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"a report needs {' and '.join(missing)}; install them: pip install 'mixup-cli[report]'"
        )
    if path is not None and os.path.lexists(path) and not is_report(path):
        raise InputError(f"{path}: not a report of mixup; move it away first")
    folder = None if path is None else os.path.dirname(os.path.abspath(path))
    if folder is not None and os.path.isdir(folder) and not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: no permission to write a report there; write it elsewhere by"
                         f" mixup report {os.path.dirname(path)} -o FILE.html")


def report(out):
    """The page on the output folder `out`, as UTF-8 bytes.

    Raises InputError if out is not a complete run, or a table is not as that run wrote it.
    """
    check_report()
    from mixup_cli.report.facts import read_facts
    from mixup_cli.report.page import fill

    return fill(read_facts(out)).encode()


def write_report(out):
    """Write the report on an output folder into it."""
    replace_file(Path(out, REPORT), report(out))
