"""The stand-in for Aha!: writes what it is told each time it is told, and keeps a journal of it.

    python -m crash.sink PORT JOURNAL

A line of the journal says what a request told and whether it was written, and stands there before
anybody is answered. PUT changes how it behaves.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from crash.journal import Journal
from crash.story import is_poison

#: Shares of the requests that are treated so; what is left is written and answered 200. With
#: `poison`, all of some records are answered 500.
Manners = Mapping[str, float]

POLITE: Manners = {}
#: Everything is answered 503, and not written.
DOWN: Manners = {"down": 1.0}
#: Everything goes wrong now and then.
BAD: Manners = {
    "throttled": 0.002,
    "failed": 0.02,
    "slow": 0.03,
    "mute": 0.005,
    "deaf": 0.005,
    "dropped": 0.005,
}
#: Written although no answer comes, or a late one; `deaf` never answers, and does not write.
_WRITTEN = ("fine", "slow", "mute", "dropped")
_STATUSES = {"throttled": 429, "failed": 500, "down": 503}
#: How long an answer takes, and for how long the others say nothing, in seconds.
_WAITS = {"fine": 0.05, "slow": 0.7, "mute": 4.0, "deaf": 4.0}
_VERBS = {"comment_updated": "edited", "issue_comment_edited": "edited"}


def told(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name the effects a body tells, as `story` does."""
    event = body.get("webhookEvent")
    if event == "jira:issue_created":
        return [("issue", str(body["issue"]["id"]), "created")]
    found = []
    if isinstance(body.get("changelog"), dict):
        found.append(("change", str(body["changelog"]["id"]), ""))
    if isinstance(body.get("comment"), dict):
        kind = str(body.get("issue_event_type_name") or event)
        found.append(("comment", str(body["comment"]["id"]), _VERBS.get(kind, "created")))
    return found


def held(body: Mapping[str, Any]) -> dict[str, str]:
    """Tell what is held once a body was written, as `story` does."""
    fields, comment = body.get("issue", {}).get("fields", {}), body.get("comment")
    found = {}
    if isinstance(fields.get("priority"), dict):
        found |= {"priority": fields["priority"]["name"], "summary": fields["summary"]}
    if isinstance(comment, dict):
        found[f"comment:{comment['id']}"] = str(comment["body"])
    return found


class Sink:
    """A server; one thread, so that the journal's order is the order of arrival."""

    def __init__(self, port: int, journal: Journal) -> None:
        self._port = port
        self._journal = journal
        self._manners: Manners = POLITE
        self._rng = random.Random(port)

    async def serve(self) -> None:
        """Serve until killed."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", self._port, backlog=256)
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests from one connection; one whose sender died while sending is none."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length:")[2].partition("\r")[0]
        body = await reader.readexactly(int(length or 0))
        if head.startswith("put"):
            self._manners = orjson.loads(body)
            return await _say(writer, 200)
        told = orjson.loads(body)
        fate = self._fate(str(told.get("issue", {}).get("id", "")))
        self._note(told, fate)
        await asyncio.sleep(_WAITS.get(fate, 0))
        if fate in ("mute", "deaf", "dropped"):
            return False
        return await _say(writer, _STATUSES.get(fate, 200))

    def _fate(self, record: str) -> str:
        """Decide what becomes of a request about a record."""
        if "poison" in self._manners and is_poison(record):
            return "failed"
        dice = self._rng.random()
        for name, share in self._manners.items():
            if name == "poison":  # no share
                continue
            dice -= share
            if dice < 0:
                return name
        return "fine"

    def _note(self, body: Mapping[str, Any], fate: str) -> None:
        self._journal.note(
            record=str(body.get("issue", {}).get("id", "")),
            effects=told(body),
            holds=held(body),
            fate=fate,
            written=fate in _WRITTEN,
            at=time.time(),
        )


async def _say(writer: asyncio.StreamWriter, status: int) -> bool:
    pause = "Retry-After: 1\r\n" if status == 429 else ""
    writer.write(f"HTTP/1.1 {status} Said\r\n{pause}Content-Length: 0\r\n\r\n".encode())
    await writer.drain()
    return True


if __name__ == "__main__":
    asyncio.run(Sink(int(sys.argv[1]), Journal(Path(sys.argv[2]))).serve())
