"""The worker by itself: what each failure of a send comes to, and what a worker outlives."""

import threading
from dataclasses import replace

import pytest

from bridge import store
from bridge.core.retry import Policy
from bridge.delivery import worker
from bridge.delivery.deliver import Deliverer
from bridge.errors import (
    Failed,
    Gone,
    InDoubt,
    NotSent,
    Refused,
    Throttled,
    Unmappable,
)
from bridge.model import Receipt, State
from bridge.store import Down, LeaseRequest, Next

pytestmark = pytest.mark.enable_socket


class Receiver:
    """A destination that notes what it is sent, and answers as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    def send(self, body):
        self.sent.append(body)
        answer = self.answers.pop(0) if self.answers else Receipt(status=200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        """Nothing is held."""


class Flaky:
    """A store whose database is away for its first calls."""

    def __init__(self, store, exchange=(), run=()):
        self._store = store
        self._errors = {"settle_and_lease": list(exchange), "run": list(run)}
        self.settlements = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def settle_and_lease(self, settlement, request):
        self.settlements.append(settlement)
        self._maybe_fail("settle_and_lease")
        return self._store.settle_and_lease(settlement, request)

    def send_after_grace(self, leased, verdict):
        self._maybe_fail("run")
        return self._store.send_after_grace(leased, verdict)

    def drop_after_grace(self, leased, verdict):
        self._maybe_fail("run")
        self._store.drop_after_grace(leased, verdict)

    def find_snapshot(self, event):
        self._maybe_fail("run")
        return self._store.find_snapshot(event)

    def find_newest(self, leased):
        self._maybe_fail("run")
        return self._store.find_newest(leased)

    def _maybe_fail(self, name):
        if self._errors[name] and (error := self._errors[name].pop(0)) is not None:
            raise error


@pytest.fixture
def deliverer(scene):
    """Make a deliverer with a receiver, for a bridge without workers of its own."""
    scene.start(deliver=False)

    def make(*answers, store=None, **more):
        target = replace(scene.bridge.plan.configuration.targets["aha"], **more)
        return Deliverer(
            target=target,
            destination=Receiver(*answers),
            store=store or scene.bridge.store,
            plan=lambda: scene.bridge.plan,
            request=LeaseRequest(
                destination="aha", owner="a test", lease_ms=60_000, limits=target.limits
            ),
            policy=Policy(first_wait_ms=1_000, shortest_wait_ms=500, park_after_ms=3_600_000),
        )

    return make


def told(jira, what):
    """Tell of a comment, which makes Aha! write one, or of a change, which only sets a state."""
    issue = jira.issue()
    return jira.said(jira.comment(), issue) if what == "comment" else jira.edited(issue)


def once(deliverer):
    """Claim, deliver and settle one delivery; returns the settlement."""
    turn = deliverer.store.settle_and_lease(None, deliverer.request)
    assert turn.leased is not None
    settlement = worker.attend(deliverer, turn.leased)
    deliverer.store.settle_and_lease(settlement, None)
    return settlement


def asking(deliverer, **known):
    """Let workers request lanes in another way."""
    return replace(deliverer, request=replace(deliverer.request, **known))


def working(deliverer, stopping):
    thread = threading.Thread(target=worker.run, args=(deliverer, stopping))
    thread.start()
    return thread


# --- a class of error, and what it comes to

#: An error, what was being sent, and the state and the word for it.
ENDS = [
    (NotSent("no"), "comment", "retrying", "not_sent"),
    (Failed("no", status=500, answer="oops"), "comment", "retrying", "failed"),
    (Throttled("no", after=7), "comment", "retrying", "throttled"),
    (Throttled("no", after=None), "comment", "retrying", "throttled"),
    (Gone("no", status=410), "comment", "retrying", "gone"),
    (InDoubt("no"), "comment", "in_doubt", "in_doubt"),
    (InDoubt("no"), "change", "retrying", "in_doubt"),
    (Refused("no", status=422, answer="no such field"), "change", "parked", "refused"),
    (Unmappable("no"), "change", "parked", "unmappable"),
    (RuntimeError("not for the log"), "comment", "in_doubt", "in_doubt"),
    (RuntimeError("not for the log"), "change", "retrying", "in_doubt"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: f"{type(end[0]).__name__} {end[1]}")
def test_each_class_of_error_has_its_state(scene, deliverer, cloud, logged, end):
    error, what, state, word = end
    event = scene.send("cloud_a", told(cloud, what))
    settlement = once(deliverer(error))
    assert (scene.state(event), scene.outcomes(event)) == (state, [word])
    [attempt] = scene.life(event).attempts
    assert attempt["status"] == getattr(error, "status", 0)
    assert getattr(error, "answer", "") in attempt["answer"]
    assert settlement.failed is (word in ("not_sent", "failed", "in_doubt"))
    gate = scene.account().destinations["aha"]
    assert bool(gate["paused"]) is (word == "gone")
    assert (gate["blocked_until"] > scene.clock()) is (word == "throttled")
    assert "not for the log" not in str(logged)


@pytest.mark.parametrize(
    ("target", "paused"),
    [
        ({}, True),
        ({"token": "replaced since"}, False),
        ({"name": "no longer configured"}, True),
    ],
)
def test_only_the_token_in_use_pauses_its_destination(scene, deliverer, cloud, target, paused):
    """A send with the former token can end after the new one was installed."""
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    settlement = once(deliverer(Gone("the token is invalid", status=401), **target))
    assert settlement.pause_reason == ("the token is invalid" if paused else "")
    assert bool(scene.account().destinations["aha"]["paused"]) is paused
    assert scene.state(event) == "retrying"


@pytest.mark.parametrize(
    ("error", "state"), [(NotSent("no"), "retrying"), (Failed("no"), "parked")]
)
def test_a_failure_of_the_destination_is_not_repeated_for_ever(
    scene, deliverer, cloud, error, state
):
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    workers = deliverer(error, Receipt(status=200), error)
    once(workers)
    scene.send("cloud_a", cloud.edited(cloud.issue()))
    once(workers)
    scene.later(3599)
    assert scene.state(event) == "retrying"
    scene.later(1)
    once(workers)
    assert scene.state(event) == state


def test_a_body_with_nothing_left_to_say_why(scene, deliverer, cloud):
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    scene.write(lambda conn, _: conn.exec_driver_sql("UPDATE events SET body = NULL"))
    workers = deliverer()
    once(workers)
    assert (scene.state(event), scene.outcomes(event)) == ("parked", ["no_body"])
    assert workers.destination.sent == []


def test_a_waiting_event_whose_body_is_gone_is_let_go(scene, deliverer, dc):
    event = scene.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    scene.write(lambda conn, _: conn.exec_driver_sql("UPDATE events SET body = NULL"))
    scene.later(11)
    assert once(deliverer()) is None
    assert scene.line(event).verdict == "filtered"
    assert "no longer kept" in scene.line(event).reason
    assert scene.account().open == {}


def test_a_mistake_of_ours_parks(scene, deliverer, cloud, logged):
    """A kept body that is no JSON cannot be: something of ours is wrong."""
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    later = scene.send("cloud_a", cloud.edited(cloud.issue()))
    broken = b"x\x9c\x03\x00\x00\x00\x00\x01"
    scene.write(
        lambda conn, _: conn.exec_driver_sql(
            "UPDATE events SET body = ? WHERE id = ?", (broken, event)
        )
    )
    workers = deliverer()
    once(workers)
    once(workers)
    assert (scene.state(event), scene.outcomes(event)) == ("parked", ["mistake"])
    assert "the bridge itself failed" in scene.life(event).attempts[0]["answer"]
    assert scene.state(later) == "delivered"
    [line] = [line for line in logged if line["event"] == "delivery.mistake"]
    assert (line["event_id"], line["error"]) == (event, "JSONDecodeError")


@pytest.mark.parametrize("on_doubt", ["verify", "hold", "resend"])
@pytest.mark.parametrize("what", ["comment", "change"])
def test_a_sender_that_vanished_leaves_a_doubt(scene, deliverer, cloud, on_doubt, what):
    event = scene.send("cloud_a", told(cloud, what))
    workers = deliverer(on_doubt=on_doubt)
    assert (
        workers.store.settle_and_lease(None, workers.request).leased is not None
    )  # and no more of it
    scene.later(61)
    once(workers)
    again = what == "change" or on_doubt == "resend"
    assert scene.state(event) == ("delivered" if again else "in_doubt")
    assert len(workers.destination.sent) == again
    if not again:
        assert "may have been written" in scene.life(event).attempts[0]["answer"]


def test_a_send_that_would_begin_too_late_does_not_begin(scene, deliverer, cloud):
    """By then its lane may be somebody else's; it is leased once more."""
    event = scene.send("cloud_a", told(cloud, "comment"))
    workers = asking(deliverer(), longest_send_ms=60_000)  # as long as the lease: each is too late
    leased = workers.store.settle_and_lease(None, workers.request).leased
    scene.until(lambda: store.steady() > leased.start_by)
    workers.store.settle_and_lease(worker.attend(workers, leased), None)
    assert (scene.state(event), workers.destination.sent) == ("queued", [])
    once(asking(workers, longest_send_ms=50_000))
    assert (scene.state(event), len(workers.destination.sent)) == ("delivered", 1)


