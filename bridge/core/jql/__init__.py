"""JQL: text to tree, tree to filter, filter and body to true, false or unknown."""

from bridge.core.jql.complaints import caret
from bridge.core.jql.parse import parse

__all__ = ["caret", "parse"]
