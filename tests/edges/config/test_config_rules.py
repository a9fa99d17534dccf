"""The rules between things: what is right in each file and wrong in all of them together."""

from __future__ import annotations

import pytest

HOOKS = """\
hooks:
  cloud: {source: jira, site: acme, token: 0123456789abcdef-cloud}
  again: {source: jira, site: acme, token: 0123456789abcdef-again}
  other: {source: jira, site: other, token: 0123456789abcdef-other}
"""
ONE = """\
  one:
    kind: aha
    url: https://acme.aha.io
    token: callback-1
    run_as: {name: Bot, email: bot@acme.example}
"""
TWO = """\
  two:
    kind: aha
    url: https://ACME.aha.io/
    token: callback-2
    run_as: {name: Second bot, email: second@acme.example}
"""


def folder_of(destinations: str, *routes: str, hooks: str = HOOKS) -> dict[str, str]:
    files = {"bridge.yaml": f"version: 1\n{hooks}destinations:\n{destinations}"}
    return files | {
        f"{name}.yaml": f"version: 1\n{text}{'' if 'when:' in text else OPEN}"
        for name, text in zip("abc", routes, strict=False)
    }


#: Said, so that nobody is warned of it.
OPEN = 'when: ""\n'
ALL = "from: [cloud, again, other]\nto: one\n"
BOTH = "from: [cloud, again, other]\nto: [one, two]\n"


def test_two_users_of_one_account_may_not_share_a_workspace(expect):
    files = folder_of(
        ONE + "    workspaces: ▸[A, B]\n" + TWO + "    workspaces: ▸[C, B]\n",
        BOTH + "workspace: ▸A\n",
    )
    expect(
        files,
        "warning: workspace: Second bot of `two` may not write in `A`: nothing goes there",
        "destinations.one.workspaces: bot@acme.example here and second@acme.example of `two` can"
        " both write in B: events sent to both are written twice",
        "destinations.two.workspaces: second@acme.example here and bot@acme.example of `one` can"
        " both write in B",
    )


def test_a_user_without_a_list_of_workspaces_shares_all_of_them(expect):
    one = ONE.replace("kind", "▸kind")
    two = TWO + "    workspaces: ▸[B]\n"
    expect(
        folder_of(one + two, BOTH + "workspace: B\n"),
        "can both write in B",
        "can both write in B",
    )


def test_two_users_without_lists_share_everything(expect):
    files = folder_of(ONE.replace("kind", "▸kind") + TWO.replace("kind", "▸kind"), BOTH)
    expect(files, "can both write in every workspace", "can both write in every workspace")


def test_one_user_behind_two_callbacks_is_worth_a_look(expect):
    one = ONE.replace("kind", "▸kind")
    two = TWO.replace("kind", "▸kind").replace("second@", "BOT@")
    loaded = expect(
        folder_of(one + two, BOTH),
        "warning: destinations.one.workspaces: bot@acme.example here and for `two` can both write",
        "warning: destinations.two.workspaces: BOT@acme.example here and for `one` can both write",
    )
    assert loaded.configuration is not None


@pytest.mark.parametrize(
    "second",
    [
        TWO + "    integration: 1\n",
        TWO.replace("ACME", "acme-two"),
        TWO + "    workspaces: [C]\n",
    ],
    ids=["another generation", "another account", "other workspaces"],
)
def test_users_who_cannot_meet_may_be_two(second, expect):
    first = ONE + "    workspaces: [A]\n"
    expect(
        folder_of(first + second, ALL + "workspace: A\n", "from: cloud\nto: two\nworkspace: C\n")
    )


def test_one_callback_under_two_names_would_write_twice(expect):
    two = TWO.replace("callback-2", "▸callback-1")
    loaded = expect(folder_of(ONE + two, BOTH), "is also the callback of `one`")
    assert "callback-1" not in str(loaded.problems)


def test_one_token_on_two_accounts_is_none_of_our_business(expect):
    expect(folder_of(ONE + TWO.replace("ACME", "acme2").replace("k-2", "k-1"), BOTH))


