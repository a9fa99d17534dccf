"""JQL filters: parse text into a tree, compile the tree, judge bodies: true, false or unknown.

A newcomer reads `parse` and `syntax` (the tree), `compiled_filter` and `clauses` (the compiler),
`field_defs` and `function_defs` (what Jira has), `readers` (values in a body), then `values`,
`ordering`, `custom_fields`, `text_search` and `history` (the comparisons).
"""

from bridge.core.jql.ast_json import as_json, verdict
from bridge.core.jql.compiled_filter import CompiledFilter, compile
from bridge.core.jql.messages import caret
from bridge.core.jql.parse import parse

__all__ = ["CompiledFilter", "as_json", "caret", "compile", "parse", "verdict"]
