"""Look up the field of a clause: by name, by alias, or by a custom name of the site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bridge.core.jql import readers, syntax
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import ANY, EMPTY, FIELDS, ORDERED, SEARCH, UNORDERED, FieldDef
from bridge.core.jql.messages import did_you_mean
from bridge.core.jql.readers import custom
from bridge.core.printable import one_line
from bridge.errors import BadFilter

#: Fields that are only used in ORDER BY.
_SORTED_BY: Final = frozenset({"rank", "globalrank"})
#: A custom field as Cloud's editor writes it: the name and the field's type.
_SUFFIXED: Final = re.compile(r"(.+)\[(\D+)\]", re.DOTALL)
#: The operators by type in that suffix; other types take all operators.
_SUFFIXES: Final[Mapping[str, frozenset[str]]] = {
    "number": ORDERED,
    "date": ORDERED,
    "time stamp": ORDERED,
    "short text": SEARCH | EMPTY,
    "paragraph": SEARCH | EMPTY,
    "dropdown": UNORDERED,
    "checkboxes": UNORDERED,
    "radio buttons": UNORDERED,
    "labels": UNORDERED,
    "url field": UNORDERED,
    "people": UNORDERED,
}
#: The kind of value by type in that suffix.
_VALUES: Final = {"number": "number", "date": "date", "time stamp": "date"}


def find(written: syntax.Field, context: CompileContext) -> FieldDef:
    """Return the field of a clause; raises `BadFilter` for an unknown one."""
    if written.number is not None:
        return _custom(written.name, f"customfield_{written.number}")
    if written.properties:
        return _property(written, context)
    field = _by_name(written.name, written.offset, context)
    if field is None and (match := _SUFFIXED.fullmatch(written.name)):
        field = _by_name(match[1].strip(), written.offset, context)
        suffix = match[2].strip().casefold()
        if field is not None and field.kind == "custom":
            operators, value_type = _SUFFIXES.get(suffix, ANY), _VALUES.get(suffix, "")
            field = replace(field, operators=operators, value_type=value_type)
    if field is None:
        raise _unknown(written, context)
    return field


def check_sort(written: syntax.Field, context: CompileContext) -> None:
    """Raise `BadFilter` for an unknown field of ORDER BY."""
    if written.name.casefold() not in _SORTED_BY:
        find(written, context)


def _by_name(name: str, offset: int, context: CompileContext) -> FieldDef | None:
    field = FIELDS.get(name.casefold())
    identities = context.custom_fields.get(name.casefold(), ())
    if len(identities) > 1:
        among = " and ".join(identities)
        raise context.refuse(offset, f"The name '{name}' is given to {among}; use cf[N] instead.")
    identity = identities[0] if identities else None
    if field is not None and field.name == "sprint":
        return _sprint(field, identity, offset, context)
    if field is not None and field.name == "Epic Link":
        return replace(field, read=readers.epic(identity))
    if identity and (field is None or field.not_in_webhook):
        return _custom(name, identity)
    return field


def _sprint(
    field: FieldDef, identity: str | None, offset: int, context: CompileContext
) -> FieldDef:
    if identity is None:
        context.warn(
            offset,
            "The sprint field is detected from the body, so the filter cannot recognise an issue "
            "without a sprint; name it in the site's `fields`: {Sprint: customfield_N}.",
        )
    return replace(field, read=readers.sprints(identity))


def _custom(name: str, identity: str) -> FieldDef:
    return FieldDef(name=one_line(name), kind="custom", operators=ANY, read=custom(identity))


def _property(written: syntax.Field, context: CompileContext) -> FieldDef:
    name = written.name.casefold()
    if name in ("issue.property", "workitem.property") and len(written.properties) == 1:
        first = written.properties[0]
        path = tuple(part for piece in first.path for part in piece.split(".") if part)
        return FieldDef(
            name=one_line(f"{written.name}[{first.key}]{'.'.join(('', *path))}"),
            kind="custom",
            operators=ANY,
            read=readers.properties(first.key, path),
        )
    field = _by_name(written.name, written.offset, context)
    if field is None:
        raise _unknown(written, context)
    if (
        field.name == "issueLink"
        and len(written.properties) == 1
        and not written.properties[0].path
    ):
        return _linked(field, written.properties[0].key)
    if not field.not_in_webhook:
        message = f"The field '{written.name}' has no properties."
        raise context.refuse(written.offset, message)
    return field


def _linked(field: FieldDef, kind: str) -> FieldDef:
    name = one_line(f"{field.name}[{kind}]")
    return replace(field, name=name, operators=UNORDERED, read=readers.linked_as(kind))


def _unknown(written: syntax.Field, context: CompileContext) -> BadFilter:
    names = [*_known_names(), *context.site.fields]
    guess = did_you_mean(written.name, names)
    if re.fullmatch(r"customfield_\d+", written.name, re.ASCII):
        guess = f" Did you mean 'cf[{written.name.removeprefix('customfield_')}]'?"
    message = (
        f"Field '{written.name}' does not exist or you do not have permission to view it.{guess}"
    )
    if not guess:
        site = f"the site {context.site.name}" if context.site.name else "its site"
        message += f" A custom field needs a line in the `fields` of {site}."
    return context.refuse(written.offset, message)


def _known_names() -> Iterable[str]:
    return (name for field in FIELDS.values() for name in (field.name, *field.aliases))
