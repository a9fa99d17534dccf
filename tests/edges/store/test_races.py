"""Several processes on one PostgreSQL: one claim each, in order, and nobody waits in a circle."""

import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import orjson
import psycopg
import pytest
from ledger import GRACE, POLICY, Ledger, settlement, verdict
from made_up import change, comment, deletion, event, plan, route, thin
from racer import CHANGES, RECORDS, story
from running import until

from bridge.store import schema as t
from bridge.store.inbox.accept import accept
from bridge.store.inbox.grace import drop_after_grace
from bridge.store.queue.settle import settle

pytestmark = pytest.mark.postgres
OPEN = "state NOT IN ('delivered', 'discarded')"
ROUTES = plan(route(hooks=("main", "second"), destinations=("aha", "crm")))


def at_once(*works):
    """Run each in a thread of its own, all at the same time; raises what one of them raised."""
    start, errors = threading.Barrier(len(works)), []

    def run(work):
        start.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.fixture
def pair(postgresql):
    ledgers = [Ledger(postgresql, ROUTES), Ledger(postgresql, ROUTES)]
    yield ledgers
    for each in ledgers:
        each.close()


def held_once(ledger):
    for to in ("aha", "crm"):
        carried = [(name, who) for who, names in ledger.deliveries(to) for name in names]
        assert sorted(carried) == sorted(ledger.holders(to).items())


@pytest.mark.parametrize("seed", range(4))
def test_two_processes_tell_of_the_same_in_batches(pair, seed):
    dice = random.Random(seed)
    effects = [change(n) for n in range(12)]
    batches = []
    for hook in ("main", "second"):
        told = [
            event(f"{hook}{n}", *dice.sample(effects, 2), hook=hook, record=str(dice.randrange(3)))
            for n in range(30)
        ]
        batches.append([told[n : n + 6] for n in range(0, 30, 6)])

    def tell(ledger, mine):
        for batch in mine:
            ledger.keep(*batch)

    at_once(*(lambda n=n: tell(pair[n], batches[n]) for n in range(2)))
    held_once(pair[0])
    assert len(pair[0].outcomes()) == 60
    assert pair[0].holders().keys() <= {each.identity for each in effects}


@pytest.mark.parametrize("round_", range(5))
def test_thin_and_fuller_at_the_same_instant(pair, round_):
    first, second = pair
    at_once(
        lambda: first.keep(*(thin(f"t{n}", comment(n)) for n in range(10))),
        lambda: second.keep(
            *(event(f"f{n}", comment(n), hook="second") for n in reversed(range(10)))
        ),
    )
    assert [who for who, _ in sorted(first.deliveries())] == [f"f{n}" for n in range(10)]
    assert Counter(first.outcomes().values()) == {"deliver": 10, "duplicate": 10}
    held_once(first)


@pytest.mark.parametrize("round_", range(5))
def test_a_fuller_one_comes_while_the_thin_one_is_dropped(pair, round_):
    first, second = pair
    first.keep(thin("t1"))
    first.now += GRACE
    [leased] = first.lease()
    at_once(
        lambda: first.run(
            lambda c, now: drop_after_grace(c, now, leased, verdict(name="filtered"))
        ),
        lambda: second.keep(event("f1", comment(), change())),
    )
    [(carrier, effects)] = first.deliveries()
    assert (carrier, sorted(effects)) == ("f1", sorted([change().identity, comment().identity]))
    assert first.outcome("f1") == "deliver"
    held_once(first)
    assert first.lane()["next_at"] is not None


def test_lanes_are_made_and_settled_in_at_the_same_time(pair):
    """Each settles lanes in which the other queues, in an opposite order."""
    first, second = pair
    for ledger in pair:
        ledger.keep(
            *(
                event(f"{id(ledger)}-{n}", change(f"{id(ledger)}{n}"), record=str(n))
                for n in range(20)
            )
        )

    def work(ledger, records):
        for turn in range(10):
            leased = ledger.lease(5)
            with ledger.transaction() as conn:
                entries = [
                    ledger.entry(
                        event(
                            f"{id(ledger)}-{turn}-{n}", change(f"{id(ledger)}{turn}{n}x"), record=n
                        )
                    )
                    for n in records
                ]
                accept(
                    conn,
                    ledger.now,
                    entries,
                    grace_ms=GRACE,
                    settling=[each.lane for each in leased],
                )
                settle(
                    conn, ledger.now, [settlement(each) for each in leased], POLICY, leasing=["crm"]
                )

    names = [str(n) for n in range(25)]
    at_once(lambda: work(first, names), lambda: work(second, names[::-1]))
    rows = first.rows(t.lanes, destination="aha")
    waiting = {
        row["lane"]
        for row in first.rows(t.deliveries, destination="aha")
        if row["state"] == "queued"
    }
    assert {row["id"] for row in rows if row["next_at"] is not None} == waiting


def test_processes_that_receive_and_deliver(postgresql, tmp_path):
    script = str(Path(__file__).parent / "racer.py")
    Ledger(postgresql, ROUTES).close()
    racers = [
        subprocess.Popen(
            [sys.executable, script, postgresql, str(tmp_path / f"spool-{n}"), str(n)],
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    received = sum(len(story(n)) for n in range(3))
    with psycopg.connect(postgresql, autocommit=True) as conn:
        try:
            until(lambda: _one(conn, "SELECT count(*) FROM events") == received, 60)
            until(lambda: not _one(conn, f"SELECT count(*) FROM deliveries WHERE {OPEN}"), 60)
        finally:
            (tmp_path / "stop").touch()
            said = [racer.communicate(timeout=60)[1].decode()[-3_000:] for racer in racers]
        sent = conn.execute(
            "SELECT d.id, d.destination, d.lane, d.effects FROM attempts a "
            "JOIN deliveries d ON d.id = a.delivery WHERE a.outcome = 'delivered' ORDER BY a.id"
        ).fetchall()
    assert [racer.returncode for racer in racers] == [0, 0, 0], said
    assert "store.lost" not in "".join(said)
    lanes, told = defaultdict(list), Counter()
    for delivery, destination, lane, effects in sent:
        lanes[lane].append(delivery)
        told.update((destination, name) for name in orjson.loads(effects))
    assert len(lanes) == 2 * RECORDS
    assert all(order == sorted(order) for order in lanes.values()), "in order, lane by lane"
    assert max(told.values()) == 1, "no effect is sent twice"
    wanted = [change(n).identity for n in range(CHANGES)]
    assert all(told[to, name] == 1 for to in ("aha", "crm") for name in wanted)


def _one(conn, statement):
    return conn.execute(statement).fetchone()[0]


def test_what_is_deleted_by_one_is_stale_for_the_other(pair):
    first, second = pair
    first.keep(event("d1", deletion()))
    second.keep(event("e1", comment()))
    assert second.outcome("e1") == "stale"


def test_what_is_overtaken_by_one_is_stale_for_the_other(pair):
    first, second = pair
    newer, older = (
        event(name, replace(change(n), sets=("status",)), as_of=n)
        for name, n in (("newer", 2), ("older", 1))
    )
    first.keep(newer)
    second.keep(older)
    assert second.outcome("older") == "stale"
