"""The demo: everything at once, counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
import requests
from commands import run

from bridge.cli import tryout
from bridge.demo import stage
from bridge.demo.run import Summary, as_dict
from bridge.desk.status import Status
from bridge.errors import BridgeError
from bridge.store import SpoolUsage, Totals

pytestmark = pytest.mark.enable_socket
ROOT = Path(__file__).parents[2]


def test_everything_is_accounted_for_and_nothing_is_lost_or_doubled():
    result = run("demo", "--fast", "--json", "--issues", "10")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said.keys() == {
        "received", "verdicts", "delivered", "effects_lost", "comments", "seconds",
    }  # fmt: skip
    assert said["received"] == sum(said["verdicts"].values()) > 50
    assert said["delivered"] == said["verdicts"]["deliver"] > 10
    assert min(said["verdicts"][name] for name in ("duplicate", "filtered", "rejected")) > 0
    assert (said["verdicts"]["undecided"], said["effects_lost"]) == (0, 0)
    comments = said["comments"]
    assert comments["written"] > 0 == comments["doubled"]
    assert comments["would_have_been_doubled"] > 0


@contextmanager
def left_running():
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "demo", "--issues", "1", "--fast", "--keep"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def test_it_can_be_left_running_and_looked_at():
    with left_running() as process:
        said = list(takewhile(lambda line: not line.startswith("Ctrl-C"), process.stdout))
        text = "".join(said)
        assert re.search(r"filtered +jira-main +\S+ created by .*, jira:issue_created\)", text)
        assert re.search(r"\d+ received = (\d+ \w+( \+ )?)+\n", text)
        assert "0 comments or edits lost" in text
        url = re.search(r"bridge +(http://\S+)", text)[1]
        assert requests.get(f"{url}/readyz", timeout=5).json()["status"] == "ok"
        sandbox = re.search(r"Aha! +(http://\S+)", text)[1]
        assert requests.get(sandbox, timeout=5).ok
        database = Path(re.search(r"--database sqlite:///(\S+)", text)[1])
        assert database.exists()
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert (process.returncode, database.parent.exists()) == (0, False)


def summary(**more):
    account = Totals(
        events={"deliver": 2}, deliveries={"delivered": 2}, open={}, destinations={}, oldest=None
    )
    plain = Summary(
        status=Status(totals=account, spool=SpoolUsage(bytes=0, refused=0)),
        written=2,
        doubled=0,
        naive_written=5,
        naive_doubled=3,
        lost=(),
        unwanted=(),
        seconds=1.23456,
    )
    return replace(plain, **more)


def test_what_is_lost_doubled_or_leaked_is_not_good():
    assert summary().good
    assert not summary(doubled=1).good
    assert not summary(lost=(("cloud", "1"),)).good
    assert not summary(unwanted=(("cloud", "1"),)).good
    stuck = replace(summary().status.totals, open={"aha": {"queued": 1}})
    assert not summary(status=replace(summary().status, totals=stuck)).good


def test_the_summary_is_the_contract():
    assert as_dict(summary(lost=(("dc", "1"),))) == {
        "received": 2,
        "verdicts": {
            "deliver": 2, "duplicate": 0, "filtered": 0, "echo": 0, "forbidden": 0,
            "undecided": 0, "rejected": 0, "stale": 0,
        },
        "delivered": 2,
        "effects_lost": 1,
        "comments": {"written": 2, "doubled": 0, "would_have_been_doubled": 3},
        "seconds": 1.235,
    }  # fmt: skip


def test_what_is_not_good_is_said(capsys):
    stuck = replace(summary().status.totals, open={"aha": {"queued": 1}})
    tryout._print_summary(
        summary(
            lost=(("cloud", "10042"),),
            unwanted=(("dc", "7"),),
            status=replace(summary().status, totals=stuck),
        )
    )
    said = capsys.readouterr().out
    assert "2 received = 2 delivered" in said
    assert "1 comments or edits lost: cloud comment 10042" in said
    assert "1 comments that should not have been written" in said
    assert "still on its way to aha: {'queued': 1}" in said


def test_a_bridge_that_ends_at_once_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BridgeError, match="did not start"), stage.open_stage(os.environ):
        pass


def test_without_the_example_mappings_there_is_no_demo(tmp_path):
    there = stage.open_stage(os.environ, mappings=tmp_path / "none")
    with pytest.raises(BridgeError, match="are not installed"), there:
        pass
