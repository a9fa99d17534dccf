"""What operators do: retry, discard, send to another destination, replay. Each deed is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge import sources
from bridge.core import decide
from bridge.core.plan import Plan, permitted
from bridge.desk import Delivery, EventHistory, Replay, naming, show
from bridge.errors import NotFound, Rejected, WrongState
from bridge.model import Event, Route, Verdict, VerdictName
from bridge.sources import StoredBody
from bridge.store import OVER, Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """What an operator did to one delivery."""

    #: The delivery as it was before.
    delivery: Delivery
    #: Why nothing could be done; "" when it was done.
    error: str = ""


def as_dict(deed: Deed) -> dict[str, Any]:
    """Return a deed as plain data."""
    delivery = deed.delivery
    return {
        "delivery": delivery.id,
        "event": delivery.event,
        "key": delivery.key,
        "destination": delivery.destination,
        "route": delivery.route,
        "was": delivery.state,
        "done": not deed.error,
        "trouble": deed.error,
    }


def replay_as_dict(replay: Replay) -> dict[str, Any]:
    """Return a replay as plain data."""
    return {
        "event": replay.event,
        "route": replay.route,
        "destination": replay.destination,
        "effects": list(replay.identities),
    }


# Which deliveries


def find_deliveries(store: Store, ids: Iterable[str]) -> list[Delivery]:
    """Find deliveries by their numbers, or by the ids of their events; raises `NotFound`."""
    found: dict[int, Delivery] = {}
    for id in ids:
        found.update((delivery.id, delivery) for delivery in _find(store, id))
    return list(found.values())


def _find(store: Store, id: str) -> list[Delivery]:
    if id.isascii() and id.isdecimal() and not id.startswith("0"):
        return [store.history.delivery(int(id))]
    event = show.find_event(store, id)
    unfinished = [d for d in store.history.deliveries_of(event) if d.state not in OVER]
    if not unfinished:
        raise NotFound(f"event {event} has no delivery that is not over")
    return unfinished


def blocked(store: Store, *, state: str = "", destination: str = "") -> list[Delivery]:
    """Find all deliveries that are parked or in doubt, or only those in one of the two states."""
    return store.history.blocked(states=[state] if state else (), destination=destination)


def homeless(store: Store, plan: Plan) -> tuple[str, ...]:
    """Name the destinations with open deliveries that are not in the mappings."""
    return tuple(store.destinations.compare_names(naming.former_names(plan.configuration)).homeless)


# What to do with them


def retry(store: Store, deliveries: Iterable[Delivery], *, who: str) -> list[Deed]:
    """Queue parked and doubtful deliveries again, each in a transaction of its own."""
    return [_do(each, lambda id: store.operators.retry(id, who=who)) for each in deliveries]


def discard(store: Store, deliveries: Iterable[Delivery], *, who: str, reason: str) -> list[Deed]:
    """Give deliveries up, each in a transaction of its own; their lanes go on."""
    return [
        _do(each, lambda id: store.operators.discard(id, who=who, reason=reason))
        for each in deliveries
    ]


def _do(delivery: Delivery, deed: Callable[[int], object]) -> Deed:
    try:
        deed(delivery.id)
    except (NotFound, WrongState) as error:
        return Deed(delivery=delivery, error=str(error))
    return Deed(delivery=delivery)


def send_to(
    store: Store, plan: Plan, names: Sequence[str], to: str, *, who: str
) -> tuple[Deed, ...]:
    """Move all open deliveries of the destinations `names` to the destination `to`.

    No effect that was delivered to either of two is delivered again. Raises `NotFound` when the
    mappings have no destination `to`, and `WrongState` when they still have one of `names`.
    """
    targets = plan.configuration.targets
    if to not in targets:
        raise NotFound(f"the mappings have no destination {to}; they have: {', '.join(targets)}")
    for name in names:
        if name in targets:
            raise WrongState(f"{name} is still a destination of the mappings: it sends this itself")
    moved = [store.operators.send_to(was=name, name=to, who=who) for name in names]
    return tuple(Deed(delivery=delivery) for each in moved for delivery in each)


def resume(store: Store, destination: str, *, who: str) -> None:
    """End a destination's pause and retry its deliveries at once; raises `NotFound`."""
    store.operators.resume(destination, who=who)


# Replay


def replay(store: Store, plan: Plan, event: str, *, route: str = "", who: str) -> list[Replay]:
    """Deliver an event again on purpose, by today's mappings, despite earlier deliveries.

    It goes by the routes that delivered it, or by `route`, which is needed when none did: then the
    filter is not asked, but all stages that protect (private comments, echoes, workspaces) are.
    Raises `NotFound` or `WrongState`.
    """
    found = show.history_of(store, event)
    again = _read_again(found)
    replays = [
        Replay(event=again.id, route=by.name, destination=name, identities=identities)
        for by, names in _ways(plan, found, again, route)
        for name in names
        for identities in [_carried(plan, again, by, name)]
    ]
    store.operators.replay(again, replays, who=who)
    return replays


def _read_again(found: EventHistory) -> Event:
    """Read a kept body as it was read on arrival."""
    kept = found.event
    if found.body is None:
        first = next((row["first"] for row in found.verdicts if row["first"]), "")
        hint = f"it repeats event {first}: replay that one" if first else "it is too old"
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


def _ways(
    plan: Plan, found: EventHistory, event: Event, route: str
) -> list[tuple[Route, Sequence[str]]]:
    """Return the routes by which to replay an event, each with its destinations."""
    for row in found.deliveries:
        if row["state"] not in OVER:
            raise WrongState(f"delivery {row['id']} of event {event.id} is still {row['state']}")
    if route:
        chosen = _route(plan, event, route)
        return [(chosen, chosen.destinations)]
    delivered: dict[str, dict[str, None]] = {}
    for row in found.deliveries:
        delivered.setdefault(row["route"], {})[row["destination"]] = None
    if not delivered:
        names = ", ".join(each.name for each in plan.by_hook.get(event.hook, ())) or "none"
        raise WrongState(f"no route sent event {event.id}: say by which to send it ({names})")
    return [(_route(plan, event, name), list(names)) for name, names in delivered.items()]


def _route(plan: Plan, event: Event, name: str) -> Route:
    routes = plan.by_hook.get(event.hook, ())
    found = next((route for route in routes if route.name == name), None)
    if found is None:
        names = ", ".join(route.name for route in routes) or "none"
        raise NotFound(f"no route {name} reads from the hook {event.hook}; those that do: {names}")
    return found


def _carried(plan: Plan, event: Event, route: Route, destination: str) -> tuple[str, ...]:
    """Return the identities to carry: of all effects that the stages before the filter let pass."""
    ignored = plan.configuration.ignored_actors
    case = decide.case_of(event, route, now=event.received, ignored=ignored)
    for _, found in decide.walk(case, decide.BEFORE_FILTER):
        if isinstance(found, Verdict):
            reason = f"{found.reason} [{found.stage}]"
            raise WrongState(f"{route.name} does not let it through: {reason}")
        case = found
    identities = tuple(effect.identity for effect in case.effects)
    wanted = Verdict(
        name=VerdictName.DELIVER, reason="", destination=destination, identities=identities
    )
    target = plan.configuration.targets.get(destination)
    if target is None:
        raise NotFound(f"there is no destination {destination} any more")
    allowed = permitted(wanted, route, target)
    if allowed.name is not VerdictName.DELIVER:
        raise WrongState(f"{allowed.reason} [{allowed.stage}]")
    return identities
