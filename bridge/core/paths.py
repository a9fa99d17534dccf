"""Paths into a body: read values, and write into a copy that leaves the original unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise, takewhile
from typing import Any, Final

from jsonpath import JSONPath
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import IndexSelector, NameSelector

from bridge.core import bounded_jsonpath
from bridge.errors import Unmappable

#: A name or an index.
Part = str | int
Path = tuple[Part, ...]

#: The highest index that can be written: a shorter list is filled up to it.
_HIGHEST_INDEX = 999


class Marker(Enum):
    """What a line returns in place of a value."""

    NOTHING = "nothing was found: leave the target as it is"
    DROP = "leave the target out"


NOTHING: Final = Marker.NOTHING
DROP: Final = Marker.DROP


_OBJECTS: Any = (dict, Mapping)
_ARRAYS: Any = list


def value_at(value: object, path: Iterable[Part]) -> object:
    """Return the value at a path, or NOTHING."""
    found: Any = value
    for part in path:
        if not isinstance(found, _OBJECTS if isinstance(part, str) else _ARRAYS):
            return NOTHING
        try:
            found = found[part]
        except LookupError:
            return NOTHING
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A compiled JSONPath that finds values."""

    #: Its names and indices, up to the first part that can find several values.
    head: Path
    #: The whole path, if it can find several values.
    several: JSONPath | None

    def find(self, body: Mapping[str, Any]) -> object:
        """Return the value, a list for a path of several, or NOTHING; raises Unmappable."""
        if self.several is None:
            return value_at(body, self.head)
        found = bounded_jsonpath.find_all(self.several, body)
        # An empty list in the body was cleared by the sender: a value, and not NOTHING.
        exists = bool(found) or isinstance(value_at(body, self.head), list)
        return found if exists else NOTHING


def query(written: object) -> Query:
    """Compile a path that finds values; raises a ValueError whose message names the mistake."""
    path = _compiled(written)
    steps = list(_steps(path))
    head = tuple(_definite(steps))
    return Query(head=head, several=None if len(head) == len(steps) else path)


def writable_path(written: object) -> Path:
    """Compile a path that can be written: names and indices only; raises a ValueError."""
    steps = list(_steps(_compiled(written)))
    path = tuple(_definite(steps))
    indices = [part for part in path if isinstance(part, int)]
    if len(path) < len(steps) or any(not 0 <= index <= _HIGHEST_INDEX for index in indices):
        raise ValueError(f"{written} is not one place: names and indices only, as in $.a['b c'][0]")
    return path


def _compiled(written: object) -> JSONPath:
    if not isinstance(written, str):
        raise ValueError("a path such as $.issue.fields.summary is wanted")  # noqa: TRY004  # every complaint about a path is one error
    return bounded_jsonpath.compile_path(written)


def _steps(path: JSONPath) -> Iterator[Part | None]:
    """Yield each part of a path as a name or an index; None for a part that can find several."""
    for segment in path.segments:
        match segment, segment.selectors:
            case JSONPathChildSegment(), (NameSelector(name=name),):
                yield name
            case JSONPathChildSegment(), (IndexSelector(index=index),):
                yield index
            case _:
                yield None


def _definite(steps: Iterable[Part | None]) -> Iterator[Part]:
    """Yield the parts before the first that can find several values."""
    return (step for step in takewhile(lambda step: step is not None, steps) if step is not None)


class BodyCopy:
    """A body to write to: objects and lists on written paths are copied, others are shared."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        # Values are the copies themselves: Python reuses the id of a freed object.
        self._copies: dict[int, object] = {}

    def write(self, path: Path, value: object) -> None:
        """Write a value at a path; raises Unmappable where another kind of value is in the way."""
        _put(self._parent(path), path[-1], value)

    def remove(self, path: Path) -> None:
        """Remove the value at a path, if there is one."""
        if value_at(self.root, path) is not NOTHING:
            del self._parent(path)[path[-1]]

    def _parent(self, path: Path) -> Any:  # noqa: ANN401  # a dict or a list, as the path's end has it
        node: Any = self.root
        for part, following in pairwise(path):
            found = self._copy(
                value_at(node, (part,)), list if isinstance(following, int) else dict
            )
            if found is None:
                raise Unmappable(f"{part} is in the way: it is no {_kind(following)} here")
            self._copies[id(found)] = found
            _put(node, part, found)
            node = found
        return node

    def _copy(self, found: object, kind: type[list[Any]] | type[dict[str, Any]]) -> object | None:
        """Return a list or dict that can be written to; None for a value of another kind."""
        if found is None or found is NOTHING:
            return kind()
        if not isinstance(found, kind):
            return None
        return found if id(found) in self._copies else kind(found)


def _kind(part: Part) -> str:
    return "list" if isinstance(part, int) else "object"


def _put(node: Any, part: Part, value: object) -> None:  # noqa: ANN401  # a dict or a list
    if isinstance(part, int):
        node.extend([None] * (part + 1 - len(node)))
    node[part] = value
