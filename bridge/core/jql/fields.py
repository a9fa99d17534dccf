"""The field a clause is about: by its name, another name for it, or the site's own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bridge.core.jql import readers, syntax
from bridge.core.jql.context import CompileContext
from bridge.core.jql.errors import did_you_mean
from bridge.core.jql.field_defs import ANY, EMPTY, FIELDS, PLAIN, RANKED, SEARCH, FieldDef
from bridge.core.jql.readers import custom
from bridge.core.printable import one_line
from bridge.errors import BadFilter

#: Fields that only put results in order.
_SORTED_BY: Final = frozenset({"rank", "globalrank"})
#: How Cloud's editor writes custom fields: a name and the field's type.
_SUFFIXED: Final = re.compile(r"(.+)\[(\D+)\]", re.DOTALL)
#: What the types of that suffix allow; others allow all.
_SUFFIXES: Final[Mapping[str, frozenset[str]]] = {
    "number": RANKED,
    "date": RANKED,
    "time stamp": RANKED,
    "short text": SEARCH | EMPTY,
    "paragraph": SEARCH | EMPTY,
    "dropdown": PLAIN,
    "checkboxes": PLAIN,
    "radio buttons": PLAIN,
    "labels": PLAIN,
    "url field": PLAIN,
    "people": PLAIN,
}
#: And the kind of values that some of them ask for.
_VALUES: Final = {"number": "number", "date": "date", "time stamp": "date"}


def find(asked: syntax.Field, context: CompileContext) -> FieldDef:
    """Give the field a clause is about; raises `errors.BadFilter` when there is none."""
    if asked.number is not None:
        return _custom(asked.name, f"customfield_{asked.number}")
    if asked.properties:
        return _property(asked, context)
    field = _by_name(asked.name, asked.offset, context)
    if field is None and (match := _SUFFIXED.fullmatch(asked.name)):
        field = _by_name(match[1].strip(), asked.offset, context)
        suffix = match[2].strip().casefold()
        if field is not None and field.kind == "custom":
            operators, only = _SUFFIXES.get(suffix, ANY), _VALUES.get(suffix, "")
            field = replace(field, operators=operators, only=only)
    if field is None:
        raise _unknown(asked, context)
    return field


def check_sort(asked: syntax.Field, context: CompileContext) -> None:
    """Raise `errors.BadFilter` for a field of ORDER BY that is not known."""
    if asked.name.casefold() not in _SORTED_BY:
        find(asked, context)


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
            "Which custom field holds the sprint is guessed from the body, so an issue without "
            "one cannot be told; name it in the site's `fields`: {Sprint: customfield_N}.",
        )
    return replace(field, read=readers.sprints(identity))


def _custom(name: str, identity: str) -> FieldDef:
    return FieldDef(name=one_line(name), kind="custom", operators=ANY, read=custom(identity))


def _property(asked: syntax.Field, context: CompileContext) -> FieldDef:
    name = asked.name.casefold()
    if name in ("issue.property", "workitem.property") and len(asked.properties) == 1:
        first = asked.properties[0]
        path = tuple(part for piece in first.path for part in piece.split(".") if part)
        return FieldDef(
            name=one_line(f"{asked.name}[{first.key}]{'.'.join(('', *path))}"),
            kind="custom",
            operators=ANY,
            read=readers.properties(first.key, path),
        )
    field = _by_name(asked.name, asked.offset, context)
    if field is None:
        raise _unknown(asked, context)
    if field.name == "issueLink" and len(asked.properties) == 1 and not asked.properties[0].path:
        return _linked(field, asked.properties[0].key)
    if not field.not_in_webhook:
        message = f"The field '{asked.name}' has no properties."
        raise context.refuse(asked.offset, message)
    return field


def _linked(field: FieldDef, kind: str) -> FieldDef:
    name = one_line(f"{field.name}[{kind}]")
    return replace(field, name=name, operators=PLAIN, read=readers.linked_as(kind))


def _unknown(asked: syntax.Field, context: CompileContext) -> BadFilter:
    names = [*_known_names(), *context.site.fields]
    guess = did_you_mean(asked.name, names)
    if re.fullmatch(r"customfield_\d+", asked.name, re.ASCII):
        guess = f" Did you mean 'cf[{asked.name.removeprefix('customfield_')}]'?"
    message = (
        f"Field '{asked.name}' does not exist or you do not have permission to view it.{guess}"
    )
    if not guess:
        site = f"the site {context.site.name}" if context.site.name else "its site"
        message += f" A custom field needs a line in the `fields` of {site}."
    return context.refuse(asked.offset, message)


def _known_names() -> Iterable[str]:
    return (name for field in FIELDS.values() for name in (field.name, *field.aliases))
