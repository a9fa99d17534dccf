"""What is read of a folder, what of it is kept, and what is put into it from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bridge import config, sources
from bridge.config.documents import Findings
from bridge.config.variables import Variables
from bridge.config.yaml import read
from bridge.errors import BadConfiguration
from bridge.model import Comments, Hook, Limits, RunAs, Site, Target
from bridge.sources import jira

ROUTE = "version: 1\nfrom: main\nto: aha\nwhen: ''\n"


def only(loaded: config.Loaded) -> str:
    (problem,) = loaded.problems
    return str(problem)


# --- the folder


def test_a_folder_that_is_not_there(tmp_path):
    missing = tmp_path / "nowhere"
    loaded = config.load(missing, {})
    assert only(loaded) == (
        f"{missing}: cannot be read: No such file or directory; name your folder in BRIDGE_MAPPINGS"
    )
    assert loaded.configuration is None


def test_a_folder_without_bridge_yaml_still_has_its_routes_checked(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nfrom: main\nto: aha\nmoves: away\n")
    route, bridge = config.load(tmp_path, {}).problems
    assert str(route).startswith(f"{tmp_path}/a.yaml:4:8: moves: `away` is not known")
    assert str(bridge) == (
        f"{tmp_path}/bridge.yaml: is missing: it describes the hooks and the destinations"
    )


@pytest.mark.parametrize("name", ["more.yml", "more.YAML"])
def test_a_file_that_looks_like_a_route_and_is_none(name, folder):
    loaded = folder.load({"route.yaml": ROUTE, name: "?"}, {})
    assert only(loaded) == f"{folder.path / name}: warning: is not read: rename it to more.yaml"
    assert loaded.configuration is not None


def test_what_else_lies_in_the_folder_is_left_alone(folder):
    (folder.path / "more.yaml").mkdir()
    for name in (".hidden.yaml", "README.md", "route.yaml~"):
        (folder.path / name).write_text("?")
    loaded = folder.load({}, {})
    assert loaded.problems == ()
    assert list(loaded.configuration.routes) == ["route"]


def test_a_file_that_cannot_be_read(folder):
    (folder.path / "gone.yaml").symlink_to("nowhere")
    loaded = folder.load({"route.yaml": ROUTE}, {})
    assert only(loaded).endswith("gone.yaml: cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ": the file is empty: it needs at least `version: 1`"),
        (b"# only a comment\n", ": the file is empty"),
        (b"version: 1\nfrom: m\xffain\n", ":2:8: not UTF-8 text"),
        ("version: 1\nfröm: é".encode("latin-1"), ":2:3: not UTF-8 text"),
        ("version: 1".encode("utf-16"), ":1:1: not UTF-8 text"),
        (b"version: 1\nfrom: main\n---\x00", ":3:4: the character U+0000 cannot stand in YAML"),
        (b"%FOO\nversion: 1\n", ":2:1: does not belong to what stands above it"),
        (b'version: 1\nfrom: "\\UFFFFFFFF"', ":1:1: unreadable YAML: "),
        (b"%YAML 3.0\n---\nversion: 1\n", ":1:1: unreadable YAML: "),
        (b"version: 1\nfrom: - main\n", ":2:7: a `- ` where none can be"),
        (b"version: 1\nfrom: {a: ]}\n", ":2:11: a value is missing before this"),
        (b"version: 1\nwhen: |x = 1\n", ":2:8: after `|` or `>` the text begins in the next line"),
        (b"version: 1\nwhen: >- a = 1\n", ":2:10: after `|` or `>` the text begins in"),
        (b"a: !!int b\nversion: 1\n%", ":3:2: unreadable YAML: "),
    ],
)
def test_bytes_that_are_no_mapping(data, words, folder):
    (folder.path / "bad.yaml").write_bytes(data)
    loaded = folder.load({"route.yaml": ROUTE}, {})
    assert f"bad.yaml{words}" in str(loaded.problems[0])
    assert loaded.configuration is None


def test_a_byte_order_mark_and_windows_lines_are_fine(folder):
    (folder.path / "route.yaml").write_bytes(b"\xef\xbb\xbf" + ROUTE.replace("\n", "\r\n").encode())
    loaded = folder.load({"other.txt": ""}, {})
    assert loaded.problems == ()


def test_require_raises_everything_that_is_wrong(folder):
    folder.load({"route.yaml": ROUTE + "moves: away\nunmapped: x\n"}, {})
    with pytest.raises(BadConfiguration) as raised:
        config.require(folder.path, {})
    assert len(raised.value.problems) == 2
    assert str(raised.value).count("\n") == 1


def test_require_lets_warnings_pass(folder):
    folder.load({"route.yaml": ROUTE, "x.yml": ""}, {})
    assert list(config.require(folder.path, {}).routes) == ["route"]


def test_loading_twice_gives_the_same(folder):
    files = {f"{name}.yaml": ROUTE for name in "abc"}
    assert folder.load(files, {}).problems == folder.load(files, {}).problems


PIECES = ["%YAML 3.0", "---", "!x ", "&a ", "*a", "? ", "- ", ": ", "{", "[", "]", "|", ">9", '"']
PIECES += ["'", "\\U", "\t", "\u2028", "\ufeff", "#", "<<: ", "${", "${A}", "0x", "~", "a", "from"]
PIECES += ["\n", "\n", "version: 1\n"]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whatever_a_file_holds_is_a_document_or_a_finding(text):
    findings = Findings()
    variables = Variables(environ={}, folder=Path())
    document = read("x.yaml", "x", text.encode(), variables, findings)
    assert document is not None or findings.problems()


def test_the_parser_knows_what_it_is_told():
    parser = YAML(typ="safe", pure=True)
    assert parser.max_depth == 0
    assert parser.composer.warn_double_anchors is True


# --- what is kept


def test_what_is_left_out_has_its_default(folder):
    (hook, target, site, route) = everything(folder.load({}, {}))
    assert hook == Hook(name="main", source="jira", site="acme", token="0123456789abcdef-main")
    assert target == Target(
        name="aha",
        kind="aha",
        url="https://acme.aha.io",
        token="callback-1",
        run_as=RunAs(name="Bot", email="bot@acme.example"),
    )
    assert site == Site(name="acme")
    assert (route.name, route.hooks, route.destinations) == ("route", ("main",), ("aha",))
    assert (route.description, route.workspace, route.events) == ("", "", frozenset())
    assert (route.unknown, route.moves) == (("remember", "deliver"), "follow")
    assert route.comments == Comments(private="drop", attribution="")
    assert list(route.filters) == ["acme"]
    assert route.mapper.apply({"issue": {"id": "1"}}) == {"issue": {"id": "1"}}


def everything(loaded: config.Loaded) -> tuple[object, ...]:
    made = loaded.configuration
    assert made is not None, loaded.problems
    groups = (made.hooks, made.targets, made.sites, made.routes)
    return tuple(next(iter(group.values())) for group in groups)


FULL_BRIDGE = """\
version: 1
hooks:
  main:
    source: jira
    token: ${TOKEN}
    secret: ["${OLD}", "${NEW:-}"]
    enabled: ${ENABLED}
