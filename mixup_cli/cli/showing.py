"""Where a picture or a page goes: a file, standard output, or the terminal itself."""

import os
import shutil
import sys
from pathlib import Path

import click


def in_terminal():
    """Whether standard output is a terminal that one can draw in."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def columns():
    return shutil.get_terminal_size().columns


def check_output(out, ending, inputs=()):
    """Refuse, before any work, a file that cannot be written, or that would be one of the inputs.

    out: a path, - for standard output, or None; ending: of its name; inputs: paths of files or
    folders.
    """
    if out == "-":
        if sys.stdout.isatty():
            raise click.UsageError(f"-o - would fill the terminal; redirect it: > FILE{ending}")
        return
    path = Path(out)
    special = path.exists() and not path.is_file() and not path.is_dir()  # a pipe, /dev/null
    if not special and path.suffix.lower() != ending:
        raise click.UsageError(f"-o {out}: give a name that ends in {ending}, or -")
    if path.is_dir():
        raise click.UsageError(f"-o {out}: a folder; give a file")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise click.UsageError(f"-o {out}: no folder {folder}; make it first")
    # A file is replaced by a new one, which its folder must take; a pipe is written to.
    needed = [path] if special else [path, folder] if path.exists() else [folder]
    for place in needed:
        if not os.access(place, os.W_OK):
            raise click.UsageError(f"-o {out}: no permission to write {place}; choose another place")
    for given in inputs:
        if _inside(path, given):
            raise click.UsageError(f"-o {out}: lies in the input {given}; choose another place")


def _inside(path, given):
    path, given = os.path.realpath(path), os.path.realpath(given)
    return path == given or path.startswith(os.path.join(given, ""))


def write_output(out, data):
    """Write bytes to a path, or to standard output for -."""
    if out == "-":
        click.echo(data, nl=False)
        return
    from mixup_cli.store import replace_file

    replace_file(out, data)
