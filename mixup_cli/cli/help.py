"""mixup help: a topic explained, or a command's own help."""

import click

from mixup_cli.cli import COMMANDS
from mixup_cli.cli.topics import TOPICS


@click.command()
@click.argument("topic", required=False, metavar="[TOPIC]",
                type=click.Choice([*TOPICS, *(name for name in COMMANDS if name != "help")]))
@click.pass_context
def command(ctx, topic):
    """Explain TOPIC, or print the help of a command; without one, list the topics."""
    if topic in COMMANDS:
        called = ctx.parent.command.get_command(ctx.parent, topic)
        with called.make_context(topic, ["--help"], parent=ctx.parent):
            pass  # --help prints and ends
    elif topic:
        click.echo(TOPICS[topic].strip())
    else:
        for name, text in TOPICS.items():
            click.echo(f"{name:10} {text.strip().splitlines()[0]}")
