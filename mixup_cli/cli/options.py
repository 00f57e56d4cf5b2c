"""Options that commands share, and the types they are parsed by."""

import dataclasses
import functools
import math
import re

import click

from mixup_cli.canvas import FITS, MODES
from mixup_cli.dataset import READERS


class Alpha(click.ParamType):
    """A finite number >= 0."""

    name = "number"

    def convert(self, value, param, ctx):
        try:
            alpha = float(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a number; give 0 or more, such as 0.2", param, ctx)
        if not (math.isfinite(alpha) and alpha >= 0):
            self.fail(f"{value} is out of range; give a finite number, 0 or more", param, ctx)
        return alpha


class Size(click.ParamType):
    """N or WxH in pixels."""

    name = "N|WxH"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", value)
        if not found or any(int(side) > 65535 for side in found.groups("1")):
            self.fail(f"{value!r}: give N or WxH in pixels, such as 224 or 320x240", param, ctx)
        return int(found[1]), int(found[2] or found[1])


class Colour(click.ParamType):
    """A colour name of CSS, or #rrggbb."""

    name = "colour"

    def convert(self, value, param, ctx):
        from mixup_cli.codec import parse_colour

        if isinstance(value, tuple):
            return value
        try:
            return parse_colour(value)
        except ValueError:
            self.fail(f"{value!r}: give a name such as white or black, or #rrggbb", param, ctx)


def read_options(command):
    """How labels are read; the values come as one ReadOptions, `read`."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        from mixup_cli.dataset import ReadOptions

        names = [field.name for field in dataclasses.fields(ReadOptions)]
        return command(*args, read=ReadOptions(**{n: kwargs.pop(n) for n in names}), **kwargs)

    for option in reversed([
        click.option("--reader", type=click.Choice(["auto", *READERS]), default="auto",
                     show_default=True, help="How labels are read; auto looks at IN."),
        click.option("--split", metavar="NAME", help="Read the subfolder NAME of IN, such as train."),
        click.option("--labels", metavar="FILE", type=click.Path(),
                     help="Table of labels, CSV or TSV; - is stdin."),
        click.option("--file-column", metavar="COLUMN", help="Its column of files: name or number."),
        click.option("--label-column", metavar="COLUMN", help="Its column of labels."),
        click.option("--label-delimiter", metavar="TEXT", help="Between several labels of an image."),
        click.option("--files-from", metavar="FILE", type=click.Path(),
                     help="List of files, labelled by their parent folder; - is stdin."),
        click.option("--from0", is_flag=True, help="The list is separated by NUL (find -print0)."),
        click.option("--classes", metavar="FILE", type=click.Path(),
                     help="Class order, a name a line; may add classes without an image."),
        click.option("--include-class", "include", metavar="NAME", multiple=True,
                     help="Only this class; may be repeated."),
        click.option("--exclude-class", "exclude", metavar="NAME", multiple=True,
                     help="Not this class; may be repeated."),
        click.option("--allow-empty", is_flag=True, help="Accept class folders without an image."),
        click.option("--follow-symlinks", is_flag=True, help="Follow links that leave IN."),
    ]):
        wrapped = option(wrapped)
    return wrapped


def jobs_option(command):
    """How many worker processes."""
    return click.option(
        "--jobs", type=click.IntRange(0), help="Worker processes; 0 works in this process."
        "  [default: the CPUs this process may use]")(command)


def max_pixels_option(command):
    """The largest source, given in megapixels, passed on in pixels."""
    return click.option(
        "--max-pixels", metavar="MEGAPIXELS", type=click.FloatRange(0, 4000, min_open=True),
        default=100, show_default=True, callback=lambda ctx, param, value: round(value * 1e6),
        help="Reject larger sources, before they are decoded.")(command)


def canvas_options(command):
    """How a source becomes pixels."""
    for option in reversed([
        click.option("--size", type=Size(), help="Output size in pixels, 224 or 320x240."
                     "  [default: the size of a, and b is fitted to it]"),
        click.option("--fit", type=click.Choice(FITS), default="cover", show_default=True,
                     help="To reach the size: cover crops the centre, contain pads, stretch"
                     " ignores the aspect ratio."),
        click.option("--mode", type=click.Choice(list(MODES)),
                     default="auto", show_default=True,
                     help="Colour of the outputs; auto is the richer of the two."),
        click.option("--background", type=Colour(), default="white", show_default=True,
                     help="Colour under transparency and around contain."),
        max_pixels_option,
    ]):
        command = option(command)
    return command


def debug_option(command):
    """Show the traceback of our own bugs."""

    def remember(ctx, param, value):
        ctx.meta["debug"] = value

    return click.option("--debug", is_flag=True, expose_value=False, callback=remember,
                        help="Show a traceback if mixup itself fails.")(command)
