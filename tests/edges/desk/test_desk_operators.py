"""Stepping in: again, given up, once more; on both databases, with who did it in the log."""

import threading

import orjson
import pytest

from bridge.desk import operators, show
from bridge.errors import NotFound, WrongState
from bridge.model import State


def parcels(house, **asked):
    return operators.blocked(house.store, **asked)


def actions(house, event):
    told = show.as_dict(show.history_of(house.store, event))
    return [(a["who"], a["what"], a["delivery"], a["note"]) for a in told["actions"]]


def states(house, event):
    return [row["state"] for row in show.history_of(house.store, event).deliveries]


# --- retry


@pytest.mark.parametrize("state", [State.PARKED, State.IN_DOUBT])
def test_what_waits_for_a_person_is_sent_again(either_house, state):
    house = either_house
    event = house.accept(house.created())
    sent = house.sent(state)
    assert house.lease() is None
    [parcel] = parcels(house)
    assert (parcel.id, parcel.event, parcel.state) == (sent.delivery, event, state)
    [done] = operators.retry(house.store, [parcel], who="ana")
    assert (done.error, operators.as_dict(done)["was"]) == ("", state)
    assert house.lease().delivery == sent.delivery
    assert actions(house, event) == [("ana", "retry", sent.delivery, "")]


def test_what_does_not_wait_for_a_person_is_left_alone(either_house):
    house = either_house
    event = house.accept(house.created())
    [parcel] = operators.find_deliveries(house.store, [event])
    [done] = operators.retry(house.store, [parcel], who="ana")
    assert "neither parked nor in doubt" in done.error
    assert operators.as_dict(done)["done"] is False
    assert actions(house, event) == []


