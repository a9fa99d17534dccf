"""A database in memory: answers what `core.dedup` has to know, and applies what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bridge.core.dedup import decide
from bridge.core.dedup.changes import (
    Changes,
    ClaimKey,
    Ended,
    Entry,
    Followed,
    Heir,
    Known,
    NewDelivery,
    Promoted,
    StateKey,
    Stored,
    Waiting,
)
from bridge.core.dedup.requests import claims_of, heirs_needed, written_by_complete
from bridge.core.dedup.takeover import drop_stored
from bridge.core.plan import Plan
from bridge.core.stale import Report, report_of
from bridge.model import Event, Stage, Verdict, VerdictName

NOW = 1_714_550_400_000
GRACE_MS = 10_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stored delivery."""

    id: int
    event: str
    destination: str
    route: str
    site: str
    record: str
    identities: tuple[str, ...]
    hold_until: int | None
    place: int
    late: bool
    writes: bool


class InMemory:
    """Everything that the tables hold of events, as far as deduplication reads it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = NOW
        self.events: dict[str, Event] = {}
        #: By (event, destination, route at the door).
        self.verdicts: dict[tuple[str, str, int], Verdict] = {}
        self.claims: dict[ClaimKey, str] = {}
        self.rows: dict[int, Row] = {}
        self.woken: list[tuple[str, int]] = []

    def keep(self, *given: Event | Entry) -> Changes:
        """Keep a batch; a stored event's verdicts are those of the plan."""
        entries = [each if isinstance(each, Entry) else self.entry(each) for each in given]
        known = self._known(entries)
        changes = decide(entries, known, now=self.now, grace_ms=GRACE_MS)
        for entry in entries:
            self.events[entry.event.id] = entry.event
        self._apply(changes)
        for event, found in changes.verdicts.items():
            for number, verdict in enumerate(found):
                self.verdicts[event, verdict.destination, number] = verdict
        for delivery in changes.deliveries:
            self._queue(delivery)
        return changes

    def entry(self, event: Event) -> Entry:
        return Entry(event=event, verdicts=self.plan.judge(event, event.received), packed=b"")

    def end_grace(self, wanted: bool) -> None:
        """Let the routes decide for or against every delivery that waits."""
        for row in [row for row in self.rows.values() if row.hold_until is not None]:
            name = VerdictName.DELIVER if wanted else VerdictName.FILTERED
            verdict = Verdict(name=name, reason="so", destination=row.destination)
            if wanted:
                self.rows[row.id] = replace(row, hold_until=None)
                self._end(row.event, verdict)
            else:
                waiting = self._waiting(row)
                heirs = self._heirs(waiting)
                self._apply(drop_stored(waiting, verdict, heirs, hold_until=self.now))

    # Reading

    def _known(self, entries: Sequence[Entry]) -> Known:
        deletions = {
            (event.site, effect.identity): event.id
            for event in self.events.values()
            for effect in event.effects
        }
        sighted = written_by_complete(entries)
        waiting = [
            self._waiting(row)
            for row in self.rows.values()
            if row.hold_until is not None
            and any((row.site, name) in sighted for name in row.identities)
        ]
        reserved, held = {}, {}
        for key, request in sorted(claims_of(entries, deletions).items()):
            former = (*key[:2], request.formerly)
            holder = self.claims.get(former) or self.claims.get(key)
            if holder is None:
                self.claims[key] = reserved[key] = request.event
            else:
                held[key] = holder
        needed = heirs_needed(entries, deletions, waiting)
        return Known(
            deletions=deletions,
            reports=self._reports(),
            waiting=waiting,
            reserved=reserved,
            held=held,
            heirs={(each.event, each.destination): self._heirs(each) for each in needed},
        )

    def _reports(self) -> dict[StateKey, list[Report]]:
        found: dict[StateKey, list[Report]] = {}
        for event in self.events.values():
            rows = [row for row in self.rows.values() if row.event == event.id]
            carried = {row.destination: frozenset(row.identities) for row in rows}
            waiting = {row.destination: row.place for row in rows}
            report = replace(report_of(event, carried), waiting=waiting)
            for key in {(event.site, "", effect.of) for effect in event.effects if effect.of} | {
                (event.site, event.record, "")
            }:
                found.setdefault(key, []).append(report)
        return found

    def _waiting(self, row: Row) -> Waiting:
        event = self.events[row.event]
        assert row.hold_until is not None
        return Waiting(
            event=row.event,
            destination=row.destination,
            hook=event.hook,
            site=row.site,
            record=row.record,
            identities=row.identities,
            at=Stored(
                id=row.id,
                lane=hash((row.destination, row.site, row.record)),
                hold_until=row.hold_until,
                writes=row.writes,
                late=row.late,
            ),
        )

    def _heirs(self, waiting: Waiting) -> list[Heir]:
        return [
            Heir(event=event, hook=self.events[event].hook, route=verdict.route)
            for (event, _, _), verdict in sorted(self._duplicates_of(waiting.event))
            if verdict.destination == waiting.destination
        ]

    def _duplicates_of(self, first: str) -> Iterator[tuple[tuple[str, str, int], Verdict]]:
        for key, verdict in self.verdicts.items():
            if verdict.name is VerdictName.DUPLICATE and verdict.first == first:
                yield key, verdict

    # Writing

    def _queue(self, delivery: NewDelivery) -> None:
        event = delivery.event
        number = max(self.rows, default=0) + 1
        self.rows[number] = Row(
            id=number,
            event=event.id,
            destination=delivery.destination,
            route=delivery.route,
            site=event.site,
            record=event.record,
            identities=delivery.identities,
            hold_until=delivery.hold_until,
            place=self.now if delivery.place is None else delivery.place,
            late=delivery.late,
            writes=any(e.writes for e in event.effects if e.identity in delivery.identities),
        )

    def _apply(self, changes: Changes) -> None:
        for key in changes.released:
            del self.claims[key]
        for moved in changes.moved:
            assert self.claims[moved.key] == moved.before
            self.claims[moved.key] = moved.after
        for each in changes.rewritten:
            self.rows[each.id] = replace(
                self.rows[each.id],
                event=each.event,
                route=each.route,
                identities=each.identities,
                writes=each.writes,
                hold_until=each.hold_until,
                late=each.late,
            )
        for number in changes.removed:
            del self.rows[number]
        self.woken += changes.woken
        self._move_forward(changes)
        for stored in changes.stored:
            self._change(stored)

    def _move_forward(self, changes: Changes) -> None:
        for (destination, holder, site, record), place in changes.forward.items():
            for number, row in self.rows.items():
                if (row.destination, row.event, row.site, row.record) == (
                    destination,
                    holder,
                    site,
                    record,
                ) and row.place > place:
                    self.rows[number] = replace(row, place=place)

    def _change(self, stored: Ended | Followed | Promoted) -> None:
        if isinstance(stored, Ended):
            self._end(stored.event, stored.verdict)
        elif isinstance(stored, Followed):
            for key, verdict in list(self._duplicates_of(stored.before)):
                if verdict.destination == stored.destination:
                    self.verdicts[key] = replace(verdict, first=stored.after)
        else:
            for key, verdict in list(self._duplicates_of(stored.first)):
                if key[0] == stored.event and verdict.destination == stored.destination:
                    self.verdicts[key] = replace(
                        verdict,
                        name=VerdictName.UNDECIDED,
                        reason=stored.reason,
                        first="",
                        stage=Stage.TAKEN_OVER,
                    )

    def _end(self, event: str, verdict: Verdict) -> None:
        for key, found in list(self.verdicts.items()):
            if (key[0], found.destination, found.name) == (
                event,
                verdict.destination,
                VerdictName.UNDECIDED,
            ):
                self.verdicts[key] = replace(verdict, route=verdict.route or found.route)

    # Looking

    def carried(self, to: str = "aha") -> list[tuple[str, tuple[str, ...]]]:
        """Return (event, identities) of a destination's deliveries, in the order they leave."""
        rows = sorted(self.rows.values(), key=lambda row: (row.place, row.id))
        return [(row.event, row.identities) for row in rows if row.destination == to]

    def held(self, to: str = "aha") -> dict[str, str]:
        return {key[2]: event for key, event in self.claims.items() if key[0] == to}

    def verdict(self, event: str, to: str = "aha") -> Verdict:
        [found] = [
            v for (name, _, _), v in self.verdicts.items() if (name, v.destination) == (event, to)
        ]
        return found
