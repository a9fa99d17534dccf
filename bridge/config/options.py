"""The settings of a process: from BRIDGE_* variables, from files they name, and from flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.core.nearest import nearest
from bridge.errors import BadConfiguration, Problem

PREFIX = "BRIDGE_"
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15})\s*(|[KMGT]iB)")


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError("must be a number of bytes, like 33554432 or 32MiB")
    return int(found[1]) * _UNITS[found[2]]


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return text

    return parse


def _database(text: str) -> str:
    scheme = text.partition("://")[0].partition("+")[0]
    if scheme not in ("sqlite", "postgresql") or "://" not in text:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _path(text: str) -> Path:
    return Path(_not_empty(text)).expanduser()


def _metadata(default: str | None, sentence: str, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    """Describe a setting: its default as written, its sentence for --help, its parser."""
    return {"default": default, "sentence": sentence, "parse": parse}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Settings:
    """The settings of a process; each field is the variable BRIDGE_<NAME>."""

    mappings: Path = field(
        metadata=_metadata("mappings", "The folder with bridge.yaml and the routes.", _path)
    )
    database: str = field(
        metadata=_metadata(
            "sqlite:///bridge.db",
            "The database: sqlite:/// or postgresql://.",
            _database,
        )
    )
    host: str = field(metadata=_metadata("127.0.0.1", "The address to listen on.", _not_empty))
    port: int = field(
        metadata=_metadata(
            "8080", "The port to listen on; 0 takes any free one.", _integer(0, 65535)
        )
    )
    spool: Path = field(
        metadata=_metadata(
            None,
            "The folder for requests while the database is unreachable (`spool` next to an SQLite"
            " file, else in the working folder).",
            _path,
        )
    )
    spool_max: int = field(
        metadata=_metadata("1GiB", "The largest total size of the spool.", _size)
    )
    log: str = field(
        metadata=_metadata("text", "The format of the log: text or json.", _one_of("text", "json"))
    )
    max_body: int = field(metadata=_metadata("32MiB", "The largest request body accepted.", _size))
    workers: int = field(
        metadata=_metadata("32", "Concurrent deliveries per destination.", _integer(1, 256))
    )
    threads: int = field(
        metadata=_metadata(
            "16", "Threads for pages and metrics; webhooks need none.", _integer(1, 1024)
        )
    )
    connections: int = field(
        metadata=_metadata(
            "2000",
            "Concurrent connections; beyond them, the longest-waiting one is closed.",
            _integer(16, 100_000),
        )
    )
    idle_seconds: int = field(
        metadata=_metadata(
            "30",
            "Seconds a connection may be idle until the next request's head.",
            _integer(1, 3600),
        )
    )
    body_seconds: int = field(
        metadata=_metadata("20", "Seconds a body may take to arrive.", _integer(1, 3600))
    )
    body_rate: int = field(
        metadata=_metadata("64KiB", "Bytes of a body that extend its time by one second.", _size)
    )
    body_memory: int = field(
        metadata=_metadata("64MiB", "Memory for large bodies that are being received.", _size)
    )
    bodies_days: int = field(metadata=_metadata("14", "Days to keep bodies.", _integer(1, 36500)))
    decisions_days: int = field(
        metadata=_metadata("90", "Days to keep decisions.", _integer(1, 36500))
    )
    effects_days: int = field(
        metadata=_metadata(
            "400", "Days to keep deduplication keys (90 or more).", _integer(90, 36500)
        )
    )
    lease_seconds: int = field(
        metadata=_metadata(
            None,
            "Seconds a worker leases a record's lane; more than any send takes (120, or a minute"
            " more than both timeouts together).",
            _integer(1, 86400),
        )
    )
    connect_timeout: int = field(
        metadata=_metadata("5", "Seconds to connect: name look-up, TCP and TLS.", _integer(1, 3600))
    )
    read_timeout: int = field(
        metadata=_metadata(
            "30", "Seconds to send a body and receive the answer.", _integer(1, 3600)
        )
    )
    park_hours: int = field(
        metadata=_metadata(
            "6",
            "Hours a record may fail while others are delivered, before its delivery is parked.",
            _integer(1, 8760),
        )
    )
    grace_seconds: int = field(
        metadata=_metadata(
            "10", "Seconds a thin event waits for a complete event.", _integer(0, 3600)
        )
    )

    @property
    def longest_send(self) -> int:
        """The longest duration of a send, in seconds."""
        return self.connect_timeout + self.read_timeout

    def __repr__(self) -> str:
        shown = {option.name: getattr(self, option.name) for option in OPTIONS}
        shown["database"] = _without_password(self.database)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One setting, as --help and the documentation describe it."""

    #: The name of its field in `Settings`.
    name: str
    #: As written; None when it depends on other settings.
    default: str | None
    #: One sentence for --help.
    sentence: str
    #: Parses a text, or raises ValueError with the allowed form.
    parse: Callable[[str], Any] = field(repr=False)

    @property
    def variable(self) -> str:
        """Return the name of its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Return the name of its flag."""
        return "--" + self.name.replace("_", "-")


