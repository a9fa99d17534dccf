"""The settings: from variables, files and flags; refused whole, with every problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import config
from bridge.errors import BadConfiguration

DEFAULTS = {
    "mappings": Path("mappings"),
    "database": "sqlite:///bridge.db",
    "host": "127.0.0.1",
    "port": 8080,
    "spool": Path("spool"),
    "spool_max": 1 << 30,
    "log": "text",
    "max_body": 32 << 20,
    "workers": 32,
    "threads": 16,
    "connections": 2000,
    "idle_seconds": 30,
    "body_seconds": 20,
    "body_rate": 64 << 10,
    "body_memory": 64 << 20,
    "bodies_days": 14,
    "decisions_days": 90,
    "effects_days": 400,
    "lease_seconds": 120,
    "connect_timeout": 5,
    "read_timeout": 30,
    "park_hours": 6,
    "grace_seconds": 10,
}


def refused(environ: dict[str, str], **flags: object) -> list[str]:
    with pytest.raises(BadConfiguration) as raised:
        config.settings(environ, **flags)
    return [str(problem) for problem in raised.value.problems]


def test_defaults():
    settings = config.settings({})
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert [option.name for option in config.OPTIONS] == list(DEFAULTS)


def test_each_option_is_told_in_a_sentence():
    for option in config.OPTIONS:
        assert option.sentence.endswith(".")
        assert option.variable == f"BRIDGE_{option.name.upper()}"
        assert option.flag == f"--{option.name.replace('_', '-')}"


def test_each_option_is_read_from_its_variable_its_file_and_its_flag(tmp_path):
    for name in ("port", "workers", "threads"):
        variable = f"BRIDGE_{name.upper()}"
        (tmp_path / name).write_text("7\n")
        assert getattr(config.settings({variable: "7"}), name) == 7
        assert getattr(config.settings({f"{variable}_FILE": str(tmp_path / name)}), name) == 7
        assert getattr(config.settings({variable: "9"}, **{name: 7}), name) == 7
        assert getattr(config.settings({variable: "9"}, **{name: None}), name) == 9


@pytest.mark.parametrize(
    ("database", "spool"),
    [
        ("sqlite:///bridge.db", "spool"),
        ("sqlite:////var/lib/bridge/bridge.db", "/var/lib/bridge/spool"),
        ("sqlite:///data/b.db?x=1", "data/spool"),
        ("sqlite:///:memory:", "spool"),
        ("sqlite://", "spool"),
        ("postgresql://bridge@db/bridge", "spool"),
        ("postgresql+psycopg://bridge@db/bridge", "spool"),
    ],
)
def test_the_spool_lies_beside_the_database(database, spool):
    assert config.settings({"BRIDGE_DATABASE": database}).spool == Path(spool)
    assert config.settings({"BRIDGE_DATABASE": database}, spool="/x").spool == Path("/x")


@pytest.mark.parametrize(
    ("text", "size"),
    [("5", 5), ("1KiB", 1024), ("2 MiB", 2 << 20), ("3GiB", 3 << 30), ("1TiB", 1 << 40)],
)
def test_sizes(text, size):
    assert config.settings({}, max_body=text).max_body == size


def test_every_problem_is_said_at_once(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff")
    assert refused(
        {
            "BRIDGE_DATABASE": "mysql://x",
            "BRIDGE_PORT": "99999",
            "BRIDGE_LOG": "yaml",
            "BRIDGE_MAX_BODY": "32MB",
            "BRIDGE_SPOOL_MAX": "0",
            "BRIDGE_HOST": "a",
            "BRIDGE_HOST_FILE": "b",
            "BRIDGE_CONNECTIONS_FILE": str(tmp_path / "binary"),
            "BRIDGE_THREADS_FILE": str(tmp_path / "gone"),
            "BRIDGE_EFFECTS_DAYS": "30",
        },
        workers="many",
        mappings="",
    ) == [
        "--mappings: must not be empty",
        "BRIDGE_DATABASE: must begin with sqlite:/// or postgresql://",
        "BRIDGE_HOST: is given twice: here and in BRIDGE_HOST_FILE",
        "BRIDGE_PORT: must be a whole number from 0 to 65535",
        "BRIDGE_SPOOL_MAX: must be a number of bytes, like 33554432 or 32MiB",
        "BRIDGE_LOG: must be text or json",
        "BRIDGE_MAX_BODY: must be a number of bytes, like 33554432 or 32MiB",
        "--workers: must be a whole number from 1 to 256",
        f"BRIDGE_THREADS: cannot read {tmp_path}/gone: No such file or directory",
        f"BRIDGE_CONNECTIONS: cannot read {tmp_path}/binary: it is not UTF-8 text",
        "BRIDGE_EFFECTS_DAYS: must be a whole number from 90 to 36500",
    ]


def test_a_lease_outlives_the_longest_send():
    assert refused({"BRIDGE_LEASE_SECONDS": "35"}) == [
        "BRIDGE_LEASE_SECONDS: must be longer than the longest send, which can take 35 seconds"
    ]
    assert config.settings({"BRIDGE_LEASE_SECONDS": "36"}).lease_seconds == 36


@pytest.mark.parametrize(("read_timeout", "lease"), [("30", 120), ("55", 120), ("300", 365)])
def test_a_lease_that_is_not_set_outlives_the_longest_send_by_a_minute(read_timeout, lease):
    read = config.settings({"BRIDGE_READ_TIMEOUT": read_timeout})
    assert read.lease_seconds == lease


def test_a_variable_set_to_nothing_is_not_set():
    assert config.settings({"BRIDGE_PORT": "", "BRIDGE_LOG_FILE": ""}).port == 8080


def test_a_flag_that_is_no_setting_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="no such settings: prot"):
        config.settings({}, prot=1)


def test_a_secret_can_lie_in_a_file(tmp_path):
    (tmp_path / "url").write_text("postgresql://b:from-a-file@db/b\n")
    settings = config.settings(
        {"BRIDGE_DATABASE_FILE": str(tmp_path / "url"), "BRIDGE_HOST": "direct"}
    )
    assert (settings.database, settings.host) == ("postgresql://b:from-a-file@db/b", "direct")


def test_secrets_are_masked():
    shown = repr(
        config.settings(
            {
                "BRIDGE_DATABASE": "postgresql://bridge:hid@den-3@db:5432/bridge?password=hidden-4",
            }
        )
    )
    assert "hid" not in shown
    assert "postgresql://bridge:***@db:5432/bridge" in shown


def test_an_unknown_name_is_a_warning_with_the_nearest_one():
    environ = {
        "BRIDGE_PROT": "1",
        "BRIDGE_PORT": "1",
        "BRIDGE_PORT_FILE": "x",
        "BRIDGE_CONSOLE_PASSWORD": "1",
        "BRIDGE_QQQ": "1",
        "BRIDGE_TOKEN": "1",
        "OTHER": "1",
    }
    problems = config.unknown_variables(environ, frozenset({"BRIDGE_TOKEN"}))
    assert [str(problem) for problem in problems] == [
        "BRIDGE_CONSOLE_PASSWORD: warning: there is no such setting, and no mapping file reads it",
        "BRIDGE_PROT: warning: there is no such setting, and no mapping file reads it;"
        " did you mean BRIDGE_PORT?",
        "BRIDGE_QQQ: warning: there is no such setting, and no mapping file reads it",
    ]
