"""Options that commands share, and the types they are parsed by."""

import dataclasses
import functools
import math
import re

import click

from mixup_cli.canvas import DECODES, FITS, MODES, Canvas
from mixup_cli.cli.command import grouped
from mixup_cli.dataset import READERS, ReadOptions
from mixup_cli.plan import LABEL_POLICIES, PAIRS, PlanOptions
from mixup_cli.png import COMPRESSIONS
from mixup_cli.run import ON_ERROR
from mixup_cli.store import FORMATS, LAYOUTS
from mixup_cli.tables import LABEL_FORMATS


class Alpha(click.ParamType):
    """A finite number >= 0, or two > 0."""

    name = "A|A,B"

    def convert(self, value, param, ctx):
        try:
            alpha = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number; give 0 or more, such as 0.2", param, ctx)
        if len(alpha) == 1 and math.isfinite(alpha[0]) and alpha[0] >= 0:
            return alpha[0]
        if len(alpha) == 2 and all(math.isfinite(x) and x > 0 for x in alpha):
            return alpha
        self.fail(
            f"{value} is out of range; give a finite number, 0 or more, or two above 0 as A,B",
            param, ctx,
        )


class Part(click.ParamType):
    """I/N with 1 <= I <= N."""

    name = "I/N"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", value)
        if not found or int(found[1]) > int(found[2]):
            self.fail(f"{value!r}: give I/N with I from 1 to N, such as 3/8", param, ctx)
        return int(found[1]), int(found[2])


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


