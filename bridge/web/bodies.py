"""Bodies on their way in: bounded in time, in size, and in the memory of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.web.hooks import Unfit

#: Gives the next part of a body, as ASGI has it.
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
#: A body of no more bytes never waits for memory.
SMALL = 64 * 1024
#: How long a sender may be silent while another one waits for its memory, in seconds.
PATIENCE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a body may take."""

    #: In bytes; the largest body that is read.
    size: int
    #: In seconds, from the end of the head.
    seconds: int
    #: Bytes that give a body one more second.
    rate: int


class Room:
    """The memory of large bodies that are not answered yet."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._places: dict[Place, None] = {}
        self._changed = asyncio.Event()

    async def take(self, place: Place, count: int) -> None:
        """Wait until there are so many bytes more.

        The oldest body gets them in any case, so there is always one that can go on, and what is
        taken is at most the room's size and the largest body's. While somebody waits for memory,
        nobody keeps it who sends nothing.
        """
        self._places.setdefault(place)
        while self._left < count and next(iter(self._places)) is not place:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._changed.wait()
            except TimeoutError:
                for other in self._places:
                    other.give_up_if_silent()
        self._left -= count

    def leave(self, place: Place, count: int) -> None:
        """Give back what a body took."""
        if place in self._places:
            del self._places[place]
            self._left += count
            self._changed.set()
            self._changed = asyncio.Event()


class Place:
    """What one body takes of the room; a small body takes nothing."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0
        #: Since when the sender is waited for, on the loop's clock, and for how long it may be.
        self._silent: tuple[float, asyncio.Timeout] | None = None

    async def hold(self, size: int) -> None:
        """Make the place as large as the body is by now: more than `SMALL`."""
        more = size - SMALL - self._taken
        await self._room.take(self, more)
        self._taken += more

    def leave(self) -> None:
        """Give the memory back, once the body is gone."""
        self._room.leave(self, self._taken)
        self._taken = 0

    async def next(self, receive: Receive, deadline: float) -> Mapping[str, Any]:
        """Wait for the next part of the body; raises `TimeoutError`."""
        async with asyncio.timeout_at(deadline) as timeout:
            self._silent = (asyncio.get_running_loop().time(), timeout)
            try:
                return await receive()
            finally:
                self._silent = None

    def give_up_if_silent(self) -> None:
        """Wait no longer for a sender that has sent nothing for a while."""
        now = asyncio.get_running_loop().time()
        if self._silent is not None and now - self._silent[0] >= PATIENCE:
            self._silent[1].reschedule(now)
            self._silent = None


async def read(receive: Receive, length: int | None, limits: Limits, place: Place) -> bytes:
    """Read a body to its end; raises `Unfit` when it is too large, too slow, or breaks off.

    While a body waits for memory, its time stands still.
    """
    if length is not None and length > limits.size:
        raise _too_large(limits)
    clock = asyncio.get_running_loop().time
    begun, body, more = clock(), bytearray(), True
    while more:
        try:
            part = await place.next(receive, begun + limits.seconds + len(body) / limits.rate)
        except TimeoutError:
            raise _cut(len(body), length, f" in {clock() - begun:.0f} s", status=408) from None
        if part["type"] == "http.disconnect":
            raise _cut(len(body), length, "", status=200)
        body += part["body"]
        more = part["more_body"]
        if len(body) > limits.size:
            raise _too_large(limits)
        if len(body) > SMALL:
            asked = clock()
            await place.hold(len(body))
            begun += clock() - asked
    return bytes(body)


def _too_large(limits: Limits) -> Unfit:
    return Unfit(f"larger than {limits.size} bytes", status=413)


def _cut(came: int, length: int | None, when: str, *, status: int) -> Unfit:
    whole = f"of {length} bytes arrived" if length is not None else "bytes arrived, and no end"
    return Unfit(f"only {came} {whole}{when}", status=status)
