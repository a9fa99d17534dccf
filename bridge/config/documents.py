"""A mapping file as read, where everything in it stands, and what was found wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bridge.config.variables import Filled
from bridge.errors import Problem

#: The keys and indexes that lead to a value: ("hooks", "jira-main", "token").
Steps = tuple[str | int, ...]

#: How many characters of a double-quoted scalar an escape takes after its backslash and letter.
_ESCAPES = {"x": 2, "u": 4, "U": 8}
#: What can stand before a letter and be no part of the text; in double quotes, line ends too.
_BLANKS = {False: re.compile(r"\s+"), True: re.compile(r"(?:\s|\\\r?\n)+")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a value stands in its file; all of them 0-based."""

    line: int
    column: int
    #: The value's first and last character in the file.
    start: int
    end: int
    #: How a scalar is written: ' " | > or "" for a plain one and for collections.
    style: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One mapping file: its values, with variables put in, and their places."""

    #: The path as the user gave it.
    file: str
    #: The file's name without its ending.
    name: str
    source: str
    content: dict[str, Any]
    values: Mapping[Steps, Place]
    keys: Mapping[Steps, Place]

    def place(self, steps: Steps) -> tuple[int, int]:
        """Return the 1-based line and column of a value, or of the nearest thing around it."""
        while steps not in self.values:
            if steps in self.keys:
                return self.key_place(steps)
            steps = steps[:-1]
        return self.values[steps].line + 1, self.values[steps].column + 1

    def key_place(self, steps: Steps) -> tuple[int, int]:
        """Return the 1-based line and column of a value's key."""
        return self.keys[steps].line + 1, self.keys[steps].column + 1

    def inside(self, steps: Steps, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column of a character of a text."""
        place = self.values[steps]
        text = self.value(steps)
        if isinstance(text, Filled):
            # Behind a variable the two texts no longer run side by side.
            offset = min(offset, _alike(text.raw, text))
            text = text.raw
        at = _follow(self.source, place, text, offset)
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


def _follow(source: str, place: Place, text: str, offset: int) -> int:
    """Find a character of a text in the source, whatever folds and escapes stand before it."""
    at = place.start
    if place.style in ("|", ">"):
        at = source.find("\n", at) + 1
    elif place.style:
        at += 1
    start = at
    for letter in text[: offset + 1]:
        start, at = _spelling(source, at, place, letter)
    return start if offset < len(text) else at


def _spelling(source: str, at: int, place: Place, letter: str) -> tuple[int, int]:
    """Find where the spelling of a text's next letter starts and ends in the source."""
    if not letter.isspace():
        found = _BLANKS[place.style == '"'].match(source, at)
        at = found.end() if found else at
    if place.style == '"' and source[at] == "\\":
        return at, at + 2 + _ESCAPES.get(source[at + 1], 0)
    if letter.isspace():
        return at, at + 1 if source[at] == letter else at
    start = max(source.find(letter, at, place.end), at)
    return start, start + (2 if place.style == letter == "'" else 1)


def spell(steps: Steps) -> str:
    """Write steps as people do: `hooks.jira-main.token`, `fields[2].to`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Findings:
    """Everything found wrong so far, and which values are not to be judged further."""

    def __init__(self) -> None:
        self._problems: set[Problem] = set()
        self._wrong: set[tuple[str, Steps]] = set()
        self._around: set[tuple[str, Steps]] = set()

    def file(self, file: str, message: str, place: tuple[int, int] = (0, 0)) -> None:
        """Note a whole file, or a place in a file that could not be read."""
        line, column = place
        self._problems.add(Problem(file=file, line=line, column=column, message=message))

    def add(self, problems: Iterable[Problem]) -> None:
        """Note what was found wrong before the files were looked into."""
        self._problems.update(problems)

    def error(
        self, document: Document, steps: Steps, message: str, place: tuple[int, int] | None = None
    ) -> None:
        """Note a value that is wrong; `place` when that is not where the value begins."""
        self._wrong.add((document.file, steps))
        self._around.update((document.file, steps[:size]) for size in range(len(steps) + 1))
        self._add("error", document, steps, message, place)

    def warn(
        self, document: Document, steps: Steps, message: str, place: tuple[int, int] | None = None
    ) -> None:
        """Note a value that is worth a look."""
        self._add("warning", document, steps, message, place)

    def _add(
        self,
        severity: str,
        document: Document,
        steps: Steps,
        message: str,
        place: tuple[int, int] | None,
    ) -> None:
        line, column = place or document.place(steps)
        text = f"{spell(steps)}: {message}" if steps else message
        self._problems.add(
            Problem(file=document.file, line=line, column=column, message=text, severity=severity)
        )

    def broken(self, document: Document, steps: Steps = ()) -> bool:
        """Say whether there is an error at this value, in it, or at something it stands in."""
        return (document.file, steps) in self._around or any(
            (document.file, steps[:size]) in self._wrong for size in range(len(steps))
        )

    def sound(self) -> bool:
        """Say whether there is no error so far."""
        return all(problem.severity != "error" for problem in self._problems)

    def problems(self) -> tuple[Problem, ...]:
        """Return all of them, in the order of files and lines."""
        return tuple(
            sorted(self._problems, key=lambda it: (it.file, it.line, it.column, it.message))
        )
