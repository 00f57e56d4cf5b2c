"""mixup report: one page on a run."""

import click

from mixup_cli.cli.command import Command
from mixup_cli.cli.options import debug_option
from mixup_cli.cli.showing import check_output, write_output

EPILOG = """\b
Examples:
  mixup report mixed/ -o report.html
  mixup augment photos/ mixed/ --report
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("out", metavar="OUT", type=click.Path())
@click.option("-o", "--output", "page", metavar="FILE.html", type=click.Path(allow_dash=True),
              help="Where the page goes; - is stdout.  [default: OUT/report.html]")
@debug_option
def command(out, page):
    """Write a page on OUT, the output folder of a run: what was run, and what came of it.

    Totals, samples along lam, the histogram of lam, label mass by class, which class was mixed with
    which, rejected sources, the command to repeat it. The page opens from disk, without a network.
    """
    from mixup_cli.report import REPORT, check_report, report

    if page is None:
        from pathlib import Path

        page = Path(out, REPORT)
        check_report(page)
    else:
        check_report()
        check_output(str(page), ".html")
    write_output(page, report(out))
    if page != "-":
        click.echo(f"Wrote {page}", err=True)
