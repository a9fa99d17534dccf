"""Replace ${NAME}, ${NAME:-default} and ${file:/path} in the texts of a mapping file."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.core.nearest import nearest

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
#: The largest file that `${file:…}` reads, in bytes.
LARGEST_FILE = 64 * 1024
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class FilledText(str):
    """A text with its variables filled in; `raw` is the text as written in the file."""

    __slots__ = ("raw",)
    raw: str

    def __new__(cls, value: str, raw: str) -> FilledText:
        """Keep both."""
        filled = super().__new__(cls, value)
        filled.raw = raw
        return filled

    def names(self) -> list[str]:
        """List the environment variables that it refers to."""
        inside = (match[1] or "" for match in _REFERENCE.finditer(self.raw))
        named = (_NAME.fullmatch(text) for text in inside)
        return [match[1] for match in named if match is not None]


def display_text(value: object) -> str:
    """Return a value as a message may quote it: with variables, not with their values."""
    return value.raw if isinstance(value, FilledText) else str(value)


class UnsetVariable(ValueError):
    """A reference cannot be replaced; the message is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """The environment for one reading of the mapping files."""

    environ: Mapping[str, str] = field(repr=False)
    #: The folder that relative `${file:…}` paths start in.
    folder: Path
    #: The names that references have named so far, set or not.
    names: set[str] = field(default_factory=set)

    def fill(self, text: str) -> str:
        """Return the text with its references replaced; raises `UnsetVariable`."""
        if "${" not in text:
            return text
        return FilledText(_REFERENCE.sub(self._replace, text), text)

    def _replace(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = match[1]
        if inside is None:
            raise UnsetVariable(
                "`${` without its `}`; write `$${` for the two characters themselves"
            )
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"))
        named = _NAME.fullmatch(inside)
        if named is None:
            raise UnsetVariable(
                f"${{{inside}}} is neither ${{NAME}}, ${{NAME:-default}} nor ${{file:/path}}"
            )
        return self._variable(named[1], named[2])

    def _variable(self, name: str, default: str | None) -> str:
        self.names.add(name)
        value = self.environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            near = nearest(name, self.environ)
            hint = f"; {near} is: did you mean that?" if near else ""
            raise UnsetVariable(f"the environment variable {name} is not set{hint}")
        return value

    def _file(self, path: str) -> str:
        try:
            return _content(self.folder / path).decode("utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise UnsetVariable(f"cannot read the file {path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _content(path: Path) -> bytes:
    """Read a regular file of at most LARGEST_FILE bytes; raises OSError, or ValueError with why.

    The file is opened without blocking, so that a pipe or a device cannot stop the bridge.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        # A file under /proc has the size 0 and can be endless.
        content = os.read(descriptor, LARGEST_FILE + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE // 1024} KiB")
    return content
