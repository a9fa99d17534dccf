"""Rich text (Atlassian Document Format, as in Jira's newer API) as plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

#: The deepest level of a document that is read.
_MAX_DEPTH = 60

#: Returns the text of a node, given the node and the texts of its children.
_Shape = Callable[[Mapping[str, Any], list[str]], str]
#: How each kind of node is written, and any other one under "".
_Style = Mapping[str, _Shape]


def plain(document: object) -> str:
    """Write a rich-text document as plain text: blocks apart, links in brackets."""
    return re.sub(r"\n{3,}", "\n\n", _node(document, _READABLE, 0)).strip()


def words(text: object) -> str:
    """Return the words of a text or a rich-text document, each block on a line, without marks."""
    return text if isinstance(text, str) else _node(text, _WORDS, 0)


def _node(node: object, style: _Style, depth: int) -> str:
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return ""
    content = node.get("content")
    children = content if isinstance(content, list) else []
    shape = style.get(str(node.get("type"))) or style[""]
    return shape(node, [_node(child, style, depth + 1) for child in children])


def _other(node: Mapping[str, Any], inside: list[str]) -> str:
    return "".join(inside) or _label(_attributes(node))


def _block(_: Mapping[str, Any], inside: list[str]) -> str:
    return "".join(inside) + "\n\n"


def _row(_: Mapping[str, Any], inside: list[str]) -> str:
    return " | ".join(cell.strip() for cell in inside) + "\n"


def _quote(_: Mapping[str, Any], inside: list[str]) -> str:
    return "> " + "".join(inside).strip().replace("\n", "\n> ") + "\n\n"


def _bullets(_: Mapping[str, Any], inside: list[str]) -> str:
    return "".join(_item("-", item) for item in inside) + "\n"


def _numbers(node: Mapping[str, Any], inside: list[str]) -> str:
    first = _attributes(node).get("order")
    numbered = enumerate(inside, first if isinstance(first, int) else 1)
    return "".join(_item(f"{number}.", item) for number, item in numbered) + "\n"


def _item(mark: str, text: str) -> str:
    lines = re.sub(r"\n{2,}", "\n", text.strip())
    return mark + " " + lines.replace("\n", "\n  ") + "\n"


def _text(node: Mapping[str, Any], _: list[str]) -> str:
    words = str(node.get("text") or "")
    marks = node.get("marks")
    for mark in marks if isinstance(marks, list) else []:
        match mark:
            case {"type": "link", "attrs": {"href": str(address)}} if address != words:
                return f"{words} ({address})"
    return words


def _date(node: Mapping[str, Any], _: list[str]) -> str:
    timestamp = str(_attributes(node).get("timestamp"))
    if re.fullmatch(r"-?[0-9]{1,14}", timestamp) is None:
        return ""
    return datetime.fromtimestamp(int(timestamp) / 1000, tz=UTC).date().isoformat()


#: The kinds of nodes that add something to the texts of their children.
_READABLE: _Style = {
    "": _other,
    "text": _text,
    "date": _date,
    "hardBreak": lambda _node, _inside: "\n",
    "rule": lambda _node, _inside: "----\n\n",
    "paragraph": _block,
    "heading": _block,
    "codeBlock": _block,
    "table": _block,
    "tableRow": _row,
    "blockquote": _quote,
    "bulletList": _bullets,
    "taskList": _bullets,
    "decisionList": _bullets,
    "orderedList": _numbers,
}


def _line(node: Mapping[str, Any], inside: list[str]) -> str:
    own = node.get("text")
    return (own if isinstance(own, str) else "") + "".join(inside) + ("\n" if inside else "")


#: Only text that a person wrote: a search must not find marks, names or addresses beside it.
_WORDS: _Style = {"": _line}


def _attributes(node: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = node.get("attrs")
    return attributes if isinstance(attributes, dict) else {}


def _label(attributes: Mapping[str, Any]) -> str:
    """Return the text of a mention, an emoji, a card or a picture."""
    values = (attributes.get(name) for name in ("text", "shortName", "url", "title", "alt"))
    return next((word for word in values if isinstance(word, str)), "")
