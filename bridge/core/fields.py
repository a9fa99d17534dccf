"""One line of a route's `fields`.

A line reads the value at `from`, or else takes its `default`, applies `values` (or `otherwise`),
`type`, `join` and `template`, in this order, and writes the result at `to`:

    from       a JSONPath (RFC 9535): `$.a['b c'][0]`, `$.a[*].b`; may be absent beside a `default`
    default    replaces a missing value and null; without one, a missing value writes nothing and
               null writes null, so that clearing a field in Jira clears it in Aha!. A body that
               contains only some of the record's fields (a Jira event that is not about the issue
               itself) writes no default for an absent field
    values     replaces a value by another, compared as texts; a default need not be among them
    otherwise  for a value that is not in `values` or that `type` cannot convert: `keep` it,
               `drop` the target, `park` the delivery, or write the given `{value: ...}`
    type       text, number, integer, date, datetime, boolean; `list` for a list in any case
    join       joins several values into one text; without it they are written as a list
    template   a text with `{value}` and dotted paths of the original body, such as `{issue.key}`
    to         a JSONPath of names and indices only; missing objects and lists on it are created
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.nearest import nearest
from bridge.core.paths import DROP, NOTHING, Path, Query, query, value_at, writable_path
from bridge.core.transforms import TRANSFORMS, text
from bridge.errors import BadField, Unmappable

#: The keys of a line.
KEYS = ("from", "to", "default", "values", "otherwise", "type", "join", "template")
#: The words of `type`.
TYPES = (*TRANSFORMS, "list")
#: Top-level names that Aha!'s own routing merges into a body; a body is sent without them.
FORBIDDEN = frozenset({"token", "action", "controller", "format", "webhook", "product_id"})

_REFERENCE = re.compile(r"\{\{|\}\}|\{(?:\$\.)?([^{}]*)\}|[{}]")

Convert = Callable[[object], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A compiled line."""

    #: None: the default is always written.
    source: Query | None
    default: object
    values: Mapping[str, object] | None
    #: keep | drop | park | value
    otherwise: str
    #: The value of `otherwise: {value: ...}`.
    instead: object
    convert: Convert | None
    #: A single value is written as a list, too.
    as_list: bool
    join: str | None
    template: str | None
    to: Path
    #: `to` as its author wrote it, for messages.
    name: str

    def result(self, body: Mapping[str, Any]) -> object:
        """Return what to write at `to`, NOTHING or DROP; raises Unmappable."""
        found = NOTHING if self.source is None else self.source.find(body)
        if self.default is not None and self._finds_nothing(found, body):
            return self._shaped(self.default, body, known=True)
        if found is None or found is NOTHING:
            return found
        return self._shaped(found, body, known=False)

    def _finds_nothing(self, found: object, body: Mapping[str, Any]) -> bool:
        if self.source is None or found is None:
            return True
        if found is NOTHING:
            return _is_decisive(body, self.source)
        return self.source.several is not None and found == []

    def _shaped(self, found: object, body: Mapping[str, Any], *, known: bool) -> object:
        if isinstance(found, list):
            mapped = [self._mapped(item, known=known) for item in found]
            value = self._joined([item for item in mapped if item is not DROP])
        else:
            value = self._mapped(found, known=known)
            if value is DROP or value is None:
                return value
            value = [value] if self.as_list and self.join is None else value
        return value if self.template is None else self._filled(self.template, value, body)

    def _mapped(self, value: object, *, known: bool) -> object:
        """Map one value; a `known` one (a default) need not be among `values`."""
        if self.values is not None and value is not None:
            word = _word(value)
            if word is not None and word in self.values:
                return self.values[word]
            if not known:
                return self._otherwise(value)
        if self.convert is None or value is None:
            return value
        try:
            return self.convert(value)
        except ValueError as error:
            return self._otherwise(value, str(error))

    def _otherwise(self, value: object, why: str = "") -> object:
        """Apply `otherwise`; `why` is "" for a value that is not among `values`."""
        match self.otherwise:
            case "park":
                reason = why or f"none of {_few(self.values or ())}"
                raise Unmappable(f"{self.name}: {_short(value)} is {reason}")
            case "drop":
                return DROP
            case "value":
                return self.instead
        return value

    def _joined(self, values: list[object]) -> object:
        if self.join is None:
            return values
        return self.join.join(self._text(value) for value in values if value is not None)

    def _text(self, value: object) -> str:
        try:
            return text(value)
        except ValueError as error:
            raise Unmappable(f"{self.name}: {_short(value)} is {error}") from error

    def _filled(self, template: str, value: object, body: Mapping[str, Any]) -> str:
        def filled(match: re.Match[str]) -> str:
            name = match.group(1)
            if name is None:
                return match.group()[0]
            found = value if name == "value" else _dotted(body, name)
            several = found if isinstance(found, list) else [found]
            values = (item for item in several if item is not None and item is not NOTHING)
            return ", ".join(self._text(item) for item in values)

        return _REFERENCE.sub(filled, template)


