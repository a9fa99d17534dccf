"""Faults of the stand-in, and the requests to /sandbox/control that set them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bridge.sandbox.records import Integration


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What the stand-in does wrong. A share of 0.25 means exactly every fourth request."""

    #: The delay before each answer.
    latency_ms: int = 0
    #: The status of failed requests, which write nothing.
    fail_status: int = 500
    fail_share: float = 0.0
    #: The `Retry-After` of a 429, in seconds.
    retry_after: int = 1
    #: The share of requests that are written and never answered.
    hang_share: float = 0.0
    #: The share that is written, and whose connection is then closed without an answer.
    drop_share: float = 0.0
    #: The share that is written and answered `lost_status`, as by a gateway that has timed out.
    lost_share: float = 0.0
    lost_status: int = 502
    #: Every request is answered 503.
    down: bool = False


class Shares:
    """Spreads each share evenly over the requests."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def is_due(self, name: str, share: float) -> bool:
        """Whether this request belongs to the share; call it once for each request."""
        due = self._due.get(name, 0.0) + share
        self._due[name] = due - 1 if due >= 1 else due
        return due >= 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """A request to /sandbox/control."""

    #: Fields of `Faults` to change.
    faults: dict[str, Any]
    #: Fields of `Faults` for single issues, by key; an empty one removes them.
    by_key: dict[str, dict[str, Any]]
    added: list[Integration]
    #: Tokens.
    revoked: list[str]


def parse_control(value: object) -> Control:
    """Parse a control request.

    It may have the fields of `Faults`, `fail: {status, share, after}`, `add`, `revoke`, and
    `treat: {key: faults}`. Raises `ValueError` with a message that lists the known names.
    """
    try:
        return _control(value)
    except (TypeError, ValueError, AttributeError) as error:
        known = ", ".join([*asdict(Faults()), "fail", "add", "revoke", "treat"])
        raise ValueError(f"{error}; known are: {known}") from error


def _control(value: object) -> Control:
    if not isinstance(value, dict):
        raise TypeError("a JSON object is wanted")
    fields = dict(value)
    by_key = fields.pop("treat", {})
    added, revoked = fields.pop("add", []), fields.pop("revoke", [])
    return Control(
        faults=_fault_fields(fields),
        by_key={str(key): _fault_fields(dict(one)) for key, one in by_key.items()},
        added=[_integration(one) for one in _as_list(added)],
        revoked=[str(one) for one in _as_list(revoked)],
    )


def _fault_fields(fields: dict[str, Any]) -> dict[str, Any]:
    fail = fields.pop("fail", None)
    if fail is not None:
        fields["fail_status"] = fail.get("status", 500)
        fields["fail_share"] = fail.get("share", 1)
        fields["retry_after"] = fail.get("after", 1)
    defaults = Faults()
    return {name: type(getattr(defaults, name))(value) for name, value in fields.items()}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _integration(value: object) -> Integration:
    return Integration(**value) if isinstance(value, dict) else Integration(token=str(value))
