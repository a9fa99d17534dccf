"""The writer: what waits together is committed together, and what cannot be waits in the spool."""

import threading
from dataclasses import replace

import psycopg
import pytest
from ledger import POLICY
from running import REQUEST, Running, hooks, judge, request, until
from sqlalchemy import make_url, text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from bridge.errors import NotKept
from bridge.intake import SpoolPump
from bridge.model import State
from bridge.store import Arrival, Clocks, Down, Settlement, Store
from bridge.store import schema as t
from bridge.store.database.errors import is_outage, without_values
from bridge.store.spool import Spool, _record
from bridge.store.writer.loop import Writer
from bridge.timing import Timing

TIMING = Timing()


@pytest.fixture
def running(database, tmp_path):
    made = []

    def make(url=database, **known):
        made.append(Running(url, tmp_path, **known))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def bridge(running):
    return running().begin()


def requests(*ids, **body):
    return [request(id, **body) for id in ids]


def names(count, letter="e"):
    return [f"{letter}{n:03}" for n in range(count)]


# Together


class Counting:
    """A clock that the writing thread reads once a transaction; others may read it, too."""

    def __init__(self):
        self.read = 0

    def __call__(self):
        self.read += threading.current_thread().name == "writer"
        return 1_714_550_400_000


def test_what_waits_together_is_committed_together(running):
    clock = Counting()
    bridge = running(clocks=Clocks.given(clock)).begin()
    before = clock.read
    assert bridge.keep_at_once(*requests(*names(50))) == [None] * 50
    assert clock.read - before == 2, "the work that held the writer, and all the rest"
    assert bridge.queued() == names(50), "in the order they came"


def test_no_more_than_a_batch_is_committed_together(running):
    clock = Counting()
    bridge = running(clocks=Clocks.given(clock)).begin()
    before = clock.read
    bridge.keep_at_once(*requests(*names(TIMING.writer_batch_size + 1)))
    assert clock.read - before == 3
    assert bridge.queued() == names(TIMING.writer_batch_size + 1)


def test_what_was_judged_at_the_door_is_not_judged_again(bridge):
    made = request("e1", broken=True)
    entries = judge(request("e1"))
    bridge.store.keep(Arrival(request=made, entries=entries))
    assert bridge.kept() == {"e1": "deliver"}


def test_workers_who_ask_together_get_a_lane_each(bridge):
    bridge.keep(*(request(f"e{n}", record=n) for n in range(2)))
    turns = []
    threads = [
        threading.Thread(target=lambda: turns.append(bridge.store.settle_and_lease(None, REQUEST)))
        for _ in range(3)
    ]
    with bridge.held():
        for thread in threads:
            thread.start()
        until(lambda: bridge.store._started_writer.waiting == 3)
    for thread in threads:
        thread.join()
    leased = {turn.leased.event for turn in turns if turn.leased}
    assert leased == {"e0", "e1"}
    assert [(turn.wait_ms, turn.settled) for turn in turns if not turn.leased] == [(None, True)]


def test_settling_one_and_asking_for_the_next(bridge):
    bridge.keep(request("e1"), request("e2"))
    first = bridge.lease()
    done = _delivered(first)
    turn = bridge.store.settle_and_lease(done, REQUEST)
    assert (turn.settled, turn.leased.event) == (True, "e2")
    again = bridge.store.settle_and_lease(done, REQUEST)
    assert (again.settled, again.leased, again.wait_ms) == (False, None, None)
    turn = bridge.store.settle_and_lease(_delivered(turn.leased), None)
    assert (turn.settled, turn.leased, turn.wait_ms) == (True, None, None)


def test_how_long_to_wait_for_the_next(bridge):
    bridge.keep(request("e1"))
    later = replace(_delivered(bridge.lease()), state=State.RETRYING, delay_ms=90_000)
    turn = bridge.store.settle_and_lease(later, REQUEST)
    assert 80_000 < turn.wait_ms <= 90_000


