"""Printing: tables for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.core import printable

#: The colour of each verdict and each state of a delivery.
COLOURS = {
    "deliver": "green",
    "delivered": "green",
    "duplicate": "blue",
    "filtered": "bright_black",
    "echo": "bright_black",
    "forbidden": "yellow",
    "undecided": "cyan",
    "rejected": "red",
    "parked": "red",
    "in_doubt": "red",
    "retrying": "yellow",
    "discarded": "bright_black",
}


def console() -> Console:
    """Return a console on stdout, without colours off a terminal or with NO_COLOR."""
    out = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    if not out.is_terminal:
        out.width = 160  # so that less is cut off in a file or a pipe
    return out


def colours() -> bool:
    """Whether to use colours on stderr."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def escape(text: object, style: str = "") -> Text:
    """Return text from outside for printing, without markup or control characters."""
    return Text(printable.for_terminal(str(text)), style)


def colour(text: str, name: str = "") -> Text:
    """Return a verdict or a state in its colour; `name` is the word if `text` is padded."""
    return Text(text, COLOURS.get(name or text, ""))


def two_columns() -> Table:
    """Return an empty table of names and values."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of rows given as dictionaries, without its empty columns."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    columns = [n for n in dict.fromkeys(k for row in rows for k in row) if _is_filled(n, rows)]
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(row.get(name)) for name in columns))
    return grid


def _is_filled(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get(name) not in (None, "", [], {}) for row in rows)


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, list):
        return escape(", ".join(map(str, value)))
    return escape(value, COLOURS.get(value, "") if isinstance(value, str) else "")


def json_line(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(orjson.dumps(value))
