"""The field a clause is about: by its name, another name for it, or the site's own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bridge.core.jql import places, syntax
from bridge.core.jql.complaints import did_you_mean
from bridge.core.jql.known import ANY, EMPTY, NAMED, PLAIN, RANKED, SEARCH, Known
from bridge.core.jql.places import custom
from bridge.core.jql.setting import Setting
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


def find(asked: syntax.Field, setting: Setting) -> Known:
    """Give the field a clause is about; raises `errors.BadFilter` when there is none."""
    if asked.number is not None:
        return _custom(asked.name, f"customfield_{asked.number}")
    if asked.properties:
        return _property(asked, setting)
    known = _by_name(asked.name, asked.offset, setting)
    if known is None and (match := _SUFFIXED.fullmatch(asked.name)):
        known = _by_name(match[1].strip(), asked.offset, setting)
        suffix = match[2].strip().casefold()
        if known is not None and known.kind == "custom":
            operators, only = _SUFFIXES.get(suffix, ANY), _VALUES.get(suffix, "")
            known = replace(known, operators=operators, only=only)
    if known is None:
        raise _unknown(asked, setting)
    return known


def check_sort(asked: syntax.Field, setting: Setting) -> None:
    """Raise `errors.BadFilter` for a field of ORDER BY that is not known."""
    if asked.name.casefold() not in _SORTED_BY:
        find(asked, setting)


def _by_name(name: str, offset: int, setting: Setting) -> Known | None:
    known = NAMED.get(name.casefold())
    identities = setting.custom_fields.get(name.casefold(), ())
    if len(identities) > 1:
        among = " and ".join(identities)
        raise setting.refuse(offset, f"The name '{name}' is given to {among}; use cf[N] instead.")
    identity = identities[0] if identities else None
    if known is not None and known.name == "sprint":
        return _sprint(known, identity, offset, setting)
    if known is not None and known.name == "Epic Link":
        return replace(known, read=places.epic(identity))
    if identity and (known is None or known.elsewhere):
        return _custom(name, identity)
    return known


def _sprint(known: Known, identity: str | None, offset: int, setting: Setting) -> Known:
    if identity is None:
        setting.warn(
            offset,
            "Which custom field holds the sprint is guessed from the body, so an issue without "
            "one cannot be told; name it in the site's `fields`: {Sprint: customfield_N}.",
        )
    return replace(known, read=places.sprints(identity))


def _custom(name: str, identity: str) -> Known:
    return Known(name=one_line(name), kind="custom", operators=ANY, read=custom(identity))


def _property(asked: syntax.Field, setting: Setting) -> Known:
    name = asked.name.casefold()
    if name in ("issue.property", "workitem.property") and len(asked.properties) == 1:
        first = asked.properties[0]
        path = tuple(part for piece in first.path for part in piece.split(".") if part)
        return Known(
            name=one_line(f"{asked.name}[{first.key}]{'.'.join(('', *path))}"),
            kind="custom",
            operators=ANY,
            read=places.properties(first.key, path),
        )
    known = _by_name(asked.name, asked.offset, setting)
    if known is None:
        raise _unknown(asked, setting)
    if known.name == "issueLink" and len(asked.properties) == 1 and not asked.properties[0].path:
        return _linked(known, asked.properties[0].key)
    if not known.elsewhere:
        message = f"The field '{asked.name}' has no properties."
        raise setting.refuse(asked.offset, message)
    return known


def _linked(known: Known, kind: str) -> Known:
    name = one_line(f"{known.name}[{kind}]")
    return replace(known, name=name, operators=PLAIN, read=places.linked_as(kind))


def _unknown(asked: syntax.Field, setting: Setting) -> BadFilter:
    names = [*_known_names(), *setting.site.fields]
    guess = did_you_mean(asked.name, names)
    if re.fullmatch(r"customfield_\d+", asked.name, re.ASCII):
        guess = f" Did you mean 'cf[{asked.name.removeprefix('customfield_')}]'?"
    message = (
        f"Field '{asked.name}' does not exist or you do not have permission to view it.{guess}"
    )
    if not guess:
        site = f"the site {setting.site.name}" if setting.site.name else "its site"
        message += f" A custom field needs a line in the `fields` of {site}."
    return setting.refuse(asked.offset, message)


def _known_names() -> Iterable[str]:
    return (name for known in NAMED.values() for name in (known.name, *known.aliases))
