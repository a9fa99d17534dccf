"""Bodies that real Jiras sent, where a collection of them lies beside the project."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from bridge import sources
from bridge.model import Request

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "jira"
if not (CORPUS / "INDEX.csv").exists():
    pytest.skip("the collection of real bodies is not here", allow_module_level=True)


def rows(name):
    with (CORPUS / name).open(newline="") as file:
        return list(csv.DictReader(file))


INDEX = rows("INDEX.csv")
PAIRS = rows("PAIRS.csv")


def read(name):
    raw = (CORPUS / name).read_bytes()
    request = Request(id="1", hook="h", site="s", received=0, headers={}, query={}, body=raw)
    (event,) = sources.get("jira").read(request)
    return event


def identities(name):
    return {effect.identity for effect in read(name).effects}


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row["file"])
def test_each_can_be_read(row):
    event = read(row["file"])
    assert event.name == row["webhookEvent"]
    assert bool(event.effects) is not bool(event.empty)
    if row["issue_id"]:
        assert event.record == row["issue_id"]
    if event.name.startswith(("jira:issue_", "comment_", "worklog_")):
        assert event.record
    if row["authenticity"] == "captured":
        assert event.time == int(row["timestamp"])
        assert event.full is event.name.startswith(("jira:issue_", "jira:worklog_"))


def test_only_the_known_pairs_share_an_effect():
    # All as if they came from one site: the ids of throw-away Jiras are the hardest case.
    told = defaultdict(set)
    for row in INDEX:
        if row["authenticity"] == "captured":
            for identity in identities(row["file"]):
                told[identity].add(row["file"])
    shared = {frozenset(files) for files in told.values() if len(files) > 1}
    known = {frozenset((pair["file_a"], pair["file_b"])) for pair in PAIRS}
    assert shared
    assert shared <= known


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["file_b"])
def test_a_comment_in_two_events_is_one_effect(pair):
    thin, full = read(pair["file_a"]), read(pair["file_b"])
    assert thin.record == full.record
    if pair["what"].startswith("comment deleted"):
        assert full.effects == ()
        assert "which comment was deleted" in full.empty
    else:
        assert identities(pair["file_a"]) == identities(pair["file_b"])
        assert thin.thin
        assert full.full
