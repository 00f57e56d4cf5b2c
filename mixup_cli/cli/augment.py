"""mixup augment: plan and render in one go."""

import json

import click

from mixup_cli.cli import count
from mixup_cli.cli.options import Alpha, canvas_options, debug_option, jobs_option, read_options

EPILOG = """\b
Examples:
  mixup augment photos/ mixed/ --alpha 0.2
  mixup augment photos/ mixed/ --size 224 --copies 4 --seed 1
  mixup augment photos/ mixed/ --dry-run
"""


@click.command(epilog=EPILOG)
@click.argument("paths", metavar="[IN] OUT", type=click.Path(), nargs=-1, required=True)
@click.option("--alpha", type=Alpha(), default=0.2, show_default=True,
              help="lam ~ Beta(alpha, alpha): 0 mixes nothing, 1 is uniform, more mixes stronger.")
@click.option("--copies", type=click.IntRange(1), default=1, show_default=True,
              help="Outputs for each source.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="The same seed gives the same bytes.")
@read_options
@canvas_options
@click.option("--label-format", type=click.Choice(["auto", "wide", "sparse"]), default="auto",
              show_default=True, help="A column for each class, or two classes and two weights;"
              " auto is wide up to 256 classes.")
@jobs_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier run in OUT.")
@click.option("--on-error", type=click.Choice(["reject", "skip", "fail"]), default="reject",
              show_default=True, help="A source that cannot be used is named in rejects.csv: exit"
              " 3 (reject), exit 0 (skip), or stop at the first (fail).")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--quiet", is_flag=True, help="No progress, no summary; errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout at the end.")
@debug_option
@click.pass_context
def command(ctx, paths, size, fit, mode, background, max_pixels, jobs, overwrite, on_error, dry_run,
            quiet, as_json, **options):
    """Blend the labelled images of IN in pairs and write PNGs and soft labels to OUT.

    IN holds a folder for each class, or images with a table of labels (--labels, or Hugging
    Face's metadata), or an earlier output; with --files-from it may be left out. Each output is
    lam * a + (1 - lam) * b, pixels and labels alike; OUT/labels.csv holds the soft labels,
    OUT/metadata.csv the sources and lam.
    """
    from mixup_cli.augment import Options, augment, dry_run as look
    from mixup_cli.canvas import Canvas
    from mixup_cli.cli.progress import Progress

    source, out = in_and_out(paths, options["read"])
    options = Options(canvas=Canvas(size, fit, mode, background, max_pixels), **options)
    if dry_run:
        record = look(source, out, options, overwrite=overwrite)
    else:
        with Progress(quiet) as progress:
            record = augment(source, out, options, jobs=jobs, overwrite=overwrite,
                             on_error=on_error, progress=progress)
    if not quiet:
        for line in summary(record, out):
            click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps({"out": out, **record}, ensure_ascii=False))
    if record["counts"]["rejected"] and on_error != "skip" and not dry_run:
        ctx.exit(3)


def in_and_out(paths, read):
    """IN and OUT of the command line; IN is None where --files-from stands for it."""
    if len(paths) == 2:
        return paths
    if len(paths) == 1 and read.files_from is not None:
        return None, paths[0]
    raise click.UsageError(f"give IN and OUT, two folders, not {len(paths)} arguments")


def summary(record, out):
    """The lines that tell a person what was done, or would be."""
    counts = record["counts"]
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
    share = counts["share_equal_to_source"]
    yield f"{share:.0%} of the outputs equal one of their sources (lam within 1/510 of 0 or 1)"
    if counts["rejected"]:
        where = "found in a sample" if record.get("dry_run") else f"named in {out}/rejects.csv"
        yield f"{count(counts['rejected'], 'source')} rejected, {where}"
