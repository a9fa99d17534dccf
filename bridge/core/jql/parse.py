"""Parse text into a syntax tree, by the grammar of Atlassian's own parser."""

from __future__ import annotations

from typing import Final

from bridge.core.jql import syntax_errors
from bridge.core.jql.lexicon import unescape
from bridge.core.jql.messages import bad_filter
from bridge.core.jql.syntax import (
    And,
    Condition,
    Empty,
    Field,
    Function,
    HistoryPredicate,
    Items,
    Node,
    Not,
    Operand,
    Or,
    Property,
    Query,
    Sort,
    Value,
)
from bridge.core.jql.tokens import Token, tokens
from bridge.errors import BadFilter

#: The most values in one list, as in Jira.
MAX_LIST: Final = 3_000
#: How deep parentheses, NOTs and lists may be nested.
MAX_DEPTH: Final = 200
#: In characters.
MAX_LENGTH: Final = 200_000
#: More digits than the number of any custom field has.
_MAX_DIGITS: Final = 15


_TEXTS: Final = frozenset({"word", "string", "number"})
_EQUALITY: Final = frozenset({"=", "!=", "~", "!~"})
_SYMBOLS: Final = _EQUALITY | {"<", ">", "<=", ">="}
_WHEN: Final = frozenset({"BEFORE", "AFTER", "ON", "DURING", "BY"})
_CHANGES: Final = _WHEN | {"FROM", "TO"}
_ANY: Final = "either a value, list or function"


def parse(text: str) -> Query:
    """Parse a filter; raises `BadFilter` with the offset of the first mistake."""
    if len(text) > MAX_LENGTH:
        message = f"The query is longer than {MAX_LENGTH:,} characters."
        raise BadFilter(message, text=text, offset=MAX_LENGTH)
    return _Parser(text).query()


