"""Destinations that the database and the mappings call by different names, and the ways out."""

from __future__ import annotations

from bridge.model import Configuration
from bridge.store import Store


def configured(configuration: Configuration) -> dict[str, str]:
    """Name the destinations of the mappings, each with what it was called before, or ""."""
    return {target.name: target.was for target in configuration.targets.values()}


def take(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Say what is wrong, one line each; nothing: the names agree. Raises `Down`."""
    names = store.destinations.compare_names(configured(configuration))
    return (
        *(_homeless(name, count) for name, count in names.homeless.items()),
        *(_renamed(name, other) for name, other in names.renamed.items()),
    )


def _homeless(name: str, count: int) -> str:
    what = "1 delivery is" if count == 1 else f"{count} deliveries are"
    return (
        f"{what} open for {name}, which is no destination of the mappings any more: say"
        f" `was: {name}` where it has another name now, or"
        f" `aha-bridge retry --destination {name} --to OTHER`, or `aha-bridge discard`"
    )


def _renamed(name: str, other: str) -> str:
    return (
        f"{name} goes by the name {other} elsewhere, and nothing is sent under the old one: these"
        f" mapping files are older, or {name} should say `was: {other}`"
    )