def _delivered(leased):
    return Settlement(
        lane=leased.lane,
        fence=leased.fence,
        delivery=leased.delivery,
        destination="aha",
        state=State.DELIVERED,
    )


# What the database will not have


def test_a_poisoned_request_is_put_aside_and_the_others_pass(bridge):
    given = [
        request("e1"),
        request("e2", poison=True),
        request("e3"),
        request("e4", broken=True),
        request("e5"),
    ]
    assert bridge.keep_at_once(*given) == [None] * 5
    outcomes = {"e1": "deliver", "e2": "rejected", "e3": "deliver", "e4": "rejected"}
    assert bridge.kept() == {**outcomes, "e5": "deliver"}
    assert bridge.files("refused") == ["e2.refused", "e4.refused"]
    with bridge.store._reading() as conn:
        said = conn.scalar(text("SELECT verdicts FROM events WHERE id = 'e2'"))
    assert "the database refuses it (IntegrityError): it is kept in e2.refused" in said
    assert not bridge.store.outage


def test_verdicts_are_counted_by_stage_once_they_are_kept(bridge):
    bridge.keep(request("e1", change="1"), request("e2", change="1"))
    bridge.keep(request("e1", change="1"))
    [bad] = bridge.keep_at_once(request("e3", poison=True))
    assert bad is None, "the row of a quarantined request is kept in its place"
    assert bridge.store.verdicts == {
        ("deliver", "passes_filter"): 1,
        ("duplicate", "claimed"): 1,
        ("rejected", "read"): 1,
    }


def test_a_request_that_was_kept_already_is_no_surprise(bridge):
    bridge.keep(request("e1"))
    bridge.keep(request("e1"))
    assert bridge.kept() == {"e1": "deliver"}
    assert bridge.files("refused") == ["e1.refused"]


def test_work_that_fails_fails_alone(bridge):
    errors = []

    def fail(conn, now):
        conn.execute(t.jobs.insert().values(name="x", owner="", until=0))
        raise KeyError("mine")

    def run(work):
        try:
            bridge.store._write(work)
        except Exception as error:  # noqa: BLE001 - it is looked at
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(work,))
        for work in (fail, lambda conn, now: conn.execute(t.jobs.select()).all(), fail)
    ]
    with bridge.held():
        for thread in threads:
            thread.start()
        until(lambda: bridge.store._started_writer.waiting == 3)
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [KeyError, KeyError]
    assert bridge.store._write(lambda conn, now: conn.execute(t.jobs.select()).all()) == []
    bridge.keep(request("e1"))


def test_a_database_that_refuses_and_a_disk_that_is_full(running, tmp_path):
    bridge = running().begin()
    bridge.folder.write_text("no folder can be made here")
    [error] = bridge.keep_at_once(request("e1", poison=True))
    assert isinstance(error, NotKept)
    assert str(error).startswith("the spool cannot be written: ")
    bridge.folder.unlink()
    bridge.keep(request("e2"))
    assert bridge.kept() == {"e2": "deliver"}


def test_what_cannot_even_be_told_of_is_kept_aside(bridge):
    given = replace(request("e1", poison=True), hook=None)
    bridge.keep(given)
    assert bridge.files("refused") == ["e1.refused"]
    assert bridge.kept() == {}
    bridge.keep(request("e2"))


def test_what_a_driver_does_not_know(bridge):
    """Numbers are bounded where they are read; the writer outlives one that is not."""
    bridge.keep(request("e1"))
    done = replace(_delivered(bridge.lease()), outcome="delivered", status=2**70)
    with pytest.raises((OverflowError, DBAPIError)) as caught:
        bridge.store.settle_and_lease(done, None)
    assert not is_outage(caught.value)
    assert bridge.store.settle_and_lease(replace(done, status=200), None).settled


# While the database is away


