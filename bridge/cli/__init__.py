"""The commands: `aha-bridge`, or `python -m bridge`. One module for each group of them."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version

import click

from bridge import logs
from bridge.cli import checking, inspect, operators, running, screen, trying
from bridge.cli.failing import Commands

try:
    _VERSION = version("aha-bridge")
except PackageNotFoundError:  # run from a source tree that was not installed
    _VERSION = "unknown"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_VERSION, prog_name="aha-bridge")
def main() -> None:
    """Take Jira's webhooks in, and bring them to Aha!: filtered, mapped, in order and once.

    Begin with `aha-bridge demo`: the whole bridge on this machine, with nothing to configure.
    """
    logs.configure("text", level=logging.WARNING, colours=screen.colours())


for command in (
    trying.demo,
    running.serve,
    running.web,
    running.worker,
    checking.check,
    checking.explain,
    checking.jql,
    inspect.log,
    inspect.show,
    inspect.status,
    operators.retry,
    operators.discard,
    operators.replay,
    running.migrate,
    trying.sandbox,
):
    main.add_command(command)
