"""A parsed mapping file with the positions of its values, and the findings about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bridge.config.variables import FilledText
from bridge.errors import Problem

#: The keys and indexes that lead to a value: ("hooks", "jira-main", "token").
Steps = tuple[str | int, ...]

#: How many characters of a double-quoted scalar an escape takes after its backslash and letter.
_ESCAPES = {"x": 2, "u": 4, "U": 8}
#: What can stand before a letter and be no part of the text; in double quotes, line ends too.
_BLANKS = {False: re.compile(r"\s+"), True: re.compile(r"(?:\s|\\\r?\n)+")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """The position of a value in its file, all 0-based."""

    line: int
    column: int
    #: The offsets of the value's start and end in the file.
    start: int
    end: int
    #: How a scalar is written: ' " | > or "" for a plain scalar and for collections.
    style: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One mapping file: its values, with variables filled in, and their positions."""

    #: The path as the user gave it.
    file: str
    #: The file's name without its ending.
    name: str
    source: str
    content: dict[str, Any]
    values: Mapping[Steps, Position]
    keys: Mapping[Steps, Position]

    def position(self, steps: Steps) -> tuple[int, int]:
        """Return the 1-based line and column of a value, or of the nearest value around it."""
        while steps not in self.values:
            if steps in self.keys:
                return self.key_position(steps)
            steps = steps[:-1]
        return self.values[steps].line + 1, self.values[steps].column + 1

    def key_position(self, steps: Steps) -> tuple[int, int]:
        """Return the 1-based line and column of a value's key."""
        return self.keys[steps].line + 1, self.keys[steps].column + 1

    def position_inside(self, steps: Steps, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column of a character of a text."""
        position = self.values[steps]
        text = self.value(steps)
        if isinstance(text, FilledText):
            # After a variable, offsets in the two texts differ.
            offset = min(offset, _alike(text.raw, text))
            text = text.raw
        at = _follow(self.source, position, text, offset)
        before = self.source.rfind("\n", 0, at)
        return self.source.count("\n", 0, at) + 1, at - before

    def value(self, steps: Steps) -> Any:  # noqa: ANN401 - what people wrote, not yet checked
        """Return the value at the end of these steps."""
        value: Any = self.content
        for step in steps:
            value = value[step]
        return value


def _alike(one: str, two: str) -> int:
    """Count the characters that two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def _follow(source: str, position: Position, text: str, offset: int) -> int:
    """Return the offset in the source of a text's character, after any folds and escapes."""
    at = position.start
    if position.style in ("|", ">"):
        at = source.find("\n", at) + 1
    elif position.style:
        at += 1
    start = at
    for letter in text[: offset + 1]:
        start, at = _spelling(source, at, position, letter)
    return start if offset < len(text) else at


def _spelling(source: str, at: int, position: Position, letter: str) -> tuple[int, int]:
    """Return where the next letter of a text starts and ends in the source."""
    if not letter.isspace():
        found = _BLANKS[position.style == '"'].match(source, at)
        at = found.end() if found else at
    if position.style == '"' and source[at] == "\\":
        return at, at + 2 + _ESCAPES.get(source[at + 1], 0)
    if letter.isspace():
        return at, at + 1 if source[at] == letter else at
    start = max(source.find(letter, at, position.end), at)
    return start, start + (2 if position.style == letter == "'" else 1)


def path_text(steps: Steps) -> str:
    """Return steps in one text: `hooks.jira-main.token`, `fields[2].to`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Findings:
    """All problems found so far, and the values with errors, which need no further checks."""

    def __init__(self) -> None:
        self._problems: set[Problem] = set()
        self._wrong: set[tuple[str, Steps]] = set()
        self._around: set[tuple[str, Steps]] = set()

    def file_error(self, file: str, message: str, position: tuple[int, int] = (0, 0)) -> None:
        """Add an error about a file that cannot be read, perhaps at a position in it."""
        line, column = position
        self._problems.add(Problem(file=file, line=line, column=column, message=message))

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems that were found before the files were parsed."""
        self._problems.update(problems)

    def error(
        self,
        document: Document,
        steps: Steps,
        message: str,
        position: tuple[int, int] | None = None,
    ) -> None:
        """Add an error about a value; `position` when the error is not at the value's start."""
        self._wrong.add((document.file, steps))
        self._around.update((document.file, steps[:size]) for size in range(len(steps) + 1))
        self._add("error", document, steps, message, position)

    def warn(
        self,
        document: Document,
        steps: Steps,
        message: str,
        position: tuple[int, int] | None = None,
    ) -> None:
        """Add a warning about a value."""
        self._add("warning", document, steps, message, position)

    def warn_at_key(self, document: Document, steps: Steps, message: str) -> None:
        """Add a warning at a value's key."""
        self.warn(document, steps, message, document.key_position(steps))

    def _add(
        self,
        severity: str,
        document: Document,
        steps: Steps,
        message: str,
        position: tuple[int, int] | None,
    ) -> None:
        line, column = position or document.position(steps)
        text = f"{path_text(steps)}: {message}" if steps else message
        self._problems.add(
            Problem(file=document.file, line=line, column=column, message=text, severity=severity)
        )

    def has_error(self, document: Document, steps: Steps = ()) -> bool:
        """Return whether this value, a value in it or a value around it has an error."""
        return (document.file, steps) in self._around or any(
            (document.file, steps[:size]) in self._wrong for size in range(len(steps))
        )

    def is_sound(self) -> bool:
        """Return whether there is no error so far."""
        return all(problem.severity != "error" for problem in self._problems)

    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, in the order of files and lines."""
        return tuple(
            sorted(self._problems, key=lambda it: (it.file, it.line, it.column, it.message))
        )
