"""The command line. The one place where errors become messages and exit codes."""

import contextlib
import difflib
import os
import shlex
import signal
import sys
import traceback
from importlib import import_module

import click

from mixup_cli import __version__, errors

# Command -> its line in `mixup --help`. Its module is imported when it is called: `mixup --help`
# shall import neither numpy nor Pillow.
COMMANDS = {
    "augment": "Blend labelled images in pairs; write PNGs and soft labels.",
    "plan": "Write as CSV what is mixed with what; no image is opened.",
    "render": "Render a plan, or the metadata.csv of an earlier run.",
    "verify": "Check that an output is what its run wrote.",
    "inspect": "Read every image; print what is there and what would go wrong.",
    "preview": "Show two images at several lam, or rows of a plan, before a run.",
    "report": "Write one page on a run: totals, charts, samples, how to repeat it.",
    "alpha": "Show what alpha does: how strong outputs are mixed, how many are not.",
    "help": "Explain a topic: alpha, pairing, sizes, formats, resume, settings.",
}
EXIT_CODES = {
    errors.InputError: 2,
    errors.RejectedError: 3,
    errors.StoppedError: 4,
    errors.LockedError: 5,
    errors.MismatchError: 6,
}
EPILOG = """\b
Example:
  mixup augment photos/ mixed/ --alpha 0.2 --size 224 --copies 4

\b
Exit codes: 0 complete, 1 a bug of mixup, 2 refused before any work,
3 complete but some sources were rejected, 4 stopped by I/O or a resource,
5 another run is writing there, 6 --resume does not match the run that is
there, 130/143 interrupted; after 4, 130 and 143 --resume continues.
"""


class Ended(BaseException):
    """SIGINT or SIGTERM, so that both unwind; no KeyboardInterrupt, of which others have their views."""


class Commands(click.Group):
    """A group that imports a command's module when it is used, and turns errors into exit codes."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        return import_module(f"mixup_cli.cli.{name}").command if name in COMMANDS else None

    def resolve_command(self, ctx, args):
        close = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and close and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx, args):
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except errors.MixupError as e:
            click.echo(f"Error: {one_line(e)}", err=True)
            if isinstance(e, errors.SplitError):
                arguments = ctx.meta["arguments"]
                end = arguments.index("--") if "--" in arguments else len(arguments)
                arguments[end:end] = ["--split", e.split]
                click.echo(f"Type: {shlex.join(['mixup', *arguments])}", err=True)
            ctx.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(e, kind)))
        except BrokenPipeError:
            # Whoever read us has seen enough. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except MemoryError as e:
            what = f"out of memory ({e})" if str(e) else "out of memory"
            _fail(ctx, f"{what}; give a smaller --size, fewer --copies or fewer --jobs", 4)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as e:
            _fail(ctx, errors.describe(e), 4)
        except Exception as e:
            what = f"a bug in mixup: {type(e).__name__}: {e}"
            _fail(ctx, f"{what}; run again with --debug and report what it prints", 1)


def _fail(ctx, text, code):
    """End with a line, below the traceback of the error at hand where --debug asks for it."""
    if ctx.meta.get("debug"):
        traceback.print_exc()
    click.echo(f"Error: {one_line(text)}", err=True)
    ctx.exit(code)


def one_line(text):
    """Text that a terminal shows as one line: a file's name may hold line breaks and escape codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def count(number, one, many=None):
    """A number and its noun: 1 image, 1,000 images."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="mixup")
def cli():
    """Offline mixup (Zhang et al. 2018): out = lam * a + (1 - lam) * b, images and labels alike.

    All randomness comes from --seed: the same command and versions write the same bytes, on any
    number of workers.
    """


_received, _leaves = [], []


def leaves(tell):
    """Let tell() say, if a signal ends the command, what that leaves behind and what to do."""
    _leaves.append(tell)


def _stop(number, frame):
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_DFL)  # a second one ends at once
    _received.append(number)
    raise_received()


def raise_received():
    """Raise what a signal asked for; again, since Python drops an exception where it forks."""
    if _received:
        raise Ended


def _open_closed_streams():
    """Where stdin, stdout or stderr are closed, the next file opened would take their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def main():
    """The entry point of the `mixup` script."""

    _open_closed_streams()
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGINT, _stop)
    try:
        cli(prog_name="mixup")
    except Ended:
        word = "Interrupted" if _received[0] == signal.SIGINT else "Terminated"
        with contextlib.suppress(OSError):
            click.echo(f"{word}{''.join(tell() for tell in _leaves)}", err=True)
        sys.exit(128 + _received[0])
