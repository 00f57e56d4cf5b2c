"""mixup help: a topic explained, or a command's own help."""

import click

from mixup_cli.cli import COMMANDS
from mixup_cli.cli.topics import TOPICS


@click.command()
@click.argument("topic", required=False, metavar="[TOPIC]",
                type=click.Choice([*TOPICS, *(name for name in COMMANDS if name not in (*TOPICS, "help"))]))
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Explain TOPIC, or print the help of a command; without one, list the topics."""
    group = ctx.find_root()
    called = None
    if topic not in TOPICS and topic in COMMANDS and isinstance(group.command, click.Group):
        called = group.command.get_command(group, topic)
    if called:
        with called.make_context(topic, ["--help"], parent=group):
            pass  # --help prints and ends
    elif topic:
        click.echo(TOPICS[topic].strip())
    else:
        for name, text in TOPICS.items():
            click.echo(f"{name:10} {text.strip().splitlines()[0]}")
