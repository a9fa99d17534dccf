"""What a database error means: an outage, a deadlock, the end of a session, or a refused row."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from bridge.errors import NotKept
from bridge.store.database.files import DatabaseGone
from bridge.store.database.schema_version import WrongSchema

#: Prefixes of the PostgreSQL codes of errors that are about the values of one row. All others, such
#: as a missing table or a missing right, are about the present state of the database.
_VALUE_CODES = ("22", "23", "54")
#: Prefixes of the codes with which PostgreSQL ends a session.
_SESSION_CODES = ("08", "25P03", "57P01", "57P02", "57P05")
#: Prefix of the codes of a transaction that was rolled back because of another one.
_CONFLICT_CODE = "40"


class Down(NotKept):
    """The database cannot be reached."""


class Undecided(Down):
    """The session ended during a commit, which may or may not have taken effect."""


def is_outage(error: Exception) -> bool:
    """Return whether the database is unavailable or not this bridge's, rather than refusing a row.

    An outage sends requests into the spool; a refused row is quarantined.
    """
    if isinstance(error, WrongSchema | DatabaseGone):
        return True
    if not isinstance(error, DBAPIError):
        return False
    code = _code(error)
    if code:
        return not code.startswith(_VALUE_CODES)
    return not isinstance(error, IntegrityError | DataError | ProgrammingError)


def is_session_end(error: DBAPIError) -> bool:
    """Return whether an error ended an established session; a failure to connect does not count."""
    return error.connection_invalidated or _code(error).startswith(_SESSION_CODES)


def is_deadlock(error: DBAPIError) -> bool:
    """Return whether a transaction was rolled back in favour of another one."""
    return _code(error).startswith(_CONFLICT_CODE)


def without_values(error: Exception) -> str:
    """Return the first line of a database error's message, without the statement and its values."""
    lines = str(getattr(error, "orig", error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _code(error: DBAPIError) -> str:
    """Return PostgreSQL's code of an error, or ""."""
    return getattr(error.orig, "sqlstate", None) or ""
