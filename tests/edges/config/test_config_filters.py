"""What is wrong with a filter is said at its character in the file."""

from __future__ import annotations

import pytest

HEAD = "version: 1\nfrom: main\nto: aha\n"

#: How the same unfinished filter can stand in a file; the mark is at what is wrong.
WRITTEN = {
    "plain": "when: project = PLAT AND ▸foo = 1\n",
    "in single quotes": "when: 'summary ~ ''x'' AND ▸foo = 1'\n",
    "in double quotes": 'when: "summary ~ \\"x\\" AND ▸foo = 1"\n',
    "over two lines": "when: project = PLAT\n  AND ▸foo = 1\n",
    "folded": "when: >-\n  project = PLAT\n  AND ▸foo = 1\n",
    "folded, with another indentation": "when: >2\n  project = PLAT\n  AND\n    ▸foo = 1\n",
    "literal": "when: |\n  project = PLAT\n\n  AND ▸foo = 1\n",
    "with a comment behind": "when: project = PLAT AND ▸foo = 1   # not part of it\n",
    "before a variable": "when: ▸foo = 1 AND project = ${KEY}\n",
    "behind a variable": "when: project = ▸${KEY} AND foo = 1\n",
    "in the variable": "when: project = A AND ▸${CLAUSE}\n",
}


@pytest.mark.parametrize("style", WRITTEN)
def test_the_place_of_an_error(style, expect):
    files = {"route.yaml": HEAD + WRITTEN[style]}
    expect(files, "when: Field 'foo' does not exist", KEY="PLATFORM", CLAUSE="foo = 1")


def test_what_is_missing_at_the_end(expect):
    expect({"route.yaml": HEAD + "when: project = PLAT AND▸\nmoves: filter\n"}, "when: Expecting")


def test_a_warning_stops_nothing(expect):
    files = {"route.yaml": HEAD + "when: project = PLAT ▸ORDER BY created\n"}
    loaded = expect(files, "warning: when: ORDER BY does not change")
    assert loaded.configuration.routes["route"].filters["acme"].projects == {"plat"}


TWO_SITES = """\
version: 1
hooks:
  main: {source: jira, site: acme, token: 0123456789abcdef-main}
  other: {source: jira, site: other, token: 0123456789abcdef-other}
destinations:
  aha:
    kind: aha
    url: https://acme.aha.io
    token: callback-1
    run_as: {name: Bot, email: bot@acme.example}
sites:
  acme: {fields: {Story Points: customfield_10016}}
  other: {fields: {Points: customfield_10006}}
"""


def test_a_filter_is_read_for_every_site_it_hears(expect):
    route = 'version: 1\nfrom: [main, other]\nto: aha\nwhen: project = A AND {}"Story Points" > 3\n'
    loaded = expect(
        {"bridge.yaml": TWO_SITES, "route.yaml": route.format("▸")},
        "when: Field 'Story Points' does not exist",
    )
    assert "the site other" in loaded.problems[0].message


def test_the_same_complaint_of_two_sites_is_said_once(expect):
    route = "version: 1\nfrom: [main, other]\nto: aha\nwhen: project = A AND ▸)\n"
    expect({"bridge.yaml": TWO_SITES, "route.yaml": route}, "when: ")


def test_a_filter_is_read_even_if_its_hooks_are_unknown(expect):
    route = "version: 1\nfrom: ▸mian\nto: aha\nwhen: project = A AND ▸)\n"
    expect({"bridge.yaml": TWO_SITES, "route.yaml": route}, "from: there is no hook", "when: ")


def test_what_only_jira_can_tell_needs_a_lookup(expect):
    clause = "when: ▸issue in linkedIssues(A-1)\n"
    expect({"route.yaml": HEAD + clause}, "when: 'issue IN linkedIssues(A-1)' can never be decided")
    loaded = expect(
        {"route.yaml": HEAD + clause + "unknown: [▸lookup, drop]\n"},
        "warning: when: ",
        "warning: unknown[0]: `lookup` is not implemented yet",
    )
    assert loaded.configuration.routes["route"].unknown == ("lookup", "drop")
