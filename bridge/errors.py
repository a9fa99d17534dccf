"""Errors whose class tells the caller what to do; the docstring is the default message."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

_INNERMOST = 6


class BridgeError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


def places(error: BaseException) -> list[str]:
    """Say where something was raised, and not its message or values: they could tell secrets."""
    frames = traceback.extract_tb(error.__traceback__)[-_INNERMOST:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


# --- at the door: answer 200 all the same, keep a `rejected` row


class Rejected(BridgeError):
    """The body was not taken in."""


class BadSignature(Rejected):
    """The signature does not match any of the hook's secrets."""


class Unreadable(Rejected):
    """The body cannot be read."""


class NotKept(BridgeError):
    """Neither the database nor the spool could keep the event: ask the sender to come again."""


# --- configuration: say all of it, start nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong in one place of a mapping file."""

    #: The path as the user gave it.
    file: str
    #: 1-based; 0 when the whole file is meant.
    line: int = 0
    #: 1-based.
    column: int = 0
    message: str
    #: "error" stops a start; "warning" does not.
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {'' if self.severity == 'error' else self.severity + ': '}{self.message}"


class BadConfiguration(BridgeError):
    """The mappings cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class BadFilter(BridgeError):
    """A filter that cannot be used; `offset` is where in its text, 0-based."""

    def __init__(self, message: str, *, text: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.offset = offset


class BadField(BridgeError):
    """A `fields` line that cannot be used; `name` is the key of the line that is wrong."""

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


# --- delivering: each class is one thing to do


class DeliveryError(BridgeError):
    """A delivery did not succeed."""

    def __init__(self, message: str = "", *, status: int = 0, answer: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class Unmappable(DeliveryError):
    """A field cannot be mapped: park until the mapping is corrected."""


class NotSent(DeliveryError):
    """Nothing reached the destination: try again later, it cannot have been written."""


class Failed(DeliveryError):
    """The destination answered that it failed: try again later."""


class Throttled(DeliveryError):
    """The destination wants a pause: nothing is sent there until `after` seconds are over."""

    def __init__(self, message: str = "", *, after: float | None, status: int = 429) -> None:
        super().__init__(message, status=status)
        self.after = after


class InDoubt(DeliveryError):
    """It was sent and no answer came: it may have been written."""


class Refused(DeliveryError):
    """The destination will never take this body: park it with the answer."""


class Gone(DeliveryError):
    """The token is invalid or the account disabled: pause the destination, keep everything."""


# --- at the desk


class NotFound(BridgeError):
    """There is no such thing."""


class WrongState(BridgeError):
    """That cannot be done with it in its present state."""