def test_while_the_database_is_away_requests_wait_in_the_spool(bridge):
    bridge.keep(request("a1"))
    with bridge.away():
        bridge.keep(request("b1"))
        assert bridge.store.outage
        assert bridge.store.backlog
        assert bridge.store.can_keep()
        bridge.keep(*requests("b2", "b3"))
        with pytest.raises(Down, match="the database cannot be reached: "):
            bridge.store._write(lambda conn, now: None)
        with pytest.raises(Down):
            bridge.store.settle_and_lease(None, REQUEST)
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["a1", "b1", "b2", "b3"]
    assert bridge.kept() == dict.fromkeys(["a1", "b1", "b2", "b3"], "deliver")
    assert not bridge.store.outage
    assert bridge.files("*") == []


def test_nothing_overtakes_what_waits(bridge):
    with bridge.away():
        bridge.keep(*requests(*names(2 * TIMING.drain_batch_size, "b")))
    bridge.keep(*requests("c1", "c2"))
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == [*names(2 * TIMING.drain_batch_size, "b"), "c1", "c2"]


def test_the_database_is_tried_again_and_again(running):
    soon = Timing(database_retry_min_s=0.01, spool_poll_s=0.01, file_quiet_period_s=0)
    bridge = running(timing=soon).begin()
    with bridge.cut_off() as tries:
        bridge.keep(request("e1"))
        until(lambda: len(tries) > 2)
        bridge.keep(request("e2"))
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["e1", "e2"]


def left_behind(folder, *requests):
    """Leave requests in the spool of a process that is gone."""
    spool = Spool(folder / "spool", limit=1 << 30, process="dead")
    spool.append(requests)
    spool.close()


def test_what_comes_while_the_spool_drains_waits_behind_it(running, tmp_path):
    many = requests(*names(2 * TIMING.drain_batch_size, "b"))
    left_behind(tmp_path, request("a", first="come"), *many)
    bridge, came = running(), threading.Event()
    hooks["come"] = lambda: came.wait(20)
    bridge.start()
    late = threading.Thread(target=bridge.keep, args=(request("c"),))
    late.start()
    until(lambda: bridge.store._started_writer.waiting or not late.is_alive())
    came.set()
    late.join(20)
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["a", *names(2 * TIMING.drain_batch_size, "b"), "c"]


def test_the_database_goes_away_while_the_spool_is_gone_through_one_by_one(sqlite, tmp_path):
    given = request("e1", poison=True), request("e2", first="leave"), request("e3")
    left_behind(tmp_path, *given)
    bridge, times, begun, back = Running(sqlite, tmp_path), [], [], []

    def leave(_):
        if bridge.files("refused"):
            begun.append(1)
        if len(begun) > 1 and not back:  # the row of the first is written, and the second is alone
            raise OperationalError("BEGIN", {}, Exception("gone"))

    listen(bridge.store._writers, "begin", leave)
    hooks["leave"] = lambda: times.append(1)
    bridge.start()
    until(lambda: bridge.store.outage)
    tried = len(times)
    back.append(1)
    until(lambda: not bridge.store.backlog)
    assert bridge.kept() == {"e1": "rejected", "e2": "deliver", "e3": "deliver"}
    assert bridge.files("refused") == ["e1.refused"]
    assert (tried, len(times) > tried) == (1, True), "together and alone, and again afterwards"
    bridge.close()


def test_a_spooled_request_that_takes_long_to_judge_holds_no_other_job_up(running, tmp_path):
    left_behind(tmp_path, request("e1", first="stay"))
    judging, go_on = threading.Event(), threading.Event()

    def stay():
        judging.set()
        assert go_on.wait(20)

    hooks["stay"] = stay
    bridge = running(timing=Timing(judging_limit_s=0.01))
    bridge.start()
    assert judging.wait(20)
    bridge.keep(request("e2"))
    assert bridge.kept() == {}, "it went into the spool, behind the other"
    go_on.set()
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["e1", "e2"]


def test_a_segment_that_holds_nothing(running, tmp_path):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "dead-000001.spool").write_bytes(b"")
    bridge = running().begin()
    until(lambda: not bridge.store.backlog)
    assert bridge.files("*") == []


