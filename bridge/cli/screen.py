"""How things are shown: tables for people, JSON for programs."""

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

#: What is drawn where, by verdict or state.
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
    """Draw on stdout; without colours when it is no terminal, or NO_COLOR is set."""
    made = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = 160  # a file has no edge; what is cut off there is lost
    return made


def colours() -> bool:
    """Tell whether stderr likes colours."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def plain(text: object, style: str = "") -> Text:
    """Show what others wrote as it is: no markup, and nothing that a terminal would obey."""
    return Text(printable.for_terminal(str(text)), style)


def word(text: str, name: str = "") -> Text:
    """Show a verdict or a state in its colour."""
    return Text(text, COLOURS.get(name or text, ""))


def pairs() -> Table:
    """Make a table of names and values."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    return made


def rows(title: str, found: Sequence[Mapping[str, Any]]) -> Table:
    """Make a table of rows of plain data, without the columns in which nothing stands."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    columns = [n for n in dict.fromkeys(k for row in found for k in row) if _told(n, found)]
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in found:
        made.add_row(*(_cell(row.get(name)) for name in columns))
    return made


def _told(name: str, found: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get(name) not in (None, "", [], {}) for row in found)


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, list):
        return plain(", ".join(map(str, value)))
    return plain(value, COLOURS.get(value, "") if isinstance(value, str) else "")


def json_line(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(orjson.dumps(value))
