"""JQL: text to tree, tree to filter, filter and body to true, false or unknown."""

from bridge.core.jql.ast_json import as_json, verdict
from bridge.core.jql.compiled_filter import CompiledFilter, compile
from bridge.core.jql.errors import caret
from bridge.core.jql.parse import parse

__all__ = ["CompiledFilter", "as_json", "caret", "compile", "parse", "verdict"]