def _is_decisive(body: Mapping[str, Any], source: Query) -> bool:
    """Return whether a field that is absent from the body is absent from the record, too."""
    event = body.get("webhookEvent")
    partial = isinstance(event, str) and not event.startswith("jira:")
    return not partial or source.head[:1] != ("issue",)


def _dotted(body: Mapping[str, Any], path: str) -> object:
    value: object = body
    for name in path.split("."):
        at = int(name) if isinstance(value, list) and name.isdecimal() else name
        value = value_at(value, (at,))
    return value


def _word(value: object) -> str | None:
    """Return a value as a key of `values`; None for a value that cannot be one."""
    try:
        return text(value)
    except ValueError:
        return None


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


def _few(words: Iterable[str]) -> str:
    known = list(words)
    return ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")


# --- compiling


def compile_line(line: Mapping[str, object]) -> Line:
    """Compile one line; raises `errors.BadField`, which names the wrong key."""
    _check_keys(line)
    convert = _type(line)
    otherwise, instead = _otherwise(line)
    values = _values(line, convert)
    return Line(
        source=_from(line),
        default=_default(line, values, convert),
        values=values,
        otherwise=otherwise,
        instead=instead,
        convert=convert,
        as_list=line.get("type") == "list",
        join=_words(line, "join"),
        template=_template(line),
        to=_to(line),
        name=str(line["to"]),
    )


def _check_keys(line: Mapping[str, object]) -> None:
    for key in line:
        if key not in KEYS:
            near = nearest(str(key), KEYS)
            hint = f"did you mean `{near}`?" if near else f"known are: {', '.join(KEYS)}"
            raise BadField(f"a line has no `{key}`; {hint}", name=str(key))


def _from(line: Mapping[str, object]) -> Query | None:
    if line.get("from") is None:
        if line.get("default") is None:
            raise BadField("a line needs a `from`, or a `default` to write always", name="from")
        return None
    try:
        return query(line["from"])
    except ValueError as error:
        raise BadField(f"`from`: {error}", name="from") from error


def _to(line: Mapping[str, object]) -> Path:
    if line.get("to") is None:
        raise BadField("a line needs a `to`", name="to")
    try:
        path = writable_path(line["to"])
    except ValueError as error:
        raise BadField(f"`to`: {error}", name="to") from error
    if not isinstance(path[0], str) or path[0] in FORBIDDEN:
        raise BadField(f"`to`: Aha! would take {path[0]} for something of its own", name="to")
    return path


def _words(line: Mapping[str, object], name: str) -> str | None:
    value = line.get(name)
    if value is None or isinstance(value, str):
        return value
    raise BadField(f"`{name}` is a text, not {_short(value)}", name=name)


def _type(line: Mapping[str, object]) -> Convert | None:
    kind = line.get("type")
    if kind is None or kind == "list":
        return None
    if not isinstance(kind, str) or kind not in TRANSFORMS:
        raise BadField(f"`type`: {kind} is none of {', '.join(TYPES)}", name="type")
    return TRANSFORMS[kind]


def _otherwise(line: Mapping[str, object]) -> tuple[str, object]:
    match line.get("otherwise", "keep"):
        case "keep" | "drop" | "park" as word:
            return str(word), None
        case {"value": instead, **rest} if not rest:
            return "value", instead
    raise BadField("`otherwise` is keep, drop, park or {value: ...}", name="otherwise")


def _values(line: Mapping[str, object], convert: Convert | None) -> Mapping[str, object] | None:
    values = line.get("values")
    if values is None:
        return None
    if not isinstance(values, Mapping) or not values:
        raise BadField("`values` is a map from what is found to what is sent", name="values")
    found: dict[str, object] = {}
    for key, value in values.items():
        word = _word(key)
        if word is None or word in found:
            why = "is no text and no number" if word is None else "is there twice"
            raise BadField(f"`values`: the key {key!r} {why}", name="values")
        found[word] = _converted(value, convert, "values")
    return found


def _default(
    line: Mapping[str, object], values: Mapping[str, object] | None, convert: Convert | None
) -> object:
    default = line.get("default")
    if values is None or _word(default) not in values:
        _converted(default, convert, "default")
    return default


def _converted(value: object, convert: Convert | None, name: str) -> object:
    if convert is None or value is None:
        return value
    try:
        return [convert(item) for item in value] if isinstance(value, list) else convert(value)
    except ValueError as error:
        raise BadField(
            f"`{name}`: {_short(value)} is {error}, so `type` fails", name=name
        ) from error


def _template(line: Mapping[str, object]) -> str | None:
    template = _words(line, "template")
    for match in _REFERENCE.finditer(template or ""):
        if match.group() in ("{", "}") or match.group(1) in ("", "$"):
            raise BadField(
                f"`template`: {template} has a brace that names nothing; {{value}} and"
                " {issue.key} are references, {{ and }} are braces",
                name="template",
            )
    return template
