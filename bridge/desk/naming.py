"""Destinations that the database and the mappings call by different names, and the ways out."""

from __future__ import annotations

from bridge.model import Configuration
from bridge.store import Names, Store


def former_names(configuration: Configuration) -> dict[str, str]:
    """Return the former name, or "", of each destination of the mappings, by its name."""
    return {target.name: target.was for target in configuration.targets.values()}


def warnings(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Describe each name that does not fit, one line each; raises `Down`."""
    return describe(store.destinations.compare_names(former_names(configuration)))


def describe(names: Names) -> tuple[str, ...]:
    """Describe each name that does not fit, one line each."""
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
