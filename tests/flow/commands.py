"""Commands as people call them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from click.testing import CliRunner, Result

from bridge.cli import main


def run(*arguments: object, told: str | bytes | None = None, **environ: str | None) -> Result:
    """Call `aha-bridge` in this process; what it raises is raised."""
    with logging_as_it_was():
        return CliRunner().invoke(
            main,
            [str(one) for one in arguments],
            input=told,
            env=environ,
            prog_name="aha-bridge",
            catch_exceptions=False,
        )


def ok(*arguments: object, **more: str | None) -> str:
    """Call a command that has to succeed; returns what it printed."""
    result = run(*arguments, **more)
    assert result.exit_code == 0, result.output
    assert result.stderr == "", result.stderr
    return result.stdout


def lines(*arguments: object, **more: str | None) -> list[Any]:
    """Call a command that has to succeed; returns the JSON it printed, line by line."""
    return [json.loads(line) for line in ok(*arguments, **more).splitlines()]


def refused(*arguments: object, **more: str | None) -> str:
    """Call a command that has to fail; returns what it said on stderr."""
    result = run(*arguments, **more)
    assert result.exit_code == 1, result.output
    return result.stderr


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    root, before = logging.getLogger(), structlog.get_config()
    configured = structlog.is_configured()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()  # they are not to be closed
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        if configured:
            structlog.configure(**before)
