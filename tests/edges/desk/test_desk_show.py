"""One event's life, and the account of all."""

import orjson
import pytest

from bridge.desk import instant, operators, show, status
from bridge.errors import NotFound
from bridge.model import State


def test_a_life_holds_everything_in_plain_data(house):
    issue = house.issue(key="PLAT-1")
    body = house.created(issue)
    first = house.accept(body)
    again = house.accept(body, hook="second")
    house.sent(State.PARKED)
    [parcel] = operators.find_deliveries(house.store, [first])
    operators.retry(house.store, [parcel], who="ana")
    told = orjson.loads(orjson.dumps(show.as_dict(show.history_of(house.store, first), body=True)))
    assert (told["id"], told["key"], told["hook"]) == (first, "PLAT-1", "main")
    assert told["received"] == instant(house.now - 1000)
    assert told["effects"] == [f"issue:{issue.id}:created:2026-03-05T08:00"]
    assert [v["verdict"] for v in told["verdicts"]] == ["deliver", "filtered"]
    [delivery] = told["deliveries"]
    assert (delivery["id"], delivery["state"], delivery["attempts"]) == (parcel.id, "queued", 1)
    assert [a["outcome"] for a in told["attempts"]] == ["refused"]
    assert [(s["event"], s["hook"]) for s in told["sightings"]] == [
        (first, "main"), (again, "second"),
    ]  # fmt: skip
    [action] = told["actions"]
    assert (action["who"], action["what"], action["delivery"]) == ("ana", "retry", parcel.id)
    assert (told["body_kept"], told["body"]) == (True, body.decode())


def test_without_a_kept_body_that_is_said(house):
    body = house.created()
    house.accept(body)
    again = house.accept(body, hook="second")
    told = show.as_dict(show.history_of(house.store, again), body=True)
    assert (told["body_kept"], told["body"]) == (False, None)
    assert "body" not in show.as_dict(show.history_of(house.store, again))


def test_the_beginning_of_an_id_is_enough_when_it_is_one_events(house):
    first, second = house.accept(house.created()), house.accept(house.created())
    assert show.find_event(house.store, first[:15]) == first
    assert show.find_event(house.store, second) == second
    shared = first[:4]
    assert second.startswith(shared)
    with pytest.raises(NotFound, match=f"several events begin with {shared}: {first}, {second}"):
        show.find_event(house.store, shared)
    for nothing in ("", "zzz", f"{first}0"):
        with pytest.raises(NotFound, match="there is no event"):
            show.history_of(house.store, nothing)


def test_the_account_adds_up(house):
    issue = house.issue()
    house.accept(house.created(issue))
    house.accept(house.created(issue), hook="second")
    house.accept(house.created(house.issue("HR")))
    house.accept(b"nonsense")
    house.sent(State.DELIVERED)
    oldest = house.now
    house.accept(house.created(), hook="idle")
    house.accept(house.created())
    found = status.status_of(house.store)
    told = status.as_dict(found)
    assert told["received"] == 6 == sum(told["verdicts"].values())
    assert told["verdicts"] == {
        "deliver": 2, "duplicate": 1, "filtered": 2, "echo": 0, "forbidden": 0, "undecided": 0,
        "rejected": 1, "stale": 0,
    }  # fmt: skip
    assert told["deliveries"] == {"delivered": 1, "queued": 1}
    assert told["destinations"]["aha"] == {
        "paused": "", "blocked_until": None, "failures": 0, "breaker": "closed",
        "open": {"queued": 1},
    }  # fmt: skip
    assert told["oldest_unfinished"] > instant(oldest)
    assert told["spool"] == {"bytes": 0, "refused": 0}


def test_what_waits_in_the_spool_is_counted(house):
    spool = house.settings.spool
    spool.mkdir(exist_ok=True)
    (spool / "a-1.spool").write_bytes(b"12345")
    (spool / "b-1.spool").write_bytes(b"12")
    (spool / "x.refused").write_bytes(b"1")
    told = status.as_dict(status.status_of(house.store))
    assert told["spool"] == {"bytes": 7, "refused": 1}
