"""mixup plan: what would be mixed with what, as CSV on stdout."""

import csv
import io
import itertools

import click

from mixup_cli.cli.command import Command
from mixup_cli.cli.options import debug_option, plan_options, read_options

EPILOG = """\b
Examples:
  mixup plan photos/ | mixup render photos/ - mixed/
  mixup plan photos/ --pair different | head
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("source", metavar="[IN]", type=click.Path(), required=False)
@plan_options
@read_options
@debug_option
def command(source, plan, read):
    """Write the plan for the images of IN to stdout, as CSV: a row for each output.

    Its columns are those of metadata.csv: file_name, source_a, source_b, lam, label_a, label_b,
    and label_lam under --label-policy remix. No image is opened.
    """
    from mixup_cli.run import Options, read_and_plan
    from mixup_cli.plan import csv_rows, header

    if source is None and read.files_from is None:
        raise click.UsageError("give IN, a folder, or --files-from")
    dataset, plan = read_and_plan(source, Options(plan=plan, read=read))
    for note in plan.notes:
        click.echo(f"Note: {note}", err=True)
    blocks = (csv_rows(plan, dataset, shard, plan.rows(shard)) for shard in range(plan.num_shards))
    for rows in itertools.chain([[header(plan)]], blocks):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        click.echo(text.getvalue().encode(), nl=False)
