"""Who may read a comment or a worklog of Jira's."""

from __future__ import annotations

from typing import Final

#: The property of a comment by which a service desk keeps it from its customers.
_INTERNAL: Final = "sd.public.comment"


def is_private(part: object) -> bool:
    """Tell whether a comment or worklog is not for everybody who sees its issue."""
    if not isinstance(part, dict):
        return False
    if part.get("visibility") is not None or part.get("jsdPublic") is False:
        return True
    properties = part.get("properties")
    return isinstance(properties, list) and any(map(_makes_internal, properties))


def _makes_internal(held: object) -> bool:
    if not isinstance(held, dict) or held.get("key") != _INTERNAL:
        return False
    value = held.get("value")
    return isinstance(value, dict) and value.get("internal") is True
