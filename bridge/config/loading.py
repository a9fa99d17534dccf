"""Mapping files made into a configuration: checked whole, or refused with everything wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config.compiling import compile_routes
from bridge.config.documents import Document, Findings
from bridge.config.drafts import Draft, Drafts, draft
from bridge.config.files import BRIDGE_FILE, Files
from bridge.config.files import read as read_files
from bridge.config.rules import RULES
from bridge.config.schemas import check_bridge, check_route
from bridge.config.variables import Variables
from bridge.config.yaml import read
from bridge.errors import BadConfiguration, Problem
from bridge.model import Configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What became of a folder of mappings."""

    #: None when there are errors.
    configuration: Configuration | None
    #: Errors and warnings, in the order of files and lines.
    problems: tuple[Problem, ...]
    #: The names that the files read from the environment, set or not.
    variables: frozenset[str]


def load(folder: Path, environ: Mapping[str, str]) -> Loaded:
    """Read and check every file of the folder; everything wrong with them comes back at once."""
    return check(read_files(folder), environ)


def check(files: Files, environ: Mapping[str, str]) -> Loaded:
    """Check files that were read; everything wrong with them comes back at once."""
    findings = Findings()
    variables = Variables(environ=environ, folder=files.folder)
    drafts = _draft_all(list(_documents(files, variables, findings)), findings)
    compile_routes(drafts, findings)
    for rule in RULES:
        rule(drafts, findings)
    return Loaded(
        configuration=_finish(drafts) if findings.sound() else None,
        problems=findings.problems(),
        variables=frozenset(variables.names),
    )


def require(folder: Path, environ: Mapping[str, str]) -> Configuration:
    """Return a folder's configuration; raises `BadConfiguration` with everything wrong in it."""
    loaded = load(folder, environ)
    if loaded.configuration is None:
        raise BadConfiguration(loaded.problems)
    return loaded.configuration


def _documents(files: Files, variables: Variables, findings: Findings) -> Iterator[Document]:
    """Give every readable mapping file; about the others there is a finding."""
    findings.add(files.problems)
    for name, data in files.contents.items():
        path = files.folder / name
        document = read(str(path), path.stem, data, variables, findings)
        if document is not None:
            yield document


def _draft_all(documents: list[Document], findings: Findings) -> Drafts:
    name = Path(BRIDGE_FILE).stem
    bridge = next((document for document in documents if document.name == name), None)
    data = check_bridge(bridge, findings) if bridge else {}
    routes = [
        Draft(document=document, data=check_route(document, findings))
        for document in documents
        if document is not bridge
    ]
    return draft(bridge, data, routes, findings)


def _finish(drafts: Drafts) -> Configuration:
    return Configuration(
        hooks=drafts.hooks,
        targets=drafts.targets,
        sites=drafts.sites,
        routes={route.name: route.route() for route in drafts.routes},
        ignored_actors=drafts.ignored_actors,
    )
