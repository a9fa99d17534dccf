"""A filter's syntax tree as plain dicts and lists, shaped like those of other tools."""

from __future__ import annotations

from typing import Any

from bridge.core.jql.messages import position
from bridge.core.jql.parse import parse
from bridge.core.jql.syntax import (
    And,
    Condition,
    Empty,
    Field,
    Function,
    Node,
    Not,
    Operand,
    Or,
    Query,
    Value,
)
from bridge.errors import BadFilter


def verdict(text: str) -> dict[str, Any]:
    """Parse a text into `valid`, `errors` (line, 0-based column, message) and `ast`."""
    try:
        return {"valid": True, "errors": [], "ast": as_json(parse(text))}
    except BadFilter as error:
        line, character = position(text, error.offset)
        found = {"line": line, "col": character - 1, "message": str(error)}
        return {"valid": False, "errors": [found], "ast": None}


def as_json(query: Query) -> dict[str, Any]:
    """Return a query's tree as `where` and `orderBy`."""
    sorts = [{"field": _field(s.field), "dir": s.direction or None} for s in query.order_by]
    where = None if query.where is None else _node(query.where)
    return {"where": where, "orderBy": sorts or None}


def _node(node: Node) -> dict[str, Any]:
    match node:
        case And(parts=parts):
            return {"op": "and", "args": [_node(part) for part in parts]}
        case Or(parts=parts):
            return {"op": "or", "args": [_node(part) for part in parts]}
        case Not(part=part):
            return {"op": "not", "arg": _node(part)}
        case _:
            return _condition(node)


def _condition(condition: Condition) -> dict[str, Any]:
    operand = condition.operand
    return {
        "op": "clause",
        "field": _field(condition.field),
        "operator": condition.operator,
        "operand": None if operand is None else _operand(operand),
        "predicates": [
            {"operator": predicate.operator, "operand": _operand(predicate.operand)}
            for predicate in condition.predicates
        ],
    }


def _field(field: Field) -> dict[str, Any]:
    properties = [{"key": p.key, "path": list(p.path)} for p in field.properties]
    return {"name": field.name, "cf": field.number, "props": properties}


def _operand(operand: Operand) -> dict[str, Any]:
    match operand:
        case Empty():
            return {"kind": "empty"}
        case Value(text=text, number=number):
            kind = "number" if number else "string"
            raw = operand.raw or str(operand)
            return {"kind": "value", "value": text, "raw": raw, "type": kind}
        case Function(name=name, arguments=arguments):
            return {"kind": "function", "name": name, "args": list(arguments)}
        case _:
            return {"kind": "list", "values": [_operand(value) for value in operand.values]}