destinations:
  aha:
    kind: aha
    url: http://${HOST:-127.0.0.1:9000}/
    token: ${file:token.txt}
    integration: ${GENERATION}
    run_as: {name: Bot, email: bot@acme.example}
    workspaces: [PLAT, MOB]
    limits: {per_second: "${FAST}", per_minute: none}
    on_doubt: hold
    doubt: [500, 503]
    was: old-aha
    private: ${PRIVATE:-true}
sites:
  main:
    timezone: Europe/Berlin
    week_starts: monday
    priorities: [High, Low]
    fields: {Story Points: customfield_10016}
ignore:
  actors: [Aha-Sync@acme.example]
"""
FULL_ROUTE = """\
version: 1
description: $${not a ${DESCRIPTION:-variable}}
from: [main]
to: [aha]
workspace: ${WORKSPACE}
when: project = ${WORKSPACE}
events: issue_created
unknown: drop
moves: filter
comments: {private: keep, attribution: "{author}:\\n{body}{"}
unmapped: drop
fields: [{to: $.issue.fields.x, default: "${WORKSPACE}"}]
"""
ENVIRONMENT = {
    "TOKEN": "12345678901234567890",
    "OLD": "old: secret",
    "ENABLED": "FALSE",
    "GENERATION": "1",
    "FAST": "07",
    "WORKSPACE": "PLAT",
    "HOST": "",
}


def test_everything_that_can_be_said(folder):
    (folder.path / "token.txt").write_text("from a file\n".replace(" ", "-"))
    loaded = folder.load({"bridge.yaml": FULL_BRIDGE, "a-route.yaml": FULL_ROUTE}, ENVIRONMENT)
    hook, target, site, route = everything(loaded)
    assert (hook.token, hook.secrets, hook.enabled) == (
        ENVIRONMENT["TOKEN"],
        ("old: secret",),
        False,
    )
    assert target == Target(
        name="aha",
        kind="aha",
        url="http://127.0.0.1:9000",
        token="from-a-file",
        integration=1,
        run_as=RunAs(name="Bot", email="bot@acme.example"),
        workspaces=("PLAT", "MOB"),
        limits=Limits(per_second=7, per_minute=None),
        on_doubt="hold",
        doubt=frozenset({500, 503}),
        was="old-aha",
        private=True,
    )
    assert site == Site(
        name="main",
        timezone="Europe/Berlin",
        week_starts="monday",
        priorities=("High", "Low"),
        fields={"Story Points": "customfield_10016"},
    )
    assert loaded.configuration.ignored_actors == {"aha-sync@acme.example"}
    assert (route.name, route.description) == ("a-route", "${not a variable}")
    assert (route.workspace, route.events, route.moves) == ("PLAT", {"issue_created"}, "filter")
    assert route.unknown == ("drop",)
    assert route.comments == Comments(private="keep", attribution="{author}:\n{body}{")
    assert route.mapper.apply({"issue": {"id": "1"}})["issue"]["fields"]["x"] == "PLAT"
    assert route.filters["main"].text == "project = PLAT"
    assert loaded.variables == {*ENVIRONMENT, "NEW", "PRIVATE", "DESCRIPTION"}


def test_values_from_variables_are_plain_texts(folder):
    (folder.path / "token.txt").write_text("t")
    files = {"bridge.yaml": FULL_BRIDGE, "a.yaml": FULL_ROUTE}
    hook, target, _, route = everything(folder.load(files, ENVIRONMENT))
    for text in (hook.token, *hook.secrets, target.url, target.token, route.workspace):
        assert type(text) is str


def test_secrets_are_not_shown(folder):
    (folder.path / "token.txt").write_text("hidden-callback")
    files = {"bridge.yaml": FULL_BRIDGE, "a.yaml": FULL_ROUTE}
    shown = repr(folder.load(files, ENVIRONMENT))
    for secret in (ENVIRONMENT["TOKEN"], ENVIRONMENT["OLD"], "hidden-callback"):
        assert secret not in shown


def test_a_wrong_value_from_a_variable_is_shown_as_it_stands_in_the_file(folder):
    text = FULL_BRIDGE.replace("source: jira", "source: ${OLD}").replace("hold", "${NEW:-x}")
    loaded = folder.load({"bridge.yaml": text, "token.txt": "t", "a.yaml": FULL_ROUTE}, ENVIRONMENT)
    assert [problem.message for problem in loaded.problems] == [
        "hooks.main.source: `${OLD}` is not known; known: jira",
        "destinations.aha.on_doubt: `${NEW:-x}` is not known; known: hold, resend, verify",
    ]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("remember", ("remember", "deliver")),
        ("deliver", ("deliver",)),
        ("drop", ("drop",)),
        ("[remember, drop]", ("remember", "drop")),
    ],
)
def test_unknown_ends_with_a_last_word(words, kept, folder):
    *_, route = everything(folder.load({"route.yaml": f"{ROUTE}unknown: {words}\n"}, {}))
    assert route.unknown == kept


@pytest.mark.parametrize("text", ["", "fields:\n", "fields: []\n", "description: ''\n"])
def test_what_may_be_empty(text, folder):
    assert folder.load({"route.yaml": ROUTE + text}, {}).problems == ()


@pytest.mark.parametrize("text", ["", "when:\n"])
def test_a_filter_may_be_missing(text, folder):
    """It is worth a look, and lets everything through all the same."""
    route = ROUTE.replace("when: ''\n", text)
    assert ": warning: when: is missing" in only(folder.load({"route.yaml": route}, {}))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pipe", "it is not a regular file"),
        ("/dev/zero", "it is not a regular file"),
        ("/dev/tty", ""),
        ("/", "it is not a regular file"),
        ("large", "it is larger than 64 KiB"),
    ],
)
def test_a_file_of_a_reference_is_a_regular_one_of_bounded_size(name, why, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: to open it for reading would wait for ever
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    bridge = folder.complete({})["bridge.yaml"]
    text = bridge.replace("callback-1", f"${{file:{name}}}")
    said = only(folder.load({"bridge.yaml": text}, {}))
    assert f"bridge.yaml:11:12: destinations.aha.token: cannot read the file {name}: {why}" in said


def test_a_file_of_a_reference_may_hold_as_much_as_a_key(folder, tmp_path):
    (tmp_path / "token").write_text("x" * 4096 + "\n")
    bridge = folder.complete({})["bridge.yaml"]
    text = bridge.replace("callback-1", "${file:token}")
    assert folder.load({"bridge.yaml": text}, {}).configuration.targets["aha"].token == "x" * 4096


@pytest.mark.parametrize(
    "text", ["secret:", "secret: ''", "secret: []", "secret: ['']", "secret: ${X:-}"]
)
def test_an_empty_secret_is_none(text, folder):
    bridge = folder.complete({})["bridge.yaml"]
    text = bridge.replace("    site: acme\n", f"    site: acme\n    {text}\n")
    hook, *_ = everything(folder.load({"bridge.yaml": text}, {}))
    assert hook.secrets == ()


def test_one_secret_needs_no_list(folder):
    bridge = folder.complete({})["bridge.yaml"]
    text = bridge.replace("    site: acme\n", "    site: acme\n    secret: abc\n")
    hook, *_ = everything(folder.load({"bridge.yaml": text}, {}))
    assert hook.secrets == ("abc",)


def test_limits_can_be_none(folder):
    bridge = folder.complete({})["bridge.yaml"] + "    limits: none\n"
    _, target, *_ = everything(folder.load({"bridge.yaml": bridge}, {}))
    assert target.limits == Limits(per_second=None, per_minute=None)


def test_lists_without_anything_in_them(folder):
    bridge = folder.complete({})["bridge.yaml"]
    text = bridge + "ignore: {actors: []}\nsites: {acme: {priorities: []}}\n"
    loaded = folder.load({"bridge.yaml": text}, {})
    assert loaded.problems == ()
    assert loaded.configuration.ignored_actors == frozenset()


@pytest.mark.parametrize("number", ["1", "0x1", "0o1", "+1", "01"])
def test_numbers_are_read_as_yaml_writes_them(number, folder):
    bridge = folder.complete({})["bridge.yaml"] + f"    integration: {number}\n"
    _, target, *_ = everything(folder.load({"bridge.yaml": bridge}, {}))
    assert target.integration == 1


@pytest.mark.parametrize(
    "number", ["1.5", ".inf", "9" * 5000, "true", "!!int x", "2001-01-01", "'1'"]
)
def test_what_is_no_whole_number(number, folder):
    bridge = folder.complete({})["bridge.yaml"] + f"    integration: {number}\n"
    loaded = folder.load({"bridge.yaml": bridge}, {})
    assert only(loaded).endswith("destinations.aha.integration: must be 1 or 2")


# --- revisions


def revision(folder, text: str, **environ: str) -> str:
    *_, route = everything(folder.load({"route.yaml": text}, environ))
    return route.revision


def test_a_revision_changes_with_what_a_file_means(folder):
    first = revision(folder, ROUTE)
    assert revision(folder, f"# a comment\n{ROUTE}\n\n") == first
    assert revision(folder, "when: ''\nto: 'aha'\nfrom: main\nversion: 1\n") == first
    assert revision(folder, ROUTE + "moves: filter\n") != first
    variable = ROUTE + "description: ${X}\n"
    assert revision(folder, variable, X="a") != revision(folder, variable, X="b")


# --- the shipped example


MAPPINGS = Path(__file__).parents[3] / "mappings"
EXAMPLE = {
    "JIRA_MAIN_TOKEN": "main-0123456789abcdef",
    "JIRA_LEGACY_TOKEN": "legacy-0123456789abcdef",
    "JIRA_DC_TOKEN": "dc-0123456789abcdef",
    "AHA_PLATFORM_TOKEN": "0123456789abcdef",
}


SECRETS = {"JIRA_MAIN_SECRET": "a", "JIRA_LEGACY_SECRET": "b", "JIRA_DC_SECRET": "c"}


def test_the_shipped_mappings_warn_of_signatures_that_are_off():
    loaded = config.load(MAPPINGS, EXAMPLE)
    said = [problem.message for problem in loaded.problems]
    assert loaded.configuration is not None
    assert len(said) == len(SECRETS)
    for name in SECRETS:
        assert any(f"{name} is not set, so signatures are off" in text for text in said)


def test_the_shipped_mappings_are_accepted():
    loaded = config.load(MAPPINGS, EXAMPLE | SECRETS)
    assert loaded.problems == ()
    made = loaded.configuration
    assert list(made.routes) == ["datacenter", "mobile", "platform"]
    assert {name: hook.site for name, hook in made.hooks.items()} == {
        "jira-main": "acme-jira",
        "jira-legacy": "acme-jira",
        "jira-dc": "acme-dc",
    }
    assert made.targets["aha-platform"].limits == Limits(per_second=20, per_minute=300)


def test_the_shipped_mappings_can_be_pointed_elsewhere():
    elsewhere = {"AHA_URL": "http://127.0.0.1:9", "AHA_PRIVATE": "true", "AHA_PER_SECOND": "none"}
    target = config.require(MAPPINGS, EXAMPLE | elsewhere).targets["aha-platform"]
    assert (target.url, target.private) == ("http://127.0.0.1:9", True)
    assert target.limits == Limits(per_second=None, per_minute=300)


def test_the_shipped_mappings_tell_of_every_variable_they_read():
    text = (MAPPINGS / "bridge.yaml").read_text("utf-8")
    comments = "\n".join(line for line in text.split("\n") if line.startswith("#"))
    for name in config.load(MAPPINGS, EXAMPLE).variables:
        assert name in comments


def test_without_their_variables_the_shipped_mappings_name_each_one():
    said = [problem.message for problem in config.load(MAPPINGS, {}).problems]
    assert len(said) == len(EXAMPLE)
    for name in EXAMPLE:
        assert any(f"the environment variable {name} is not set" in text for text in said)


def test_the_words_of_events_are_those_of_the_source():
    assert set(jira.EVENTS) == sources.events()
    assert set(jira.RECORD_EVENTS) == sources.record_events() < sources.events()