def _gathered(command, name, kind, title, options):
    """Give a command the options whose values come as one dataclass `kind`, the argument `name`."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        values = {field.name: kwargs.pop(field.name) for field in dataclasses.fields(kind)}
        return command(*args, **{name: kind(**values)}, **kwargs)

    return grouped(wrapped, title, options)


LAM_OPTION = click.option(
    "--lam", type=click.FloatRange(0, 1), metavar="X",
    help="One fixed lam instead of --alpha, at most 6 decimals.",
)


def plan_options(command, lam=LAM_OPTION):
    """What is mixed with what; the values come as one PlanOptions, `plan`. lam: the option --lam."""
    return _gathered(command, "plan", PlanOptions, "Pairs and weights", [
        click.option("--alpha", type=Alpha(), default=0.2, show_default=True,
                     help="lam ~ Beta(A, A), or Beta(A, B): 0 mixes nothing, 1 is uniform, more"
                     " mixes stronger."),
        click.option("--copies", type=click.IntRange(1), default=1, show_default=True, metavar="N",
                     help="Outputs for each source."),
        click.option("--count", type=click.IntRange(1), metavar="N",
                     help="N outputs in all instead, spread evenly."),
        click.option("--pair", type=click.Choice(PAIRS), default="any", show_default=True,
                     help="Partners from anywhere, from the same class, or from another class."),
        click.option("--balance", is_flag=True,
                     help="Every class serves equally often as a, rare ones more often."),
        lam,
        click.option("--min-mix", type=click.FloatRange(0, 0.5), default=0.0, metavar="M",
                     help="Draw lam until min(lam, 1 - lam) >= M."),
        click.option("--max-mix", type=click.FloatRange(0, 0.5, min_open=True), default=0.5,
                     metavar="M", help="Draw lam until min(lam, 1 - lam) <= M."),
        click.option("--include-originals", is_flag=True,
                     help="Each source once more, as itself, in the same size and colour."),
        click.option("--label-policy", type=click.Choice(LABEL_POLICIES), default="mixup",
                     show_default=True, help="remix gives the label to the rarer class where that"
                     " is rare enough (Chou et al. 2020)."),
        click.option("--kappa", type=click.FloatRange(1), default=3.0, show_default=True,
                     metavar="K", help="remix: rarer by this factor."),
        click.option("--tau", type=click.FloatRange(0, 1), default=0.5, show_default=True,
                     metavar="T", help="remix: while the other has less than this weight."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
                     help="The same seed gives the same bytes."),
    ])


def read_options(command):
    """How labels are read; the values come as one ReadOptions, `read`."""
    return _gathered(command, "read", ReadOptions, "Reading IN", [
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
                     help="Class order, a name a line; may add classes without an image; - is stdin."),
        click.option("--include-class", "include", metavar="NAME", multiple=True,
                     help="Only this class; may be repeated."),
        click.option("--exclude-class", "exclude", metavar="NAME", multiple=True,
                     help="Not this class; may be repeated."),
        click.option("--allow-empty", is_flag=True, help="Accept class folders without an image."),
        click.option("--follow-symlinks", is_flag=True, help="Follow links that leave IN."),
    ])


def jobs_option(command):
    """How many worker processes."""
    return click.option(
        "--jobs", type=click.IntRange(0), metavar="N", help="Worker processes; 0 works in this process."
        "  [default: the CPUs this process may use]")(command)


def max_pixels_option(command):
    """The largest source, given in megapixels, passed on in pixels."""
    return click.option(
        "--max-pixels", metavar="MEGAPIXELS", type=click.FloatRange(0, 4000, min_open=True),
        default=100, show_default=True, callback=lambda ctx, param, value: round(value * 1e6),
        help="Reject larger sources, before they are decoded.")(command)


def canvas_options(command):
    """How a source becomes pixels; the values come as one Canvas, `canvas`."""
    return _gathered(command, "canvas", Canvas, "Drawing", [
        click.option("--size", type=Size(), metavar="N|WxH", help="Output size in pixels, 224 or 320x240."
                     "  [default: the size of a, and b is fitted to it]"),
        click.option("--fit", type=click.Choice(FITS), default="cover", show_default=True,
                     help="To reach the size: cover crops the centre, contain pads, stretch"
                     " ignores the aspect ratio."),
        click.option("--mode", type=click.Choice(list(MODES)),
                     default="auto", show_default=True,
                     help="Colour of the outputs; auto is the richer of the two."),
        click.option("--background", type=Colour(), default="white", show_default=True,
                     help="Colour under transparency and around contain."),
        click.option("--decode", type=click.Choice(DECODES), default="scaled", show_default=True,
                     help="scaled reads a JPEG at 1/2, 1/4 or 1/8 where that stays twice as large"
                     " as --size asks for; full never."),
        max_pixels_option,
    ])


def output_options(command):
    """How OUT is written, and what is said of it."""
    run = grouped(command, "Running", [
        jobs_option,
        click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster whose scheduler"
                     " is there, tcp://host:8786; local starts one here, of --jobs workers."),
        click.option("--timeout", type=click.FloatRange(0), default=300, show_default=True,
                     metavar="SECONDS", help="Reject a source that takes longer; 0 for any time."),
        click.option("--on-error", type=click.Choice(ON_ERROR), default="reject",
                     show_default=True, help="A source that cannot be used is named in rejects.csv:"
                     " exit 3 (reject), exit 0 (skip), or stop at the first (fail)."),
        click.option("--report", is_flag=True, help="Write OUT/report.html too, a page on the run; needs"
                     " matplotlib and jinja2 (mixup-cli[report])."),
        click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing."),
        click.option("--quiet", is_flag=True, help="No progress, no summary; errors only."),
        click.option("--json", "as_json", is_flag=True,
                     help="Print one JSON object on stdout at the end."),
    ])
    return grouped(debug_option(run), "Writing OUT", [
        click.option("--format", type=click.Choice(list(FORMATS)), default="folder",
                     show_default=True, help="A shard is a folder of PNGs, a tar of PNGs and soft"
                     " labels (WebDataset), or a Parquet file of them (Hugging Face)."),
        click.option("--layout", type=click.Choice(LAYOUTS), default="shards", show_default=True,
                     help="Where files lie under OUT/images: a thousand in a folder, or each in the"
                     " folder of its dominant class, for tools that know hard labels only."),
        click.option("--label-format", type=click.Choice(LABEL_FORMATS), default="auto",
                     show_default=True, help="A column for each class, or two classes and two"
                     " weights; auto is wide up to 256 classes."),
        click.option("--compression", type=click.Choice(COMPRESSIONS), default="fast",
                     show_default=True, help="small: the same pixels in 8% less, 50 times slower to"
                     " encode."),
        click.option("--overwrite", is_flag=True, help="Replace an earlier run in OUT."),
        click.option("--resume", is_flag=True, help="Continue an unfinished run in OUT, or start."),
        click.option("--part", type=Part(), help="Render part I of N alone, for job arrays; --resume"
                     " finishes when all are there."),
        click.option("--hash-inputs", is_flag=True, help="Resume only if the sources have the same"
                     " content, not size and time alone."),
        click.option("--no-sync", "sync", is_flag=True, default=True, flag_value=False,
                     help="Do not wait for stable storage: a power cut may leave damaged images."),
    ])


def picture_option(command):
    """Where a picture goes."""
    return click.option("-o", "--output", "out", metavar="FILE.png", type=click.Path(allow_dash=True),
                        help="Write a PNG; - is stdout.")(command)


def debug_option(command):
    """Show the traceback of our own bugs."""

    def remember(ctx, param, value):
        ctx.meta["debug"] = value

    return click.option("--debug", is_flag=True, expose_value=False, callback=remember,
                        help="Show a traceback if mixup itself fails.")(command)
