"""What a process says of itself, on stderr: never a token, never what people wrote."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from bridge.core import printable
from bridge.errors import places

#: A webhook's path ends in its token: ours, and that of Aha!.
_TOKEN = re.compile(r"(/api/v1/webhooks/)[^\s/?#\"'\\]+")


def configure(style: str, *, level: int = logging.INFO, colours: bool = False) -> None:
    """Write the log as `text` or `json`; of the libraries only what is at least a warning."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages,
        _harmless,
    ]
    render = _renderer(style, colours=colours)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Line,
    )
    handler = _Lines()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # It tells of errors that follow from one that is raised anyway.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


def _renderer(style: str, *, colours: bool) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(serializer=_json)
    return structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


class _Line:
    """Where structlog's lines go, whatever the level."""

    def __init__(self, *_: object) -> None:
        pass

    def __getattr__(self, level: str) -> Callable[[str], None]:
        return _write


def _write(line: str) -> None:
    # The stream is looked up each time, as it may be replaced; and a reader of the log that went
    # away must not stop what is logged.
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")


class _Lines(logging.Handler):
    """Where the lines of libraries go."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        _write(self.format(record))


def _without_messages(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say of an exception what and where it was; its message may hold what a sender sent."""
    found = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if found:
        error = _exception(found)
        if error is not None:
            event["raised"] = type(error).__name__
            event["where"] = places(error)
    return event


def _exception(found: ExcInfo | BaseException | bool) -> BaseException | None:
    if isinstance(found, BaseException):
        return found
    return found[1] if isinstance(found, tuple) else sys.exc_info()[1]


def _harmless(_: WrappedLogger, __: str, event: EventDict) -> MutableMapping[str, Any]:
    """Take out tokens, and what would forge lines or speak to a terminal."""
    return {name: _cleaned(value) for name, value in event.items()}


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return printable.for_terminal(_TOKEN.sub(r"\1…", value))
    if isinstance(value, Mapping):
        return {name: _cleaned(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_cleaned(inner) for inner in value]
    return value
