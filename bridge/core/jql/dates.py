"""Instants and durations, as filters and as webhook bodies write them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

#: Maps now to another instant, both in ms since the epoch.
Instant = Callable[[int], int]

_DAY: Final = 86_400_000
_UNITS: Final = {"w": 7 * _DAY, "d": _DAY, "h": 3_600_000, "m": 60_000}
#: Seconds of working time per unit of time tracking, by Jira's defaults.
_WORKING: Final = {"w": 5 * 8 * 3600, "d": 8 * 3600, "h": 3600, "m": 60}
_ABSOLUTE: Final = re.compile(
    r"(\d{4})([/-])(\d{1,2})\2(\d{1,2})(?: +(\d{1,2}):(\d{2}))?", re.ASCII
)
#: A unit as a letter or as a word; spaces and commas may separate two amounts.
_UNIT: Final = r"(?:w(?:eeks?)?|d(?:ays?)?|h(?:ours?)?|m(?:inutes?)?)"
_WHOLE: Final = rf"\d{{1,6}}{_UNIT}"
_RELATIVE: Final = re.compile(rf"([+-]?)({_WHOLE}(?:[\s,]*{_WHOLE})*)", re.ASCII)
_PIECE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([wdhm])", re.ASCII)
_DECIMAL: Final = rf"\d{{1,6}}(?:\.\d{{1,6}})?{_UNIT}"
_SPAN: Final = re.compile(rf"{_DECIMAL}(?:[\s,]*{_DECIMAL})*", re.ASCII)
_MINUTES: Final = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_INCREMENT: Final = re.compile(r"([+-]?\d{1,5})([yMwdhm]?)", re.ASCII)
#: Minutes whose author may mean months.
MONTH_LIKE: Final = re.compile(r"[+-]?\d{1,2}m", re.ASCII)
#: Months, which relative dates do not support.
MONTHS: Final = re.compile(r"\d(?:M|month)", re.ASCII)
#: A duration that depends on the site's working hours.
WORKING: Final = re.compile(r"\d[wd]", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
#: The largest increment of a function, by unit: about a thousand years.
_MOST: Final = {"y": 1_000, "M": 12_000, "w": 52_000, "d": 99_999, "h": 99_999, "m": 99_999}
#: The periods that startOf…() and endOf…() name, with the unit of their increments.
PERIODS: Final = {"day": "d", "week": "w", "month": "M", "year": "y"}

FORMATS: Final = (
    "Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', "
    "or a period format e.g. '-5d', '4w 2d'."
)


def read(text: str, zone: tzinfo) -> int | None:
    """Read a date or an instant as bodies write them, in ms since the epoch."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        return epoch_ms(found)
    except (ValueError, OverflowError):
        return None


def day(text: str, zone: tzinfo) -> date | None:
    """Read the day of a date or an instant as bodies write them."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        at = read(text, zone)
        return None if at is None else local(at, zone).date()


def local(at: int, zone: tzinfo) -> datetime:
    """Return an instant (in ms since the epoch) as local time at the site."""
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)


def epoch_ms(at: datetime) -> int:
    """Return an instant in ms since the epoch."""
    return (at - _EPOCH) // _MILLISECOND


def literal(text: str, *, number: bool, zone: tzinfo) -> Instant | None:
    """Read an instant as filters write it; None when the text is not an instant."""
    if number:
        at = int(text) if len(text) <= 15 else None
        return None if at is None or abs(at) > 10**14 else lambda _now: at
    if absolute := _ABSOLUTE.fullmatch(text.strip()):
        fixed = _fixed(absolute, zone)
        return None if fixed is None else lambda _now: fixed
    offset = _offset(text.strip())
    return None if offset is None else lambda now: now + offset


def _fixed(match: re.Match[str], zone: tzinfo) -> int | None:
    year, _, month, day_, hour, minute = match.groups(default="0")
    try:
        found = datetime(int(year), int(month), int(day_), int(hour), int(minute), tzinfo=zone)
        return epoch_ms(found)
    except (ValueError, OverflowError):
        return None


def _offset(text: str) -> int | None:
    if _MINUTES.fullmatch(text):
        return int(text) * _UNITS["m"]
    match = _RELATIVE.fullmatch(text)
    if match is None:
        return None
    total = sum(int(count) * _UNITS[unit] for count, unit in _PIECE.findall(match[2]))
    if total > 1000 * 366 * _DAY:
        return None
    return -total if match[1] == "-" else total


def span(text: str, *, number: bool) -> int | None:
    """Read an amount of working time in seconds; a bare number is minutes."""
    if number or _MINUTES.fullmatch(text):
        return int(text) * 60 if len(text) <= 9 else None
    if not _SPAN.fullmatch(text.strip().lower()):
        return None
    pieces = _PIECE.findall(text.lower())
    return round(sum(float(count) * _WORKING[unit] for count, unit in pieces))


def boundary(
    period: str, increment: str, *, end: bool, zone: tzinfo, monday: bool
) -> Instant | None:
    """Return the start or end of a period around now; None when the increment is malformed.

    An increment in the period's own unit picks another period; an increment in another unit is
    added to the boundary.
    """
    match = _INCREMENT.fullmatch(increment or "0")
    if match is None or abs(int(match[1])) > _MOST.get(match[2] or PERIODS[period], 0):
        return None
    count, unit = int(match[1]), match[2] or PERIODS[period]
    own = count if unit == PERIODS[period] else 0
    other = count - own

    def at(now: int) -> int:
        midnight = local(now, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        edge = _shift(_first(midnight, period, monday=monday), own + end, PERIODS[period])
        edge = _shift(edge - end * _MILLISECOND, other, unit)
        found = epoch_ms(edge.replace(tzinfo=zone))
        return found + (other * _UNITS[unit] if unit in "hm" else 0)

    return at


def _first(midnight: datetime, period: str, *, monday: bool) -> datetime:
    if period == "week":
        return midnight - timedelta(days=(midnight.weekday() + (not monday)) % 7)
    if period == "month":
        return midnight.replace(day=1)
    return midnight.replace(month=1, day=1) if period == "year" else midnight


def _shift(edge: datetime, count: int, unit: str) -> datetime:
    """Move by calendar days, weeks, months or years; hours and minutes are added elsewhere."""
    if unit in "wd":
        return edge + timedelta(days=count * (7 if unit == "w" else 1))
    if unit in "hm":
        return edge
    months = edge.year * 12 + edge.month - 1 + count * (12 if unit == "y" else 1)
    year, month = months // 12, months % 12 + 1
    return edge.replace(year=year, month=month, day=min(edge.day, monthrange(year, month)[1]))
