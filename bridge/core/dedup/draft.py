"""The draft of what a batch of events changes: its deliveries, claims and verdicts.

`core.dedup` and `core.dedup.takeover` write into it; `Draft.changes` is what the store gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.core.dedup.changes import (
    Changes,
    ClaimKey,
    Ended,
    Followed,
    Heir,
    NewDelivery,
    Promoted,
    Rewritten,
    Stored,
    Waiting,
)
from bridge.core.dedup.claims import Claims
from bridge.model import Event, Stage, Verdict, VerdictName


class Draft:
    """The changes that a batch has come to so far."""

    def __init__(
        self,
        claims: Claims,
        waiting: Iterable[Waiting] = (),
        heirs: Mapping[tuple[str, str], Sequence[Heir]] | None = None,
    ) -> None:
        self.claims = claims
        self.verdicts: dict[str, list[Verdict]] = {}
        self._events: dict[str, Event] = {}
        self._waiting = {(each.event, each.destination): each for each in waiting}
        self._heirs = dict(heirs or {})
        self._new: dict[int, NewDelivery] = {}
        self._numbers = 0
        self._rewritten: dict[int, Rewritten] = {}
        self._removed: list[int] = []
        self._stored: list[Ended | Followed | Promoted] = []
        self._woken: dict[tuple[str, int], int] = {}
        self._forward: dict[tuple[str, str, str, str], int] = {}

    def changes(self) -> Changes:
        """Return all that has changed."""
        return Changes(
            verdicts={event: tuple(found) for event, found in self.verdicts.items()},
            deliveries=tuple(self._new.values()),
            rewritten=tuple(self._rewritten.values()),
            removed=tuple(self._removed),
            moved=self.claims.moved,
            released=self.claims.released,
            stored=tuple(self._stored),
            woken=self._woken,
            forward=self._forward,
        )

    def begin(self, event: Event) -> None:
        """Begin with an event of the batch."""
        self._events[event.id] = event

    # Deliveries

    def queue(self, delivery: NewDelivery) -> None:
        """Queue a delivery; that of a thin event waits from now on."""
        self._numbers += 1
        self._new[self._numbers] = delivery
        if delivery.hold_until is not None:
            self._wait(
                Waiting(
                    event=delivery.event.id,
                    destination=delivery.destination,
                    hook=delivery.event.hook,
                    site=delivery.event.site,
                    record=delivery.event.record,
                    identities=delivery.identities,
                    at=self._numbers,
                )
            )

    def _wait(self, waiting: Waiting) -> None:
        self._waiting[waiting.event, waiting.destination] = waiting

    def waiting(self, destination: str, events: Iterable[str]) -> tuple[Waiting, ...]:
        """Return the deliveries of these events to a destination that wait."""
        found = [self._waiting.get((event, destination)) for event in dict.fromkeys(events)]
        return tuple(each for each in found if each is not None)

    def waiting_from(self, event: Event) -> list[Waiting]:
        """Return the deliveries that wait for a complete event of this event's hook and site."""
        return [
            waiting
            for waiting in self._waiting.values()
            if (waiting.hook, waiting.site) == (event.hook, event.site)
        ]

    def stop_waiting(self, waiting: Waiting) -> None:
        """Let no other event take a delivery over."""
        del self._waiting[waiting.event, waiting.destination]

    def move_forward(self, event: Event, destination: str, holder: str, place: int) -> None:
        """Let the deliveries of an effect's holder stand at an earlier place in an event's lane."""
        key = (destination, holder, event.site, event.record)
        self._forward[key] = min(place, self._forward.get(key, place))

    def replace(self, waiting: Waiting, event: Event, verdict: Verdict, *, late: bool) -> None:
        """Let a complete event be sent in the place of a waiting one."""
        if isinstance(waiting.at, int):
            self._new[waiting.at] = replace(
                self._new[waiting.at],
                event=event,
                route=verdict.route,
                identities=verdict.identities,
                hold_until=None,
                late=late,
            )
            return
        self._rewrite(
            Rewritten(
                id=waiting.at.id,
                event=event.id,
                route=verdict.route,
                identities=verdict.identities,
                writes=any(e.writes for e in event.effects if e.identity in verdict.identities),
                hold_until=None,
                late=late,
            )
        )
        self._wake(waiting.destination, waiting.at)

    def remove(self, waiting: Waiting) -> None:
        """Take a delivery that waited out of its lane."""
        if isinstance(waiting.at, int):
            del self._new[waiting.at]
            return
        self._rewritten.pop(waiting.at.id, None)
        self._removed.append(waiting.at.id)
        self._wake(waiting.destination, waiting.at)

    def hand_on(self, waiting: Waiting, heir: Heir, *, hold_until: int | None = None) -> None:
        """Let an heir wait in the place of a thin event, until `hold_until` in ms if given."""
        record = waiting.record
        if isinstance(waiting.at, int):
            event = self._events[heir.event]
            record = event.record
            self._new[waiting.at] = replace(self._new[waiting.at], event=event, route=heir.route)
        else:
            self._rewrite(
                Rewritten(
                    id=waiting.at.id,
                    event=heir.event,
                    route=heir.route,
                    identities=waiting.identities,
                    writes=waiting.at.writes,
                    hold_until=waiting.at.hold_until if hold_until is None else hold_until,
                    late=waiting.at.late,
                )
            )
        self._heirs[heir.event, waiting.destination] = [
            each for each in self._stored_heirs(waiting) if each.event != heir.event
        ]
        self._wait(replace(waiting, event=heir.event, hook=heir.hook, record=record))
        self.claims.move(keys_of(waiting), waiting.event, heir.event)

    def _rewrite(self, rewritten: Rewritten) -> None:
        self._rewritten[rewritten.id] = rewritten

    def _wake(self, destination: str, stored: Stored) -> None:
        self._woken[destination, stored.lane] = stored.hold_until

    # Verdicts

    def end(self, waiting: Waiting, verdict: Verdict) -> None:
        """Decide the undecided verdict of a thin event."""
        if waiting.event not in self.verdicts:
            self._stored.append(Ended(event=waiting.event, verdict=verdict))
            return
        self.verdicts[waiting.event] = [
            replace(verdict, route=v.route)
            if v.name is VerdictName.UNDECIDED and v.destination == verdict.destination
            else v
            for v in self.verdicts[waiting.event]
        ]

    def follow(self, waiting: Waiting, after: str) -> None:
        """Make the duplicates of a thin event duplicates of another event."""
        self._change_duplicates(
            waiting, self.verdicts, lambda verdict: replace(verdict, first=after)
        )
        if isinstance(waiting.at, Stored):
            self._stored.append(
                Followed(
                    destination=waiting.destination,
                    site=waiting.site,
                    identities=waiting.identities,
                    before=waiting.event,
                    after=after,
                )
            )

    def promote(self, waiting: Waiting, heir: str) -> None:
        """Let a duplicate of a thin event be undecided again."""
        reason = (
            f"event {waiting.event} reported {', '.join(waiting.identities)} before, but no route "
            f"of the hook {waiting.hook} accepts it"
        )
        if heir not in self.verdicts:
            self._stored.append(
                Promoted(
                    event=heir,
                    destination=waiting.destination,
                    first=waiting.event,
                    reason=reason,
                )
            )
            return
        undecided = Verdict(
            name=VerdictName.UNDECIDED,
            reason=reason,
            identities=waiting.identities,
            stage=Stage.TAKEN_OVER,
        )
        self._change_duplicates(
            waiting,
            [heir],
            lambda v: replace(undecided, route=v.route, destination=v.destination),
        )

    def _change_duplicates(
        self, waiting: Waiting, events: Iterable[str], change: Callable[[Verdict], Verdict]
    ) -> None:
        for event in events:
            found = self.verdicts[event]
            if any(_is_duplicate_of(waiting, verdict) for verdict in found):
                self.verdicts[event] = [
                    change(verdict) if _is_duplicate_of(waiting, verdict) else verdict
                    for verdict in found
                ]

    # Heirs

    def heir_of(self, waiting: Waiting) -> Heir | None:
        """Return the first duplicate of a thin event from another hook, stored ones first."""
        others = (*self._stored_heirs(waiting), *self._new_heirs(waiting))
        return next((heir for heir in others if heir.hook != waiting.hook), None)

    def _stored_heirs(self, waiting: Waiting) -> Sequence[Heir]:
        return self._heirs.get((waiting.event, waiting.destination), ())

    def _new_heirs(self, waiting: Waiting) -> Iterable[Heir]:
        for event, found in self.verdicts.items():
            verdict = next((v for v in found if _is_duplicate_of(waiting, v)), None)
            if verdict is not None:
                yield Heir(event=event, hook=self._events[event].hook, route=verdict.route)


def keys_of(waiting: Waiting) -> list[ClaimKey]:
    """Return the keys of the claims that go with a waiting delivery."""
    return [(waiting.destination, waiting.site, name) for name in waiting.identities]


def _is_duplicate_of(waiting: Waiting, verdict: Verdict) -> bool:
    return (
        verdict.name is VerdictName.DUPLICATE
        and verdict.first == waiting.event
        and verdict.destination == waiting.destination
    )
