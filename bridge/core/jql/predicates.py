"""Compiled clauses, and AND and OR over them, in Kleene's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.core.jql.view import View
from bridge.model import Clause

#: An answer, and the clause that decided it, or the results of several clauses together.
Result = tuple[bool | None, "Leaf | tuple[Result, ...]"]

_WORDS: Final = {True: "true", False: "false", None: "unknown"}
_MOST: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """One clause, with NOT already resolved into its operator."""

    #: Returns the values found or missing, for a body and the answer to it.
    reason: Callable[[View, bool | None], str]
    #: The first words of the sentence, by answer.
    prefix: Mapping[bool | None, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicate:
    """A clause, or AND or OR over several predicates."""

    text: str
    judge: Callable[[View], Result]
    parts: tuple[Predicate, ...] = ()
    #: The predicate can only be true for a project with one of these names; None: for any.
    projects: frozenset[str] | None = None
    #: The same, for issue types.
    types: frozenset[str] | None = None

    def explain(self, view: View, depth: int) -> list[Clause]:
        """Return the answer and the reason of this predicate and of each clause under it."""
        value, by = self.judge(view)
        why = "" if self.parts or not isinstance(by, Leaf) else by.reason(view, value)
        below = [line for part in self.parts for line in part.explain(view, depth + 1)]
        return [Clause(depth=depth, text=self.text, value=value, why=why), *below]


def clause(
    text: str,
    test: Callable[[View], bool | None],
    reason: Callable[[View, bool | None], str],
    *,
    projects: frozenset[str] | None = None,
    types: frozenset[str] | None = None,
) -> Predicate:
    """Return the predicate of one clause."""
    prefix = {answer: f"{text} is {word}: " for answer, word in _WORDS.items()}
    leaf = Leaf(reason=reason, prefix=prefix)
    results: dict[bool | None, Result] = {answer: (answer, leaf) for answer in _WORDS}
    return Predicate(
        text=text,
        judge=lambda view: results[test(view)],
        projects=projects,
        types=types,
    )


def all_of(parts: Sequence[Predicate]) -> Predicate:
    """Join predicates by AND."""
    return Predicate(
        text="AND",
        judge=_judge([part.judge for part in parts], decisive=False),
        parts=tuple(parts),
        projects=_narrowest(part.projects for part in parts),
        types=_narrowest(part.types for part in parts),
    )


def any_of(parts: Sequence[Predicate]) -> Predicate:
    """Join predicates by OR."""
    return Predicate(
        text="OR",
        judge=_judge([part.judge for part in parts], decisive=True),
        parts=tuple(parts),
        projects=_all_together([part.projects for part in parts]),
        types=_all_together([part.types for part in parts]),
    )


def _judge(
    judges: Sequence[Callable[[View], Result]], *, decisive: bool
) -> Callable[[View], Result]:
    """Join answers: a decisive answer decides, else an unknown one, else all together."""

    def judge(view: View) -> Result:
        results = []
        unknown = None
        for one in judges:
            result = one(view)
            if result[0] is decisive:
                return result
            if result[0] is None:
                unknown = unknown or result
            results.append(result)
        return unknown or (not decisive, tuple(results))

    return judge


def _narrowest(needs: Iterator[frozenset[str] | None]) -> frozenset[str] | None:
    return min((need for need in needs if need is not None), key=len, default=None)


def _all_together(needs: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    known = [need for need in needs if need is not None]
    return frozenset().union(*known) if len(known) == len(needs) else None


def why(result: Result, view: View) -> str:
    """Return one line with the deciding clauses and the values they found."""
    value, by = result
    if isinstance(by, Leaf):
        return by.prefix[value] + by.reason(view, value)
    leaves = _deciding(by)
    shown = [leaf.prefix[answer] + leaf.reason(view, answer) for answer, leaf in leaves[:_MOST]]
    if len(leaves) > _MOST:
        shown.append(f"and {len(leaves) - _MOST} more")
    return "; ".join(shown)


def _deciding(results: tuple[Result, ...]) -> list[tuple[bool | None, Leaf]]:
    leaves: list[tuple[bool | None, Leaf]] = []
    for value, by in results:
        if isinstance(by, Leaf):
            leaves.append((value, by))
        else:
            leaves += _deciding(by)
    return leaves
