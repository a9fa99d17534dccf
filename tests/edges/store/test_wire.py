"""Between the two processes of a machine: wake-ups through a pipe, turns at a file."""

import fcntl
import multiprocessing
import os
import threading

import pytest
from running import until

from bridge.store.database.file_lock import FileLock
from bridge.store.wire import Wire

# Newer Pythons warn of forking with threads about; what is forked here only writes, and ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

fork = multiprocessing.get_context("fork")


def heard(wire):
    rings = []
    wire.listen(rings.append)
    return rings


def told(rings):
    return {name: sum(ring.get(name, 0) for ring in rings) for ring in rings for name in ring}


def test_what_one_process_tells_another_hears():
    wire = Wire()
    process = fork.Process(target=lambda: [wire.tell({"aha": 2}), wire.tell({"aha": 1, "crm": 1})])
    process.start()
    rings = heard(wire)
    until(lambda: told(rings) == {"aha": 3, "crm": 1})
    process.join(10)


def test_nothing_to_tell_wakes_nobody():
    wire = Wire()
    wire.tell({})
    wire.tell({"aha": 1})
    rings = heard(wire)
    until(lambda: rings)
    assert rings == [{"aha": 1}]


def test_who_does_not_listen_keeps_nobody_waiting():
    wire = Wire()
    for _ in range(20_000):  # more than a pipe holds
        wire.tell({"aha": 1})
    rings = heard(wire)
    until(lambda: told(rings).get("aha", 0) > 1_000)


def test_what_would_be_torn_is_not_told():
    wire = Wire()
    wire.tell({"x" * 5_000: 1})
    wire.tell({"aha": 1})
    rings = heard(wire)
    until(lambda: rings)
    assert rings == [{"aha": 1}]


def test_one_has_its_turn_at_a_time(tmp_path):
    mine, others = FileLock(str(tmp_path / "bridge.db")), FileLock(str(tmp_path / "bridge.db"))
    order = []

    def wait():
        with others.held():
            order.append("other")

    with mine.held():
        thread = threading.Thread(target=wait)
        thread.start()
        with open(tmp_path / "bridge.db-turn") as file:  # noqa: PTH123 - a lock needs a descriptor
            until(lambda: _is_locked(file))
        order.append("mine")
    thread.join(10)
    assert order == ["mine", "other"]
    mine.close()
    others.close()
    mine.close()


def _is_locked(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def test_a_process_that_dies_in_its_turn_holds_up_nobody(tmp_path):
    turns = FileLock(str(tmp_path / "bridge.db"))

    def die():
        with turns.held():
            os._exit(9)

    process = fork.Process(target=die)
    process.start()
    process.join(10)
    with turns.held():
        assert process.exitcode == 9


def test_what_is_no_file_and_where_none_can_be(tmp_path):
    for turns in (FileLock(""), FileLock(str(tmp_path / "missing" / "bridge.db"))):
        with turns.held():
            assert list(tmp_path.iterdir()) == []
        turns.close()
