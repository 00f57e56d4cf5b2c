"""What every command of mixup has: options in groups, and from variables and a file."""

from collections.abc import Callable
from typing import Any

import click

from mixup_cli.cli import settings

GENERAL = "General"


class Command(click.Command):
    """A command whose help is grouped by purpose and whose options may be set elsewhere too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(
            ["--config"], metavar="FILE", type=click.Path(), expose_value=False,
            help="TOML file of options, as size = 224; else the table [tool.mixup] of the nearest"
            " pyproject.toml. A variable such as MIXUP_SIZE stands over it, a flag over both.",
        ))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # completion shall not stumble over a file
            flags, *_ = self.make_parser(ctx).parse_args(list(args))
            if _help_name(self, ctx) not in flags:  # help shall come whatever a file holds
                ctx.meta["settings"] = settings.load(ctx, flags)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.params.get("quiet"):
            for line in ctx.meta["settings"]:
                click.echo(line, err=True)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        general = ("config", "debug", _help_name(self, ctx))
        for param in self.get_params(ctx):
            if isinstance(param, click.Option):
                title = GENERAL if param.name in general else getattr(param, "group", "Options")
                record = param.get_help_record(ctx)
                if record is not None:
                    sections.setdefault(title, []).append(record)
        sections[GENERAL] = sections.pop(GENERAL)  # last
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _help_name(command: click.Command, ctx: click.Context) -> str | None:
    option = command.get_help_option(ctx)
    return option.name if option else None


def grouped(
    command: Callable[..., Any], title: str, options: list[Callable[[Callable[..., Any]], Any]]
) -> Any:
    """Give a command options, under a title in its help."""
    for option in reversed(options):
        command = option(command)
        command.__click_params__[-1].group = title  # type: ignore[attr-defined]
    return command
