"""A parent process that restarts its children when they die, and ends all of them together."""

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

#: The signals that end the parent. SIGHUP arrives when its terminal is closed.
END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: A child that dies within this many seconds of its start has failed quickly.
QUICK_FAILURE_S = 10.0
#: The delay before a child is restarted, in seconds: after the first quick failure, and at most. It
#: doubles with each quick failure in a row; a child that dies later is restarted at once.
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 30.0

#: A signal's handler, as `signal.signal` accepts and returns it.
_Action = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A part of the program that runs in its own process."""

    #: The name of the process in the log.
    name: str
    #: The main function of the process. It must return soon after a SIGTERM, which ends the process
    #: until the function sets a handler. SIGINT and SIGHUP are ignored.
    run: Callable[[], None]


def supervise(
    children: Sequence[Child], *, longest_end_s: float, on_end: Callable[[], object]
) -> None:
    """Run each child in its own process, and restart it when it dies, until one of `END_SIGNALS`.

    Then call `on_end`, and send SIGTERM to every child, and SIGKILL to those still running after
    `longest_end_s` seconds. Call it from the main thread before any other thread is started,
    because the children are forked.
    """
    with _end_signals() as signals:
        supervised = [_Supervised(child) for child in children]
        try:
            for one in supervised:
                one.start()
            _keep_running(supervised, signals)
        finally:
            on_end()
            _end(supervised, longest_end_s)


class _Supervised:
    """One child: its current process, and when to start the next one."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: BaseProcess | None = None
        #: When to start the next process, on the monotonic clock in seconds; None while one runs.
        self.start_at: float | None = None
        self._started = 0.0
        #: Quick failures in a row.
        self._failures = 0

    def start(self) -> None:
        """Fork the process."""
        self.start_at, self._started = None, time.monotonic()
        process = multiprocessing.get_context("fork").Process(
            name=self.child.name, target=_run, args=(self.child,)
        )
        # The child must not handle a signal with the handlers that it inherits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.process = process

    def check(self) -> None:
        """If the process has died, log it and schedule the next one."""
        if self.process is None or self.process.is_alive():
            return
        code, self.process = self.process.exitcode, None
        now = time.monotonic()
        is_quick = now - self._started < QUICK_FAILURE_S
        self._failures = self._failures + 1 if is_quick else 0
        delay = _restart_delay(self._failures)
        self.start_at = now + delay
        log.error("process.died", process=self.child.name, exit_code=code, again_in_seconds=delay)

    def start_if_due(self) -> None:
        """Start the scheduled process when its time has come."""
        if self.start_at is not None and time.monotonic() >= self.start_at:
            self.start()


def _restart_delay(failures: int) -> float:
    """Return the delay, in seconds, after that many quick failures in a row."""
    if not failures:
        return 0.0
    return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 30)))


def _keep_running(supervised: Sequence[_Supervised], signals: socket.socket) -> None:
    """Restart children that die, until one of `END_SIGNALS` arrives."""
    while not _has_arrived(signals):
        for one in supervised:
            one.check()
            one.start_if_due()
        due = [one.start_at for one in supervised if one.start_at is not None]
        sentinels = [one.process.sentinel for one in supervised if one.process is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        wait([signals, *sentinels], timeout)


def _end(supervised: Sequence[_Supervised], longest_s: float) -> None:
    """Send SIGTERM to every process, and SIGKILL to those still running after `longest_s`."""
    processes = [one.process for one in supervised if one.process is not None]
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
def _end_signals() -> Iterator[socket.socket]:
    """Yield a socket from which the numbers of arriving `END_SIGNALS` can be read.

    An ignored signal stays ignored, such as SIGHUP under `nohup`.
    """
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    before = {
        number: signal.signal(number, _do_nothing)
        for number in END_SIGNALS
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


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal: Python itself writes its number to the wake-up socket."""


def _has_arrived(signals: socket.socket) -> bool:
    with suppress(BlockingIOError):
        return any(number in END_SIGNALS for number in signals.recv(64))
    return False


# In a child


def _run(child: Child) -> None:
    """Run the child; its process exits with the parent, so that no orphan runs beside a new one."""
    os.setpgid(0, 0)  # a terminal signals the parent alone, and the parent ends the child
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, _exit)  # until the child sets a handler of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
    threading.Thread(target=_exit_with_parent, name="parent", daemon=True).start()
    child.run()


def _exit(*_: object) -> None:
    raise SystemExit(0)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