def test_a_fuller_telling_that_comes_while_a_thin_one_is_decided(scene, deliverer, dc):
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-1"), 27)
    first = scene.send("dc_a", thin)
    scene.later(11)
    workers = deliverer()
    leased = workers.store.settle_and_lease(None, workers.request).leased
    second = scene.send("dc_a", full)
    assert workers.deliver(leased) is None
    once(workers)
    assert (scene.line(first).verdict, scene.line(first).first) == ("duplicate", second)
    [sent] = workers.destination.sent
    assert sent["webhookEvent"] == "jira:issue_updated"


# --- a worker outlives


def test_what_was_sent_is_settled_after_the_outage(scene, deliverer, cloud, logged):
    event = scene.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    store = Flaky(scene.bridge.store, exchange=[None, Down("away")])
    workers, stopping = deliverer(store=store), threading.Event()
    thread = working(workers, stopping)
    scene.until(lambda: scene.state(event) == "delivered")
    stopping.set()
    scene.wake()
    thread.join()
    assert len(workers.destination.sent) == 1
    told = [settlement.state for settlement in store.settlements if settlement is not None]
    assert told == [State.DELIVERED] * 2, "the same, until it was taken"


@pytest.mark.parametrize("failing", [1, 2])
def test_a_grace_that_ends_in_an_outage(scene, deliverer, dc, failing):
    """Recalling what is known needs the database, and so does writing down what was decided."""
    event = scene.send("dc_a", dc.said(dc.comment(), dc.issue("CORE-1")))
    scene.later(11)
    store = Flaky(scene.bridge.store, run=[None] * (failing - 1) + [Down("away")])
    workers = deliverer(store=store)
    given_back = once(workers)
    assert given_back.state is State.QUEUED
    assert (scene.state(event), scene.line(event).verdict) == ("queued", "undecided")
    assert scene.outcomes(event) == []
    once(workers)
    assert (scene.state(event), scene.line(event).verdict) == ("delivered", "deliver")


