"""The lock at a database file: one process writes at a time, and none waits for a dead one."""

import fcntl
import multiprocessing
import os
import threading

import pytest
from running import until

from bridge.store.database.file_lock import FileLock

# Newer Pythons warn of forking with threads about; what is forked here only ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

fork = multiprocessing.get_context("fork")


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