#: Every setting, in the order of the documentation.
OPTIONS: tuple[Option, ...] = tuple(Option(name=it.name, **it.metadata) for it in fields(Settings))


def settings(environ: Mapping[str, str], **flags: object) -> Settings:
    """Read the settings; flags win unless None; raises `BadConfiguration` with all problems."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for option in OPTIONS:
        flag = flags.pop(option.name, None)
        name = option.variable if flag is None else option.flag
        try:
            text = _text_of(option, environ) if flag is None else str(flag)
            values[option.name] = None if text is None else option.parse(text)
        except ValueError as error:
            problems.append(Problem(file=name, message=str(error)))
    if flags:
        raise TypeError(f"no such settings: {', '.join(flags)}")
    if not problems:
        problems += _check_together(values)
    if problems:
        raise BadConfiguration(tuple(problems))
    values["spool"] = values["spool"] or _spool_beside(values["database"])
    values["lease_seconds"] = values["lease_seconds"] or _lease(values)
    return Settings(**values)


def _text_of(option: Option, environ: Mapping[str, str]) -> str | None:
    """Return the text of a setting; an empty value counts as unset."""
    text, file = environ.get(option.variable), environ.get(f"{option.variable}_FILE")
    if text and file:
        raise ValueError(f"is given twice: here and in {option.variable}_FILE")
    if not file:
        return text or option.default
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot read {file}: {why}") from error


def _check_together(values: Mapping[str, Any]) -> list[Problem]:
    """Check settings against each other."""
    longest = values["connect_timeout"] + values["read_timeout"]
    if values["lease_seconds"] is None or values["lease_seconds"] > longest:
        return []
    message = f"must be longer than the longest send, which can take {longest} seconds"
    return [Problem(file=f"{PREFIX}LEASE_SECONDS", message=message)]


def _lease(values: Mapping[str, Any]) -> int:
    """Return a lease in seconds: a minute longer than the longest send."""
    return max(120, int(values["connect_timeout"] + values["read_timeout"]) + 60)


def _spool_beside(database: str) -> Path:
    """Return the folder `spool` beside an SQLite file, else in the working folder."""
    path = urlsplit(database).path[1:] if database.startswith("sqlite") else ""
    return Path(path).parent / "spool" if path and path != ":memory:" else Path("spool")


def _without_password(url: str) -> str:
    url = re.sub(r"(://[^/?]*?:)[^/?]*@", r"\1***@", url)
    return re.sub(r"(password=)[^&]*", r"\1***", url)


def unknown_variables(environ: Mapping[str, str], read: Container[str]) -> tuple[Problem, ...]:
    """Return a warning for each BRIDGE_* name that neither a setting nor a mapping file uses."""
    known = {option.variable for option in OPTIONS}
    known |= {f"{name}_FILE" for name in known}
    strange = [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and name not in read
    ]
    return tuple(map(_unknown, strange))


def _unknown(name: str) -> Problem:
    known = [option.variable.removeprefix(PREFIX) for option in OPTIONS]
    near = nearest(name.removeprefix(PREFIX), known)
    hint = f"; did you mean {PREFIX}{near}?" if near else ""
    message = f"there is no such setting, and no mapping file reads it{hint}"
    return Problem(file=name, message=message, severity="warning")
