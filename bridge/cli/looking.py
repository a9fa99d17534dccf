"""Commands that look into the database: log, show, status."""

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

from bridge.cli import opening, screen
from bridge.cli.options import Instant, as_json, with_settings
from bridge.core.printable import for_csv
from bridge.desk import instant
from bridge.desk import log as logs
from bridge.desk import show as showing
from bridge.desk import status as standing
from bridge.desk.status import Status
from bridge.model import State, VerdictName
from bridge.store import Store
from bridge.store.history import Line, Query

Write = Callable[[Iterable[Line]], None]
#: How many events a table shows.
SHOWN = 50


@click.command()
@click.option("--issue", default="", help="Only of this issue: its key, or its id.")
@click.option("--hook", default="", help="Only what came through this hook.")
@click.option("--route", default="", help="Only what this route said.")
@click.option("--destination", default="", help="Only what was decided for this destination.")
@click.option(
    "--verdict", default="", type=click.Choice(["", *map(str, VerdictName)]), metavar="VERDICT"
)
@click.option("--state", default="", type=click.Choice(["", *map(str, State)]), metavar="STATE")
@click.option("--since", type=Instant(), help="From then on: 2026-03-05T14:00Z, or 2h, 3d ago.")
@click.option("--until", type=Instant(), help="Before then.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"At most so many events, the last ones.  [default: {SHOWN} in a table, else all]",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
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
    """Show what was decided of what arrived, and why; one line for each decision.

    --json prints one object a line.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both.")
    query = Query(**asked)
    if limit is None and not (as_json or as_csv):
        limit = SHOWN
    write: Write = _json_lines if as_json else _CsvLines() if as_csv else _text_lines
    with opening.store(opening.settings(database=database)) as store:
        found = logs.read(store, query, limit=limit)
        if not follow:
            write(found)
            return
        _go_on(store, query, list(found), write)


def _go_on(store: Store, query: Query, found: list[Line], write: Write) -> None:
    """Write what is there, and then what comes."""
    write(found)
    last = found[-1].event if found else ""
    with suppress(KeyboardInterrupt):
        for line in logs.follow(store, query, after=last, wait=Flag().wait):
            write([line])


def _json_lines(found: Iterable[Line]) -> None:
    for line in found:
        screen.json_line(logs.told(line))


class _CsvLines:
    """Writes CSV; the headings come first, and once."""

    def __init__(self) -> None:
        self._writer = csv.DictWriter(sys.stdout, logs.FIELDS, restval="", lineterminator="\n")
        self._writer.writeheader()

    def __call__(self, found: Iterable[Line]) -> None:
        for line in found:
            told = logs.told(line)
            row = {**told, "effects": " ".join(told["effects"])}
            self._writer.writerow({name: for_csv(value) for name, value in row.items()})
        sys.stdout.flush()


def _text_lines(found: Iterable[Line]) -> None:
    console = screen.console()
    for line in found:
        console.print(log_line(line), soft_wrap=True)


def log_line(line: Line) -> Text:
    """Show a line of the log in a row."""
    way = f"{line.route or '-'} > {line.destination}" if line.destination else line.route or "-"
    verdict = screen.word(f"{line.verdict:<9}", line.verdict)
    state = screen.word(f"{line.state or '-':<9}", line.state)
    cells = [
        str(instant(line.received)),
        line.event,
        verdict,
        state,
        f"{line.key or line.record or '-':<8}",
        f"{line.name or '-':<20}",
        f"{line.hook:<12}",
        f"{way:<24}",
        f"{line.reason}; {line.state}: {line.trouble}" if line.trouble else line.reason,
    ]
    shown = [cell if isinstance(cell, Text) else screen.plain(cell) for cell in cells]
    return Text("  ").join(shown)


# One event


@click.command()
@click.argument("event")
@click.option("--body", is_flag=True, help="Also print the body as it came, if it is kept.")
@as_json
@with_settings("database")
def show(*, event: str, body: bool, as_json: bool, database: str | None) -> None:
    """Show the whole life of an event: who told of it, what was decided, where it went.

    EVENT is its id, or the beginning of it.
    """
    with opening.store(opening.settings(database=database)) as store:
        found = showing.whole(store, event)
    told = showing.told(found, body=body)
    if as_json:
        screen.json_line(told)
        return
    console = screen.console()
    console.print(_particulars(told))
    for name in ("verdicts", "deliveries", "attempts", "sightings", "actions"):
        rows = told[name]
        if rows:
            console.print()
            console.print(screen.rows(name, rows))
    if body:
        console.print()
        console.print(
            screen.plain("the body is not kept" if told["body"] is None else told["body"])
        )


_LISTS = ("verdicts", "deliveries", "attempts", "sightings", "actions", "effects", "body")


def _particulars(told: Mapping[str, Any]) -> Table:
    made = screen.pairs()
    for name, value in told.items():
        if name not in _LISTS and value not in (None, "", 0, False):
            made.add_row(name, screen.plain(value))
    for number, effect in enumerate(told["effects"]):
        made.add_row("" if number else "effects", screen.plain(effect))
    return made


# Everything


@click.command()
@as_json
@with_settings("database", "spool", "mappings")
def status(*, as_json: bool, **flags: object) -> None:
    """Show how things stand: an account that adds up, and what is on its way."""
    settings = opening.settings(**flags)
    with opening.store(settings) as store:
        found = standing.take(store, settings.spool, opening.configuration(settings.mappings))
    if as_json:
        screen.json_line(standing.told(found))
        return
    console = screen.console()
    console.print(_account(found))
    told = standing.told(found)
    if told["deliveries"]:
        console.print()
        console.print(screen.rows("deliveries", [told["deliveries"]]))
    if told["destinations"]:
        gates = [
            {"destination": name, **gate, "open": _counts(gate["open"])}
            for name, gate in told["destinations"].items()
        ]
        console.print()
        console.print(screen.rows("destinations", gates))
    if told["stuck"]:
        console.print()
        console.print(screen.rows("waits for a person", told["stuck"]))
    console.print()
    console.print(_rest(told))


def _account(found: Status) -> Table:
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(justify="right")
    made.add_column()
    for name, count in found.verdicts.items():
        if count or name in ("deliver", "duplicate", "filtered"):
            made.add_row(str(count), screen.word(name))
    made.add_row(f"= {found.received}", "received")
    return made


def _rest(told: Mapping[str, Any]) -> Table:
    made = screen.pairs()
    made.add_row("oldest unfinished", told["oldest_unfinished"] or "nothing waits")
    made.add_row("spool", f"{told['spool']['bytes']} bytes wait")
    for sentence in told["degraded"]:
        made.add_row("degraded", screen.plain(sentence))
    if told["spool"]["refused"]:
        made.add_row("refused by the database", str(told["spool"]["refused"]))
    return made


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.items())