def test_a_former_name_is_of_one_destination_that_is_no_more(expect):
    workspaces = ["    workspaces: [A]\n", "    workspaces: [B]\n"]
    routes = "from: [cloud, again]\nto: one\nworkspace: A\n", "from: other\nto: two\nworkspace: B\n"
    one, two = ONE + workspaces[0], TWO + workspaces[1]
    loaded = expect(folder_of(one + "    was: three\n" + two, *routes))
    assert loaded.configuration.targets["one"].was == "three"
    expect(
        folder_of(one + "    was: three\n" + two + "    was: ▸three\n", *routes),
        "destinations.two.was: `one` has the same `was`: its open deliveries can go to only one"
        " of them",
    )
    expect(
        folder_of(one + "    was: ▸two\n" + two + "    was: ▸two\n", *routes),
        "destinations.one.was: `two` is still a destination here: its entry has to go",
        "destinations.two.was: `two` is still a destination here",
    )


LIMITED = ONE + "    workspaces: [PLAT, MOB]\n"


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("▸" + ALL, "workspace: is missing: one may write only in MOB, PLAT"),
        (ALL + "workspace: ▸PLATT\n", "no destination may write in `PLATT`; did you mean `PLAT`?"),
        (ALL + "workspace: MOB\n", ""),
    ],
)
def test_a_route_names_a_workspace_that_its_user_may_write_in(route, words, expect):
    route = f"description: x\n{route}".replace("description: x\n▸", "")
    files = folder_of(LIMITED, route)
    if "is missing" in words:
        files["a.yaml"] = f"▸{files['a.yaml']}"
    expect(files, *filter(None, [words]))


def test_two_routes_may_not_send_the_same_effects_to_one_destination(expect):
    second = "from: [other, again]\nto: [▸one]\nevents: [issue_created, issue_deleted]\n"
    loaded = expect(
        folder_of(ONE, ALL + "events: issue_created\n", second),
        "to[0]: ",
    )
    (problem,) = loaded.problems
    assert "a.yaml sends the same effects to `one`: issue_created of other" in problem.message


def test_the_third_route_is_held_against_the_first_two(expect):
    expect(
        folder_of(
            ONE,
            "from: cloud\nto: one\nwhen: project = A\n",
            "from: [cloud, other]\nto: one\nwhen: project = B\n",
            "from: again\nto: ▸one\nwhen: project in (C, B)\n",
        ),
        "b.yaml sends the same effects to `one`: all events of acme",
    )


def test_a_route_about_no_project_meets_every_other(expect):
    expect(
        folder_of(
            ONE,
            "from: cloud\nto: one\nwhen: project = A\n",
            "from: again\nto: ▸one\nwhen: status = Done\n",
            "from: other\nto: one\n",
        ),
        "a.yaml sends the same effects to `one`",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from: cloud\nto: one\n", "from: other\nto: one\n"),
        ("from: cloud\nto: one\nwhen: project = A\n", "from: again\nto: one\nwhen: project = B\n"),
        (
            "from: cloud\nto: one\nwhen: issuetype = Bug\n",
            "from: cloud\nto: one\nwhen: issuetype in (Story, Epic)\n",
        ),
        (
            "from: cloud\nto: one\n",
            "from: cloud\nto: one\nevents: [sprint_closed, version_released]\n",
        ),
        (
            "from: cloud\nto: one\nevents: [comment_created]\n",
            "from: cloud\nto: one\nevents: [issue_created]\n",
        ),
    ],
    ids=["other sites", "other projects", "other types", "other events", "no record"],
)
def test_routes_that_cannot_meet_are_fine(first, second, expect):
    two = TWO.replace("ACME", "acme2")
    loaded = expect(folder_of(ONE + two, first, second, ALL.replace("one", "two")))
    assert loaded.configuration is not None
    assert list(loaded.configuration.routes) == ["a", "b", "c"]


def test_what_no_route_uses_is_worth_a_look(expect):
    hooks = (
        HOOKS.replace("again:", "▸again:")
        + "  off: {source: jira, token: 0123456789abcdef-off, enabled: false}\n"
    )
    two = TWO.replace("  two", "  ▸two").replace("ACME", "acme2")
    expect(
        folder_of(ONE + two, "from: [cloud, other]\nto: one\n", hooks=hooks),
        "warning: hooks.again: no route reads from this hook",
        "warning: destinations.two: no route sends to this destination",
    )


