"""Functions: what a body can answer, and what only Jira could."""

from __future__ import annotations

from typing import Any

import pytest
from jql_samples import SITE, body, judge

from bridge.core import jql
from bridge.core.jql.function_defs import FUNCTIONS
from bridge.errors import BadFilter

OUT = {"name": "1.0", "released": True}
AHEAD = {"name": "2.0", "released": False}
ODD = {"name": "3.0"}


@pytest.mark.parametrize(
    ("call", "versions", "wanted"),
    [
        ("in releasedVersions()", [OUT], True),
        ("in releasedVersions()", [AHEAD], False),
        ("in releasedVersions()", [AHEAD, OUT], True),
        ("in releasedVersions()", [ODD], None),
        ("in releasedVersions()", ["1.0"], None),
        ("in releasedVersions()", [], False),
        ("not in releasedVersions()", [AHEAD], True),
        ("in unreleasedVersions()", [AHEAD], True),
        ("in unreleasedVersions(PLAT)", [AHEAD], True),
        ("in unreleasedVersions(MOB, platform)", [AHEAD], True),
        ("in unreleasedVersions(MOB)", [AHEAD], False),
        ("in (4.0, unreleasedVersions())", [AHEAD], True),
        ("in (2.0, releasedVersions())", [AHEAD], True),
        ("in (4.0, releasedVersions(), EMPTY)", [], True),
        ("in (4.0, releasedVersions())", [AHEAD], False),
        ("in (4.0, releasedVersions())", [ODD], None),
        ("= latestReleasedVersion()", [OUT], None),
        ("= latestReleasedVersion()", [AHEAD], False),
        ("!= latestReleasedVersion()", [AHEAD], True),
        ("= latestReleasedVersion()", [ODD], None),
        ("= earliestUnreleasedVersion(PLAT)", [OUT], False),
        ("= earliestUnreleasedVersion(PLAT)", [AHEAD], None),
        ("= earliestUnreleasedVersion(MOB)", [AHEAD], False),
        ("> latestReleasedVersion()", [OUT], None),
        ("> latestReleasedVersion()", [], False),
    ],
)
def test_versions(call: str, versions: list[Any], wanted: bool | None) -> None:
    assert judge(f"fixVersion {call}", body({"fixVersions": versions})) is wanted
    assert judge(f"affectedVersion {call}", body({"versions": versions})) is wanted


def test_versions_of_a_project_that_is_not_told() -> None:
    told = body({"fixVersions": [AHEAD]}, without="project")
    assert judge("fixVersion in unreleasedVersions(PLAT)", told) is True
    assert judge("fixVersion in unreleasedVersions(Platform)", told) is None
    told["issue"]["key"] = 5
    assert judge("fixVersion in unreleasedVersions(PLAT)", told) is None


@pytest.mark.parametrize(
    ("query", "kind", "wanted"),
    [
        ("type in standardIssueTypes()", {"subtask": False}, True),
        ("type in standardWorkTypes()", {"subtask": True}, False),
        ("type in subTaskIssueTypes()", {"subtask": True}, True),
        ("workType not in subtaskWorkTypes()", {"subtask": False}, True),
        ("type in standardIssueTypes()", {"name": "Bug"}, None),
        ("type in (Bug, subTaskIssueTypes())", {"name": "Bug"}, True),
    ],
)
def test_issue_types(query: str, kind: dict[str, Any], wanted: bool | None) -> None:
    assert judge(query, body({"issuetype": kind})) is wanted


BERLIN = {"id": "1", "value": "Berlin", "child": {"id": "2", "value": "Mitte"}}


@pytest.mark.parametrize(
    ("call", "value", "wanted"),
    [
        ("cascadeOption(Berlin)", BERLIN, True),
        ("cascadeOption(1)", BERLIN, True),
        ("cascadeOption(berlin, MITTE)", BERLIN, True),
        ("cascadeOption(Berlin, 2)", BERLIN, True),
        ("cascadeOption(Berlin, Wedding)", BERLIN, False),
        ("cascadeOption(Paris)", BERLIN, False),
        ("cascadeOption(Berlin, none)", BERLIN, False),
        ("cascadeOption(Berlin, none)", {"value": "Berlin"}, True),
        ("cascadeOption(Berlin, '\"none\"')", {"value": "Berlin"}, False),
        ("cascadeOption('\"none\"')", {"value": "none"}, True),
        ("cascadeOption(none)", None, True),
        ("cascadeOption(none)", BERLIN, False),
        ("cascadeOption(Berlin)", None, False),
        ("cascadeOption(Berlin)", {"id": "1"}, None),
        ("cascadeOption(Berlin)", "Berlin", None),
        ("choiceOption(1)", BERLIN, True),
        ("choiceOption(3, 4)", BERLIN, False),
        ("choiceOption(1)", {"value": "Berlin"}, None),
        ("choiceOption(Rome, berlin)", BERLIN, True),
        ("choiceOption(Rome)", BERLIN, False),
        ("choiceOption(Rome)", {"id": "1"}, None),
        ("choiceOption(Rome)", {"value": "Berlin"}, False),
        ("membersOf(devs)", BERLIN, None),
        ("organizationDetail(a, b)", BERLIN, None),
    ],
)
def test_options(call: str, value: object, wanted: bool | None) -> None:
    assert judge(f"City in {call}", body({"customfield_10030": value})) is wanted


def test_instants_for_custom_fields() -> None:
    assert judge('"Target start" > now()') is True
    assert judge('"Target start" = startOfDay("+12d")') is True
    assert judge('"Target start" in (startOfDay("+12d"), Berlin)') is True
    assert judge("cf[10016] > now()") is None
    assert judge("cf[10030] = breached()") is None
    assert judge("cf[10030] > elapsed(1h)") is None


def test_functions_of_apps_go_with_the_fields_of_apps() -> None:
    assert judge('issueFunction in dateCompare("project = A", "created < due")') is None
    assert judge("approvals = approved()") is None


@pytest.mark.parametrize("call", sorted({call.name for call in FUNCTIONS.values()}))
def test_every_function_has_a_field_it_goes_with_and_many_it_does_not(call: str) -> None:
    known = FUNCTIONS[call.casefold()]
    arguments = ", ".join(["x"] * known.arguments[0])
    with pytest.raises(BadFilter):
        jql.compile(f"labels in {call}({arguments})", SITE, lookup=True)
    sign = "in" if known.several else "="
    text = f"cf[1] {sign} {call}({arguments})"
    if known.depends_on_viewer:
        with pytest.raises(BadFilter, match="depends on who is logged in"):
            jql.compile(text, SITE, lookup=True)
    else:
        assert jql.compile(text, SITE, lookup=True).match(body(), 0).value is None


def test_function_names_are_read_in_any_case() -> None:
    assert judge("sprint in OPENSPRINTS()") is True
    assert judge("created > STARTOFDAY(-1)") is True