def test_what_was_sent_is_not_forgotten(bridge):
    bridge.keep(request("e1"), request("e2"))
    leased = bridge.lease()
    with bridge.away(), pytest.raises(Down):
        bridge.store.settle_and_lease(_delivered(leased), REQUEST)
    turn = until(lambda: _again(bridge, leased))
    assert turn.settled
    assert (turn.leased or bridge.lease()).event == "e2"


def test_who_sent_while_the_database_was_away_says_so_before_others_may_lease(running):
    quiet = Timing(quiet_period_s=60, file_quiet_period_s=60)
    bridge = running(timing=quiet).begin()
    bridge.keep(request("e1"), request("e2"))
    brief = replace(REQUEST, lease_ms=1)
    leased = bridge.store.settle_and_lease(None, brief).leased
    with bridge.away(), pytest.raises(Down):
        bridge.store.settle_and_lease(_delivered(leased), REQUEST)
    # Its lease is long over, and nobody gets what it has in hand.
    turn = until(lambda: _asked(bridge))
    assert (turn.leased, turn.wait_ms) == (None, None)
    assert bridge.store.settle_and_lease(_delivered(leased), REQUEST).settled
    other = running(process="other").begin()
    assert other.lease().event == "e2"


def _asked(bridge):
    try:
        return bridge.store.settle_and_lease(None, REQUEST)
    except Down:
        return None


def _again(bridge, leased):
    try:
        return bridge.store.settle_and_lease(_delivered(leased), REQUEST)
    except Down:
        return None


def test_a_full_spool_says_so(running):
    size = len(_record(replace(request("e1"), place=request("e1").received)))
    bridge = running(spool_limit=2 * size).begin()
    assert bridge.store.can_keep()
    with bridge.away():
        bridge.keep(request("e1"))
        with pytest.raises(NotKept, match="the spool is full"):
            bridge.keep(request("e2", filling="x" * 300))
        bridge.keep(request("e3"))
        assert not bridge.store.can_keep()
    until(lambda: not bridge.store.backlog)
    assert bridge.store.can_keep()
    bridge.keep(request("e2"))
    assert bridge.kept() == dict.fromkeys(["e1", "e2", "e3"], "deliver")


def test_a_poisoned_request_does_not_stop_the_spool(bridge):
    with bridge.away():
        bridge.keep(*requests("e1"), request("e2", poison=True), request("e3", broken=True))
        bridge.keep(*requests("e4"))
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["e1", "e4"]
    assert bridge.files("refused") == ["e2.refused", "e3.refused"]
    assert bridge.kept()["e2"] == "rejected"


def test_what_another_process_left_is_drained_at_the_start(running):
    first = running().begin()
    with first.away():
        first.keep(*requests("e1", "e2"))
        first.store.close()
    second = running().begin()
    second.keep(request("e3"))
    until(lambda: not second.store.backlog)
    assert second.queued() == ["e1", "e2", "e3"]


def test_what_was_kept_before_the_answer_was_lost_is_kept_once(running, tmp_path):
    bridge = running().begin()
    bridge.keep(request("e1"))
    bridge.close()
    left_behind(tmp_path, request("e1"), request("e2"))
    bridge = running().begin()
    bridge.keep(request("e3"))
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["e1", "e2", "e3"]
    assert bridge.files("*") == []


def test_what_cannot_be_read_any_more_is_told_of_and_kept_aside(running):
    first = running().begin()
    with first.away():
        first.keep(*requests("e1", "e2"))
        first.store.close()
    [path] = first.folder.glob("*.spool")
    whole = bytearray(path.read_bytes())
    whole[30] ^= 1
    path.write_bytes(whole)
    second = running().begin()
    second.keep(request("e3"))
    until(lambda: not second.store.backlog)
    assert second.queued() == ["e2", "e3"]
    assert second.files("damaged") == ["bridge-000001.damaged"]


