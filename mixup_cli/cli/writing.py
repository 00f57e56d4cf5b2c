"""What augment and render have in common: write OUT, with progress, and sum up."""

import contextlib
import functools
import gc
import json
import os
import sys

import click

from mixup_cli.run import ENOUGH_COPIES, augment
from mixup_cli.run import dry_run as look
from mixup_cli.cli import count, leaves, one_line
from mixup_cli.store.shard import WORK
from mixup_cli.tables import NEARLY_EVEN

MOST_CLASSES = 10  # more are summed up


def in_and_out(paths, read, wanted):
    """The paths of the command line; the first, IN, is None where --files-from stands for it."""
    number = 2 + ("PLAN" in wanted)
    if len(paths) == number - 1 and read.files_from is not None:
        return None, *paths
    if len(paths) != number:
        raise click.UsageError(f"give {wanted}, not {count(len(paths), 'argument')}")
    return paths


def write(source, out, options, *, dry_run, report, quiet, as_json, **run):
    """Run, and end with the exit code that the result deserves. run: fields of Run."""
    from mixup_cli.cli.progress import Progress

    gc.freeze()  # what is imported stays: no collection, in no forked worker, need look at it again
    if report:
        _check_report(out, run)
    if not dry_run:
        leaves(functools.partial(_left, out, run["part"]))
    if dry_run:
        record = look(source, out, options, **run)
    elif out == "-":
        record = _write_pipe(source, options, quiet, as_json, run)
        out = "standard output"
    else:
        with Progress(quiet) as progress:
            record = augment(source, out, options, progress=progress, **run)
        if report:
            from mixup_cli.report import write_report

            write_report(out)
    if not quiet:
        with contextlib.suppress(OSError):  # whoever read stderr is gone, the job is done
            for line in summary(record, out):
                click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps({"out": out, **record}, ensure_ascii=False))
    if record["counts"]["rejected"] and run["on_error"] != "skip" and not dry_run:
        click.get_current_context().exit(3)


def _left(out, part):
    """What an interrupted run leaves, and what to do."""
    if out == "-":
        return ": the tar is incomplete; start again"
    if "://" not in out and (os.path.exists(os.path.join(out, "mixup.json"))
                             or not os.path.exists(os.path.join(out, WORK))):
        return ""  # not begun, or complete
    return f": the output is incomplete; {'--resume' if part is None else 'the same --part'} continues"


def _write_pipe(source, options, quiet, as_json, run):
    """A tar on stdout; the names of rejected sources go to stderr."""
    from mixup_cli.run import augment_to_pipe
    from mixup_cli.cli.progress import Progress

    if as_json or sys.stdout.isatty():
        reason = "--json needs stdout too" if as_json else "a tar is not for a terminal"
        raise click.UsageError(f"{reason}; as in: mixup augment photos/ - | tar x -C mixed/")
    run = {name: value for name, value in run.items() if name != "sync"}
    with Progress(quiet) as progress, os.fdopen(os.dup(1), "wb") as pipe:
        try:
            record = augment_to_pipe(source, pipe, options, progress=progress, **run)
        except BaseException:
            os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())  # what is buffered is of no use
            raise
    for source, reason in record["rejects"].items():
        click.echo(f"Rejected: {one_line(source)}: {reason}", err=True)
    return record


def _check_report(out, run):
    """Refuse a report that could not be written, before any work."""
    from mixup_cli.report import REPORT, check_report

    if run["part"] is not None:
        raise click.UsageError("--report: a part has none; give it with the --resume that finishes")
    if out == "-" or "://" in out:
        raise click.UsageError("--report: it is written into OUT, which must be a folder here")
    check_report(os.path.join(out, REPORT))


def summary(record, out):
    """The lines that tell a person what was done, or would be."""
    counts, out = record["counts"], one_line(out)
    if "part" in record:
        yield (
            f"Part {record['part']}: {count(counts['rendered'], 'shard')} rendered,"
            f" {counts['shards_there']:,} of {counts['shards_in_all']:,} are in {out}; when all are,"
            " --resume finishes"
        )
        return
    if counts["skipped"]:
        kinds = {"hidden": "hidden", "other": "not images by name", "unclassed": "in no class folder",
                 "unlabelled": "without a label", "other split": "of another split",
                 "earlier output": "output of an earlier run"}
        listed = ", ".join(
            f"{counts['skipped'][kind]:,} {words}"
            for kind, words in kinds.items() if kind in counts["skipped"]
        )
        yield f"Skipped: {listed}; mixup inspect names them"
    if record.get("dry_run"):
        size = counts["estimated_bytes"]
        yield (
            f"Would write {count(counts['outputs'], 'image')} in {count(counts['shards'], 'shard')}"
            f" to {out}, about"
            f" {size / 1e6:,.1f} MB on disk" if size else f"{out}: no sampled source can be read"
        )
    else:
        yield (
            f"Wrote {count(counts['outputs'], 'image')} from {count(counts['sources'], 'source')} of"
            f" {count(counts['classes'], 'class', 'classes')} to {out}"
        )
    yield from (f"Note: {note}" for note in record["notes"])
    if counts["outputs"] > counts["originals"]:
        share = counts["share_equal_to_source"]
        mixed = "mixed outputs" if counts["originals"] else "outputs"
        yield f"{share:.1%} of the {mixed} equal one of their sources in 8 bits (lam within 1/510 of 0 or 1)"
    if counts.get("nearly_even"):
        yield (
            f"{counts['nearly_even']:,} of {count(counts['outputs'], 'output')} nearly even: no class has"
            f" {NEARLY_EVEN:g} of the label; --max-mix {1 - NEARLY_EVEN:g} keeps one dominant"
        )
    yield mass(record["label_mass"])
    if counts["rejected"]:
        where = "found in a sample" if record.get("dry_run") else f"named in {out}/rejects.csv"
        where = "named above" if "rejects" in record else where
        yield f"{count(counts['rejected'], 'source')} rejected, {where}"
    if counts["outputs"] < ENOUGH_COPIES * counts["sources"] and not counts["originals"]:
        yield (
            "Advice: few copies without the originals trained worse than no mixup; train on them"
            " together with the originals (--include-originals)"
        )


def mass(classes):
    """The label mass of each class, before and after, as shares of all; of many classes the range."""
    shares = []
    for when in ("before", "after"):
        total = sum(c[when] for c in classes)
        shares.append([c[when] / total if total else 0.0 for c in classes])
    if len(classes) <= MOST_CLASSES:
        listed = ", ".join(
            f"{one_line(c['class'])} {before:.1%} -> {after:.1%}"
            for c, before, after in zip(classes, *shares, strict=True)
        )
        return f"Label mass: {listed}"
    before, after = (f"{min(share):.2%} to {max(share):.2%}" for share in shares)
    return f"Label mass of a class: {before} -> {after}; mixup.json lists all"
