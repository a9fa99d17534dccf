"""JSONPath within bounds: a limited number of steps, and regular expressions in linear time.

`$..*..*` visits each node of a body once for each node above it, and Python's regular expressions
can take exponential time. Either would block all other events, so steps are counted, and `match`
and `search` run on RE2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import re2
from jsonpath import JSONPath, JSONPathEnvironment, JSONPathMatch
from jsonpath.exceptions import JSONPathError
from jsonpath.filter import BaseExpression, FilterQuery, FunctionExtension, StringLiteral
from jsonpath.function_extensions import Match, Search
from jsonpath.selectors import Filter

from bridge.errors import Unmappable

#: The most nodes of a body that a path may visit: an issue usually has a few hundred.
STEPS = 100_000
#: The key of the `_Steps` in the library's filter context.
_LEFT = "steps left"
#: RE2 writes no errors to stderr: `check` reports a wrong pattern with its position.
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def compile_path(written: str) -> JSONPath:
    """Compile an RFC 9535 path; raises ValueError with the mistake in it."""
    try:
        path = _ENVIRONMENT.compile(written.strip())
    except JSONPathError as error:
        raise ValueError(f"{written} is no path: {error.message}") from error
    # A strict environment compiles no unions of paths; the check is for mypy.
    if not isinstance(path, JSONPath) or not path.segments:
        raise ValueError(f"{written} names no part of a body")
    return _with_step_count(path)


def find_all(path: JSONPath, body: object) -> list[object]:
    """Return every value at a compiled path; raises `Unmappable` after `STEPS` steps."""
    steps: Any = _Steps(left=STEPS, path=path)
    try:
        return path.findall(cast("Any", body), filter_context={_LEFT: steps})
    except JSONPathError as error:
        raise Unmappable(f"{path} cannot be followed here: {error.message}") from error


@dataclass(kw_only=True, slots=True)
class _Steps:
    """The steps left for one path in one body."""

    left: int
    path: JSONPath

    def take(self) -> None:
        """Count a step; raises `Unmappable` when no step is left."""
        self.left -= 1
        if self.left < 0:
            raise Unmappable(
                f"{self.path} was given up after {STEPS:,} steps in this body:"
                " write a more specific path"
            )


class _Node(JSONPathMatch):
    """A visited node; each one counts as a step."""

    __slots__ = ()

    def new_child(self, obj: object, key: int | str) -> JSONPathMatch:
        """Visit a node below this one."""
        self.filter_context()[_LEFT].take()
        return super().new_child(obj, key)


class _Counted(JSONPath):
    """A path that counts its steps, including the steps of its filters."""

    def finditer(self, data: Any, *, filter_context: Any = None) -> Iterable[JSONPathMatch]:  # noqa: ANN401 - the library's
        """Yield each match, lazily."""
        root = _Node(
            filter_context=filter_context,
            obj=data,
            parent=None,
            path=self.env.root_token,
            parts=(),
            root=data,
        )
        filter_context[_LEFT].take()
        matches: Iterable[JSONPathMatch] = [root]
        for segment in self.segments:
            matches = segment.resolve(matches)
        return matches


def _with_step_count(path: JSONPath) -> JSONPath:
    for expression in _filters(path):
        _bind(expression)
    return _Counted(env=path.env, segments=path.segments)


def _filters(path: JSONPath) -> Iterator[BaseExpression]:
    for segment in path.segments:
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                yield selector.expression


def _bind(expression: BaseExpression) -> None:
    """Count the steps of paths in a filter, too; raises ValueError for an unusable pattern."""
    if isinstance(expression, FilterQuery):
        expression.path = _with_step_count(expression.path)
        return
    if isinstance(expression, FunctionExtension) and expression.name in ("match", "search"):
        _require_pattern(expression.args[1])
    for below in expression.children():
        _bind(below)


def _require_pattern(expression: BaseExpression) -> None:
    if isinstance(expression, StringLiteral):
        try:
            _pattern(expression.value)
        except re2.error as error:
            why = error.args[0].decode()
            message = f"{expression.value} is no regular expression that can be used here: {why}"
            raise ValueError(message) from error


def _pattern(text: str) -> Any:  # noqa: ANN401 - RE2's, which has no types
    return re2.compile(text, options=_OPTIONS)


def _or_none(text: str) -> Any:  # noqa: ANN401 - the same
    """Compile a pattern from a body; by RFC 9535 a wrong one matches nothing, hence None."""
    try:
        return _pattern(text)
    except re2.error:
        return None


class _Match(Match):
    """`match`, in linear time."""

    def check_cache(self, pattern: str) -> Any:  # noqa: ANN401 - the same
        """Compile a pattern; RE2 caches compiled patterns itself."""
        return _or_none(pattern)


class _Search(Search):
    """`search`, in linear time."""

    def check_cache(self, pattern: str) -> Any:  # noqa: ANN401 - the same
        """Compile a pattern; RE2 caches compiled patterns itself."""
        return _or_none(pattern)


class _Environment(JSONPathEnvironment):
    def setup_function_extensions(self) -> None:
        """Add the standard functions, with `match` and `search` on RE2."""
        super().setup_function_extensions()
        self.function_extensions |= {"match": _Match(), "search": _Search()}


_ENVIRONMENT = _Environment(strict=True)
