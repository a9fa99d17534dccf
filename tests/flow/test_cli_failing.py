"""What a command says when something is not as it should be, and what the log does not say."""

import json
import logging
import sys

import click
import pytest
import structlog
from click.testing import CliRunner
from commands import logging_as_it_was, ok, run

from bridge import logs
from bridge.cli import operators
from bridge.cli.errors import Commands
from bridge.cli.output import console, table
from bridge.errors import BadConfiguration, NotFound, Problem

SECRET = "5e3e6d1f0a5e3e6d1f0a"


def command(error):
    """A group with one command, which raises."""

    @click.group(cls=Commands)
    def group():
        pass

    @group.command()
    def fail():
        raise error

    return CliRunner().invoke(group, ["fail"])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFound("there is no such thing"), 1, "aha-bridge: there is no such thing\n"),
        (BadConfiguration((Problem(file="a", message="b"),)), 1, "a: b\n"),
        (click.UsageError("like this"), 2, "Error: like this\n"),
        (click.Abort(), 1, "Aborted!\n"),
        (KeyboardInterrupt(), 1, "Aborted!\n"),
    ],
)
def test_what_goes_wrong_is_told_and_not_raised(error, code, said):
    result = command(error)
    assert (result.exit_code, result.stderr.strip()[-len(said) + 1 :]) == (code, said.strip())
    assert "Traceback" not in result.output


def test_a_mistake_of_ours_says_where_it_is_and_not_what_it_was_about():
    result = command(ValueError("what somebody wrote"))
    assert result.exit_code == 1
    assert result.stderr.startswith("aha-bridge: this is a mistake of ours: ValueError at ")
    assert "test_cli_failing.py" in result.stderr
    assert "somebody" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_developers_see_all_of_it(monkeypatch):
    monkeypatch.setattr(sys, "flags", type("Flags", (), {"dev_mode": True}))
    assert isinstance(command(ValueError("x")).exception, ValueError)


def test_help_is_there_for_everything_and_shows_the_defaults():
    said = ok("--help")
    assert said.index("demo") < said.index("serve") < said.index("check")
    for name in ("check", "explain", "log", "show", "status", "retry", "migrate", "demo", "jql"):
        assert "--json" in ok(name, "--help")
    assert "BRIDGE_PORT; default: 8080" in " ".join(ok("serve", "--help").split())
    assert ok("--version").startswith("aha-bridge, version ")


def test_someone_is_someone_where_nobody_has_a_name(monkeypatch):
    def nobody():
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operators.current_user() == "someone"


def test_colours_are_for_terminals(monkeypatch):
    assert not console().is_terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert console().is_terminal
    assert console().color_system
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color


def test_a_table_shows_only_columns_with_something_in_them():
    made = table("x", [{"a": 1, "b": None, "c": []}, {"a": None, "b": "", "c": ["d", "e"]}])
    assert [column.header for column in made.columns] == ["a", "c"]


# --- the log


@pytest.fixture
def configured(capsys):
    def configure(style):
        logs.configure(style)
        return capsys

    with logging_as_it_was():
        yield configure


def test_the_log_is_json_a_line_when_that_is_wanted(configured):
    capsys = configured("json")
    structlog.get_logger().info("event.kept", hook="main", at=object)
    logging.getLogger("library").warning("hm: %s", 1)
    logging.getLogger("library").info("nobody wants to know")
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["level"], ours["hook"]) == ("event.kept", "info", "main")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("hm: 1", "library", "warning")


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_token_and_nothing_that_people_wrote_gets_into_the_log(configured, style):
    capsys = configured(style)
    log = structlog.get_logger()
    path = f"http://127.0.0.1/api/v1/webhooks/{SECRET}"
    log.warning("door.failed", path=f"{path}?x=1", inside=[{"path": path}], n=1, raw=b"x")
    logging.getLogger("werkzeug").error("Exception on %s", path)
    try:
        int("what Ana wrote")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
        for found in (True, error, caught):
            log.error("event.failed", exc_info=found, stack_info=True)  # noqa: TRY400 - each way
        logging.getLogger("apscheduler").exception("Job raised")
    log.error("nothing.raised", exc_info=(None, None, None))
    said = capsys.readouterr().err
    assert SECRET not in said
    assert "Ana" not in said
    assert said.count("ValueError") == 4
    assert "test_cli_failing.py" in said


def test_what_would_forge_a_line_or_speak_to_a_terminal_is_spelt_out(configured):
    capsys = configured("text")
    structlog.get_logger().warning("event.kept", key="A-1\n2026 [error] forged\x1b[2J")
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said
    assert r"A-1\n2026" in said.replace(r"\\n", r"\n")


def test_a_log_that_nobody_reads_any_more_stops_nothing(configured, monkeypatch):
    configured("text")
    closed = open("/dev/null", "w")  # noqa: PTH123, SIM115 - only to be closed
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger().warning("event.kept")


def test_commands_do_not_speak_on_stdout_of_what_goes_on(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    assert len(run("migrate", "--database", url, "--json").stdout.splitlines()) == 1
