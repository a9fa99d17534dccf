"""Keep child processes running: one that dies is started again, and all of them end together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog

log = structlog.get_logger()

#: The signals that ask the parent to end. SIGHUP comes when the parent's terminal closes.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: A child that died within this many seconds of its start failed quickly.
QUICKLY_S = 10.0
#: How long the parent waits before it starts a child again, in seconds: after the first quick
#: failure, and at most. The wait doubles with each quick failure that follows another.
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 30.0

#: What `signal.signal` takes and returns.
_Action = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A part of the program that runs in a process of its own."""

    #: What the log calls the process.
    name: str
    #: What the process does. It starts with the signals of `ENDING` at their defaults, and must
    #: return soon after a SIGTERM.
    run: Callable[[], None]


def supervise(
    children: Sequence[Child], *, longest_end_s: float, on_end: Callable[[], object]
) -> None:
    """Keep one process for each child running until this process is asked to end.

    Then `on_end` is called, and every child gets a SIGTERM, and a SIGKILL if it still runs after
    `longest_end_s` seconds. Must be called from the main thread, and before other
    threads are started: the children are forked.
    """
    with _asked_to_end() as asked:
        kept = [_Kept(child) for child in children]
        try:
            for one in kept:
                one.start()
            _keep(kept, asked)
        finally:
            on_end()
            _end(kept, longest_end_s)


class _Kept:
    """One child: its process of now, and when it is to be started again."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: BaseProcess | None = None
        #: When to start it, on the monotonic clock in seconds; None while it runs.
        self.start_at: float | None = None
        self._started = 0.0
        #: How many times in a row it failed quickly.
        self._failures = 0

    def start(self) -> None:
        """Fork the process."""
        self.start_at, self._started = None, time.monotonic()
        process = multiprocessing.get_context("fork").Process(
            name=self.child.name, target=_run, args=(self.child,)
        )
        # A signal that arrives in between must not be handled by what the child inherits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.process = process

    def look(self) -> None:
        """Plan the next start of a process that has died."""
        if self.process is None or self.process.is_alive():
            return
        code, self.process = self.process.exitcode, None
        now = time.monotonic()
        quick = now - self._started < QUICKLY_S
        self._failures = self._failures + 1 if quick else 0
        pause = _pause(self._failures)
        self.start_at = now + pause
        log.error("process.died", process=self.child.name, exit_code=code, again_in_seconds=pause)

    def start_if_due(self) -> None:
        """Start the process again, once it is time."""
        if self.start_at is not None and time.monotonic() >= self.start_at:
            self.start()


def _pause(failures: int) -> float:
    """Return how long to wait after so many quick failures in a row, in seconds."""
    if not failures:
        return 0.0
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures - 1, 30)))


def _keep(kept: Sequence[_Kept], asked: socket.socket) -> None:
    """Start again what dies, until a signal asks this process to end."""
    while not _signalled(asked):
        for one in kept:
            one.look()
            one.start_if_due()
        due = [one.start_at for one in kept if one.start_at is not None]
        sentinels = [one.process.sentinel for one in kept if one.process is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        wait([asked, *sentinels], timeout)


def _end(kept: Sequence[_Kept], longest_s: float) -> None:
    """Ask every process to end, and kill those that do not within the time."""
    processes = [one.process for one in kept if one.process is not None]
    for process in processes:
        process.terminate()
    until = time.monotonic() + longest_s
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            log.error("process.killed", process=process.name)
            process.kill()
            process.join()


@contextmanager
def _asked_to_end() -> Iterator[socket.socket]:
    """Give a socket that becomes readable, with the signal's number, when one of `ENDING` comes.

    One that is ignored, as `nohup` has SIGHUP ignored, stays ignored.
    """
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    before = {
        number: signal.signal(number, _note)
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield reading
    finally:
        _restore(before)
        signal.set_wakeup_fd(wakeup)
        reading.close()
        writing.close()


def _restore(actions: Mapping[signal.Signals, _Action]) -> None:
    for number, action in actions.items():
        signal.signal(number, action)


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python has written the number to the wake-up socket."""


def _signalled(asked: socket.socket) -> bool:
    with suppress(BlockingIOError):
        return any(number in ENDING for number in asked.recv(64))
    return False


# In a child


def _run(child: Child) -> None:
    """Be the child. It ends at once when its parent does: two must never run by accident."""
    os.setpgid(0, 0)  # a terminal's signals are the parent's to pass on
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, _leave)  # until the child has a handler of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    child.run()


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
