"""How long filters take: to read, beside Atlassian's own parser, to judge, and to pick routes.

    python bench/jql.py
    python bench/jql.py --oracle 'node oracle.mjs --time' --queries queries.jsonl --bodies folder

The oracle is a command that reads one JSON string a line and answers each with a JSON object whose
`us` is the time it took. Both parsers get every query `--rounds` times, one after the other in the
same run; of each query the best round counts, so neither is charged for warming up.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.core import jql
from bridge.core.plan import Plan
from bridge.model import Comments, Configuration, Effect, Event, Hook, Route, RunAs, Site, Target

SITE = Site(name="bench", priorities=("Highest", "High", "Medium", "Low", "Lowest"))
NOW = 1_791_482_400_000
QUERIES = (
    "project = PLAT",
    "project = PLAT AND status != Done ORDER BY created DESC",
    "project = PLAT AND issuetype in (Story, Epic) AND (labels is EMPTY OR labels not in (x))",
    "assignee = 557058:f58131cb-b67d AND resolution = Unresolved",
    'summary ~ "full screen" AND created >= startOfWeek("-1w") AND due < 5d',
    "status CHANGED FROM Open TO (Done, Closed) AFTER -1d OR sprint in openSprints()",
)
#: Three clauses each; {project} is the body's own.
FILTERS = {
    "false at the first clause": "project = NONE AND issuetype in (Story, Bug) AND labels is EMPTY",
    "all three hold": "project = {project} AND issuetype is not EMPTY AND status != 'Not there'",
    "a list, an order, a date": (
        "project in (A, B, {project}) AND priority >= Lowest AND updated > -10000d"
    ),
    "a user, EMPTY, labels": (
        "project = {project} AND assignee != nobody AND (labels is EMPTY OR labels not in (x, y))"
    ),
}
BODY = {
    "webhookEvent": "jira:issue_updated",
    "issue": {
        "id": "10042",
        "key": "PLAT-10",
        "fields": {
            "project": {"id": "10000", "key": "PLAT", "name": "Platform"},
            "issuetype": {"id": "10001", "name": "Story"},
            "status": {"id": "3", "name": "In Progress"},
            "priority": {"id": "2", "name": "High"},
            "assignee": {"accountId": "557058:aa", "displayName": "Anna Berg"},
            "labels": ["backend", "checkout"],
            "updated": "2026-10-08T16:00:00.000+0000",
        },
    },
}


def main() -> None:
    """Print the three tables."""
    arguments = _arguments()
    queries = list(_queries(arguments.queries))
    bodies = list(_bodies(arguments.bodies))
    _parsing(queries, arguments.oracle, arguments.rounds)
    _judging(bodies, arguments.rounds)
    _routing(arguments.rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--oracle", help="a command to measure beside ours")
    parser.add_argument("--queries", type=Path, help="lines of JSON with `query` and `valid`")
    parser.add_argument("--bodies", type=Path, help="a folder of webhook bodies, *.json")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def _queries(file: Path | None) -> Iterator[str]:
    if file is None:
        yield from QUERIES
        return
    for line in file.read_text("utf-8").splitlines():
        case = json.loads(line)
        if case.get("valid", True):
            yield case["query"]


def _bodies(folder: Path | None) -> Iterator[dict[str, Any]]:
    """Give the bodies that hold a whole issue."""
    if folder is None:
        yield BODY
        return
    for file in sorted(folder.glob("*.json")):
        body = json.loads(file.read_text("utf-8"))
        issue = body.get("issue") if isinstance(body, dict) else None
        if isinstance(issue, dict) and len(issue.get("fields") or ()) >= 20:
            yield body


# --- reading


def _parsing(queries: Sequence[str], oracle: str | None, rounds: int) -> None:
    print(f"Reading {len(queries)} valid queries, best of {rounds}, µs a query")
    print(f"{'':14}{'median':>10}{'p90':>10}{'p99':>10}")
    ours = [_best(lambda query=query: jql.parse(query), rounds) for query in queries]
    _row("ours", ours)
    if oracle:
        theirs = _asked(oracle, queries, rounds)
        _row("the oracle", theirs)
        ratio = statistics.median(theirs) / statistics.median(ours)
        each = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
        print(f"the oracle takes {ratio:.1f} times as long; the median query {each:.1f} times")
    print()


def _asked(oracle: str, queries: Sequence[str], rounds: int) -> list[float]:
    lines = "".join(json.dumps(query) + "\n" for query in queries) * rounds
    answer = subprocess.run(
        shlex.split(oracle), input=lines, capture_output=True, text=True, check=True
    )
    told = [json.loads(line)["us"] for line in answer.stdout.splitlines()]
    return [min(told[index :: len(queries)]) for index in range(len(queries))]


# --- judging


def _judging(bodies: Sequence[Mapping[str, Any]], rounds: int) -> None:
    print(f"Judging {len(bodies)} bodies by filters of three clauses, best of {rounds}, µs a body")
    print(f"{'':28}{'median':>10}{'p90':>10}{'p99':>10}")
    for name, text in FILTERS.items():
        taken = []
        for body in bodies:
            project = str(body["issue"].get("key") or "NONE-1").rpartition("-")[0]
            found = jql.compile(text.replace("{project}", json.dumps(project)), SITE)
            taken.append(_best(lambda b=body, f=found: f.match(b, NOW), rounds * 5))
        _row(name, taken, 28)
    print()


# --- picking routes


def _routing(rounds: int) -> None:
    print(f"Deciding one event, best of {rounds}, µs")
    few, many = (_decided(count, rounds) for count in (10, 1_000))
    print(f"10 routes, 5 of them match:    {few:10.1f}")
    print(f"1,000 routes, 5 of them match: {many:10.1f}   ({many / few:.2f} times as long)")


def _decided(count: int, rounds: int) -> float:
    plan = Plan.of(_configuration(count))
    effect = Effect(identity="bench change 1 10042", event="issue_updated", part="changelog")
    event = Event(
        id="1",
        hook="main",
        source="jira",
        site=SITE.name,
        received=NOW,
        name="jira:issue_updated",
        record="10042",
        key="PLAT-10",
        effects=(effect,),
        full=True,
        body=BODY,
    )
    return _best(lambda: plan.judge(event, NOW), rounds * 5)


def _configuration(count: int) -> Configuration:
    hook = Hook(name="main", source="jira", site=SITE.name, token="bench")
    run_as = RunAs(name="Bench", email="bench@acme.example")
    target = Target(name="aha", kind="aha", url="https://a.example", token="b", run_as=run_as)
    projects = ["PLAT"] * 5 + [f"OTHER{number}" for number in range(count - 5)]
    routes = [_route(f"route-{number:04}", project) for number, project in enumerate(projects)]
    return Configuration(
        hooks={"main": hook},
        targets={"aha": target},
        sites={SITE.name: SITE},
        routes={route.name: route for route in routes},
    )


def _route(name: str, project: str) -> Route:
    text = f"project = {project} AND issuetype in (Story, Epic) AND labels not in (internal)"
    return Route(
        name=name,
        hooks=("main",),
        destinations=("aha",),
        filters={SITE.name: jql.compile(text, SITE)},
        comments=Comments(),
        mapper=_Unchanged(),
    )


class _Unchanged:
    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return dict(body)


# --- measuring


def _best(run: Callable[[], object], rounds: int) -> float:
    best = sys.float_info.max
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def _row(name: str, taken: Sequence[float], width: int = 14) -> None:
    ordered = sorted(taken)
    shown = (statistics.median(ordered), *(ordered[int(len(ordered) * p)] for p in (0.9, 0.99)))
    print(f"{name:{width}}" + "".join(f"{value:10.1f}" for value in shown))


if __name__ == "__main__":
    main()
