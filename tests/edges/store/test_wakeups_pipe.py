"""Wake-ups of the receiving process reach the delivering one through a pipe."""

import multiprocessing

import pytest
from running import until

from bridge.store.wakeups import WakeupPipe

# Newer Pythons warn of forking with threads about; what is forked here only writes, and ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

fork = multiprocessing.get_context("fork")


def heard(pipe):
    rings = []
    pipe.receive(rings.append)
    return rings


def told(rings):
    return {name: sum(ring.get(name, 0) for ring in rings) for ring in rings for name in ring}


def test_what_one_process_tells_another_hears():
    pipe = WakeupPipe()
    process = fork.Process(target=lambda: [pipe.send({"aha": 2}), pipe.send({"aha": 1, "crm": 1})])
    process.start()
    rings = heard(pipe)
    until(lambda: told(rings) == {"aha": 3, "crm": 1})
    process.join(10)


def test_nothing_to_tell_wakes_nobody():
    pipe = WakeupPipe()
    pipe.send({})
    pipe.send({"aha": 1})
    rings = heard(pipe)
    until(lambda: rings)
    assert rings == [{"aha": 1}]


def test_who_does_not_listen_keeps_nobody_waiting():
    pipe = WakeupPipe()
    for _ in range(20_000):  # more than a pipe holds
        pipe.send({"aha": 1})
    rings = heard(pipe)
    until(lambda: told(rings).get("aha", 0) > 1_000)


def test_what_would_be_torn_is_not_told():
    pipe = WakeupPipe()
    pipe.send({"x" * 5_000: 1})
    pipe.send({"aha": 1})
    rings = heard(pipe)
    until(lambda: rings)
    assert rings == [{"aha": 1}]