def test_a_folder_without_routes_delivers_nothing(expect):
    files = folder_of(ONE)
    files["bridge.yaml"] = f"▸{files['bridge.yaml']}"
    (problem,) = expect(files | {"empty.txt": ""}, "warning: there is no route").problems
    assert problem.severity == "warning"


# --- one Jira behind several hooks


def hooks_of(*sites: str) -> str:
    lines = [
        f"  {name}: {{source: jira, {site}token: 0123456789abcdef-{name[1:]}}}\n"
        for name, site in zip(("▸main", "▸legacy", "▸third"), sites, strict=False)
    ]
    return "hooks:\n" + "".join(lines)


def test_hooks_that_may_be_of_one_jira_say_their_site(expect):
    files = folder_of(ONE, "from: [main, legacy]\nto: one\n", hooks=hooks_of("", ""))
    expect(
        files,
        "hooks.main.site: is missing, and `legacy` of the same source and destination may"
        " report the same change: without it, a change that arrives through both is written twice."
        " Write `site: main`",
        "hooks.legacy.site: is missing, and `main` of the same source and destination may"
        " report the same change: without it, a change that arrives through both is written twice."
        " Write `site: main` if"
        " both are of one jira, else `site: legacy`",
    )


def test_two_routes_of_one_destination_hear_them_together(expect):
    routes = (
        "from: main\nto: one\nwhen: project = A\n",
        "from: legacy\nto: one\nwhen: project = B\n",
    )
    files = folder_of(ONE, *routes, hooks=hooks_of("site: acme, ", "").replace("▸main", "main"))
    expect(files, "Write `site: acme` if both are of one jira, else `site: legacy`")


def test_what_is_said_is_enough(expect):
    files = folder_of(ONE, *routes_of("main", "legacy"), hooks=hooks_of("site: a, ", "site: b, "))
    expect({name: text.replace("▸", "") for name, text in files.items()})


def test_one_hook_for_each_destination_needs_no_site(expect):
    two = TWO + "    workspaces: [B]\n"
    routes = ("from: main\nto: one\nworkspace: A\n", "from: legacy\nto: two\nworkspace: B\n")
    files = folder_of(ONE + "    workspaces: [A]\n" + two, *routes, hooks=hooks_of("", ""))
    expect({name: text.replace("▸", "") for name, text in files.items()})


def routes_of(*hooks: str) -> tuple[str, ...]:
    keys = ("A", "B", "C")
    return tuple(
        f"from: {hook}\nto: one\nwhen: project = {key}\n"
        for hook, key in zip(hooks, keys, strict=False)
    )


# --- what is open without anybody having said so


@pytest.mark.parametrize("when", ["", "when:\n"])
def test_a_route_without_a_filter_is_worth_a_look(expect, folder, when):
    route = f"version: 1\nfrom: [cloud, other]\nto: one\n{when}"
    route += "events: [issue_created, worklog_created]\n"
    marked = route.replace("when:", "▸when:") if when else f"▸{route}"
    bridge = f"version: 1\n{HOOKS.replace('again:', 'third:')}destinations:\n{ONE}"
    loaded = expect(
        {"bridge.yaml": bridge.replace("third", "▸third", 1), "a.yaml": marked},
        "warning: when: is missing, so issue_created, worklog_created of every project goes from"
        ' `cloud`, `other` to `one`; write `when: ""` if that is meant',
        "no route reads from this hook",
    )
    assert loaded.configuration.routes["a"].filters["acme"].text == ""


@pytest.mark.parametrize("secret", ["${SECRET:-}", "[${OLD:-}, ${SECRET:-}]"], ids=["one", "two"])
def test_a_secret_that_is_not_set_is_worth_a_look(expect, secret):
    quoted = secret.replace("${", "'${").replace("}", "}'")
    hook = f"  cloud:\n    source: jira\n    token: 0123456789abcdef\n    secret: ▸{quoted}\n"
    files = folder_of(ONE, "from: cloud\nto: one\n", hooks=f"hooks:\n{hook}")
    names = "OLD and SECRET are" if "OLD" in secret else "SECRET is"
    expect(
        files,
        f"warning: hooks.cloud.secret: {names} not set, so signatures are off: the token"
        " alone is trusted. Set it, or take this line out",
    )
    expect({name: text.replace("▸", "") for name, text in files.items()}, SECRET="x" * 20)
