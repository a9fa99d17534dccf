"""Commands that run something: serve, web, worker, sandbox, demo, migrate."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterable

import click

from bridge import config, logs
from bridge.app import Bridge
from bridge.cli import opening, screen
from bridge.cli.options import as_json, with_settings
from bridge.config import Settings
from bridge.errors import BadConfiguration
from bridge.model import Configuration
from bridge.sandbox import Integration, Sandbox
from bridge.store import Store
from bridge.web import serving


@click.command()
@with_settings()
def serve(**flags: object) -> None:
    """Receive and deliver: the whole bridge in one command."""
    _serve(opening.settings(**flags), deliver=True)


@click.command()
@with_settings()
def web(**flags: object) -> None:
    """Receive only; `worker` delivers, on this machine or another."""
    _serve(opening.settings(**flags), deliver=False)


def _serve(settings: Settings, *, deliver: bool) -> None:
    logs.configure(settings.log, colours=_colours())
    configuration = _ready(settings)
    with serving.listen(settings.host, settings.port) as listening:
        for line in _addresses(listening, configuration):
            click.echo(line)
        serving.serve(listening, settings, os.environ, deliver=deliver)


def _ready(settings: Settings) -> Configuration:
    """Find out before anything starts what would keep it from starting."""
    loaded = config.load(settings.mappings, os.environ)
    strange = config.unknown_variables(os.environ, loaded.variables)
    if loaded.configuration is None:
        raise BadConfiguration((*loaded.problems, *strange))
    for problem in (*loaded.problems, *strange):
        click.echo(str(problem), err=True)
    store = Store(settings.database, spool=settings.spool)
    try:
        if store.embedded:
            store.migrate()
        store.require_schema()
    finally:
        store.close()
    return loaded.configuration


def _addresses(listening: socket.socket, configuration: Configuration) -> Iterable[str]:
    """Say where everything is; a token is named, and never shown."""
    host, port, *_ = listening.getsockname()
    root = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    yield f"webhooks  {root}/api/v1/webhooks/..., ending in the token of"
    for hook in configuration.hooks.values():
        off = "" if hook.enabled else ", disabled"
        yield f"            {hook.name} ({hook.source} {hook.site}{off})"
    yield f"console   {root}/console/"
    yield f"health    {root}/healthz  {root}/readyz  {root}/metrics"


@click.command()
@with_settings()
def worker(**flags: object) -> None:
    """Deliver only; `web` receives."""
    settings = opening.settings(**flags)
    logs.configure(settings.log, colours=_colours())
    _ready(settings)
    asked = _asked_to_end()
    bridge = Bridge(settings, os.environ)
    bridge.start(deliver=True)
    try:
        click.echo(f"delivering to {', '.join(bridge.plan.configuration.targets)}")
        asked.wait()
    finally:
        bridge.stop()


def _asked_to_end() -> threading.Event:
    """Make an event that SIGTERM and SIGINT set."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked


@click.command()
@with_settings("database")
@as_json
def migrate(*, as_json: bool, **flags: object) -> None:
    """Bring the database's schema to this version's; a SQLite file is first copied beside itself."""
    settings = opening.settings(**flags)
    store = Store(settings.database, spool=settings.spool)
    try:
        before, after = store.migrate()
    finally:
        store.close()
    if as_json:
        screen.json_line({"from": before, "to": after})
    elif before == after:
        click.echo(f"the schema is {after}: there was nothing to do")
    else:
        click.echo(f"the schema was {before or 'empty'} and is now {after}")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8090, show_default=True, help="The port; 0 takes any free one.")
@click.option("--token", "tokens", multiple=True, help="A callback token.  [default: a new one]")
@click.option("--latency", default=0, show_default=True, help="How long an answer takes, in ms.")
@click.option("--fail", metavar="STATUS:SHARE", help="Fail a part of the requests: 500:0.1.")
def sandbox(
    *, host: str, port: int, tokens: tuple[str, ...], latency: int, fail: str | None
) -> None:
    """Run a stand-in for Aha!, which writes what it is told, each time it is told."""
    logs.configure("text", colours=_colours())
    accepted = tokens or (secrets.token_hex(24),)
    made = Sandbox(*(Integration(token=token) for token in accepted))
    made.behave(latency_ms=latency, **_failing(fail))
    asked = _asked_to_end()
    try:
        root = made.start(host, port)
    except OSError as error:
        message = f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}."
        raise click.ClickException(message) from error
    click.echo(f"Aha! stand-in  {root}")
    click.echo(f"what it wrote  {root}/sandbox")
    for token in accepted if not tokens else ():
        click.echo(f"callback       {root}/api/v1/webhooks/{token}")
    asked.wait()
    made.stop()


def _failing(told: str | None) -> dict[str, float]:
    if told is None:
        return {}
    status, _, share = told.partition(":")
    try:
        return {"fail_status": int(status), "fail_share": float(share or 1)}
    except ValueError as error:
        raise click.BadParameter("is like 500:0.1", param_hint="--fail") from error


def _colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
