"""Options that commands share, and the types they are parsed by."""

import math
import re

import click

from mixup_cli.canvas import FITS, MODES


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
    ]):
        command = option(command)
    return command


def debug_option(command):
    """Show the traceback of our own bugs."""

    def remember(ctx, param, value):
        ctx.meta["debug"] = value

    return click.option("--debug", is_flag=True, expose_value=False, callback=remember,
                        help="Show a traceback if mixup itself fails.")(command)
