"""mixup render: the rows of a plan as images."""

import click
from click.core import ParameterSource

from mixup_cli.cli.command import Command
from mixup_cli.cli.options import canvas_options, output_options, read_options
from mixup_cli.cli.writing import in_and_out, write

EPILOG = """\b
Examples:
  mixup plan photos/ | mixup render photos/ - mixed/
  mixup render photos/ mixed/metadata.csv again/
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", metavar="[IN] PLAN OUT", type=click.Path(allow_dash=True), nargs=-1,
                required=True)
@read_options
@canvas_options
@output_options
@click.pass_context
def command(ctx, paths, read, canvas, label_format, compression, format, layout, **flags):
    """Render the rows of PLAN, a CSV, with the images of IN to OUT.

    PLAN is what mixup plan writes, or the metadata.csv of an earlier run, whose size and colour
    options then hold unless others are given; - is stdin. It has the columns source_a, source_b,
    lam, and may have file_name, label_a, label_b, label_lam. Rows may be dropped, added, edited
    and reordered; lam is rounded to 6 decimals. Without file_name, files are numbered by row.
    """
    from mixup_cli.provenance import Options

    *paths, plan, out = in_and_out(paths, read, "IN, PLAN and OUT")
    canvas = _earlier_canvas(ctx, plan, canvas)
    options = Options(plan, canvas, label_format, read, compression, format, layout)
    write(paths[0], out, options, **flags)


def _earlier_canvas(ctx, plan, canvas):
    """The canvas that the run had whose metadata.csv the plan is, less what the user gives."""
    from dataclasses import fields, replace
    from pathlib import Path

    from mixup_cli.provenance import canvas_of
    from mixup_cli.store import read_record

    if Path(plan).name != "metadata.csv" or not Path(plan).with_name("mixup.json").is_file():
        return canvas
    earlier = canvas_of(read_record(Path(plan).parent))
    taken = {
        field.name: getattr(earlier, field.name)
        for field in fields(canvas)
        if ctx.get_parameter_source(field.name) == ParameterSource.DEFAULT
        and getattr(earlier, field.name) != getattr(canvas, field.name)
    }
    if taken:
        click.echo(
            f"As in {Path(plan).with_name('mixup.json')}: "
            + ", ".join(f"{name} {value}" for name, value in taken.items()), err=True,
        )
    return replace(canvas, **taken)
