"""mixup verify: whether an output is what its run wrote."""

import json

import click

from mixup_cli.cli import count, one_line
from mixup_cli.cli.command import Command
from mixup_cli.cli.options import debug_option, jobs_option, read_options

MOST = 20  # problems that are listed; --json has all

EPILOG = """\b
Examples:
  mixup verify mixed/
  mixup verify mixed/ --source photos/ --json
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("out", metavar="OUT", type=click.Path())
@click.option("--source", metavar="IN", type=click.Path(),
              help="The input of the run: render every row again and compare pixels and labels.")
@read_options
@jobs_option
@click.option("--quiet", is_flag=True, help="No progress, no summary; the exit code tells.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@debug_option
@click.pass_context
def command(ctx, out, source, read, jobs, quiet, as_json):
    """Check that OUT is, byte for byte, what its run wrote.

    Every row has its file and every file its row, each PNG is whole, labels are those of the two
    sources and lam and sum to 1, the tables are as mixup.json says. Exit code 3 if not.
    """
    from mixup_cli.cli.progress import Progress
    from mixup_cli.verify import verify

    with Progress(quiet) as progress:
        report = verify(out, source, read, jobs=jobs, progress=progress)
    problems = report["problems"]
    if as_json:
        click.echo(json.dumps(report))
    elif not quiet:
        for problem in problems[:MOST]:
            click.echo(one_line(f"{problem['file']}: {problem['problem']}"))
        if len(problems) > MOST:
            click.echo(f"… and {len(problems) - MOST:,} more: --json lists all")
        against = f", compared with {one_line(source)}" if source else ""
        verdict = f"{count(len(problems), 'problem')} found" if problems else "all is well"
        click.echo(f"{one_line(out)}: {count(report['rows'], 'row')}, {count(report['files'], 'file')}{against}:"
                   f" {verdict}")
    if problems:
        ctx.exit(3)
