"""A stand-in for Aha! that writes every comment each time it is sent, and keeps a journal.

    python -m crash.sink PORT JOURNAL

A line of the journal holds the effects of a request and whether they were written; it is appended
before the request is answered. A PUT request changes the faults.
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

#: The share of each fault; other requests are written and answered 200. With `poison`, all requests
#: about some records are answered 500.
Faults = Mapping[str, float]

NO_FAULTS: Faults = {}
#: Every request is answered 503, and not written.
DOWN: Faults = {"down": 1.0}
#: Every fault happens now and then.
BAD: Faults = {
    "throttled": 0.002,
    "failed": 0.02,
    "slow": 0.03,
    "mute": 0.005,
    "deaf": 0.005,
    "dropped": 0.005,
}
#: The fates of requests that are written, even if no answer follows or a late one. `deaf` neither
#: answers nor writes.
_WRITTEN = ("fine", "slow", "mute", "dropped")
_STATUSES = {"throttled": 429, "failed": 500, "down": 503}
#: The time until the answer, or until the connection is closed without one, in seconds.
_WAITS_S = {"fine": 0.05, "slow": 0.7, "mute": 4.0, "deaf": 4.0}
_VERBS = {"comment_updated": "edited", "issue_comment_edited": "edited"}


def effects_of(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the effects of a body, named as in `story`."""
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


def values_of(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that writing a body sets, named as in `story.Step.holds`."""
    fields, comment = body.get("issue", {}).get("fields", {}), body.get("comment")
    found = {}
    if isinstance(fields.get("priority"), dict):
        found |= {"priority": fields["priority"]["name"], "summary": fields["summary"]}
    if isinstance(comment, dict):
        found[f"comment:{comment['id']}"] = str(comment["body"])
    return found


class Sink:
    """A server with one thread, so that the journal has the order of arrival."""

    def __init__(self, port: int, journal: Journal) -> None:
        self._port = port
        self._journal = journal
        self._faults: Faults = NO_FAULTS
        self._rng = random.Random(port)

    async def serve(self) -> None:
        """Serve until killed."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", self._port, backlog=256)
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection; an incomplete one is ignored."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length:")[2].partition("\r")[0]
        body = await reader.readexactly(int(length or 0))
        if head.startswith("put"):
            self._faults = orjson.loads(body)
            return await _answer(writer, 200)
        parsed = orjson.loads(body)
        fate = self._fate(str(parsed.get("issue", {}).get("id", "")))
        self._note(parsed, fate)
        await asyncio.sleep(_WAITS_S.get(fate, 0))
        if fate in ("mute", "deaf", "dropped"):
            return False
        return await _answer(writer, _STATUSES.get(fate, 200))

    def _fate(self, record: str) -> str:
        """Choose the fate of a request about a record."""
        if "poison" in self._faults and is_poison(record):
            return "failed"
        dice = self._rng.random()
        for name, share in self._faults.items():
            if name == "poison":  # not a share
                continue
            dice -= share
            if dice < 0:
                return name
        return "fine"

    def _note(self, body: Mapping[str, Any], fate: str) -> None:
        self._journal.note(
            record=str(body.get("issue", {}).get("id", "")),
            effects=effects_of(body),
            holds=values_of(body),
            fate=fate,
            written=fate in _WRITTEN,
            at=time.time(),
        )


async def _answer(writer: asyncio.StreamWriter, status: int) -> bool:
    pause = "Retry-After: 1\r\n" if status == 429 else ""
    writer.write(f"HTTP/1.1 {status} Answer\r\n{pause}Content-Length: 0\r\n\r\n".encode())
    await writer.drain()
    return True


if __name__ == "__main__":
    asyncio.run(Sink(int(sys.argv[1]), Journal(Path(sys.argv[2]))).serve())
