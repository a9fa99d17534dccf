"""The command line: `aha-bridge`, or `python -m bridge`. Each module holds related commands."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version

import click

from bridge import logs
from bridge.cli import inspect, operators, output, run, tryout, validate
from bridge.cli.errors import Commands

try:
    _VERSION = version("aha-bridge")
except PackageNotFoundError:  # run from a source tree that was not installed
    _VERSION = "unknown"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_VERSION, prog_name="aha-bridge")
def main() -> None:
    """Receive Jira's webhooks and deliver them to Aha!: filtered, mapped, in order and once.

    Start with `aha-bridge demo`: it runs the whole bridge on this machine without configuration.
    """
    logs.configure("text", level=logging.WARNING, colours=output.colours())


for command in (
    tryout.demo,
    run.serve,
    run.web,
    run.worker,
    validate.check,
    validate.explain,
    validate.jql,
    inspect.log,
    inspect.show,
    inspect.status,
    operators.retry,
    operators.discard,
    operators.replay,
    run.migrate,
    tryout.sandbox,
):
    main.add_command(command)
