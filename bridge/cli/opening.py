"""What commands open: the settings, the mappings, the store."""

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
    """Load the mappings; raises `BadConfiguration` with everything wrong in them."""
    return Plan.of(config.require(folder, os.environ))


def configuration(folder: Path) -> Configuration | None:
    """Load the mappings; None when they cannot be used, or are not here."""
    return config.load(folder, os.environ).configuration if folder.is_dir() else None


@contextmanager
def store(found: Settings) -> Iterator[Store]:
    """Open the database of a bridge that runs, or ran, beside this command."""
    made = Store(found.database, spool=found.spool)
    path = made.url.database
    if made.embedded and path not in (None, "", ":memory:") and not Path(path).exists():
        raise BridgeError(f"there is no database {path}; BRIDGE_DATABASE says where it is")
    try:
        made.require_schema()
        yield made
    finally:
        made.close()
