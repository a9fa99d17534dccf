"""Checks the bridge's guarantees with the two journals and the bridge's rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from crash import journal, rows
from crash.story import Effect, is_poison

#: The kinds of violations, each of which must have none.
ZEROS = ("lost", "written_twice", "out_of_order", "set_back", "leaked", "unaccounted")


@dataclass(frozen=True, kw_only=True)
class Account:
    """The counts of a run, and all violations."""

    #: Events that were answered 200.
    accepted: int
    #: Deliveries that Aha! accepted, or that an operator found there.
    delivered: int
    #: Events with effects of earlier events only.
    duplicates: int
    #: Deliveries that an operator discarded because they were in Aha!.
    discarded: int
    #: Deliveries that an operator discarded because Aha! always rejects them.
    poison: int
    #: Repeated sends of changes that only set a state, and are harmless.
    repeated_states: int
    #: The violations by kind, each in a sentence.
    wrong: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        """Whether there is no violation."""
        return not any(self.wrong.values())

    def complaints(self) -> str:
        """Describe up to five violations of each kind."""
        return "\n".join(
            f"{name}: {len(found)}\n  " + "\n  ".join(found[:5])
            for name, found in self.wrong.items()
            if found
        )


@dataclass(kw_only=True)
class _Sunk:
    """The sink's journal about one effect: line numbers, in order."""

    received: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def settle(load: Path, sink: Path, engine: Engine, *, poison: bool = False) -> Account:
    """Compare the accepted requests with Aha! and the rows, once no delivery is open.

    With `poison`, Aha! rejected every body about some records.
    """
    promised, received = journal.read(load), journal.read(sink)
    sunk = _sunk(received)
    with engine.connect() as conn:
        outcomes, verdicts = rows.events(conn), rows.verdicts(conn)
        deliveries, stale = rows.deliveries(conn), rows.stale(conn)
    steps = {(s["record"], s["place"]): s for s in promised if s["kind"] == "step"}
    told = {(s["record"], s["place"]) for s in promised if s["kind"] == "told"}
    ids = [event for s in promised if s["kind"] == "kept" for event in s["events"]]
    accepted = [step for key, step in steps.items() if key in told]
    doomed = {record for record, _ in steps if poison and is_poison(record)}
    healthy = [step for step in accepted if step["record"] not in doomed]
    return Account(
        accepted=len(ids),
        delivered=sum(d.state == "delivered" for d in deliveries),
        duplicates=Counter(outcomes.values())["duplicate"],
        discarded=sum(d.state == "discarded" and d.record not in doomed for d in deliveries),
        poison=sum(d.state == "discarded" and d.record in doomed for d in deliveries),
        repeated_states=sum(
            len(one.written) - 1
            for effect, one in sunk.items()
            if effect[0] != "comment" and one.written
        ),
        wrong={
            "lost": [*_lost(healthy, sunk, stale), *_not_kept(ids, outcomes)],
            "written_twice": _twice(sunk),
            "out_of_order": _out_of_order(accepted, sunk),
            "set_back": _set_back(steps.values(), told, received),
            "leaked": _leaked(steps.values(), sunk),
            "unaccounted": _unaccounted(outcomes, verdicts, deliveries, sunk, doomed),
        },
    )


def _effects(line: Mapping[str, Any]) -> list[Effect]:
    return [(kind, one, verb) for kind, one, verb in line["effects"]]


def _sunk(received: Sequence[Mapping[str, Any]]) -> dict[Effect, _Sunk]:
    found: dict[Effect, _Sunk] = defaultdict(_Sunk)
    for place, line in enumerate(received):
        for effect in _effects(line):
            found[effect].received.append(place)
            if line["written"]:
                found[effect].written.append(place)
    return dict(found)


def _lost(
    accepted: Iterable[Mapping[str, Any]],
    sunk: Mapping[Effect, _Sunk],
    stale: Collection[Effect],
) -> list[str]:
    """Find accepted effects that a route wanted, and that are neither written nor stale."""
    return [
        f"{effect} of record {step['record']}, step {step['place']}"
        for step in accepted
        if step["wanted"]
        for effect in _effects(step)
        if (effect not in sunk or not sunk[effect].written) and effect not in stale
    ]


