"""The command group, and how an error reaches the user."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from persona_platform.errors import ConfigError, InputError, PersonaPlatformError

COMMANDS: Final = {
    "demo": "demo",
    "fleet": "folder",
    "init": "folder",
    "check": "folder",
    "ingest": "pipeline",
    "replan": "pipeline",
    "refit": "pipeline",
    "personas": "personas",
    "predict": "show",
    "plan": "show",
    "provision": "act",
    "explain": "act",
    "approve": "act",
    "reject": "act",
    "pause": "act",
    "resume": "act",
    "replay": "replay",
    "store": "store",
    "up": "serve",
}
"""Command to the module beside this one that holds it; loaded only when it is called."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used: help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The commands in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"persona_platform.cli.{COMMANDS[cmd_name]}"), cmd_name)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="persona-platform")
def persona() -> None:
    """Capacity that is there before the demand.

    First steps: persona init, persona ingest PATH, persona replan, persona plan.
    """


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command line (of this process, unless ``words`` are given); an error becomes one sentence and a code."""
    try:
        persona(list(words) if words is not None else None, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        sys.exit(asked.exit_code)
    except click.ClickException as fault:
        click.echo(f"Error: {fault.format_message()}", err=True)
        sys.exit(fault.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except (InputError, ConfigError) as fault:
        click.echo(f"Error: {fault}", err=True)
        sys.exit(2)
    except PersonaPlatformError as fault:
        click.echo(f"Error: {fault}", err=True)
        sys.exit(1)
