"""Commands that run the bridge: serve, web, worker, migrate."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from bridge import config, logs
from bridge.app import Bridge
from bridge.cli import context, output
from bridge.cli.options import as_json, with_settings
from bridge.cli.stop_signal import stop_event
from bridge.config import LiveConfiguration, Settings
from bridge.errors import BadConfiguration
from bridge.model import Configuration
from bridge.serve import serve as run_children
from bridge.store import Down, Store, copy_database
from bridge.web import server


@click.command()
@with_settings()
def serve(**flags: object) -> None:
    """Receive and deliver: run the whole bridge."""
    _serve(context.settings(**flags), deliver=True)


@click.command()
@with_settings()
def web(**flags: object) -> None:
    """Receive only; run `worker` to deliver, on this machine or another."""
    _serve(context.settings(**flags), deliver=False)


def _serve(settings: Settings, *, deliver: bool) -> None:
    logs.configure(settings.log, colours=output.colours())
    configuration = _ready(settings).configuration
    with server.listen(settings.host, settings.port) as listening:
        for line in _addresses(listening, configuration):
            click.echo(line)
        run_children(listening, settings, os.environ, deliver=deliver)


def _ready(settings: Settings) -> LiveConfiguration:
    """Check the mappings and the database before any process is started."""
    unknown = config.unknown_variables
    try:
        mappings = LiveConfiguration(settings.mappings, os.environ, spool=settings.spool)
    except BadConfiguration as error:
        read = config.load(settings.mappings, os.environ).variables
        raise BadConfiguration((*error.problems, *unknown(os.environ, read))) from error
    for problem in (
        *mappings.loaded.problems,
        *unknown(os.environ, mappings.loaded.variables),
    ):
        click.echo(str(problem), err=True)
    if mappings.error:
        click.echo("the mappings are wrong: starting with the last good ones", err=True)
    store = Store(settings.database, spool=settings.spool)
    try:
        if store.embedded:
            store.migrate()
        store.require_schema()
    except Down as error:
        if store.embedded:
            raise
        click.echo(f"{error}; events go to the spool until it is back", err=True)
    finally:
        store.close()
    return mappings


def _addresses(listening: socket.socket, configuration: Configuration) -> Iterable[str]:
    """List the addresses; hooks are listed by name, because their tokens are secret."""
    host, port, *_ = listening.getsockname()
    root = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    yield f"webhooks  {root}/api/v1/webhooks/TOKEN, with the token of"
    for hook in configuration.hooks.values():
        off = "" if hook.enabled else ", disabled"
        yield f"            {hook.name} ({hook.source} {hook.site}{off})"
    yield f"health    {root}/healthz  {root}/readyz  {root}/metrics"


@click.command()
@with_settings()
def worker(**flags: object) -> None:
    """Deliver only; run `web` to receive."""
    settings = context.settings(**flags)
    logs.configure(settings.log, colours=output.colours())
    _ready(settings)
    stop = stop_event()
    bridge = Bridge(settings, os.environ, from_kept=True)
    bridge.start(receive=False)
    try:
        click.echo(f"delivering to {', '.join(bridge.plan.configuration.targets)}")
        stop.wait()
    finally:
        bridge.stop()


@click.command()
@with_settings("database")
@click.option("--from", "source", metavar="URL", help="Copy everything from this database ...")
@click.option("--to", "target", metavar="URL", help="... to this one, which must be empty.")
@as_json
def migrate(*, as_json: bool, source: str | None, target: str | None, **flags: object) -> None:
    """Upgrade the database's schema to this version, or copy everything to another database.

    Before an upgrade, a SQLite file is backed up beside itself. Stop the bridge before copying; the
    old database is left as it is.
    """
    if source or target:
        _move(source, target, as_json=as_json)
        return
    settings = context.settings(**flags)
    store = Store(settings.database, spool=settings.spool)
    try:
        before, after = store.migrate()
    finally:
        store.close()
    if as_json:
        output.json_line({"from": before, "to": after})
    elif before == after:
        click.echo(f"the schema is {after}: nothing to do")
    else:
        click.echo(f"the schema was {before or 'empty'} and is now {after}")


def _move(source: str | None, target: str | None, *, as_json: bool) -> None:
    if not source or not target:
        raise click.UsageError("--from and --to go together")
    with Progress(console=Console(stderr=True), disable=as_json) as shown:
        bars: dict[str, TaskID] = {}

        def show(table: str, done: int, total: int) -> None:
            if table not in bars:
                bars[table] = shown.add_task(table, total=total)
            shown.update(bars[table], completed=done)

        moved = copy_database(source, target, show)
    if as_json:
        output.json_line({"moved": {str(table): count for table, count in moved.items()}})
    else:
        click.echo(f"moved {sum(moved.values())} rows; set BRIDGE_DATABASE to the new database")