def _not_kept(ids: Iterable[str], outcomes: Mapping[str, str]) -> list[str]:
    return [
        f"event {event} was answered, and there is no row" for event in set(ids) - set(outcomes)
    ]


def _twice(sunk: Mapping[Effect, _Sunk]) -> list[str]:
    return [
        f"{effect} at {one.written}"
        for effect, one in sunk.items()
        if effect[0] == "comment" and len(one.written) > 1
    ]


def _out_of_order(accepted: Iterable[Mapping[str, Any]], sunk: Mapping[Effect, _Sunk]) -> list[str]:
    """Find effects that Aha! received before an effect of an earlier step was written."""
    by_record: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for step in accepted:
        if step["wanted"]:
            by_record[step["record"]].append(step)
    found = []
    for record, steps in by_record.items():
        told: set[Effect] = set()
        latest, of = -1, ()
        for step in sorted(steps, key=lambda each: each["place"]):
            fresh = [e for e in _effects(step) if e not in told and e in sunk and sunk[e].written]
            early = [e for e in fresh if sunk[e].received[0] < latest]
            if early:
                found.append(f"record {record}, step {step['place']}: {early[0]} before {of}")
            for effect in fresh:
                told.add(effect)
                if sunk[effect].written[0] > latest:
                    latest, of = sunk[effect].written[0], effect
    return found


def _set_back(
    steps: Iterable[Mapping[str, Any]],
    told: Collection[tuple[str, int]],
    received: Iterable[Mapping[str, Any]],
) -> list[str]:
    """Find values in Aha! that are not the last ones of Jira.

    A step that was sent and not answered may have arrived or not.
    """
    held: dict[str, dict[str, str]] = defaultdict(dict)
    for line in received:
        if line["written"]:
            held[line["record"]].update(line.get("holds", {}))
    right: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for step in sorted(steps, key=lambda each: each["place"]):
        known = right[step["record"]]
        for name, value in step.get("holds", {}).items():
            if (step["record"], step["place"]) in told:
                known[name] = {value}
            else:
                known[name].add(value)
    return [
        f"record {record}: {name} is {held[record][name]!r} and not {' or '.join(sorted(values))!r}"
        for record, known in right.items()
        for name, values in known.items()
        if name in held[record] and not any(v in held[record][name] for v in values)
    ]


def _leaked(steps: Iterable[Mapping[str, Any]], sunk: Mapping[Effect, _Sunk]) -> list[str]:
    """Find effects that were sent although no route wanted them."""
    return [
        f"{effect} of record {step['record']}"
        for step in steps
        if not step["wanted"]
        for effect in _effects(step)
        if effect in sunk
    ]


def _unaccounted(
    outcomes: Mapping[str, str],
    verdicts: Mapping[tuple[str, str, str], str],
    deliveries: Sequence[rows.Delivery],
    sunk: Mapping[Effect, _Sunk],
    doomed: Collection[str],
) -> list[str]:
    """Find rows that contradict each other or the sink's journal."""
    sent = {d.event for d in deliveries}
    deliver = {event for event, _, verdict in verdicts if verdict == "deliver"}
    over = ("delivered", "discarded")
    found = [f"event {event} is undecided" for event, o in outcomes.items() if o == "undecided"]
    found += [f"event {event}: deliver, and no delivery" for event in deliver - sent]
    found += [f"event {event}: a delivery, and no verdict" for event in sent - deliver]
    found += [f"delivery {d.id} is still {d.state}" for d in deliveries if d.state not in over]
    found += [
        f"event {event} is a duplicate of {first or 'nothing'}, which is not there"
        for (event, _, verdict), first in verdicts.items()
        if verdict == "duplicate" and first not in outcomes
    ]
    found += [
        f"delivery {d.id} is {d.state}, and {effect} is not in Aha!"
        for d in deliveries
        if d.state == "delivered" or (d.state == "discarded" and d.record not in doomed)
        for effect in d.effects
        if effect not in sunk or not sunk[effect].written
    ]
    carried = Counter(effect for d in deliveries for effect in d.effects)
    found += [f"{e} is carried by {n} deliveries" for e, n in carried.items() if n > 1]
    return found
