"""The files of a mappings folder as they are on disk, before anything is made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import Problem

#: The file that says who may call us and whom we call; every other one is a route.
BRIDGE_FILE = "bridge.yaml"

#: What tells one state of a folder from another: for each file its time of change in ns, its size
#: in bytes, and its inode.
Look = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The contents of a mappings folder at one moment."""

    #: The folder as the user gave it; relative `${file:…}` paths start there.
    folder: Path
    #: The bytes of each mapping file by its name, in the order of names.
    contents: Mapping[str, bytes]
    #: What is wrong with the folder, or with files that could not be read.
    problems: tuple[Problem, ...] = ()
    #: How the folder looked when it was read.
    look: Look = field(default_factory=dict)


def look(folder: Path) -> Look:
    """Tell how the files are on disk now; a file that cannot be looked at is not there."""
    found = {}
    for path in sorted(folder.glob("*.y*ml")):
        try:
            stat = path.stat()
        except OSError:  # gone between the listing and the look
            continue
        found[path.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def read(folder: Path) -> Files:
    """Read every mapping file of a folder; what cannot be read is among the problems."""
    seen = look(folder)
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name your folder in BRIDGE_MAPPINGS"
        missing = Problem(file=str(folder), message=message)
        return Files(folder=folder, contents={}, problems=(missing,), look=seen)
    contents: dict[str, bytes] = {}
    problems = []
    if folder / BRIDGE_FILE not in paths:
        message = "is missing: it says which hooks may call and which destinations are called"
        problems.append(Problem(file=str(folder / BRIDGE_FILE), message=message))
    for path in paths:
        problem = _take(path, contents)
        if problem is not None:
            problems.append(problem)
    return Files(folder=folder, contents=contents, problems=tuple(problems), look=seen)


def _take(path: Path, contents: dict[str, bytes]) -> Problem | None:
    """Add a file's bytes to the contents, or return what is wrong with it."""
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
