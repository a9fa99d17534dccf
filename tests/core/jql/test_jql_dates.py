"""Instants: absolute, relative, by function, in the site's time zone and week."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jql_samples import NOW, body, judge

from bridge.core import jql
from bridge.core.jql import dates
from bridge.errors import BadFilter
from bridge.model import Site

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026/10/08", "2026-10-08"),
        ("2026-1-2", "2026-01-02"),
        ("2026/10/08 15:30", "2026-10-08T15:30"),
        ("2026-10-08 5:30", "2026-10-08T05:30"),
        ("-4days", "2026-10-04T18:00"),
        ("-1w, 3minutes", "2026-10-01T17:57"),
        ("1week 2days,3hours", "2026-10-17T21:00"),
        ("-1d", "2026-10-07T18:00"),
        ("1d", "2026-10-09T18:00"),
        ("+2w", "2026-10-22T18:00"),
        ("-4w 2d", "2026-09-08T18:00"),
        ("1h30m", "2026-10-08T19:30"),
        ("-6m", "2026-10-08T17:54"),
        ("5", "2026-10-08T18:05"),
        ("-5", "2026-10-08T17:55"),
        ("0", "2026-10-08T18:00"),
    ],
)
def test_literals(text: str, wanted: str) -> None:
    at = dates.literal(text, number=False, zone=UTC)
    assert at is not None
    assert at(NOW) == ms(wanted)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-10-08 15:30:01", "2026-10-08T15:30", "-4dayss", "-4days,", "1w;1d", "-4 days"),
        *("", "soon", "2026-13-01", "2026/02/30", "2026/10-08", "2026-10-08T25:00", "26-10-08"),
        *("-1M", "1y", "-1d-2d", "d", "1 d", "٣d", "0000-01-01", "999999w", "1d2"),
    ],
)
def test_what_is_no_instant(text: str) -> None:
    assert dates.literal(text, number=False, zone=UTC) is None


def test_a_bare_number_is_epoch_milliseconds() -> None:
    at = dates.literal("1791482400000", number=True, zone=UTC)
    assert at is not None
    assert at(5) == NOW
    assert dates.literal("9" * 15, number=True, zone=UTC) is None
    assert dates.literal("9" * 5000, number=True, zone=UTC) is None
    assert judge("created > 1791471599000") is True
    assert judge("created > 1791471600000") is False


def test_absolute_instants_are_in_the_sites_zone() -> None:
    site = Site(name="b", timezone="Europe/Berlin")
    assert judge('created = "2026/10/08 17:00"', site=site) is True
    assert judge('created >= "2026/10/09"', body({"created": "2026-10-08T22:30:00Z"}), site) is True
    assert judge('created >= "2026/10/09"', body({"created": "2026-10-08T22:30:00Z"})) is False


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("startOfDay()", "2026-10-08"),
        ("startOfDay(-1)", "2026-10-07"),
        ('startOfDay("+1d")', "2026-10-09"),
        ('startOfDay("+3h")', "2026-10-08T03:00"),
        ('startOfDay("90m")', "2026-10-08T01:30"),
        ("startOfWeek()", "2026-10-04"),
        ("startOfWeek(1)", "2026-10-11"),
        ('startOfWeek("+1d")', "2026-10-05"),
        ('startOfWeek("-1w")', "2026-09-27"),
        ("startOfMonth()", "2026-10-01"),
        ("startOfMonth(-1M)", "2026-09-01"),
        ("startOfMonth(5)", "2027-03-01"),
        ('startOfMonth("+14d")', "2026-10-15"),
        ("startOfYear()", "2026-01-01"),
        ("startOfYear(-1y)", "2025-01-01"),
        ("startOfYear(2M)", "2026-03-01"),
        ("endOfDay()", "2026-10-08T23:59:59.999"),
        ("endOfDay(+1)", None),
        ('endOfDay("+1")', "2026-10-09T23:59:59.999"),
        ("endOfWeek()", "2026-10-10T23:59:59.999"),
        ("endOfMonth()", "2026-10-31T23:59:59.999"),
        ('endOfMonth("+15d")', "2026-11-15T23:59:59.999"),
        ("endOfMonth(4)", "2027-02-28T23:59:59.999"),
        ("endOfYear()", "2026-12-31T23:59:59.999"),
        ('endOfYear("+3M")', "2027-03-31T23:59:59.999"),
        ('endOfYear("+2M")', "2027-02-28T23:59:59.999"),
        ("now()", "2026-10-08T18:00"),
    ],
)
def test_functions(call: str, wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(BadFilter):
            jql.parse(f"created = {call}")
        return
    at = ms(wanted)
    told = {at: "=", at - 1000: "<", at + 1000: ">"}
    for instant, sign in told.items():
        stamp = datetime.fromtimestamp(instant / 1000, UTC).isoformat()
        for other in ("=", "<", ">"):
            assert judge(f"created {other} {call}", body({"created": stamp})) is (sign == other)


def test_weeks_start_where_the_site_says() -> None:
    at = dates.boundary("week", "", end=False, zone=UTC, monday=True)
    assert at is not None
    assert at(NOW) == ms("2026-10-05")
    assert at(ms("2026-10-05")) == ms("2026-10-05")
    assert at(ms("2026-10-04T23:59")) == ms("2026-09-28")
    site = Site(name="m", week_starts="Monday")
    assert (
        judge("created > startOfWeek()", body({"created": "2026-10-04T12:00:00Z"}), site) is False
    )
    assert judge("created > startOfWeek()", body({"created": "2026-10-04T12:00:00Z"})) is True


def test_days_have_23_and_25_hours_where_clocks_change() -> None:
    noon = ms("2026-10-25T11:00")
    start = dates.boundary("day", "", end=False, zone=BERLIN, monday=True)
    after = dates.boundary("day", "1", end=False, zone=BERLIN, monday=True)
    assert start is not None
    assert after is not None
    assert after(noon) - start(noon) == 25 * 3_600_000


@pytest.mark.parametrize("increment", ["x", "1x", "1 d", "++1", "1001y", "52001w", "", "99999M"])
def test_increments(increment: str) -> None:
    found = dates.boundary("day", increment, end=True, zone=UTC, monday=False)
    assert (found is None) is (increment != "")


@pytest.mark.parametrize(
    ("query", "due", "wanted"),
    [
        ("due = 1d", "2026-10-09", True),
        ("due = 0d", "2026-10-08", True),
        ("due < now()", "2026-10-08", False),
        ("due < now()", "2026-10-07", True),
        ("due <= now()", "2026-10-08", True),
        ("due < endOfDay()", "2026-10-08", True),
        ("due <= endOfDay()", "2026-10-08", True),
        ("due < endOfDay()", "2026-10-09", False),
        ('due < endOfDay("+1")', "2026-10-09", True),
        ("due > endOfDay()", "2026-10-08", False),
        ("due >= endOfDay()", "2026-10-08", False),
        ("due > endOfDay()", "2026-10-09", True),
        ("due = endOfDay()", "2026-10-08", True),
        ("due >= startOfDay()", "2026-10-08", True),
        ("due < startOfDay()", "2026-10-08", False),
        ("due in (endOfDay(), 1d)", "2026-10-09", True),
        ("due not in (endOfDay(), 1d)", "2026-10-10", True),
        ('due < endOfMonth("+15d")', "2026-11-15", True),
    ],
)
def test_due_is_a_day(query: str, due: str, wanted: bool) -> None:
    assert judge(query, body({"duedate": due})) is wanted


def test_jiras_index_keeps_whole_seconds() -> None:
    told = body({"created": "2026-10-08T15:00:00.500+0000"})
    assert judge('created = "2026/10/08 15:00"', told) is True
    assert judge('created > "2026/10/08 15:00"', told) is False


@pytest.mark.parametrize(
    ("text", "number", "seconds"),
    [
        ("2d", False, 16 * 3600),
        ("1w", False, 40 * 3600),
        ("1w 2d 3h 4m", False, (40 + 16 + 3) * 3600 + 240),
        ("1.5h", False, 5400),
        ("30M", False, 1800),
        ("90", False, 5400),
        ("90", True, 5400),
        ("-5", True, -300),
        ("", False, None),
        ("x", False, None),
        ("2 d", False, None),
        ("9" * 10, True, None),
    ],
)
def test_spans(text: str, number: bool, seconds: int | None) -> None:
    assert dates.span(text, number=number) == seconds


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-10-08T15:00:00.000+0000", "2026-10-08T15:00"),
        ("2026-10-08T15:00:00.000+02:00", "2026-10-08T13:00"),
        ("2026-10-08T15:00:00Z", "2026-10-08T15:00"),
        ("2026-10-08T15:00", "2026-10-08T13:00"),
        ("2026-10-08", "2026-10-07T22:00"),
        ("15:00", None),
        ("", None),
        ("\ud800", None),
        ("0001-01-01T00:00:00+23:59", "0000"),
        ("9999-12-31T23:59:59-23:59", "9999"),
    ],
)
def test_what_bodies_tell(text: str, wanted: str | None) -> None:
    found = dates.read(text, BERLIN)
    assert found == wanted if wanted is None else found is not None
    if wanted is not None and len(wanted) > 4:
        assert found == ms(wanted)


def test_days_bodies_tell() -> None:
    assert str(dates.day("2026-10-08", BERLIN)) == "2026-10-08"
    assert str(dates.day("2026-10-08T22:30:00Z", BERLIN)) == "2026-10-09"
    assert dates.day("soon", BERLIN) is None


def test_an_unknown_time_zone_is_an_error_of_filters_with_dates_only() -> None:
    for zone in ("Europe/Atlantis", "../x", ""):
        site = Site(name="s", timezone=zone)
        assert jql.compile("project = PLAT", site)
        with pytest.raises(BadFilter, match="time zone"):
            jql.compile("created > -1d", site)


@given(
    st.sampled_from(sorted(dates.PERIODS)),
    st.integers(-300, 300),
    st.sampled_from(["", "y", "M", "w", "d", "h", "m"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2 * NOW),
)
def test_the_end_of_a_period_is_just_before_the_next(
    period: str, count: int, unit: str, end: bool, monday: bool, now: int
) -> None:
    own = dates.PERIODS[period]
    at = dates.boundary(period, f"{count}{unit}", end=end, zone=BERLIN, monday=monday)
    assert at is not None
    found = at(now)
    local = dates.local(found + end, BERLIN)
    if unit in ("", own):
        start = dates.boundary(period, f"{count + end}", end=False, zone=BERLIN, monday=monday)
        assert start is not None
        assert found == start(now) - end
        assert (local.hour, local.minute) == (0, 0)
