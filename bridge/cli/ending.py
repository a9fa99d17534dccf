"""How a command that runs on is asked to end."""

from __future__ import annotations

import signal
import threading


def asked() -> threading.Event:
    """Make an event that SIGTERM and SIGINT set."""
    made = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: made.set())
    return made
