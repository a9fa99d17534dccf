"""Commands by which operators step in: retry, discard, replay."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from bridge.cli import context, output
from bridge.cli.options import as_json, with_settings
from bridge.config import Settings
from bridge.desk import Delivery, operators
from bridge.desk.operators import Deed
from bridge.model import State

_BLOCKED = click.Choice([State.PARKED.value, State.IN_DOUBT.value])


def current_user() -> str:
    """Return the name of the current user, for the log of actions."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"


def _operator_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all of these commands have."""
    for option in (
        with_settings("database"),
        as_json,
        click.option("--as", "who", help="The name to record with it.  [default: the user]"),
        click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All deliveries that are parked or in doubt.")
@click.option("--state", type=_BLOCKED, help="All deliveries in this state: parked or in_doubt.")
@click.option(
    "--destination",
    default="",
    help="Of those, only the ones to this destination. Alone: end its pause, if it has one.",
)
@click.option(
    "--to",
    default="",
    help="Move the open deliveries of destinations that left the mappings to this one.",
)
@_operator_options
@with_settings("mappings")
def retry(  # noqa: PLR0913 - one for each flag
    *,
    ids: Sequence[str],
    every: bool,
    state: str | None,
    destination: str,
    to: str,
    yes: bool,
    who: str | None,
    as_json: bool,
    database: str | None,
    mappings: str | None,
) -> None:
    """Send deliveries again that are parked or in doubt.

    IDS are numbers of deliveries, or ids of events. A delivery in doubt may have been written: look
    in Aha! before you send it again.

    With --to, another destination gets the open deliveries of one that was removed from the
    mappings, or of all such. No effect that was delivered before is sent again. Parked deliveries
    stay parked, and those in doubt stay in doubt.
    """
    by = who or current_user()
    settings = context.settings(database=database, mappings=mappings)
    if to:
        if ids or every or state:
            raise click.UsageError("--to takes all that is open: name at most a --destination.")
        _send_to(settings, destination, to, by, as_json=as_json)
        return
    with context.store(settings) as store:
        if destination and not (ids or every or state):
            operators.resume(store, destination, who=by)
            _report_resumed({"destination": destination, "resumed": True}, as_json=as_json)
            return
        if bool(ids) == (every or bool(state)):
            raise click.UsageError("Name deliveries or events, or say --all or --state.")
        if ids:
            found = operators.find_deliveries(store, ids)
            found = [each for each in found if destination in ("", each.destination)]
        else:
            found = operators.blocked(store, state=state or "", destination=destination)
        _confirm(f"Send {len(found)} deliveries again?", found, yes=yes)
        done = operators.retry(store, found, who=by)
    _report(done, "queued again", as_json=as_json)


def _send_to(settings: Settings, destination: str, to: str, who: str, *, as_json: bool) -> None:
    plan = context.plan(settings.mappings)
    with context.store(settings) as store:
        names = (destination,) if destination else operators.homeless(store, plan)
        done = operators.send_to(store, plan, names, to, who=who)
    _report(done, f"is {to}'s now", as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--reason", required=True, help="The reason, which is kept with the delivery.")
@_operator_options
def discard(
    *,
    ids: Sequence[str],
    reason: str,
    yes: bool,
    who: str | None,
    as_json: bool,
    database: str | None,
) -> None:
    """Give deliveries up, so that the deliveries behind them in their lanes go on.

    IDS are numbers of deliveries, or ids of events.
    """
    with context.store(context.settings(database=database)) as store:
        found = operators.find_deliveries(store, ids)
        _confirm(f"Give {len(found)} deliveries up?", found, yes=yes)
        done = operators.discard(store, found, who=who or current_user(), reason=reason)
    _report(done, "discarded", as_json=as_json)


@click.command()
@click.argument("event")
@click.option("--route", default="", help="Send it by this route; needed when no route did before.")
@_operator_options
@with_settings("mappings")
def replay(  # noqa: PLR0913 - one for each flag
    *,
    event: str,
    route: str,
    yes: bool,
    who: str | None,
    as_json: bool,
    database: str | None,
    mappings: str | None,
) -> None:
    """Send an event again on purpose, by today's mappings, despite earlier deliveries.

    It becomes a new delivery at the end of its lane. EVENT is the event's id, or its beginning.
    """
    del yes  # it is always one event
    settings = context.settings(database=database, mappings=mappings)
    plan = context.plan(settings.mappings)
    with context.store(settings) as store:
        done = operators.replay(store, plan, event, route=route, who=who or current_user())
    if as_json:
        output.json_line([operators.replay_as_dict(each) for each in done])
        return
    for each in done:
        click.echo(f"event {each.event} is queued once more: {each.route} > {each.destination}")


def _confirm(question: str, found: Sequence[Delivery], *, yes: bool) -> None:
    """Ask before several deliveries are changed, where standard input is a terminal."""
    if len(found) < 2 or yes or not sys.stdin.isatty():
        return
    doubtful = sum(each.state == State.IN_DOUBT and each.writes for each in found)
    if doubtful:
        click.echo(f"{doubtful} of them may have been written already.")
    click.confirm(question, abort=True)


def _report_resumed(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(values)
    else:
        click.echo(f"{values['destination']}: goes on")


def _report(done: Sequence[Deed], what: str, *, as_json: bool) -> None:
    """Print the result for each delivery; exit with 1 if one failed."""
    if as_json:
        output.json_line([operators.as_dict(each) for each in done])
    elif not done:
        click.echo("nothing to do")
    else:
        for each in done:
            delivery = each.delivery
            about = f"{delivery.key or 'event ' + delivery.event} to {delivery.destination}"
            line = output.escape(f"delivery {delivery.id} ({about}): {each.error or what}")
            click.echo(line.plain)
    if any(each.error for each in done):
        sys.exit(1)
