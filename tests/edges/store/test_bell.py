"""The bell: no ring is lost between looking for work and waiting for it, and none is for ever."""

import threading
import time

from bridge.store.bell import MOST, Bell


def waited(bell, name, seconds):
    """Tell whether waiting ended before its time."""
    began = time.monotonic()
    bell.wait(name, seconds)
    return time.monotonic() - began < seconds


def test_a_ring_before_waiting_is_heard_once():
    bell = Bell()
    bell.ring({"aha": 1})
    bell.ring({})
    assert waited(bell, "aha", 20)
    assert not waited(bell, "aha", 0.01)


def test_a_ring_is_for_one_destination():
    bell = Bell()
    bell.ring({"aha": 1})
    assert not waited(bell, "crm", 0.01)
    assert waited(bell, "aha", 20)


def test_as_many_wake_as_there_are_lanes():
    bell, woken = Bell(), []
    threads = [
        threading.Thread(target=lambda: woken.append(waited(bell, "aha", 20))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    bell.ring({"aha": 3, "crm": 1})
    for thread in threads:
        thread.join()
    assert woken == [True] * 3


def test_a_busy_time_is_not_remembered_for_ever():
    bell = Bell()
    for _ in range(10_000):
        bell.ring({"aha": 5})
    heard = sum(waited(bell, "aha", 0.005) for _ in range(MOST + 1))
    assert heard == MOST
