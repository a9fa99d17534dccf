"""The promises, checked from the two journals and the bridge's rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from crash import journal, rows
from crash.story import Effect, is_poison

#: What must not be.
ZEROS = ("lost", "written_twice", "out_of_order", "set_back", "leaked", "unaccounted")


@dataclass(frozen=True, kw_only=True)
class Account:
    """What was promised, what came of it, and what is wrong with that."""

    #: Events that were answered 200.
    accepted: int
    #: Deliveries that Aha! took, or that an operator saw there.
    delivered: int
    #: Events that told only what others had told before.
    duplicates: int
    #: Deliveries that were given up because an operator saw them in Aha!.
    discarded: int
    #: Deliveries that Aha! never took, and that an operator gave up.
    poison: int
    #: Changes that only set a state, sent more often than once.
    repeated_states: int
    #: What is wrong, by what must not be; each with an example in words.
    wrong: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrong.values())

    def complaints(self) -> str:
        """Say what is wrong, some of each."""
        return "\n".join(
            f"{name}: {len(found)}\n  " + "\n  ".join(found[:5])
            for name, found in self.wrong.items()
            if found
        )


@dataclass(kw_only=True)
class _Sunk:
    """What the sink knows of an effect: places in its journal, in order."""

    received: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def settle(load: Path, sink: Path, engine: Engine, *, poison: bool = False) -> Account:
    """Compare what was promised with what came of it; nothing may be on its way any more.

    With `poison`, Aha! took nothing of some records.
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
    """Find what was promised and wanted, and never written, nor overtaken by newer changes."""
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
    """Find what was received before something of an earlier step had been written."""
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
    """Find what Aha! holds in the end that Jira no longer does.

    Steps that were begun and not answered may have come through or not.
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
    """Find what no route wanted and was sent all the same."""
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
    """Find where the rows do not add up among themselves or with what the sink has."""
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