def test_a_settlement_that_the_database_refuses_is_let_go(scene, deliverer, cloud, logged):
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    store = Flaky(scene.bridge.store, exchange=[None, ValueError("not for the log")])
    workers, stopping = deliverer(store=store), threading.Event()
    thread = working(workers, stopping)
    scene.until(lambda: len(store.settlements) > 2)
    assert thread.is_alive()
    scene.later(61)
    scene.until(lambda: scene.state(event) == "delivered")
    stopping.set()
    scene.wake()
    thread.join()
    assert len(workers.destination.sent) == 2
    assert "ValueError" in str(logged)
    assert "not for the log" not in str(logged)


def test_what_could_outlast_its_lease_is_not_sent(scene, deliverer, cloud, logged):
    event = scene.send("cloud_a", told(cloud, "comment"))
    workers, stopping = (
        asking(deliverer(), lease_ms=1_000, longest_send_ms=2_000),
        threading.Event(),
    )
    thread = working(workers, stopping)
    scene.until(lambda: [line for line in logged if line["event"] == "delivery.put_back"])
    stopping.set()
    thread.join()
    assert workers.destination.sent == []
    assert scene.state(event) == "queued"


def test_a_worker_that_is_told_to_stop_while_it_waits(scene, deliverer):
    workers, stopping = deliverer(), threading.Event()
    thread = working(workers, stopping)
    stopping.set()
    scene.wake()
    thread.join(5)
    assert not thread.is_alive()


def test_a_worker_that_is_told_to_stop_in_an_outage(scene, deliverer):
    class Away:
        def settle_and_lease(self, _, __):
            raise Down("away")

    workers, stopping = deliverer(store=Away()), threading.Event()
    thread = working(workers, stopping)
    stopping.set()
    thread.join(5)
    assert not thread.is_alive()


def test_what_is_in_flight_is_settled_before_a_worker_stops(scene, deliverer, cloud):
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    scene.send("cloud_a", cloud.edited(cloud.issue()))
    stopping = threading.Event()

    class Slow(Receiver):
        def send(self, body):
            stopping.set()
            return super().send(body)

    workers = replace(deliverer(), destination=Slow())
    worker.run(workers, stopping)
    assert scene.state(event) == "delivered"
    assert scene.account().deliveries == {"delivered": 1, "queued": 1}


def test_nothing_to_do_is_a_turn_without_a_wait(scene, deliverer):
    workers = deliverer()
    assert workers.store.settle_and_lease(None, workers.request) == Next(leased=None, wait_ms=None)
    assert workers.store.settle_and_lease(None, None) == Next(leased=None, wait_ms=None)


# --- a token that is replaced during a send


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param("callback-0001", "the token is gone", id="the token in use"),
        pytest.param("callback-0009", "", id="a token that was replaced"),
    ],
)
def test_only_an_answer_to_the_token_in_use_pauses_the_destination(
    deliverer, scene, cloud, token, reason
):
    scene.send("cloud_a", told(cloud, "change"))
    settlement = once(deliverer(Gone("the token is gone", status=410), token=token))
    assert settlement.state is State.RETRYING
    assert settlement.pause_reason == reason
