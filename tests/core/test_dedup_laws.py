"""Laws of deduplication, over all orders and batches of events, with a database in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from in_memory import InMemory
from made_up import InProject, change, comment, deletion, event, issue, plan, route, thin

from bridge.core.dedup.changes import is_wanted
from bridge.model import Event, VerdictName

DESTINATIONS = ("aha", "crm")
WORDS = frozenset({"issue_updated", "comment_created", "comment_deleted"})
ALL = plan(route(hooks=("main", "second"), destinations=DESTINATIONS, events=WORDS))
PLAT = InProject("PLAT")
#: One route wants everything, and another one some of it again.
TWICE = plan(
    route("a", hooks=("main", "second"), destinations=DESTINATIONS),
    route("b", PLAT, hooks=("second",), events=frozenset({"comment_created"})),
)
#: The hooks want different events, and one of two routes only comments.
PICKY = plan(
    route("a", InProject("OPS"), hooks=("main",), destinations=DESTINATIONS),
    route("b", PLAT, hooks=("second",), events=frozenset({"comment_created"})),
    route("c", hooks=("second",), events=frozenset({"issue_updated", "comment_deleted"})),
)
EFFECTS = [change(1), change(2), comment(10), comment(11)]
COMMENTS = EFFECTS[2:]


@dataclass(frozen=True)
class Told:
    """An event before it has an id."""

    effects: tuple
    thin: bool
    hook: str
    key: str
    record: str = "1"

    def event(self, id: str) -> Event:
        if self.thin:
            return thin(id, *self.effects, hook=self.hook, record=self.record)
        return event(id, *self.effects, hook=self.hook, body=issue(self.key))


def told(effects):
    hooks, keys = st.sampled_from(["main", "second"]), st.sampled_from(["PLAT-1", "OPS-1"])
    full = st.builds(
        lambda some, hook, key: Told(tuple(some), False, hook, key),
        st.lists(st.sampled_from(effects), min_size=1, max_size=3, unique=True),
        hooks,
        keys,
    )
    bare = st.builds(
        lambda one, hook, record: Told((one,), True, hook, "", record),
        st.sampled_from(COMMENTS),
        hooks,
        st.sampled_from(["1", "1", ""]),
    )
    return st.lists(full | bare, max_size=10)


@st.composite
def batches(draw, effects=tuple(EFFECTS)):
    """Make batches of events, with ids in the order they are kept in."""
    events = [each.event(f"e{n:02}") for n, each in enumerate(draw(told(list(effects))))]
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=4)))
    return [events[a:b] for a, b in pairwise([0, *cuts, len(events)])]


def kept(plan, given):
    memory = InMemory(plan)
    for batch in given:
        memory.keep(*batch)
    return memory


def consistent(memory):
    """Every effect is carried once, by the event that holds its claim, and by no other event."""
    for to in DESTINATIONS:
        carried = [(name, who) for who, names in memory.carried(to) for name in names]
        assert sorted(carried) == sorted(memory.held(to).items()), "held, and once"
        sending = {
            event
            for (event, _, _), verdict in memory.verdicts.items()
            if is_wanted(verdict) and verdict.destination == to
        }
        assert sending == {who for who, _ in memory.carried(to)}
    firsts = [v.first for v in memory.verdicts.values() if v.name is VerdictName.DUPLICATE]
    assert all(first in memory.events for first in firsts)


@given(batches([*EFFECTS, deletion(10)]), st.sampled_from([ALL, TWICE, PICKY]))
def test_every_effect_is_held_once_and_by_the_event_that_carries_it(given_, plan):
    memory = kept(plan, given_)
    consistent(memory)
    memory.end_grace(False)
    consistent(memory)


@given(st.data())
def test_any_order_and_any_batches_deliver_the_same_effects_once(data):
    some = data.draw(told(EFFECTS))
    delivered = []
    for _ in range(2):
        order = data.draw(st.permutations(range(len(some))))
        events = [some[n].event(f"e{n:02}") for n in order]
        cut = data.draw(st.integers(0, len(events)))
        memory = kept(ALL, [events[:cut], events[cut:]])
        memory.end_grace(True)
        found = [
            Counter(name for _, names in memory.carried(to) for name in names)
            for to in DESTINATIONS
        ]
        assert all(count == 1 for each in found for count in each.values())
        delivered.append(found)
    assert delivered[0] == delivered[1]
    assert set(delivered[0][0]) == {effect.identity for each in some for effect in each.effects}


@given(batches())
def test_the_fullest_event_is_sent(given_):
    memory = kept(ALL, given_)
    full = {
        effect.identity
        for event in memory.events.values()
        if not event.thin
        for effect in event.effects
    }
    for who, names in memory.carried():
        assert not (memory.events[who].thin and full.intersection(names))
        assert all(
            row.hold_until is None
            for row in memory.rows.values()
            if not memory.events[row.event].thin
        )


@given(batches([*EFFECTS, deletion(10)]), st.booleans())
def test_nothing_is_sent_that_no_route_of_its_event_wants(given_, ended):
    memory = kept(PICKY, given_)
    if ended:
        memory.end_grace(False)
    for row in memory.rows.values():
        wanted = [
            verdict
            for verdict in memory.entry(memory.events[row.event]).verdicts
            if is_wanted(verdict) and verdict.destination == row.destination
        ]
        assert set(row.identities) <= {name for v in wanted for name in v.identities}
        assert row.route in {verdict.route for verdict in wanted}


@given(batches([*EFFECTS, deletion(10), deletion(11)]), st.sampled_from([ALL, TWICE, PICKY]))
def test_nothing_is_delivered_after_its_deletion(given_, plan):
    memory = kept(plan, given_)
    deleted = {}
    for each in memory.events.values():
        for effect in each.effects:
            deleted.setdefault(effect.identity, each.id)
    for row in memory.rows.values():
        for effect in memory.events[row.event].effects:
            if effect.identity in row.identities and effect.stale_after in deleted:
                assert row.event <= deleted[effect.stale_after], "ids are in the order of keeping"


@given(batches([*EFFECTS, deletion(10)]))
def test_no_effect_is_lost(given_):
    """Some event carries each effect that a route of an event wants, unless it is deleted."""
    memory = kept(TWICE, given_)
    wanted, deleted = set(), set()
    for each in memory.events.values():
        stale = {e.identity for e in each.effects if e.stale_after in deleted}
        deleted.update(e.identity for e in each.effects)
        for found in memory.entry(each).verdicts:
            if is_wanted(found):
                wanted.update((found.destination, name) for name in {*found.identities} - stale)
    carried = {(to, name) for to in DESTINATIONS for name in memory.held(to)}
    gone = {e.identity for e in EFFECTS if e.stale_after in deleted}
    assert {name for _, name in wanted - carried} <= gone
