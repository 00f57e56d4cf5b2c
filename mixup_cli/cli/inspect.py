"""mixup inspect: what is in a dataset, and which traps."""

import json

import click

from mixup_cli.cli import count, one_line
from mixup_cli.cli.command import Command
from mixup_cli.cli.options import debug_option, jobs_option, max_pixels_option, read_options

MOST = 20  # lines of a list; --json has all

EPILOG = """\b
Examples:
  mixup inspect photos/
  mixup inspect photos/ --labels labels.csv --json
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("source", metavar="[IN]", type=click.Path(), required=False)
@read_options
@max_pixels_option
@jobs_option
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@debug_option
@click.pass_context
def command(ctx, source, read, max_pixels, jobs, quiet, as_json):
    """Read every image of IN; print what is there and what would go wrong.

    Exit code 3 if a file cannot be used.
    """
    from mixup_cli.cli.progress import Progress
    from mixup_cli.inspect import inspect

    if source is None and read.files_from is None:
        raise click.UsageError("give IN, a folder, or --files-from")
    with Progress(quiet) as progress:
        report = inspect(source, read, max_pixels=max_pixels, jobs=jobs, progress=progress)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=True))
    else:
        for line in text(report):
            click.echo(one_line(line))
    if report["unusable"]:
        ctx.exit(3)


def text(report):
    """The report for people, line by line."""
    classes, sizes = report["classes"], report["sizes"]
    yield (
        f"{report['input']}: reader {report['reader']}, {count(report['images'], 'image')} of"
        f" {count(len(classes), 'class', 'classes')}, {report['bytes'] / 1e6:,.1f} MB"
    )
    total = sum(c["weight"] for c in classes)
    width = max((len(c["name"]) for c in classes[:MOST]), default=0)
    for c in classes[:MOST]:
        soft = f"  weight {c['weight']:,.2f}" if c["weight"] != c["images"] else ""
        yield f"  {c['name']:{width}}  {c['images']:>9,}  {c['weight'] / total:>6.1%}{soft}"
    yield from _more(classes)
    if sizes:
        common = sizes[0]
        yield (
            f"Sizes: {count(len(sizes), 'size')}, {min(s['width'] for s in sizes)} to"
            f" {max(s['width'] for s in sizes)} wide, {min(s['height'] for s in sizes)} to"
            f" {max(s['height'] for s in sizes)} high; most often"
            f" {common['width']}x{common['height']} ({common['images']:,})"
        )
        yield f"Formats: {_counts(report['formats'])}"
        yield f"Colour: {_counts(report['modes'])}"
    skipped = [(kind, path) for kind, paths in report["skipped"].items() for path in paths]
    lists = [
        ("cannot be used", [f"{source}: {why}" for source, why in report["unusable"].items()]),
        ("skipped", [f"{path} ({kind})" for kind, path in skipped]),
        ("groups of equal files", [" = ".join(group) for group in report["duplicates"]]),
    ]
    for title, lines in lists:
        if lines:
            yield f"{len(lines):,} {title}:"
            yield from (f"  {line}" for line in lines[:MOST])
            yield from _more(lines)
    for warning in report["warnings"]:
        yield f"Warning: {warning}"


def _counts(counts):
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _more(lines):
    if len(lines) > MOST:
        yield f"  … and {len(lines) - MOST:,} more: --json lists all"
