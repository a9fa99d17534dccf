"""A route's `when` and `fields` compiled, and their complaints put where the text stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.config.documents import Findings, Steps
from bridge.config.drafts import Draft, Drafts
from bridge.config.schemas import LINE
from bridge.core import jql
from bridge.core.mapping import compile_fields
from bridge.errors import BadField, BadFilter
from bridge.model import Site

_WHEN: Steps = ("when",)
_FIELDS: Steps = ("fields",)
#: What stands in for a path that was complained about, to find what else is wrong in the line.
_SOME_PATH = "$.issue.id"


def compile_routes(drafts: Drafts, findings: Findings) -> None:
    """Compile what is sound of every route into its draft; the rest is in the findings."""
    for route in drafts.routes:
        _compile_filters(route, _sites(route, drafts), findings)
        _compile_lines(route, findings)


def _sites(route: Draft, drafts: Drafts) -> list[Site]:
    """Return the sites a route hears; when none of its hooks is known, one stands in for them."""
    names = [drafts.hooks[name].site for name in route.hooks if name in drafts.hooks]
    found = [drafts.sites[name] for name in dict.fromkeys(names) if name in drafts.sites]
    return found or list(drafts.sites.values())[:1] or [Site(name="")]


def _compile_filters(route: Draft, sites: list[Site], findings: Findings) -> None:
    if findings.broken(route.document, _WHEN):
        return
    text = route.data.get("when") or ""
    lookup = "lookup" in route.data.get("unknown", ())
    for site in sites:
        try:
            compiled = jql.compile(text, site, lookup=lookup)
        except BadFilter as error:
            place = route.document.inside(_WHEN, error.offset)
            findings.error(route.document, _WHEN, str(error), place)
            continue
        route.filters[site.name] = compiled
        for offset, message in compiled.warnings:
            place = route.document.inside(_WHEN, offset)
            findings.warn(route.document, _WHEN, message, place)


def _compile_lines(route: Draft, findings: Findings) -> None:
    lines = route.data.get("fields") or []
    unmapped = route.data.get("unmapped", "keep")
    for index, line in enumerate(lines):
        if isinstance(line, dict):
            known = {key: value for key, value in line.items() if key in LINE.keys}
            _judge_line((*_FIELDS, index), known, route, findings)
    if findings.broken(route.document, _FIELDS):
        return
    route.mapper.append(compile_fields(lines, unmapped))


def _judge_line(steps: Steps, line: dict[str, Any], route: Draft, findings: Findings) -> None:
    """Say everything that is wrong with a line: after each complaint, its part is replaced."""
    for _ in LINE.keys:
        error = _complaint(line)
        if error is None:
            return
        message = str(error).removeprefix(f"`{error.name}`: ")
        findings.error(route.document, (*steps, error.name), message)
        line.pop(error.name, None)
        if error.name in ("from", "to"):
            line[error.name] = _SOME_PATH


def _complaint(line: Mapping[str, object]) -> BadField | None:
    try:
        compile_fields([line], "keep")
    except BadField as error:
        return error
    return None
