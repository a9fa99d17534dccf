"""Parse YAML 1.2 with the position of every value, and explain mistakes in plain words."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from bridge.config.documents import Document, Findings, Position, Steps
from bridge.config.variables import UnsetVariable, Variables

#: A part of the parser's message -> an explanation for people; the first match applies.
_EXPLANATIONS = (
    ("found character '\\t'", "a tab: YAML is indented with spaces"),
    ("that cannot start any token", "a text cannot begin with this character: put it in quotes"),
    (
        "mapping values are not allowed",
        "a `:` where none can be: put a text with `: ` in quotes, or mend the indentation",
    ),
    ("undefined alias", "anchors and aliases are not read here: write the value out"),
    (
        "found another document",
        "a second document: everything after `---` belongs in its own file",
    ),
    ("could not find expected ':'", "a key without its `:`"),
    (
        "expected <block end>, but found '<scalar>'",
        "text after a closing quote: quote all of it, or write it as a block below `>-`",
    ),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected ',' or", "a `,` or the closing bracket is missing before this"),
    ("found unexpected end of stream", "this quote is never closed"),
    (
        "unknown escape character",
        "after `\\` in double quotes only YAML's escapes: use single quotes",
    ),
    ("maximum depth", "nested too deeply"),
    ("sequence entries are not allowed", "a `- ` where none can be: a list begins in a line below"),
    ("expected the node content", "a value is missing before this"),
    ("expected chomping or", "after `|` or `>` the text begins in the next line"),
    ("expected a comment or a line break", "after `|` or `>` the text begins in the next line"),
    ("expected '<document start>'", "does not belong to what stands above it"),
)
_DEEPEST = 50
_TAG = "tag:yaml.org,2002:"


def read(
    file: str, name: str, data: bytes, variables: Variables, findings: Findings
) -> Document | None:
    """Parse a file's bytes; None, with an error in the findings, when it is not a mapping."""
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        findings.file_error(file, "not UTF-8 text", (before.count(b"\n") + 1, column))
        return None
    try:
        root = _compose(source)
    except (YAMLError, ArithmeticError, LookupError, ValueError) as error:
        findings.file_error(file, *_explain(error, source))
        return None
    if root is None:
        findings.file_error(file, "the file is empty: it needs at least `version: 1`")
        return None
    if not isinstance(root, MappingNode):
        findings.file_error(
            file, "must be a mapping: lines of `key: value`", _mark(root.start_mark)
        )
        return None
    return _document(file, name, source, root, variables, findings)


def _compose(source: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _DEEPEST
    yaml.composer.warn_double_anchors = False  # anchors are refused anyway
    node: Node | None = yaml.compose(source)
    return node


def _mark(mark: StringMark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _explain(error: Exception, source: str) -> tuple[str, tuple[int, int]]:
    """Return an explanation of the parser's error, and its 1-based line and column."""
    if isinstance(error, ReaderError):
        before = source[: error.position]
        position = before.count("\n") + 1, error.position - before.rfind("\n")
        return f"the character U+{error.character:04X} cannot stand in YAML", position
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return "unreadable YAML: a directive or an escape that means nothing", (1, 1)
    problem = error.problem or ""
    mark = error.problem_mark
    if "end of stream" in problem and error.context_mark is not None:
        mark = error.context_mark
    explanation = next((plain for theirs, plain in _EXPLANATIONS if theirs in problem), None)
    message = explanation or f"unreadable YAML: {problem}"
    if "expected ','" in problem and error.context_mark is not None:
        message += f"; it was opened in line {error.context_mark.line + 1}"
    lines = source.split("\n")
    if mark.line < len(lines) and "${" in lines[mark.line]:
        message += " (inside { } or [ ], a ${…} has to be in quotes)"
    return message, _mark(mark)


def _document(
    file: str, name: str, source: str, root: Node, variables: Variables, findings: Findings
) -> Document:
    """Turn nodes into plain values; errors of single values go to the findings."""
    walk = _Walk(variables)
    content = walk.value(root, ())
    document = Document(
        file=file, name=name, source=source, content=content, values=walk.values, keys=walk.keys
    )
    for steps, message, mark in walk.wrong:
        findings.error(document, steps, message, _mark(mark))
    return document


class _Walk:
    """One pass over the nodes of a document."""

    def __init__(self, variables: Variables) -> None:
        self.values: dict[Steps, Position] = {}
        self.keys: dict[Steps, Position] = {}
        self.wrong: list[tuple[Steps, str, StringMark]] = []
        self._variables = variables
        self._done: dict[int, Any] = {}

    def value(self, node: Node, steps: Steps) -> Any:  # noqa: ANN401 - whatever people wrote
        """Return the plain value of a node; an alias has the value of its anchor."""
        if id(node) in self._done:
            return self._done[id(node)]
        self.values[steps] = _position(node)
        if node.anchor is not None:
            self._report(steps, "anchors and aliases are not read here: write the value out", node)
            self._done[id(node)] = None
        if not str(node.tag).startswith(_TAG):
            self._report(steps, f"the tag {node.tag} is not read here: leave it out", node)
        value = self._plain(node, steps)
        if node.anchor is not None:
            self._done[id(node)] = value
        return value

    def _plain(self, node: Node, steps: Steps) -> Any:  # noqa: ANN401 - the same
        if isinstance(node, MappingNode):
            return self._mapping(node, steps)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*steps, index)) for index, item in enumerate(node.value)]
        value = _scalar(node)
        if not isinstance(value, str):
            return value
        try:
            return self._variables.fill(value)
        except UnsetVariable as error:
            self._report(steps, str(error), node)
            return ""

    def _mapping(self, node: MappingNode, steps: Steps) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._report(steps, "a key must be a word, not a list or a mapping", key)
                continue
            below = (*steps, key.value)
            if key.value in content:
                first = self.keys[below].line + 1
                self._report(below, f"written twice, the first time in line {first}", key)
                continue
            self.keys[below] = _position(key)
            content[key.value] = self.value(value, below)
            if content[key.value] is None and value.start_mark.index == value.end_mark.index:
                self.values[below] = self.keys[below]  # an empty value has no position
        return content

    def _report(self, steps: Steps, message: str, node: Node) -> None:
        self.wrong.append((steps, message, node.start_mark))


def _position(node: Node) -> Position:
    start, end = node.start_mark, node.end_mark
    style = (getattr(node, "style", None) or "") if isinstance(node, ScalarNode) else ""
    return Position(
        line=start.line, column=start.column, start=start.index, end=end.index, style=style
    )


def _scalar(node: Node) -> str | int | float | bool | None:
    """Read a scalar by its YAML 1.2 tag; all but numbers, booleans and null is text."""
    text: str = node.value
    kind = str(node.tag).removeprefix(_TAG)
    try:
        if kind == "int":
            return int(text, 0 if text.lstrip("+-").lower()[:2] in ("0x", "0o", "0b") else 10)
        if kind == "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text
