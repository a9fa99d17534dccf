"""Turn mapping files into a configuration, or into the list of all problems in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config.compiling import compile_routes
from bridge.config.documents import Document, Findings
from bridge.config.draft import ConfigurationDraft, RouteDraft, build_draft
from bridge.config.files import BRIDGE_FILE, MappingFiles
from bridge.config.files import read as read_files
from bridge.config.rules import RULES
from bridge.config.schemas import check_bridge, check_route
from bridge.config.variables import Variables
from bridge.config.yaml import read
from bridge.errors import BadConfiguration, Problem
from bridge.model import Configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The result of reading a mappings folder."""

    #: None when there are errors.
    configuration: Configuration | None
    #: Errors and warnings, in the order of files and lines.
    problems: tuple[Problem, ...]
    #: The names that the files read from the environment, set or not.
    variables: frozenset[str]


def load(folder: Path, environ: Mapping[str, str]) -> Loaded:
    """Read and check every file of a folder; the result holds all problems at once."""
    return check(read_files(folder), environ)


def check(files: MappingFiles, environ: Mapping[str, str]) -> Loaded:
    """Check the files of a folder; the result holds all problems at once."""
    findings = Findings()
    variables = Variables(environ=environ, folder=files.folder)
    draft = _draft_all(list(_documents(files, variables, findings)), findings)
    compile_routes(draft, findings)
    for rule in RULES:
        rule(draft, findings)
    return Loaded(
        configuration=_finish(draft) if findings.is_sound() else None,
        problems=findings.problems(),
        variables=frozenset(variables.names),
    )


def require(folder: Path, environ: Mapping[str, str]) -> Configuration:
    """Return a folder's configuration; raises `BadConfiguration` with all problems."""
    loaded = load(folder, environ)
    if loaded.configuration is None:
        raise BadConfiguration(loaded.problems)
    return loaded.configuration


def _documents(files: MappingFiles, variables: Variables, findings: Findings) -> Iterator[Document]:
    """Yield every readable mapping file; the others become findings."""
    findings.add(files.problems)
    for name, data in files.contents.items():
        path = files.folder / name
        document = read(str(path), path.stem, data, variables, findings)
        if document is not None:
            yield document


def _draft_all(documents: list[Document], findings: Findings) -> ConfigurationDraft:
    name = Path(BRIDGE_FILE).stem
    bridge = next((document for document in documents if document.name == name), None)
    data = check_bridge(bridge, findings) if bridge else {}
    routes = [
        RouteDraft(document=document, data=check_route(document, findings))
        for document in documents
        if document is not bridge
    ]
    return build_draft(bridge, data, routes, findings)


def _finish(draft: ConfigurationDraft) -> Configuration:
    return Configuration(
        hooks=draft.hooks,
        targets=draft.targets,
        sites=draft.sites,
        routes={route.name: route.route() for route in draft.routes},
        ignored_actors=draft.ignored_actors,
    )
