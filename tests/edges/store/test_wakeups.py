"""Wake-ups: none is lost between looking for work and waiting for it, and none is for ever."""

import threading
import time

from bridge.store.wakeups import MAX_PENDING, Wakeups


def waited(wakeups, name, seconds):
    """Tell whether waiting ended before its time."""
    began = time.monotonic()
    wakeups.wait(name, seconds)
    return time.monotonic() - began < seconds


def test_a_ring_before_waiting_is_heard_once():
    wakeups = Wakeups()
    wakeups.notify({"aha": 1})
    wakeups.notify({})
    assert waited(wakeups, "aha", 20)
    assert not waited(wakeups, "aha", 0.01)


def test_a_ring_is_for_one_destination():
    wakeups = Wakeups()
    wakeups.notify({"aha": 1})
    assert not waited(wakeups, "crm", 0.01)
    assert waited(wakeups, "aha", 20)


def test_as_many_wake_as_there_are_lanes():
    wakeups, woken = Wakeups(), []
    threads = [
        threading.Thread(target=lambda: woken.append(waited(wakeups, "aha", 20))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wakeups.notify({"aha": 3, "crm": 1})
    for thread in threads:
        thread.join()
    assert woken == [True] * 3


def test_a_busy_time_is_not_remembered_for_ever():
    wakeups = Wakeups()
    for _ in range(10_000):
        wakeups.notify({"aha": 5})
    heard = sum(waited(wakeups, "aha", 0.005) for _ in range(MAX_PENDING + 1))
    assert heard == MAX_PENDING
