"""Commands that read the database: log, show, status."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event as Flag
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from bridge.cli import context, output
from bridge.cli.options import Instant, Word, as_json, with_settings
from bridge.core.printable import for_csv
from bridge.desk import LogEntry, Query, decisions, instant
from bridge.desk import show as histories
from bridge.desk import status as statuses
from bridge.desk.status import Status
from bridge.model import Stage, State, VerdictName
from bridge.store import Store

Write = Callable[[Iterable[LogEntry]], None]
#: How many events a table shows unless --limit is given.
DEFAULT_LIMIT = 50


@click.command()
@click.option("--issue", default="", help="Only events of this issue, given by its key or its id.")
@click.option("--hook", default="", help="Only events that arrived through this hook.")
@click.option("--route", default="", help="Only verdicts of this route.")
@click.option("--destination", default="", help="Only verdicts for this destination.")
@click.option(
    "--verdict",
    default="",
    type=click.Choice(["", *map(str, VerdictName)]),
    metavar="VERDICT",
    help="Only this verdict: deliver, duplicate, filtered, ...",
)
@click.option(
    "--stage",
    default="",
    type=Word("stage", Stage),
    metavar="STAGE",
    help="Only verdicts that this stage made: passes_filter, claimed, ...",
)
@click.option(
    "--state",
    default="",
    type=click.Choice(["", *map(str, State)]),
    metavar="STATE",
    help="Only deliveries in this state: queued, parked, in_doubt, ...",
)
@click.option(
    "--since", type=Instant(), help="Only events since TIME: 2026-03-05T14:00Z, or 2h, 3d ago."
)
@click.option("--until", type=Instant(), help="Only events before TIME.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Only the N latest events.  [default: {DEFAULT_LIMIT} in a table, else all]",
)
@click.option("--follow", "-f", is_flag=True, help="Continue with new decisions, until Ctrl-C.")
@as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of headings.")
@with_settings("database")
def log(
    *,
    limit: int | None,
    follow: bool,
    as_json: bool,
    as_csv: bool,
    database: str | None,
    **asked: Any,  # noqa: ANN401 - the fields of Query
) -> None:
    """Show the decisions on each event with their reasons, one line for each.

    --json prints one object a line.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both.")
    query = Query(**asked)
    if limit is None and not (as_json or as_csv):
        limit = DEFAULT_LIMIT
    write: Write = _json_lines if as_json else _CsvLines() if as_csv else _text_lines
    with context.store(context.settings(database=database)) as store:
        found = decisions.read(store, query, limit=limit)
        if not follow:
            write(found)
            return
        _follow(store, query, list(found), write)


def _follow(store: Store, query: Query, found: list[LogEntry], write: Write) -> None:
    """Write the entries found so far, and then new ones until Ctrl-C."""
    write(found)
    last = found[-1].event if found else ""
    with suppress(KeyboardInterrupt):
        for entry in decisions.follow(store, query, after=last, wait=Flag().wait):
            write([entry])


def _json_lines(found: Iterable[LogEntry]) -> None:
    for entry in found:
        output.json_line(decisions.as_dict(entry))


class _CsvLines:
    """Writes CSV; the headings come first, and once."""

    def __init__(self) -> None:
        self._writer = csv.DictWriter(sys.stdout, decisions.FIELDS, restval="", lineterminator="\n")
        self._writer.writeheader()

    def __call__(self, found: Iterable[LogEntry]) -> None:
        for entry in found:
            values = decisions.as_dict(entry)
            row = {**values, "effects": " ".join(values["effects"])}
            self._writer.writerow({name: for_csv(value) for name, value in row.items()})
        sys.stdout.flush()


def _text_lines(found: Iterable[LogEntry]) -> None:
    console = output.console()
    for entry in found:
        console.print(log_line(entry), soft_wrap=True)


def log_line(entry: LogEntry) -> Text:
    """Write an entry of the log as one line."""
    route = entry.route or "-"
    state = entry.state or "-"
    cells = [
        str(instant(entry.received)),
        entry.event,
        output.colour(f"{entry.verdict:<9}", entry.verdict),
        f"{entry.stage or '-':<14}",
        output.colour(f"{state:<9}", entry.state),
        f"{entry.key or entry.record or '-':<8}",
        f"{entry.name or '-':<20}",
        f"{entry.hook:<12}",
        f"{f'{route} > {entry.destination}' if entry.destination else route:<24}",
        f"{entry.reason}; {entry.state}: {entry.error}" if entry.error else entry.reason,
    ]
    shown = [cell if isinstance(cell, Text) else output.escape(cell) for cell in cells]
    return Text("  ").join(shown)


# One event


@click.command()
@click.argument("event")
@click.option("--body", is_flag=True, help="Also print the body as it arrived, if it is kept.")
@as_json
@with_settings("database")
def show(*, event: str, body: bool, as_json: bool, database: str | None) -> None:
    """Show the whole history of an event: its sightings, verdicts, deliveries, attempts.

    EVENT is the event's id, or the beginning of it.
    """
    with context.store(context.settings(database=database)) as store:
        found = histories.history_of(store, event)
    values = histories.as_dict(found, body=body)
    if as_json:
        output.json_line(values)
        return
    console = output.console()
    console.print(_particulars(values))
    for name in ("verdicts", "deliveries", "attempts", "sightings", "actions"):
        rows = values[name]
        if rows:
            console.print()
            console.print(output.table(name, rows))
    if body:
        console.print()
        console.print(
            output.escape("the body is not kept" if values["body"] is None else values["body"])
        )


_LISTS = ("verdicts", "deliveries", "attempts", "sightings", "actions", "effects", "body")


def _particulars(values: Mapping[str, Any]) -> Table:
    table = output.two_columns()
    for name, value in values.items():
        if name not in _LISTS and value not in (None, "", 0, False):
            table.add_row(name, output.escape(value))
    for number, effect in enumerate(values["effects"]):
        table.add_row("" if number else "effects", output.escape(effect))
    return table


# Everything


@click.command()
@as_json
@with_settings("database", "spool", "mappings")
def status(*, as_json: bool, **flags: object) -> None:
    """Show the state of the bridge: totals that add up, open deliveries, and problems."""
    settings = context.settings(**flags)
    with context.store(settings) as store:
        found = statuses.status_of(store, context.configuration(settings.mappings))
    values = statuses.as_dict(found)
    if as_json:
        output.json_line(values)
        return
    console = output.console()
    console.print(_totals(found))
    if values["deliveries"]:
        console.print()
        console.print(output.table("deliveries", [values["deliveries"]]))
    if values["destinations"]:
        rows = [
            {"destination": name, **row, "open": _counts(row["open"])}
            for name, row in values["destinations"].items()
        ]
        console.print()
        console.print(output.table("destinations", rows))
    if values["stuck"]:
        console.print()
        console.print(output.table("waits for a person", values["stuck"]))
    console.print()
    console.print(_rest(values))


def _totals(found: Status) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for name, count in found.verdicts.items():
        if count or name in ("deliver", "duplicate", "filtered"):
            table.add_row(str(count), output.colour(name))
    table.add_row(f"= {found.received}", "received")
    return table


def _rest(values: Mapping[str, Any]) -> Table:
    table = output.two_columns()
    table.add_row("oldest unfinished", values["oldest_unfinished"] or "nothing waits")
    table.add_row("spool", f"{values['spool']['bytes']} bytes wait")
    for sentence in values["degraded"]:
        table.add_row("degraded", output.escape(sentence))
    if values["spool"]["refused"]:
        table.add_row("refused by the database", str(values["spool"]["refused"]))
    return table


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items())
