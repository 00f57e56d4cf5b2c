"""What every command of mixup has: options in groups, and from variables and a file."""

import click

from mixup_cli.cli import settings

GENERAL = "General"


class Command(click.Command):
    """A command whose help is grouped by purpose and whose options may be set elsewhere too."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(
            ["--config"], metavar="FILE", type=click.Path(), expose_value=False,
            help="TOML file of options, as size = 224; else the table [tool.mixup] of the nearest"
            " pyproject.toml. A variable such as MIXUP_SIZE stands over it, a flag over both.",
        ))

    def parse_args(self, ctx, args):
        if not ctx.resilient_parsing:  # completion shall not stumble over a file
            flags, *_ = self.make_parser(ctx).parse_args(list(args))
            if self.get_help_option(ctx).name not in flags:  # help shall come whatever a file holds
                ctx.meta["settings"] = settings.load(ctx, flags)
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        if not ctx.params.get("quiet"):
            for line in ctx.meta["settings"]:
                click.echo(line, err=True)
        return super().invoke(ctx)

    def format_options(self, ctx, formatter):
        sections, general = {}, ("config", "debug", self.get_help_option(ctx).name)
        for param in self.get_params(ctx):
            if isinstance(param, click.Option):
                title = GENERAL if param.name in general else getattr(param, "group", "Options")
                sections.setdefault(title, []).append(param.get_help_record(ctx))
        sections[GENERAL] = sections.pop(GENERAL)  # last
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def grouped(command, title, options):
    """Give a command options, under a title in its help."""
    for option in reversed(options):
        command = option(command)
        command.__click_params__[-1].group = title
    return command
