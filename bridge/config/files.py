"""The bytes of the files in a mappings folder, before they are parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import Problem

#: The file with hooks, destinations and sites; every other file is a route.
BRIDGE_FILE = "bridge.yaml"

#: The state of a folder, to notice changes: for each file its time of change in ns, its size in
#: bytes, and its inode.
FolderState = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingFiles:
    """The contents of a mappings folder at one moment."""

    #: The folder as the user gave it; relative `${file:…}` paths start there.
    folder: Path
    #: The bytes of each mapping file by its name, in the order of names.
    contents: Mapping[str, bytes]
    #: Problems with the folder, or with files that could not be read.
    problems: tuple[Problem, ...] = ()
    #: The state of the folder when it was read.
    state: FolderState = field(default_factory=dict)


def folder_state(folder: Path) -> FolderState:
    """Return the present state of a folder; a file without access counts as missing."""
    found = {}
    for path in sorted(folder.glob("*.y*ml")):
        try:
            stat = path.stat()
        except OSError:  # removed after it was listed
            continue
        found[path.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def read(folder: Path) -> MappingFiles:
    """Read every mapping file of a folder; a file that cannot be read is among the problems."""
    seen = folder_state(folder)
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name your folder in BRIDGE_MAPPINGS"
        missing = Problem(file=str(folder), message=message)
        return MappingFiles(folder=folder, contents={}, problems=(missing,), state=seen)
    contents: dict[str, bytes] = {}
    problems = []
    if folder / BRIDGE_FILE not in paths:
        message = "is missing: it describes the hooks and the destinations"
        problems.append(Problem(file=str(folder / BRIDGE_FILE), message=message))
    for path in paths:
        problem = _read_file(path, contents)
        if problem is not None:
            problems.append(problem)
    return MappingFiles(folder=folder, contents=contents, problems=tuple(problems), state=seen)


def _read_file(path: Path, contents: dict[str, bytes]) -> Problem | None:
    """Add a file's bytes to the contents, or return its problem."""
    if path.is_dir() or not re.fullmatch(r"\.ya?ml", path.suffix, re.IGNORECASE):
        return None
    if path.suffix != ".yaml":
        message = f"is not read: rename it to {path.stem}.yaml"
        return Problem(file=str(path), message=message, severity="warning")
    try:
        contents[path.name] = path.read_bytes()
    except OSError as error:
        return Problem(file=str(path), message=f"cannot be read: {error.strerror}")
    return None
