"""Errors by class: the class decides what the caller does; its docstring is the default message."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

#: How many of the innermost stack frames `stack_frames` returns.
_FRAMES = 6


class BridgeError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


def stack_frames(error: BaseException) -> list[str]:
    """Return the innermost frames of an error's traceback, without its message or any value.

    Messages and values may hold secrets.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


# --- receiving: answer 200, and store a `rejected` verdict


class Rejected(BridgeError):
    """The body is rejected."""


class BadSignature(Rejected):
    """The signature does not match any of the hook's secrets."""


class Unreadable(Rejected):
    """The body cannot be read."""


class NotKept(BridgeError):
    """Neither the database nor the spool could store the event: ask the sender to retry."""


# --- configuration: report every problem, and do not start


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One error or warning at one position in a mapping file."""

    #: The path as given by the user.
    file: str
    #: 1-based; 0 for the whole file.
    line: int = 0
    #: 1-based.
    column: int = 0
    message: str
    #: "error" prevents a start; "warning" does not.
    severity: str = "error"

    def __str__(self) -> str:
        position = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return (
            f"{position}: {'' if self.severity == 'error' else self.severity + ': '}{self.message}"
        )


class BadConfiguration(BridgeError):
    """The mappings cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class BadFilter(BridgeError):
    """A filter cannot be used; `offset` is the 0-based position of the error in `text`."""

    def __init__(self, message: str, *, text: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.offset = offset


class BadField(BridgeError):
    """A line of `fields` cannot be used; `name` is the key with the error."""

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


# --- delivering: the class decides what becomes of the delivery


class DeliveryError(BridgeError):
    """A delivery did not succeed."""

    def __init__(self, message: str = "", *, status: int = 0, answer: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class Unmappable(DeliveryError):
    """A field cannot be mapped: park the delivery until the mapping is corrected."""


class NotSent(DeliveryError):
    """Nothing reached the destination: retry, as it cannot have been written."""


class Failed(DeliveryError):
    """The destination answered that it failed: retry."""


class Throttled(DeliveryError):
    """The destination limits its rate: send nothing there for `after` seconds."""

    def __init__(self, message: str = "", *, after: float | None, status: int = 429) -> None:
        super().__init__(message, status=status)
        self.after = after


class InDoubt(DeliveryError):
    """The body was sent and no answer arrived: it may have been written."""


class Refused(DeliveryError):
    """The destination rejects this body for good: park the delivery with the answer."""


class Gone(DeliveryError):
    """The token is invalid or the account disabled: pause the destination, keep its deliveries."""


# --- operators' commands


class NotFound(BridgeError):
    """There is no such record."""


class WrongState(BridgeError):
    """The record's present state does not allow this."""
