"""Options that several commands share: settings as flags, --json, instants."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import click

from bridge.config import OPTIONS, Option
from bridge.core.nearest import nearest

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGO = re.compile(r"([0-9]{1,9})\s*([smhdw])")


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flags of the named settings, or of all; they arrive as keyword arguments."""
    picked = [option for option in OPTIONS if not names or option.name in names]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(picked):
            command = _flag(option)(command)
        return command

    return add


def _flag(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    default = "" if not option.default else f"; default: {option.default}"
    return click.option(
        option.flag,
        option.name,
        metavar="TEXT" if option.default is None else None,
        help=f"{option.sentence}  [{option.variable}{default}]",
    )


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def now() -> int:
    """Return the current time, in ms since the epoch."""
    return int(time.time() * 1000)


class Instant(click.ParamType[int]):
    """An instant as ISO 8601 or as a time ago (90s, 15m, 2h, 3d, 1w); in ms since the epoch."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse an instant; without a time zone it is in UTC, like all printed times."""
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        if ago:
            return now() - int(ago[1]) * _UNITS[ago[2]]
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither like 2026-03-05T14:00:00Z nor like 2h", param, ctx)
        at = when if when.tzinfo else when.replace(tzinfo=UTC)
        return int(at.timestamp() * 1000)


class Word(click.ParamType[str]):
    """One of some words; an unknown word fails with the nearest known one, or with all of them."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self._known = tuple(map(str, known))

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the word."""
        word = str(value)
        if word and word not in self._known:
            near = nearest(word, self._known)
            advice = f"did you mean {near}?" if near else f"known: {', '.join(self._known)}"
            self.fail(f"{word!r} is no {self.name}; {advice}", param, ctx)
        return word
