"""Opening the settings, the mappings and the database for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bridge import config
from bridge.config import Settings
from bridge.core.plan import Plan
from bridge.errors import BadConfiguration, BridgeError
from bridge.model import Configuration
from bridge.store import Store


def settings(**flags: object) -> Settings:
    """Read the settings of this process; raises `BadConfiguration`, or `UsageError` for a flag."""
    try:
        return config.settings(os.environ, **flags)
    except BadConfiguration as error:
        if any(problem.file.startswith("--") for problem in error.problems):
            raise click.UsageError(str(error)) from error
        raise


def plan(folder: Path) -> Plan:
    """Load the mappings; raises `BadConfiguration` with every problem in them."""
    return Plan.of(config.require(folder, os.environ))


def configuration(folder: Path) -> Configuration | None:
    """Load the mappings; None when they are missing or cannot be used."""
    return config.load(folder, os.environ).configuration if folder.is_dir() else None


@contextmanager
def store(found: Settings) -> Iterator[Store]:
    """Open the database of a bridge, running or stopped; raises `BridgeError` if there is none."""
    opened = Store(found.database, spool=found.spool)
    path = opened.url.database
    if opened.embedded and path not in (None, "", ":memory:") and not Path(path).exists():
        raise BridgeError(f"there is no database {path}; set BRIDGE_DATABASE to its location")
    try:
        opened.require_schema()
        yield opened
    finally:
        opened.close()
