"""Whether a comment or a worklog of Jira is restricted to some readers."""

from __future__ import annotations

from typing import Final

#: The property by which a service desk hides a comment from its customers.
_INTERNAL: Final = "sd.public.comment"


def is_private(part: object) -> bool:
    """Return whether some users who can see the issue cannot see this comment or worklog."""
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
