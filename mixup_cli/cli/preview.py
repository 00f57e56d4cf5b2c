"""mixup preview: two images at several lam, or what a run would write."""

import dataclasses
import functools

import click
from click.core import ParameterSource

from mixup_cli.cli import count, one_line
from mixup_cli.cli.command import Command
from mixup_cli.cli.options import (
    canvas_options, debug_option, picture_option, plan_options, read_options,
)
from mixup_cli.cli.showing import check_output, columns, in_terminal, write_output
from mixup_cli.dataset import ReadOptions
from mixup_cli.plan import PlanOptions

EPILOG = """\b
Examples:
  mixup preview cat.jpg dog.jpg -o grid.png
  mixup preview cat.jpg dog.jpg --lam 0.2,0.5,0.8
  mixup preview photos/ --alpha 0.4 --size 224 -o sheet.png
"""
MOST_LAMS = 100


class Lams(click.ParamType):
    """Numbers from 0 to 1, of at most 6 decimals, with commas between them."""

    name = "X,X"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            lams = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: give numbers such as 0.2,0.5,0.8", param, ctx)
        if not all(0 <= lam <= 1 and round(lam, 6) == lam for lam in lams):
            self.fail(f"{value}: give numbers from 0 to 1, of at most 6 decimals", param, ctx)
        if len(lams) > MOST_LAMS:
            self.fail(f"{len(lams)} numbers; give at most {MOST_LAMS}", param, ctx)
        return lams


def _remember(ctx, param, value):
    """Two images are shown at every lam; a plan has one fixed lam, or draws them."""
    ctx.meta["lams"] = value
    return value[0] if value and len(value) == 1 else None


lam_option = click.option(
    "--lam", type=Lams(), callback=_remember,
    help="Of two images: show these lam, such as 0.2,0.5,0.8.  [default: 0.1 to 0.9]  Of a plan: one"
    " fixed lam instead of --alpha.",
)


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", metavar="A B | IN", type=click.Path(), nargs=-1)
@picture_option
@click.option("--rows", type=click.IntRange(1, 200), help="Rows of the plan of IN.  [default: 8]")
@functools.partial(plan_options, lam=lam_option)
@read_options
@canvas_options
@debug_option
@click.pass_context
def command(ctx, paths, out, rows, plan, read, canvas):
    """Show two images A and B blended at several lam, or rows of what augment would write.

    Of IN, a folder as augment takes it, a contact sheet is drawn: rows spread over its plan, by the
    options of augment, a and b and their blend side by side, with a bar for each label. No other
    image is opened. Without -o it is drawn in the terminal. Exit code 3 if an image of these rows
    cannot be used.
    """
    from mixup_cli import preview

    if out is None and not in_terminal():
        raise click.UsageError("no terminal to draw in; give -o FILE.png, or -o - for stdout")
    if out is not None:
        check_output(out, ".png", paths)
    if len(paths) == 2:
        shown = _two_images(ctx, paths, canvas)
    elif len(paths) == 1 or not paths and read.files_from is not None:
        shown = _plan_of(ctx, paths[0] if paths else None, out, rows, plan, read, canvas)
    else:
        raise click.UsageError(f"give A and B, two images, or IN, not {count(len(paths), 'argument')}")
    if out is None:
        for line in preview.terminal(shown, columns()):
            click.echo(line.encode())
    else:
        write_output(out, preview.png(shown))
    for note in shown.notes:
        click.echo(f"Note: {note}", err=True)
    for source, reason in (shown.rejects or {}).items():
        click.echo(one_line(f"{source}: {reason}"), err=True)
    if shown.rejects:
        ctx.exit(3)


def _two_images(ctx, paths, canvas):
    from mixup_cli.preview import TUTORIAL_LAMS, grid

    of_plans = [field.name for kind in (PlanOptions, ReadOptions) for field in dataclasses.fields(kind)]
    for name in ("rows", *of_plans):
        if name != "lam" and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            option = next(p.opts[-1] for p in ctx.command.params if p.name == name)
            raise click.UsageError(
                f"{option} means nothing to two images; give IN, a folder, or drop it"
            )
    return grid(*paths, ctx.meta["lams"] or TUTORIAL_LAMS, canvas)


def _plan_of(ctx, source, out, rows, plan, read, canvas):
    from mixup_cli.preview import ROWS, contact_sheet
    from mixup_cli.provenance import Options

    if ctx.meta["lams"] and len(ctx.meta["lams"]) > 1:
        raise click.UsageError("--lam: a plan has one fixed lam; give one, or two images")
    return contact_sheet(source, Options(plan, canvas, read=read), rows or ROWS, out if out != "-" else None)
