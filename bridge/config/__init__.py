"""What people write in `mappings/` and in the environment: read once, checked whole, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config.compiling import compile_routes
from bridge.config.documents import Document, Findings
from bridge.config.drafts import Draft, Drafts, draft
from bridge.config.options import OPTIONS, Option, Settings, settings, unknown_variables
from bridge.config.rules import RULES
from bridge.config.schemas import check_bridge, check_route
from bridge.config.variables import Variables
from bridge.config.yaml import read
from bridge.errors import BadConfiguration, Problem
from bridge.model import Configuration

__all__ = [
    "BRIDGE_FILE",
    "OPTIONS",
    "Loaded",
    "Option",
    "Settings",
    "load",
    "require",
    "settings",
    "unknown_variables",
]

#: The file that says who may call us and whom we call; every other one is a route.
BRIDGE_FILE = "bridge.yaml"


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
    findings = Findings()
    variables = Variables(environ=environ, folder=folder)
    drafts = _draft_all(list(_documents(folder, variables, findings)), findings)
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


def _documents(folder: Path, variables: Variables, findings: Findings) -> Iterator[Document]:
    """Give every readable mapping file; about the others there is a finding."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name your folder in BRIDGE_MAPPINGS"
        findings.file(str(folder), message)
        return
    if folder / BRIDGE_FILE not in paths:
        message = "is missing: it says which hooks may call and which destinations are called"
        findings.file(str(folder / BRIDGE_FILE), message)
    for path in paths:
        if path.is_dir():
            continue
        if path.suffix == ".yaml":
            document = _document(path, variables, findings)
            if document is not None:
                yield document
        elif path.suffix.lower() in (".yml", ".yaml"):
            findings.warn_file(str(path), f"is not read: rename it to {path.stem}.yaml")


def _document(path: Path, variables: Variables, findings: Findings) -> Document | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        findings.file(str(path), f"cannot be read: {error.strerror}")
        return None
    return read(str(path), path.stem, data, variables, findings)


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
