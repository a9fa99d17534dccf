"""Turn checked values into the nouns of the model, as far as they have no errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.config.documents import Document, Findings, Steps
from bridge.model import Comments, Filter, Hook, Limits, Mapper, Route, RunAs, Site, Target


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteDraft:
    """A route's file that is not yet a `Route`."""

    document: Document
    #: The values that passed the schema.
    data: Mapping[str, Any]
    #: The compiled `when` by site, added one by one.
    filters: dict[str, Filter] = field(default_factory=dict)
    #: The compiled `fields`: none or one, as they may have errors.
    mapper: list[Mapper] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the route's name."""
        return self.document.name

    @property
    def hooks(self) -> tuple[str, ...]:
        """Return the names under `from`."""
        return tuple(self.data.get("from", ()))

    @property
    def destinations(self) -> tuple[str, ...]:
        """Return the names under `to`."""
        return tuple(self.data.get("to", ()))

    def steps_to(self, key: str, index: int) -> Steps:
        """Return the steps to a key's word, which is in a list or on its own."""
        return (key, index) if isinstance(self.document.content[key], list) else (key,)

    def route(self) -> Route:
        """Return the finished route; only for a route without errors."""
        data = self.data
        return Route(
            name=self.name,
            description=data["description"],
            hooks=self.hooks,
            destinations=self.destinations,
            workspace=data["workspace"],
            filters=self.filters,
            events=frozenset(data["events"]),
            unknown=_with_final_word(data["unknown"]),
            moves=data["moves"],
            comments=Comments(**data["comments"]),
            mapper=self.mapper[0],
            revision=revision(self.document.content),
        )


def _with_final_word(unknown: tuple[str, ...]) -> tuple[str, ...]:
    return unknown if unknown[-1] in ("deliver", "drop") else (*unknown, "deliver")


def revision(content: Mapping[str, Any]) -> str:
    """Return a short digest of a file's values; order, comments and spacing do not change it."""
    meaning = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(meaning.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigurationDraft:
    """All files together, as far as their values have no errors: the input of the rules."""

    #: bridge.yaml; None when it could not be read.
    bridge: Document | None
    #: The hooks with a known site; a value with an error is "".
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    #: The destinations; a value with an error has its default.
    targets: Mapping[str, Target] = field(default_factory=dict)
    #: The sites in bridge.yaml, and a default one for each other site that a hook names.
    sites: Mapping[str, Site] = field(default_factory=dict)
    #: All names in bridge.yaml.
    hook_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    ignored_actors: frozenset[str] = frozenset()
    routes: tuple[RouteDraft, ...] = ()


def build_draft(
    bridge: Document | None,
    data: Mapping[str, Any],
    routes: Iterable[RouteDraft],
    findings: Findings,
) -> ConfigurationDraft:
    """Build the draft of a configuration; an error in one value does not hide the others."""
    if bridge is None:
        return ConfigurationDraft(bridge=None, routes=tuple(routes))
    hooks = {
        name: _hook(name, part)
        for name, part in data.get("hooks", {}).items()
        if not findings.has_error(bridge, ("hooks", name, "site"))
    }
    sites = {hook.site: Site(name=hook.site) for hook in hooks.values()}
    sites |= {name: _site(name, part) for name, part in data.get("sites", {}).items()}
    targets = data.get("destinations", {})
    actors = data.get("ignore", {}).get("actors", ())
    return ConfigurationDraft(
        bridge=bridge,
        hooks=hooks,
        targets={name: _target(name, part) for name, part in targets.items()},
        sites=sites,
        hook_names=_names(bridge, "hooks"),
        target_names=_names(bridge, "destinations"),
        ignored_actors=frozenset(actor.lower() for actor in actors),
        routes=tuple(routes),
    )


def _names(bridge: Document, section: str) -> tuple[str, ...]:
    written = bridge.content.get(section)
    return tuple(written) if isinstance(written, dict) else ()


def _hook(name: str, part: Mapping[str, Any]) -> Hook:
    return Hook(
        name=name,
        source=part.get("source", ""),
        site=part.get("site") or name,
        token=part.get("token", ""),
        secrets=part.get("secret") or (),
        enabled=part.get("enabled", True),
    )


def _target(name: str, part: Mapping[str, Any]) -> Target:
    given = {"kind": "", "url": "", "token": "", "run_as": {}, **part}
    run_as = {"name": "", "email": "", **given.pop("run_as")}
    given["url"] = given["url"].rstrip("/")
    if "limits" in given:
        given["limits"] = Limits(**given["limits"])
    return Target(name=name, run_as=RunAs(**run_as), **given)


def _site(name: str, part: Mapping[str, Any]) -> Site:
    return Site(name=name, **part)
