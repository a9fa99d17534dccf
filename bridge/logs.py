"""The log on stderr, as text or JSON, without tokens and without content written by users."""

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
from bridge.errors import stack_frames

#: The path of a webhook ends in its token, for the bridge and for Aha! alike.
_TOKEN = re.compile(r"(/api/v1/webhooks/)[^\s/?#\"'\\]+")


def configure(style: str, *, level: int = logging.INFO, colours: bool = False) -> None:
    """Set up logging as `text` or `json`; libraries log warnings and errors only."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _strip_messages,
        _sanitize,
    ]
    render = _renderer(style, colours=colours)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_LineLogger,
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Its warnings follow from errors that it raises as well.
    logging.getLogger("psycopg").setLevel(logging.ERROR)


def _renderer(style: str, *, colours: bool) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(serializer=_json)
    return structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


class _LineLogger:
    """The logger under structlog: every level writes to stderr."""

    def __init__(self, *_: object) -> None:
        pass

    def __getattr__(self, level: str) -> Callable[[str], None]:
        return _write


def _write(line: str) -> None:
    # The stream is looked up for each line because it may be replaced. An error is ignored: a log
    # reader that has gone away must not stop the bridge.
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")


class _StderrHandler(logging.Handler):
    """Writes the log records of libraries to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        _write(self.format(record))


def _strip_messages(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace an exception by its class and traceback; its message may quote a body."""
    found = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if found:
        error = _exception(found)
        if error is not None:
            event["raised"] = type(error).__name__
            event["where"] = stack_frames(error)
    return event


def _exception(found: ExcInfo | BaseException | bool) -> BaseException | None:
    if isinstance(found, BaseException):
        return found
    return found[1] if isinstance(found, tuple) else sys.exc_info()[1]


def _sanitize(_: WrappedLogger, __: str, event: EventDict) -> MutableMapping[str, Any]:
    """Mask tokens, and escape control characters, which could forge lines or control a terminal."""
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: object) -> object:
    if isinstance(value, str):
        return printable.for_terminal(_TOKEN.sub(r"\1…", value))
    if isinstance(value, Mapping):
        return {name: _clean(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_clean(inner) for inner in value]
    return value
