"""Deliveries that need a person: tried again, given up, or sent once more; who did it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from bridge import sources
from bridge.core import decide
from bridge.core.plan import Plan, permitted
from bridge.desk import naming, show
from bridge.errors import NotFound, Rejected, WrongState
from bridge.model import Event, Route, State, Verdict, VerdictName
from bridge.sources import StoredBody
from bridge.store import Store, renaming
from bridge.store import operators as mending
from bridge.store.history import Life
from bridge.store.operators import STUCK, Parcel
from bridge.store.writer.loop import Work

#: What was sent once, and may be sent again on purpose.
_OVER = (State.DELIVERED, State.DISCARDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mended:
    """What became of one delivery that was to be mended."""

    parcel: Parcel
    #: Why nothing could be done; "" when it was done.
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """A delivery that was queued once more."""

    event: str
    route: str
    destination: str
    #: The identities it carries.
    identities: tuple[str, ...]


def told(mended: Mended) -> dict[str, Any]:
    """Say it as plain data."""
    parcel = mended.parcel
    return {
        "delivery": parcel.id,
        "event": parcel.event,
        "key": parcel.key,
        "destination": parcel.destination,
        "route": parcel.route,
        "was": parcel.state,
        "done": not mended.trouble,
        "trouble": mended.trouble,
    }


# Choosing


def named(store: Store, ids: Iterable[str]) -> list[Parcel]:
    """Find deliveries by their numbers, or by the ids of their events; raises `NotFound`."""
    found: dict[int, Parcel] = {}
    for name in ids:
        found.update((parcel.id, parcel) for parcel in _named(store, name))
    return list(found.values())


def _named(store: Store, name: str) -> list[Parcel]:
    if name.isascii() and name.isdecimal() and not name.startswith("0"):
        with store.reading() as conn:
            return [mending.by_id(conn, int(name))]
    event = show.identify(store, name)
    with store.reading() as conn:
        parcels = mending.of_event(conn, event)
    open_ones = [parcel for parcel in parcels if parcel.state not in _OVER]
    if not open_ones:
        raise NotFound(f"event {event} has no delivery that is not over")
    return open_ones


def waiting(store: Store, *, state: str = "", destination: str = "") -> list[Parcel]:
    """Find every delivery that is parked or in doubt, or only those in one of the two states."""
    with store.reading() as conn:
        return mending.stuck(conn, states=[state] if state else STUCK, destination=destination)


# Doing


def retry(store: Store, parcels: Iterable[Parcel], *, who: str) -> list[Mended]:
    """Queue parked and doubtful deliveries again, each by itself."""
    return [
        _mended(store, parcel, partial(mending.retry, delivery=parcel.id, who=who))
        for parcel in parcels
    ]


def send_to(
    store: Store, plan: Plan, names: Sequence[str], to: str, *, who: str
) -> tuple[Parcel, ...]:
    """Let another destination have all that is open for these; returns it, as it was.

    Nothing goes out twice that either was told. Raises `NotFound` for a destination that is not in
    the mappings, and `WrongState` where one of these still is.
    """
    targets = plan.configuration.targets
    if to not in targets:
        raise NotFound(f"the mappings have no destination {to}; they have: {', '.join(targets)}")
    for name in names:
        if name in targets:
            raise WrongState(f"{name} is still a destination of the mappings: it sends this itself")
    done = [
        cast(
            "list[Parcel]",
            store.run_here(partial(mending.send_to, was=name, name=to, who=who)),
        )
        for name in names
    ]
    return tuple(parcel for each in done for parcel in each)


def homeless(store: Store, plan: Plan) -> tuple[str, ...]:
    """Name the destinations that are not in the mappings and have deliveries open."""
    with store.reading() as conn:
        names = renaming.compare(conn, naming.configured(plan.configuration))
    return tuple(names.homeless)


def discard(store: Store, parcels: Iterable[Parcel], *, who: str, reason: str) -> list[Mended]:
    """Give deliveries up, each by itself; what waited behind them goes on."""
    return [
        _mended(store, parcel, partial(mending.discard, delivery=parcel.id, who=who, reason=reason))
        for parcel in parcels
    ]


def resume(store: Store, destination: str, *, who: str) -> None:
    """End a destination's pause and try at once what waits there; raises `NotFound`."""
    store.run_here(partial(mending.resume, destination=destination, who=who))
    store.wakeups.notify({destination: 1})


