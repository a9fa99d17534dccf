"""Reading request bodies with limits on their time, their size and the memory of all together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Returns the next ASGI message of a request.
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
#: Bodies up to this many bytes need no reservation of memory.
SMALL_BYTES = 64 * 1024
#: While a body waits for memory, senders that pause for this many seconds are dropped.
SILENCE_S = 1.0


class BadBody(Exception):
    """A body that is not read to its end, with the reason as message."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        #: The HTTP status of the answer.
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of one body."""

    #: The largest body, in bytes.
    size: int
    #: The time for the body, in seconds from the end of the headers.
    seconds: int
    #: For each of this many bytes received, the sender gets one more second.
    rate: int


class BodyMemory:
    """The memory, in bytes, that large bodies share until their requests are answered."""

    def __init__(self, size: int) -> None:
        self._free = size
        #: In order of age; the values are unused.
        self._reservations: dict[Reservation, None] = {}
        self._changed = asyncio.Event()

    async def take(self, reservation: Reservation, count: int) -> None:
        """Wait until `count` more bytes are free, and take them.

        The oldest reservation never waits, so that one body can always go on: together they take
        at most the whole memory plus one largest body. Waiting drops senders that are silent.
        """
        self._reservations.setdefault(reservation)
        while self._free < count and next(iter(self._reservations)) is not reservation:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._changed.wait()
            except TimeoutError:
                for other in self._reservations:
                    other.drop_if_silent()
        self._free -= count

    def release(self, reservation: Reservation, count: int) -> None:
        """Free the `count` bytes that a reservation took."""
        if reservation in self._reservations:
            del self._reservations[reservation]
            self._free += count
            self._changed.set()
            self._changed = asyncio.Event()


class Reservation:
    """The share of one body in the memory: 0 bytes for a small body."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._taken = 0
        #: While the next part is awaited: since when, on the loop's clock, and with which timeout.
        self._waiting: tuple[float, asyncio.Timeout] | None = None

    async def grow(self, size: int) -> None:
        """Reserve memory for a body that has `size` bytes so far, more than `SMALL_BYTES`."""
        more = size - SMALL_BYTES - self._taken
        await self._memory.take(self, more)
        self._taken += more

    def release(self) -> None:
        """Free all of it; call this once the request is answered."""
        self._memory.release(self, self._taken)
        self._taken = 0

    async def next_part(self, receive: Receive, deadline: float) -> Mapping[str, Any]:
        """Return the next part of the body; raises `TimeoutError` after the deadline."""
        async with asyncio.timeout_at(deadline) as timeout:
            self._waiting = (asyncio.get_running_loop().time(), timeout)
            try:
                return await receive()
            finally:
                self._waiting = None

    def drop_if_silent(self) -> None:
        """End the wait for a sender that has paused for `SILENCE_S`."""
        now = asyncio.get_running_loop().time()
        if self._waiting is not None and now - self._waiting[0] >= SILENCE_S:
            self._waiting[1].reschedule(now)
            self._waiting = None


async def read(
    receive: Receive, length: int | None, limits: Limits, reservation: Reservation
) -> bytes:
    """Read a body to its end; raises `BadBody` when it is too large, too slow, or cut off.

    The time in which a body waits for memory does not count.
    """
    if length is not None and length > limits.size:
        raise _too_large(limits)
    clock = asyncio.get_running_loop().time
    started, body, more = clock(), bytearray(), True
    while more:
        deadline = started + limits.seconds + len(body) / limits.rate
        try:
            part = await reservation.next_part(receive, deadline)
        except TimeoutError:
            raise _cut_off(len(body), length, f" in {clock() - started:.0f} s", 408) from None
        if part["type"] == "http.disconnect":
            raise _cut_off(len(body), length, "", 200)
        body += part["body"]
        more = part["more_body"]
        if len(body) > limits.size:
            raise _too_large(limits)
        if len(body) > SMALL_BYTES:
            paused = clock()
            await reservation.grow(len(body))
            started += clock() - paused
    return bytes(body)


def _too_large(limits: Limits) -> BadBody:
    return BadBody(f"larger than {limits.size} bytes", status=413)


def _cut_off(received: int, length: int | None, when: str, status: int) -> BadBody:
    expected = f"of {length} bytes arrived" if length is not None else "bytes arrived, and no end"
    return BadBody(f"only {received} {expected}{when}", status=status)