class _Parser:
    """A recursive-descent parser over the tokens of one filter, without backtracking."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0

    def query(self) -> Query:
        where = None if self._kind() in ("ORDER", "end") else self._expression()
        at = self._tokens[self._at].start
        sorts: tuple[Sort, ...] = ()
        if self._kind() == "ORDER":
            self._at += 1
            self._take("BY", "'BY'")
            sorts = self._sorts()
            self._take("end", "',', 'ASC', 'DESC' or the end of the query")
        elif self._kind() != "end":
            expecting = "'AND', 'OR' or the end of the query"
            raise syntax_errors.unexpected_after_clause(
                self._text, self._tokens, self._at, expecting
            )
        return Query(where=where, order_by=sorts, order_offset=at)

    def _sorts(self) -> tuple[Sort, ...]:
        sorts = []
        while True:
            field = self._field()
            direction = ""
            if self._kind() in ("ASC", "DESC"):
                direction = self._next().kind.lower()
            sorts.append(Sort(field=field, direction=direction))
            if not self._skip(","):
                return tuple(sorts)

    def _expression(self) -> Node:
        """Parse clauses joined by AND, which binds tighter, and OR."""
        either: list[Node] = []
        both: list[Node] = [self._clause()]
        while (kind := self._kind()) in ("AND", "OR"):
            self._at += 1
            if kind == "OR":
                either.append(_all_of(both))
                both = []
            both.append(self._clause())
        last = _all_of(both)
        return Or(parts=(*either, last)) if either else last

    def _clause(self) -> Node:
        kind = self._kind()
        if kind not in ("NOT", "!", "("):
            return self._condition()
        self._enter()
        if kind == "(":
            node = self._expression()
            self._take(")", "')', 'AND' or 'OR'")
        else:
            node = Not(part=self._clause())
        self._depth -= 1
        return node

    def _condition(self) -> Condition:
        field = self._field()
        token = self._next()
        kind = token.kind
        predicates: tuple[HistoryPredicate, ...] = ()
        if kind in _SYMBOLS:
            operand: Operand | None = self._single(_ANY, empty=kind in _EQUALITY)
        else:
            kind, operand, predicates = self._worded(token)
        return Condition(
            field=field,
            operator=kind,
            operand=operand,
            predicates=predicates,
            offset=token.start,
        )

    def _worded(self, token: Token) -> tuple[str, Operand | None, tuple[HistoryPredicate, ...]]:
        match token.kind:
            case "IN":
                return "in", self._several(), ()
            case "NOT":
                self._take("IN", "'IN'")
                return "not in", self._several(), ()
            case "IS":
                operator = "is not" if self._skip("NOT") else "is"
                return operator, Empty(offset=self._take("EMPTY", "'EMPTY' or 'NULL'").start), ()
            case "WAS":
                return self._was()
            case "CHANGED":
                return "changed", None, self._predicates(_CHANGES)
            case _:
                raise syntax_errors.no_operator(self._text, token)

    def _was(self) -> tuple[str, Operand, tuple[HistoryPredicate, ...]]:
        operator = "was not" if self._skip("NOT") else "was"
        if self._skip("IN"):
            return f"{operator} in", self._several(), self._predicates(_WHEN)
        operand = self._single("either a value or function", empty=True)
        return operator, operand, self._predicates(_WHEN)

    def _predicates(self, allowed: frozenset[str]) -> tuple[HistoryPredicate, ...]:
        predicates = []
        while self._kind() in allowed:
            token = self._next()
            predicates.append(
                HistoryPredicate(
                    operator=token.kind.lower(), operand=self._any(), offset=token.start
                )
            )
        return tuple(predicates)

    def _field(self) -> Field:
        token = self._next()
        if token.kind == "CF":
            return self._numbered(token)
        if token.kind == "number":
            return Field(name=token.text, offset=token.start)
        if token.kind not in _TEXTS:
            raise syntax_errors.unexpected(self._text, token, "a field name", "field name")
        return Field(name=unescape(token.text), properties=self._properties(), offset=token.start)

    def _numbered(self, token: Token) -> Field:
        self._take("[", "'[' and the number of a custom field")
        number = self._next()
        if not number.text.isdecimal():
            raise syntax_errors.unexpected(self._text, number, "the number of a custom field")
        if len(number.text) > _MAX_DIGITS:
            message = "No custom field has so long a number."
            raise bad_filter(self._text, number.start, message)
        self._take("]", "']'")
        return Field(
            name=f"cf[{number.text}]",
            number=int(number.text),
            properties=self._properties(),
            offset=token.start,
        )

    def _properties(self) -> tuple[Property, ...]:
        properties = []
        while self._skip("["):
            key = self._argument("the key of a property")
            self._take("]", "']'")
            path = []
            while self._kind() in _TEXTS:
                path.append(unescape(self._next().text))
            properties.append(Property(key=key, path=tuple(path)))
        return tuple(properties)

    def _any(self) -> Operand:
        return self._items() if self._kind() == "(" else self._single(_ANY, empty=True)

    def _several(self) -> Operand:
        if self._kind() == "(":
            return self._items()
        operand = self._single("a list in parentheses or a function", empty=False)
        if isinstance(operand, Value):
            message = f"Operator 'in' does not support the non-list value '{operand.text}'."
            hint = f" Write it in parentheses: ({operand.raw})."
            raise bad_filter(self._text, operand.offset, message + hint)
        return operand

    def _items(self) -> Items:
        start = self._enter().start
        values = [self._any()]
        while self._skip(","):
            values.append(self._any())
            if len(values) > MAX_LIST:
                message = f"A list cannot have more than {MAX_LIST:,} values."
                raise bad_filter(self._text, start, message)
        self._take(")", "',' or ')'")
        self._depth -= 1
        return Items(values=tuple(values), offset=start)

    def _single(self, expecting: str, *, empty: bool) -> Operand:
        token = self._next()
        if token.kind == "EMPTY" and empty:
            return Empty(offset=token.start)
        if token.kind not in _TEXTS:
            before = self._tokens[self._at - 2]
            raise syntax_errors.no_operand(self._text, token, before.text, expecting)
        if self._skip("("):
            return self._function(token)
        return Value(
            text=unescape(token.text),
            number=token.kind == "number",
            raw=token.text,
            offset=token.start,
        )

    def _function(self, name: Token) -> Function:
        arguments = []
        if not self._skip(")"):
            arguments.append(self._argument("an argument or ')'"))
            while self._skip(","):
                arguments.append(self._argument("an argument"))
            self._take(")", "',' or ')'")
        return Function(name=unescape(name.text), arguments=tuple(arguments), offset=name.start)

    def _argument(self, expecting: str) -> str:
        token = self._next()
        if token.kind not in _TEXTS:
            raise syntax_errors.unexpected(self._text, token, expecting, "value")
        return unescape(token.text)

    def _kind(self) -> str:
        return self._tokens[self._at].kind

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _skip(self, kind: str) -> bool:
        if self._tokens[self._at].kind != kind:
            return False
        self._at += 1
        return True

    def _take(self, kind: str, expecting: str) -> Token:
        token = self._next()
        if token.kind != kind:
            raise syntax_errors.unexpected(self._text, token, expecting)
        return token

    def _enter(self) -> Token:
        token = self._next()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"The query is nested more than {MAX_DEPTH} levels deep."
            raise bad_filter(self._text, token.start, message)
        return token


def _all_of(parts: list[Node]) -> Node:
    return And(parts=tuple(parts)) if len(parts) > 1 else parts[0]
