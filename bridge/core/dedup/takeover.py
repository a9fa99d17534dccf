"""A complete event takes the place of a thin one that still waits; a duplicate may inherit it.

A thin event that no route of its own hook wants is not the end of the matter: the same comment may
have arrived through other hooks, whose routes do want it, and became a duplicate of the thin event.
The first of those inherits the place in the lane, and is decided by the routes of its own hook.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bridge.core.dedup.changes import Changes, Entry, Heir, Waiting, is_wanted
from bridge.core.dedup.claims import Claims
from bridge.core.dedup.draft import Draft, keys_of
from bridge.model import Event, Stage, Verdict, VerdictName


def take_over(
    draft: Draft, event: Event, verdict: Verdict, waiting: Sequence[Waiting], *, late: bool
) -> bool:
    """Let a complete event have the effects of waiting thin ones, which become its duplicates.

    Returns whether it is also sent in the place of one of them; if not, it has to be queued in
    another lane.
    """
    keys = [(verdict.destination, event.site, name) for name in verdict.identities]
    for each in waiting:
        draft.claims.move(keys, each.event, event.id)
        draft.stop_waiting(each)
        taken = Verdict(
            name=VerdictName.DUPLICATE,
            reason=f"event {event.id} reports the same change in full and takes its place",
            destination=verdict.destination,
            first=event.id,
            stage=Stage.TAKEN_OVER,
        )
        draft.end(each, taken)
        draft.follow(each, event.id)
    own = next((each for each in waiting if each.record == event.record), None)
    for each in waiting:
        if each is not own:
            draft.remove(each)
    if own is not None:
        draft.replace(own, event, verdict, late=late)
    return own is not None


def end_unwanted(draft: Draft, entry: Entry, deleted: Collection[str]) -> None:
    """End the waiting of a thin event whose complete event no route wants.

    Only through the same hook, whose routes are the same: another hook's routes may want it, and
    its event of the same change waits in that place then.
    """
    event = entry.event
    if not event.full:
        return
    for waiting in draft.waiting_from(event):
        if is_unwanted(entry, deleted, waiting):
            verdict = Verdict(
                name=VerdictName.DUPLICATE,
                reason=f"event {event.id} reports the same change in full, and no route accepts it",
                destination=waiting.destination,
                first=event.id,
                stage=Stage.TAKEN_OVER,
            )
            drop(draft, waiting, verdict)


def is_unwanted(entry: Entry, deleted: Collection[str], waiting: Waiting) -> bool:
    """Whether an event has effects of a waiting one, and none of its verdicts asks for them."""
    shared = {effect.identity for effect in entry.event.effects}.intersection(waiting.identities)
    asked = shared.difference(deleted)
    return bool(shared) and not any(
        is_wanted(v) and v.destination == waiting.destination and asked.intersection(v.identities)
        for v in entry.verdicts
    )


def drop(
    draft: Draft, waiting: Waiting, verdict: Verdict, *, hold_until: int | None = None
) -> None:
    """Decide a waiting delivery against being sent: an heir has its place, or its claims are free.

    An heir waits as long as the dropped event would have, or until `hold_until` in ms.
    """
    draft.stop_waiting(waiting)
    draft.end(waiting, verdict)
    heir = draft.heir_of(waiting)
    if heir is None:
        draft.remove(waiting)
        draft.claims.release(keys_of(waiting), waiting.event)
        return
    draft.hand_on(waiting, heir, hold_until=hold_until)
    draft.promote(waiting, heir.event)
    draft.follow(waiting, heir.event)


def drop_stored(
    waiting: Waiting, verdict: Verdict, heirs: Sequence[Heir], *, hold_until: int
) -> Changes:
    """Return the changes when the routes decide against a thin event whose grace is over."""
    draft = Draft(Claims({}, {}), [waiting], {(waiting.event, waiting.destination): heirs})
    drop(draft, waiting, verdict, hold_until=hold_until)
    return draft.changes()