def test_a_store_can_start_while_its_database_is_away(running):
    bridge = running()
    with bridge.away():
        bridge.start()
        bridge.keep(request("e1"))
        with pytest.raises(Down):
            bridge.store._write(lambda conn, now: None)
    until(lambda: not bridge.store.backlog)
    assert bridge.kept() == {"e1": "deliver"}


# Stopping


def test_stopping_writes_what_waits(bridge):
    with bridge.held():
        threads = [
            threading.Thread(target=bridge.keep, args=(each,)) for each in requests(*names(5))
        ]
        for thread in threads:
            thread.start()
        until(lambda: bridge.store._started_writer.waiting == 5)
        stopping = threading.Thread(target=bridge.store._started_writer.stop)
        stopping.start()
    for thread in (*threads, stopping):
        thread.join(20)
    assert sorted(bridge.kept()) == names(5)
    assert not bridge.store._started_writer.alive
    with pytest.raises(Down, match="the bridge is stopping"):
        bridge.keep(request("late"))


def test_nobody_waits_for_ever_when_it_stops(running):
    bridge = running().begin()
    outcomes, go = [], threading.Event()

    def tell(n):
        go.wait()
        for m in range(50):
            try:
                bridge.keep(request(f"e{n}-{m:03}"))
                outcomes.append("kept")
            except Down:
                outcomes.append("down")

    threads = [threading.Thread(target=tell, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    go.set()
    until(lambda: len(outcomes) > 20)
    bridge.store._started_writer.stop()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert outcomes.count("kept") == len(bridge.kept())
    assert len(outcomes) == 200


# What nobody foresaw


class Haunted(Spool):
    """A spool that fails in a way nobody foresaw, once."""

    failed = False

    def append(self, requests):
        if not self.failed:
            self.failed = True
            raise RuntimeError("boo")
        super().append(requests)


def test_the_writer_outlives_what_nobody_foresaw(running, tmp_path):
    bridge = running()
    writer = Writer(
        bridge.store._writers,
        Haunted(tmp_path / "haunted", limit=1 << 30, process="p"),
        grace_ms=0,
        policy=POLICY,
    )
    writer.start()
    SpoolPump(writer.handover, judge).start()
    arrival = Arrival(request=request("e1"), entries=judge(request("e1")))
    with bridge.away():
        with pytest.raises(Down, match="the store failed: RuntimeError"):
            writer.keep(arrival)
        writer.keep(arrival)
    until(lambda: not writer.backlog)
    writer.stop()
    assert bridge.kept() == {"e1": "deliver"}


@pytest.mark.parametrize(
    ("work", "outage"),
    [
        ("INSERT INTO jobs (name, owner, until) VALUES ('a', 'b', 1), ('a', 'b', 1)", False),
        ("INSERT INTO jobs (name) VALUES ('a')", False),
        ("SELECT * FROM nothing_of_the_kind", True),
    ],
)
def test_what_an_error_is_about(bridge, work, outage):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which class is what is asked
        bridge.store._write_here(lambda conn, now: conn.execute(text(work)))
    assert isinstance(caught.value, Down) is outage
    assert is_outage(caught.value.__cause__ if outage else caught.value) is outage


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("work", "outage"),
    [
        ("SELECT 1/0", False),
        ("SELECT 'x'::int", False),
        ("SET LOCAL lock_timeout = 1; LOCK TABLE jobs; SELECT 1", False),
        ("SET TRANSACTION READ ONLY; INSERT INTO jobs VALUES ('a', 'b', 1)", True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
    ],
)
def test_what_an_error_of_postgresql_is_about(postgresql, tmp_path, work, outage):
    store = Store(postgresql, spool=tmp_path)
    try:
        store._write_here(lambda conn, now: [conn.execute(text(one)) for one in work.split("; ")])
    except Down:
        assert outage
    except DBAPIError:
        assert not outage
    else:
        assert not outage
    store.close()


@pytest.mark.postgres
def test_a_text_with_nul_is_refused_and_no_outage(postgresql, tmp_path):
    store = Store(postgresql, spool=tmp_path)
    with pytest.raises(DBAPIError):
        store._write_here(
            lambda c, now: c.execute(t.jobs.insert().values(name="\0", owner="", until=1))
        )
    store.close()


@pytest.mark.postgres
def test_a_circle_of_waiting_is_broken_and_gone_through_again(postgresql, tmp_path):
    bridge = Running(postgresql, tmp_path).begin()
    for name in "ab":
        bridge.store._write(
            lambda c, now, name=name: c.execute(
                t.jobs.insert().values(name=name, owner="", until=0)
            )
        )
    locked, tries = threading.Event(), []

    def touch(conn, name):
        conn.execute(t.jobs.update().where(t.jobs.c.name == name).values(until=1))

    def work(conn, now):
        tries.append(now)
        conn.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
        touch(conn, "a")
        locked.set()
        touch(conn, "b")

    with psycopg.connect(postgresql) as other:
        other.execute("SET deadlock_timeout = '10s'")
        other.execute("UPDATE jobs SET until = 2 WHERE name = 'b'")
        thread = threading.Thread(target=bridge.store._write, args=(work,))
        thread.start()
        assert locked.wait(20)
        other.execute("UPDATE jobs SET until = 2 WHERE name = 'a'")
        other.commit()
        thread.join(20)
    assert len(tries) >= 2, "who wakes first after a circle is broken may make another one"
    assert not bridge.store.outage
    bridge.store.close()


@pytest.mark.postgres
def test_a_server_that_does_not_answer_is_not_waited_for_long(postgresql, tmp_path):
    store = Store(postgresql, spool=tmp_path)
    with store._reading() as conn:
        known = conn.connection.dbapi_connection.info.get_parameters()
        assert conn.scalar(text("SHOW lock_timeout")) == "10s"
    assert (known["connect_timeout"], known["tcp_user_timeout"]) == ("5", "10000")
    store.close()
    url = make_url(postgresql).update_query_dict({"connect_timeout": "3", "options": "-c x.y=1"})
    store = Store(url.render_as_string(hide_password=False), spool=tmp_path)
    with store._reading() as conn:
        known = conn.connection.dbapi_connection.info.get_parameters()
        assert (known["connect_timeout"], known["options"]) == ("3", "-c lock_timeout=10s -c x.y=1")
    store.close()


def test_what_is_said_of_an_error_has_no_values(bridge):
    with pytest.raises(IntegrityError) as caught:
        bridge.store._write(
            lambda c, now: c.execute(t.jobs.insert().values(name="secret", owner=None, until=1))
        )
    assert not is_outage(caught.value)
    assert "secret" not in without_values(caught.value)
    assert without_values(KeyError()) == "KeyError"


@pytest.mark.postgres
def test_claims_are_looked_up_by_their_keys_however_many_there_are(postgresql, tmp_path):
    """The driver keeps a plan that was made while the table was small."""
    with psycopg.connect(postgresql, autocommit=True) as conn:
        conn.execute("SELECT pg_stat_reset()")
    bridge, count = Running(postgresql, tmp_path).begin(), 40
    for n in range(count):
        given = request(f"e{n}", record=n)
        [entry] = judge(given)
        effects = tuple(replace(one, formerly=f"former {n}") for one in entry.event.effects)
        renamed = replace(entry, event=replace(entry.event, effects=effects))
        bridge.store.keep(Arrival(request=given, entries=(renamed,)))
    bridge.store.close()  # a session says in the end what it read
    told = """
        SELECT s.seq_tup_read + i.idx_tup_read FROM pg_stat_user_tables s
        JOIN pg_stat_user_indexes i USING (relid)
        WHERE i.indexrelname = 'claims_pkey' AND s.n_tup_ins >= %s
    """
    with psycopg.connect(postgresql, autocommit=True) as conn:
        read, *_ = until(lambda: conn.execute(told, [count]).fetchone())
    assert read <= 2 * count, "all of them each time would be 20 times as many"
