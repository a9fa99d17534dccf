"""How a command fails: one clear line, and an exit code that says whose turn it is."""

from __future__ import annotations

import sys
from typing import Any

import click

from bridge.errors import BadConfiguration, BridgeError, places


class Commands(click.Group):
    """Commands in the order they were added; what goes wrong in them is told, not raised."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Keep the order: the first thing to try stands first."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; exit with 1 when the bridge has something against it."""
        try:
            return super().invoke(ctx)
        except BadConfiguration as error:
            raise Told(str(error)) from error
        except BridgeError as error:
            raise Told(f"aha-bridge: {error}") from error
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if sys.flags.dev_mode:
                raise
            what = f"{type(error).__name__} at {places(error)[-1]}"
            hint = "`python -X dev -m bridge ...` says more"
            raise Told(f"aha-bridge: this is a mistake of ours: {what}; {hint}") from error


class Told(click.ClickException):
    """A message that stands for itself."""

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's signature
        """Write it to stderr."""
        click.echo(self.message, err=True, file=file)
