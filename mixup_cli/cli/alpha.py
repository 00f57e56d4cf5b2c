"""mixup alpha: what alpha does, as numbers and as a picture."""

import dataclasses
import json

import click

from mixup_cli.cli.command import Command
from mixup_cli.cli.options import Alpha, debug_option, picture_option
from mixup_cli.cli.showing import check_output, columns, in_terminal, write_output

EPILOG = """\b
Examples:
  mixup alpha 0.1 0.2 1 8 -o beta.png
  mixup alpha 0.2 0.2,1 --json
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("alphas", metavar="[ALPHA]...", type=Alpha(), nargs=-1)
@picture_option
@click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON list.")
@debug_option
def command(alphas, out, as_json):
    """Print what each ALPHA does, and draw the density of lam ~ Beta(ALPHA, ALPHA).

    mean_min is the mean of min(lam, 1 - lam), the weight of the weaker image; equals_source is the
    share of outputs that equal one of their sources in 8 bits. Two numbers, A,B, stand for
    Beta(A, B). Without ALPHA: 0.1, 0.2, 1 and 8. Without -o, in a terminal, the picture is drawn
    there; with -o - the table goes to stderr.
    """
    from mixup_cli.alpha import CAPTION, DEFAULT_ALPHAS, effect, picture, terminal

    alphas = alphas or DEFAULT_ALPHAS
    data = None
    if out is not None:
        check_output(out, ".png")
        data = picture(alphas)
    effects = [effect(alpha) for alpha in alphas]
    if as_json:
        lines = [json.dumps([dataclasses.asdict(found) for found in effects])]
    else:
        lines = table(effects)
    for line in lines:
        click.echo(line, err=out == "-")
    if out is None and in_terminal() and not as_json:
        for line in terminal(alphas, columns()):
            click.echo(line.encode())
    click.echo(CAPTION, err=True)
    if out is not None:
        write_output(out, data)


def table(effects):
    """Aligned columns, for people and for awk."""
    from mixup_cli.alpha import alpha_text

    yield f"{'alpha':>8}  {'mean_min':>8}  {'equals_source':>13}"
    for found in effects:
        yield f"{alpha_text(found.alpha):>8}  {found.mean_min:8.4f}  {found.share_equal:13.4%}"
