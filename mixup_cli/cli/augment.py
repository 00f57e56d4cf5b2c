"""mixup augment: plan and render in one go."""

import click

from mixup_cli.cli.command import Command
from mixup_cli.cli.options import canvas_options, output_options, plan_options, read_options
from mixup_cli.cli.writing import in_and_out, write

EPILOG = """\b
Examples:
  mixup augment photos/ mixed/ --alpha 0.2
  mixup augment photos/ mixed/ --size 224 --copies 4 --seed 1
  mixup augment photos/ mixed/ --dry-run
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", metavar="[IN] OUT", type=click.Path(), nargs=-1, required=True)
@plan_options
@read_options
@canvas_options
@output_options
def command(paths, plan, read, canvas, label_format, compression, format, layout, **flags):
    """Blend the labelled images of IN in pairs and write PNGs and soft labels to OUT.

    IN holds a folder for each class, or images with a table of labels (--labels, or Hugging
    Face's metadata), or an earlier output; it may be left out with --files-from. Each output is
    lam * a + (1 - lam) * b, pixels and labels alike; OUT/labels.csv holds the soft labels,
    OUT/metadata.csv the sources and lam.
    """
    from mixup_cli.provenance import Options

    source, out = in_and_out(paths, read, "IN and OUT, two folders")
    options = Options(plan, canvas, label_format, read, compression, format, layout)
    write(source, out, options, **flags)
