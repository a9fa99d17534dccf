"""Places in a body: finding what stands there, and writing without changing the body that came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise, takewhile
from typing import Any, Final

from jsonpath import JSONPath
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import IndexSelector, NameSelector

from bridge.core import bounded
from bridge.errors import Unmappable

#: A name or an index.
Part = str | int
Path = tuple[Part, ...]

#: A place further in a list would be made by filling it up.
_HIGHEST_INDEX = 999


class Outcome(Enum):
    """What there is in place of a value."""

    NOTHING = "nothing was found: leave the target as it is"
    DROP = "leave the target out"


NOTHING: Final = Outcome.NOTHING
DROP: Final = Outcome.DROP


def walk(value: object, path: Iterable[Part]) -> object:
    """Return what stands at a path, or NOTHING."""
    found: Any = value
    for part in path:
        if not _fits(found, part):
            return NOTHING
        try:
            found = found[part]
        except LookupError:
            return NOTHING
    return found


def _fits(value: object, part: Part) -> bool:
    return isinstance(value, dict | Mapping if isinstance(part, str) else list)


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
            return walk(body, self.head)
        found = bounded.found(self.several, body)
        # A list that is there and empty was emptied, which has to be told.
        there = bool(found) or isinstance(walk(body, self.head), list)
        return found if there else NOTHING


def query(written: object) -> Query:
    """Compile a path that finds values, or raise a ValueError that says what is wrong."""
    path = _compiled(written)
    steps = list(_steps(path))
    head = tuple(_known(steps))
    return Query(head=head, several=None if len(head) == len(steps) else path)


def place(written: object) -> Path:
    """Compile a path of one place that can be written, or raise a ValueError."""
    steps = list(_steps(_compiled(written)))
    path = tuple(_known(steps))
    indices = [part for part in path if isinstance(part, int)]
    if len(path) < len(steps) or any(not 0 <= index <= _HIGHEST_INDEX for index in indices):
        raise ValueError(f"{written} is not one place: names and indices only, as in $.a['b c'][0]")
    return path


def _compiled(written: object) -> JSONPath:
    if not isinstance(written, str):
        raise ValueError("a path such as $.issue.fields.summary is wanted")  # noqa: TRY004  # every complaint about a path is one error
    return bounded.compiled(written)


def _steps(path: JSONPath) -> Iterator[Part | None]:
    """Give each part of a path as a name or an index; None for what can find several values."""
    for segment in path.segments:
        match segment, segment.selectors:
            case JSONPathChildSegment(), (NameSelector(name=name),):
                yield name
            case JSONPathChildSegment(), (IndexSelector(index=index),):
                yield index
            case _:
                yield None


def _known(steps: Iterable[Part | None]) -> Iterator[Part]:
    return (step for step in takewhile(lambda step: step is not None, steps) if step is not None)


class Draft:
    """A body being written: what stands on a written path is copied once, the rest is shared."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        # The copies are held, not only their ids: an id is given again once its object is gone.
        self._own: dict[int, object] = {}

    def write(self, path: Path, value: object) -> None:
        """Put a value at a path; raises Unmappable where something else stands in the way."""
        _put(self._parent(path), path[-1], value)

    def remove(self, path: Path) -> None:
        """Leave out what stands at a path, if anything does."""
        if walk(self.root, path) is not NOTHING:
            del self._parent(path)[path[-1]]

    def _parent(self, path: Path) -> Any:  # noqa: ANN401  # a dict or a list, as the path's end has it
        node: Any = self.root
        for part, following in pairwise(path):
            found = self._copy(walk(node, (part,)), list if isinstance(following, int) else dict)
            if found is None:
                raise Unmappable(f"{part} is in the way: it is no {_kind(following)} here")
            self._own[id(found)] = found
            _put(node, part, found)
            node = found
        return node

    def _copy(self, found: object, kind: type[list[Any]] | type[dict[str, Any]]) -> object | None:
        """Return a list or dict that may be written into; None for what is something else."""
        if found is None or found is NOTHING:
            return kind()
        if not isinstance(found, kind):
            return None
        return found if id(found) in self._own else kind(found)


def _kind(part: Part) -> str:
    return "list" if isinstance(part, int) else "object"


def _put(node: Any, part: Part, value: object) -> None:  # noqa: ANN401  # a dict or a list
    if isinstance(part, int):
        node.extend([None] * (part + 1 - len(node)))
    node[part] = value
