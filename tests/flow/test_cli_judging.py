"""check, explain and jql: commands that judge, and touch nothing."""

import json
import shutil
from pathlib import Path

import orjson
import pytest
from commands import lines, ok, refused, run

from bridge.demo.bodies import Comment, Issue
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER

EXAMPLE = Path(__file__).parents[2] / "mappings"
TOKENS = {
    f"{name}_TOKEN": f"{name.lower()}-token-0123456789"
    for name in ("JIRA_MAIN", "JIRA_LEGACY", "JIRA_DC", "AHA_PLATFORM")
} | {
    f"{name}_SECRET": f"{name.lower()}-secret-0123456789"
    for name in ("JIRA_MAIN", "JIRA_LEGACY", "JIRA_DC")
}
SECRETS = {f"{name}_SECRET": "a secret" for name in ("JIRA_MAIN", "JIRA_LEGACY", "JIRA_DC")}
NOW = 1_772_697_600_000
ISSUE = Issue(id=10001, key="PLAT-1", reporter=ANA, created=NOW, updated=NOW, labels=("x",))
COMMENT = Comment(id=10042, author=ANA, text="Looks\x1b[2J good.", created=NOW, updated=NOW)


@pytest.fixture(autouse=True)
def environ(monkeypatch, tmp_path):
    """The example mappings, in a folder of our own."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "mappings")
    for name, value in {**TOKENS, **SECRETS, "BRIDGE_MAPPINGS": str(folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return folder


# --- check


def test_check_says_that_all_is_well():
    assert ok("check") == "3 routes, no errors, no warnings\n"
    told = {"ok": True, "errors": 0, "warnings": 0, "problems": []}
    assert lines("check", "--json") == [told]


def test_check_says_everything_at_once_and_where(environ):
    path = environ / "mobile.yaml"
    path.write_text(path.read_text().replace("priority >= Medium", "priorty >= Medium"))
    (environ / "more.yaml").write_text("version: 1\nfrom: jira-mian\nto: aha-platform\n")
    result = run("check")
    assert (result.exit_code, result.stderr) == (1, "")
    said = result.stdout.splitlines()
    assert any(line.startswith(f"{path}:") and "priority" in line for line in said)
    assert any(
        line.startswith(f"{environ}/more.yaml:2:7: ") and "jira-main" in line for line in said
    )
    assert said[-1].endswith("errors, no warnings")
    result = run("check", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"], told["errors"]) == (1, False, len(told["problems"]))
    assert told["problems"][0].keys() == {"file", "line", "column", "severity", "message"}


def test_warnings_are_errors_only_when_that_is_said():
    assert run("check", BRIDGE_PROT="1").exit_code == 0
    result = run("check", "--strict", BRIDGE_PROT="1")
    assert result.exit_code == 1
    assert "BRIDGE_PROT: warning: " in result.stdout
    assert "BRIDGE_PORT" in result.stdout
    assert "3 routes, no errors, 1 warning" in result.stdout


def test_wrong_use_and_a_wrong_setting_are_two_things():
    assert run("serve", "--port", "many").exit_code == 2
    assert "BRIDGE_PORT: must be a whole number" in refused("serve", BRIDGE_PORT="many")
    assert run("nonsense").exit_code == 2
    assert run("check", "--mappings").exit_code == 2


def test_a_folder_that_is_not_there_is_one_clear_line():
    said = refused("explain", "-", "--mappings", "nowhere", told="{}")
    assert said.startswith("nowhere: cannot be read")


# --- explain


def comment():
    return orjson.dumps(CLOUD.comment_event("comment_created", COMMENT, ISSUE, NOW))


def test_explain_goes_clause_by_clause(tmp_path):
    path = tmp_path / "body.json"
    path.write_bytes(orjson.dumps(CLOUD.issue_created(ISSUE, ANA)))
    said = ok("explain", path)
    assert "as if through the hook jira-main" in said
    assert "jira:issue_created about PLAT-1 by Ana Duarte" in said
    assert "route platform: Platform stories and their comments" in said
    assert '✓ project = PLAT  (project is "PLAT")' in said
    assert '✓ labels NOT IN (internal)  (labels is "x")' in said
    assert "✗ project = MOB" in said
    assert "-> aha-platform: deliver: " in said
    assert "integration@acme.example" not in said
    assert "integration@acme.example" in ok("explain", path, "--body")


def test_explain_says_what_is_unknown_and_what_then():
    said = ok("explain", "-", told=comment())
    assert "? labels IS EMPTY  (labels is not in the body)" in said
    assert "undecided" in said
    assert "if nothing is remembered of it: deliver (`unknown: [remember, deliver]`)" in said
    thin, _ = DATA_CENTER.comment_pair("comment_created", COMMENT, ISSUE)
    said = ok("explain", "-", "--hook", "jira-dc", told=orjson.dumps(thin))
    assert "as if through" not in said
    assert "if nothing fuller comes, and if nothing is remembered of it: deliver" in said


def test_explain_never_speaks_to_the_terminal():
    assert "\x1b" not in ok("explain", "-", "--body", told=comment())


def test_explain_as_json():
    [told] = lines("explain", "-", "--json", "--body", told=comment())
    assert told["event"]["key"] == "PLAT-1"
    routes = {route["route"]: route for route in told["routes"]}
    [outcome] = routes["platform"]["destinations"]
    assert (outcome["verdict"], outcome["then"]["verdict"]) == ("undecided", "deliver")
    assert outcome["body"]["comment"]["id"] == "10042"
    assert routes["mobile"]["filter"][1]["text"] == "project = MOB"


def test_explain_says_why_a_body_would_be_rejected_or_tells_nothing():
    assert ok("explain", "-", told="").splitlines()[-1].startswith("rejected: the body is empty")
    nothing = CLOUD.issue_updated(ISSUE, ANA, "issue_updated")
    assert "no effect: " in ok("explain", "-", told=orjson.dumps(nothing))
    assert "there is no hook nope" in refused("explain", "-", "--hook", "nope", told="{}")


def test_explain_where_no_route_reads_and_where_a_field_would_park(environ):
    for path in environ.glob("*.yaml"):
        if path.stem == "datacenter":
            path.unlink()
    said = ok("explain", "-", "--hook", "jira-dc", told=comment())
    assert "no route reads from the hook jira-dc" in said
    path = environ / "platform.yaml"
    path.write_text(path.read_text().replace("type: number", "values: {one: 1}"))
    points = Issue(id=1, key="PLAT-2", reporter=ANA, created=NOW, updated=NOW, points=3.0)
    said = ok("explain", "-", told=orjson.dumps(CLOUD.issue_created(points, ANA)))
    assert "it would be parked: " in said


# --- jql


def test_jql_prints_the_tree():
    said = ok("jql", "project = PLAT and (labels is empty or not status = Done) order by rank")
    assert said.splitlines() == [
        "AND",
        "  project = PLAT",
        "  OR",
        "    labels IS EMPTY",
        "    NOT",
        "      status = Done",
        "ORDER BY rank (changes nothing)",
    ]
    assert ok("jql", "") == "everything\n"


def test_jql_points_at_what_is_wrong():
    said = refused("jql", "project = and")
    assert said.splitlines()[1:] == ["project = and", "          ^"]
    result = run("jql", "--json", "project = and")
    assert result.exit_code == 1
    [error] = json.loads(result.stdout)["errors"]
    assert (error["line"], error["col"]) == (1, 10)


def test_jql_as_json_is_the_tree_of_the_oracle():
    [told] = lines("jql", "--json", "project = PLAT order by x desc")
    assert (told["valid"], told["errors"]) == (True, [])
    assert told["ast"]["where"]["field"] == {"name": "project", "cf": None, "props": []}
    assert told["ast"]["orderBy"][0]["dir"] == "desc"


def test_jql_answers_each_line_by_a_line():
    asked = '"a = b"\n\n"a = "\nnope\n1\n"x = \\ud800"\n'
    told = lines("jql", "-", "--json", told=asked)
    assert [each["valid"] for each in told] == [True, False, False, False, True]
    assert told[2]["errors"][0]["line"] is None
    assert ok("jql", "-", told='"a = b"\n"a"\n').splitlines()[0] == "valid"


@pytest.mark.parametrize(
    ("query", "answer", "code"),
    [
        ("project = PLAT", "true", 0),
        ("project = MOB", "false", 1),
        ("labels is empty", "unknown", 1),
        ("created >= startOfDay() and project = MOB", "false", 1),
    ],
)
def test_jql_judges_a_body(tmp_path, query, answer, code):
    path = tmp_path / "body.json"
    path.write_bytes(comment())
    result = run("jql", query, "--against", path, "--now", "2026-03-05T09:00:00Z")
    assert (result.exit_code, result.stdout.split(":")[0]) == (code, answer)
    result = run("jql", query, "--against", path, "--json", "--site", "acme-jira")
    told = json.loads(result.stdout)
    value = {"true": True, "false": False, "unknown": None}[answer]
    assert (result.exit_code, told["answer"], told["value"]) == (code, answer, value)
    assert told["clauses"][0].keys() == {"depth", "text", "value", "why"}


def test_a_site_knows_the_names_of_its_fields(tmp_path):
    path = tmp_path / "body.json"
    issue = Issue(id=1, key="PLAT-2", reporter=ANA, created=NOW, updated=NOW, points=3.0)
    path.write_bytes(orjson.dumps(CLOUD.issue_created(issue, ANA)))
    asked = ("jql", '"Story Points" = 3', "--against", path)
    assert ok(*asked, "--site", "acme-jira").startswith("true")
    assert "Story Points" in refused(*asked)
    assert "there are: acme-jira, acme-dc" in refused(*asked, "--site", "nope")


def test_jql_says_what_a_filter_is_warned_of(tmp_path):
    path = tmp_path / "body.json"
    path.write_bytes(comment())
    result = run("jql", "project = PLAT order by rank", "--against", path)
    assert (result.exit_code, result.stderr.split(": ")[0]) == (0, "warning")


def test_jql_wants_a_body_that_is_one(tmp_path):
    path = tmp_path / "body.json"
    path.write_bytes(b"[1]")
    assert "not an object" in refused("jql", "a = b", "--against", path)
    path.write_bytes(b"nope")
    assert "is not JSON" in refused("jql", "a = b", "--against", path)
    assert run("jql", "-", "--against", path).exit_code == 2
    path.write_bytes(comment())
    assert "^" in refused("jql", "a =", "--against", path)
