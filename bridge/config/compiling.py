"""Compile a route's `when` and `fields`, and put their errors at positions in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.config.documents import Findings, Steps
from bridge.config.draft import ConfigurationDraft, RouteDraft
from bridge.config.schemas import LINE
from bridge.core import jql
from bridge.core.mapping import compile_fields
from bridge.errors import BadField, BadFilter
from bridge.model import Site

_WHEN: Steps = ("when",)
_FIELDS: Steps = ("fields",)
#: Replaces a wrong path, so that the rest of the line is checked as well.
_SOME_PATH = "$.issue.id"


def compile_routes(draft: ConfigurationDraft, findings: Findings) -> None:
    """Compile every route's filters and lines into its draft; errors go to the findings."""
    for route in draft.routes:
        _compile_filters(route, _sites(route, draft), findings)
        _compile_lines(route, findings)


def _sites(route: RouteDraft, draft: ConfigurationDraft) -> list[Site]:
    """Return the sites of a route's hooks; some other site when it has no known hook."""
    names = [draft.hooks[name].site for name in route.hooks if name in draft.hooks]
    found = [draft.sites[name] for name in dict.fromkeys(names) if name in draft.sites]
    return found or list(draft.sites.values())[:1] or [Site(name="")]


def _compile_filters(route: RouteDraft, sites: list[Site], findings: Findings) -> None:
    if findings.has_error(route.document, _WHEN):
        return
    text = route.data.get("when") or ""
    lookup = "lookup" in route.data.get("unknown", ())
    for site in sites:
        try:
            compiled = jql.compile(text, site, lookup=lookup)
        except BadFilter as error:
            position = route.document.position_inside(_WHEN, error.offset)
            findings.error(route.document, _WHEN, str(error), position)
            continue
        route.filters[site.name] = compiled
        for offset, message in compiled.warnings:
            position = route.document.position_inside(_WHEN, offset)
            findings.warn(route.document, _WHEN, message, position)


def _compile_lines(route: RouteDraft, findings: Findings) -> None:
    lines = route.data.get("fields") or []
    unmapped = route.data.get("unmapped", "keep")
    for index, line in enumerate(lines):
        if isinstance(line, dict):
            known = {key: value for key, value in line.items() if key in LINE.keys}
            _check_line((*_FIELDS, index), known, route, findings)
    if findings.has_error(route.document, _FIELDS):
        return
    route.mapper.append(compile_fields(lines, unmapped))


def _check_line(steps: Steps, line: dict[str, Any], route: RouteDraft, findings: Findings) -> None:
    """Report every error of a line: after each error, the wrong key is replaced or removed."""
    for _ in LINE.keys:
        error = _line_error(line)
        if error is None:
            return
        message = str(error).removeprefix(f"`{error.name}`: ")
        findings.error(route.document, (*steps, error.name), message)
        line.pop(error.name, None)
        if error.name in ("from", "to"):
            line[error.name] = _SOME_PATH


def _line_error(line: Mapping[str, object]) -> BadField | None:
    try:
        compile_fields([line], "keep")
    except BadField as error:
        return error
    return None
