"""Ending a command that runs until it is stopped."""

from __future__ import annotations

import signal
import threading


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