def _mended(store: Store, parcel: Parcel, work: Work) -> Mended:
    try:
        store.run_here(work)
    except (NotFound, WrongState) as error:
        return Mended(parcel=parcel, trouble=str(error))
    store.wakeups.notify({parcel.destination: 1})
    return Mended(parcel=parcel)


# Once more


def replay(store: Store, plan: Plan, event: str, *, route: str = "", who: str) -> list[Replayed]:
    """Send an event again on purpose, by the mappings of today and whatever was sent before.

    By the routes that sent it, or by `route`, which is needed when none did: then the filter has
    no say, but all that protects (private comments, echoes, workspaces) still has. Raises
    `NotFound` or `WrongState`.
    """
    found = show.whole(store, event)
    again = _read_again(found)
    plans = [
        Replayed(event=again.id, route=by.name, destination=name, identities=effects)
        for by, names in _ways(plan, found, again, route)
        for name in names
        for effects in [_carried(plan, again, by, name)]
    ]
    carried = [(each.route, each.destination, each.identities) for each in plans]
    store.run_here(partial(mending.replay, event=again, plans=carried, who=who))
    store.wakeups.notify({each.destination: 1 for each in plans})
    return plans


def _read_again(found: Life) -> Event:
    """Read a kept body as it was read at the door."""
    kept = found.event
    if found.body is None:
        first = next((row["first"] for row in found.verdicts if row["first"]), "")
        hint = f"it told the same as event {first}: replay that one" if first else "it is too old"
        raise WrongState(f"the body of event {kept['id']} is not kept: {hint}")
    stored = StoredBody(
        event=kept["id"],
        source=kept["source"],
        hook=kept["hook"],
        site=kept["site"],
        received=kept["received"],
        record=kept["record"],
        key=kept["key"],
        body=found.body,
    )
    try:
        return sources.read_again(stored)
    except (Rejected, NotFound) as error:
        raise WrongState(f"event {kept['id']} cannot be read: {error}") from error


def _ways(plan: Plan, found: Life, event: Event, route: str) -> list[tuple[Route, Sequence[str]]]:
    """Tell by which routes to which destinations an event goes once more."""
    for row in found.deliveries:
        if row["state"] not in _OVER:
            raise WrongState(f"delivery {row['id']} of event {event.id} is still {row['state']}")
    if route:
        chosen = _route(plan, event, route)
        return [(chosen, chosen.destinations)]
    sent: dict[str, dict[str, None]] = {}
    for row in found.deliveries:
        sent.setdefault(row["route"], {})[row["destination"]] = None
    if not sent:
        names = ", ".join(each.name for each in plan.by_hook.get(event.hook, ())) or "none"
        raise WrongState(f"no route sent event {event.id}: say by which to send it ({names})")
    return [(_route(plan, event, name), list(names)) for name, names in sent.items()]


def _route(plan: Plan, event: Event, name: str) -> Route:
    routes = plan.by_hook.get(event.hook, ())
    found = next((route for route in routes if route.name == name), None)
    if found is None:
        names = ", ".join(route.name for route in routes) or "none"
        raise NotFound(f"no route {name} reads from the hook {event.hook}; those that do: {names}")
    return found


def _carried(plan: Plan, event: Event, route: Route, destination: str) -> tuple[str, ...]:
    """Name the effects to carry: all that the stages before the filter let through."""
    ignored = plan.configuration.ignored_actors
    case = decide.case_of(event, route, now=event.received, ignored=ignored)
    for _, found in decide.walk(case, decide.BEFORE_FILTER):
        if isinstance(found, Verdict):
            raise WrongState(f"{route.name} does not let it through: {found.reason}")
        case = found
    names = tuple(effect.identity for effect in case.effects)
    wanted = Verdict(name=VerdictName.DELIVER, reason="", destination=destination, identities=names)
    target = plan.configuration.targets.get(destination)
    if target is None:
        raise NotFound(f"there is no destination {destination} any more")
    allowed = permitted(wanted, route, target)
    if allowed.name is not VerdictName.DELIVER:
        raise WrongState(allowed.reason)
    return names