def test_two_people_retry_it_once(either_house):
    house = either_house
    event = house.accept(house.created())
    house.sent(State.PARKED)
    [parcel] = parcels(house)
    gate, done = threading.Barrier(2), []

    def press(who):
        gate.wait(10)
        done.extend(operators.retry(house.store, [parcel], who=who))

    threads = [threading.Thread(target=press, args=(who,)) for who in ("ana", "bo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(each.error) for each in done) == [False, True]
    assert len(actions(house, event)) == 1


def test_what_waits_can_be_narrowed_down(either_house):
    house = either_house
    house.accept(house.created())
    house.accept(house.created())
    parked, doubtful = house.sent(State.PARKED), house.sent(State.IN_DOUBT)
    ids = {s: [p.id for p in parcels(house, state=s)] for s in ("", "parked", "in_doubt")}
    assert ids == {
        "": [parked.delivery, doubtful.delivery],
        "parked": [parked.delivery],
        "in_doubt": [doubtful.delivery],
    }
    assert parcels(house, destination="small") == []
    assert len(parcels(house, destination="aha")) == 2


def test_deliveries_are_named_by_number_or_by_event(house):
    event = house.accept(house.created())
    [by_event] = operators.find_deliveries(house.store, [event[:18]])
    assert operators.find_deliveries(house.store, [str(by_event.id), event]) == [by_event]
    with pytest.raises(NotFound, match="there is no delivery 99"):
        operators.find_deliveries(house.store, ["99"])
    with pytest.raises(NotFound, match="there is no event x"):
        operators.find_deliveries(house.store, ["x"])
    house.sent(State.DELIVERED)
    with pytest.raises(NotFound, match="no delivery that is not over"):
        operators.find_deliveries(house.store, [event])


# --- discard


def test_what_is_given_up_lets_the_next_one_go(either_house):
    house = either_house
    issue = house.issue()
    first = house.accept(house.created(issue))
    second = house.accept(house.changed(issue))
    sent = house.sent(State.PARKED)
    assert house.lease() is None
    [done] = operators.discard(house.store, parcels(house), who="ana", reason="not ours")
    assert done.error == ""
    assert states(house, first) == ["discarded"]
    assert house.lease().event == second
    assert actions(house, first) == [("ana", "discard", sent.delivery, "not ours")]


def test_what_is_given_up_behind_another_leaves_the_lane_alone(either_house):
    house = either_house
    issue = house.issue()
    first = house.accept(house.created(issue))
    second = house.accept(house.changed(issue))
    head = house.lease()
    [done] = operators.discard(
        house.store,
        operators.find_deliveries(house.store, [second]),
        who="ana",
        reason="changed back",
    )
    assert (done.error, states(house, second)) == ("", ["discarded"])
    house.settle(head, State.DELIVERED)
    assert (states(house, first), house.lease()) == (["delivered"], None)


@pytest.mark.parametrize("state", [State.SENDING, State.DELIVERED, State.DISCARDED])
def test_what_is_on_its_way_or_over_is_not_given_up(either_house, state):
    house = either_house
    event = house.accept(house.created())
    [parcel] = operators.find_deliveries(house.store, [event])
    leased = house.lease()
    if state is not State.SENDING:
        house.settle(leased, state)
    [done] = operators.discard(house.store, [parcel], who="ana", reason="")
    assert f"is {state}: it cannot be discarded" in done.error
    assert states(house, event) == [state]


def test_what_waits_for_a_fuller_telling_is_not_given_up(either_house):
    house = either_house
    thin, full = house.commented_twice(house.issue())
    event = house.accept(thin, hook="dc")
    found = operators.find_deliveries(house.store, [event])
    [done] = operators.discard(house.store, found, who="ana", reason="")
    assert "waits for a complete event" in done.error
    fuller = house.accept(full, hook="dc")
    assert house.lease().event == fuller


# --- resume


def test_a_paused_destination_goes_on(either_house):
    house = either_house
    event = house.accept(house.created())
    house.sent(State.RETRYING, pause_reason="the token is gone", delay_ms=60_000)
    assert house.lease() is None
    operators.resume(house.store, "aha", who="ana")
    assert house.lease().event == event
    with pytest.raises(NotFound, match="there is no destination nope"):
        operators.resume(house.store, "nope", who="ana")


# --- replay


def replay(house, event, **more):
    return operators.replay(house.store, house.plan, event, who="ana", **more)


def delivered(house, body, **more):
    event = house.accept(body, **more)
    house.sent(State.DELIVERED)
    return event


def test_what_was_delivered_goes_once_more_at_the_end_of_its_lane(either_house):
    house = either_house
    issue = house.issue()
    event = delivered(house, house.created(issue))
    later = house.accept(house.changed(issue))
    [done] = replay(house, event[:18])
    assert (done.event, done.route, done.destination) == (event, "plat", "aha")
    assert done.identities == (f"issue:{issue.id}:created:2026-03-05T08:00",)
    assert [house.sent(State.DELIVERED).event for _ in range(2)] == [later, event]
    assert states(house, event) == ["delivered", "delivered"]
    [action] = actions(house, event)
    assert action[:2] == ("ana", "replay")


def test_what_was_given_up_goes_once_more(either_house):
    house = either_house
    event = house.accept(house.created())
    house.sent(State.PARKED)
    operators.discard(house.store, parcels(house), who="bo", reason="")
    replay(house, event)
    assert house.lease().event == event


def test_what_was_filtered_goes_by_a_route_that_is_named(either_house):
    house = either_house
    issue = house.issue("HR")
    event = house.accept(house.created(issue))
    with pytest.raises(WrongState, match=r"say by which to send it \(mob, plat\)"):
        replay(house, event)
    [done] = replay(house, event, route="plat")
    assert house.sent(State.DELIVERED).identities == done.identities


def test_a_replay_claims_what_nobody_held(either_house):
    house = either_house
    issue = house.issue("HR", key="HR-1")
    body = orjson.loads(house.created(issue))
    event = house.accept(orjson.dumps(body))
    replay(house, event, route="plat")
    body["issue"]["fields"]["project"]["key"] = "PLAT"
    again = house.accept(orjson.dumps(body))
    [verdict] = [v for v in show.history_of(house.store, again).verdicts if v["first"]]
    assert (verdict["verdict"], verdict["first"]) == ("duplicate", event)


def test_a_duplicate_is_replayed_by_the_one_that_was_first(house):
    body = house.created()
    first = delivered(house, body)
    again = house.accept(body, hook="second")
    with pytest.raises(WrongState, match=f"event {first}: replay that one"):
        replay(house, again)


def test_what_is_still_on_its_way_is_not_replayed(house):
    event = house.accept(house.created())
    with pytest.raises(WrongState, match="is still queued"):
        replay(house, event)


def test_what_was_rejected_cannot_be_replayed(house):
    event = house.accept(b"nonsense")
    with pytest.raises(WrongState, match="cannot be read: the body is not JSON"):
        replay(house, event)


def test_without_a_body_there_is_nothing_to_replay(house):
    event = delivered(house, house.created())
    house.bridge.store._write(lambda conn, now: forget_bodies(conn))
    with pytest.raises(WrongState, match="it is too old"):
        replay(house, event)


def forget_bodies(conn):
    conn.exec_driver_sql("UPDATE events SET body = NULL")


def test_a_route_that_is_not_there_or_reads_elsewhere_is_refused(house):
    event = delivered(house, house.created(), hook="second")
    with pytest.raises(NotFound, match="no route mob reads from the hook second; those that do: p"):
        replay(house, event, route="mob")
    house.edit_plat("main")
    with pytest.raises(NotFound, match="those that do: none"):
        replay(house, event)


def test_a_destination_that_is_no_more_is_refused(house):
    event = delivered(house, house.created())
    del house.plan.configuration.targets["aha"]
    with pytest.raises(NotFound, match="no destination aha any more"):
        replay(house, event)


def test_what_protects_also_protects_from_a_replay(house):
    private = house.accept(house.commented(house.issue(), internal=True))
    with pytest.raises(
        WrongState, match=r"plat does not let it through: the comment is private .*\[open_to_all\]"
    ):
        replay(house, private, route="plat")
    allowed = delivered(house, house.created(house.issue("MOB")))
    with pytest.raises(WrongState, match=r"may not write in the workspace MOB \[permitted\]"):
        replay(house, allowed, route="mob")


def test_an_action_without_an_event_is_kept_too(house):
    operators.resume(house.store, "aha", who="ana")
    with house.store._reading() as conn:
        rows = conn.exec_driver_sql("SELECT who, what, note FROM actions").all()
    assert [tuple(row) for row in rows] == [("ana", "resume", "aha")]
    with pytest.raises(NotFound):
        house.store.history.delivery(1)
