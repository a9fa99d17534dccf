"""Errors of commands: one clear line on stderr, and an exit code.

Exit code 1: the bridge reports a problem. Exit code 2: the command line is wrong.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from bridge.errors import BadConfiguration, BridgeError, stack_frames


class Commands(click.Group):
    """A group of commands that lists them in the order they were added, and prints their errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in order, the one to try first at the top."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; turn its errors into a line on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except BadConfiguration as error:
            raise CommandError(str(error)) from error
        except BridgeError as error:
            raise CommandError(f"aha-bridge: {error}") from error
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if sys.flags.dev_mode:
                raise
            what = f"{type(error).__name__} at {stack_frames(error)[-1]}"
            hint = "run `python -X dev -m bridge ...` for the traceback"
            raise CommandError(f"aha-bridge: this is a mistake of ours: {what}; {hint}") from error


class CommandError(click.ClickException):
    """An error whose message is printed as it is."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's signature
        """Print the message on stderr."""
        click.echo(self.message, err=True, file=file)
