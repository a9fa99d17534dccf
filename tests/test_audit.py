"""The audit of the installed packages: what fails the gate, and what only skips it."""

import importlib.util
import json
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def assess():
    spec = importlib.util.spec_from_file_location("audit", _PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.assess


def report(*packages):
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("output", "errors", "code", "message"),
    [
        (report(SOUND, UNKNOWN), "", 0, "no known vulnerability in 1 of 2 packages"),
        (report(SOUND, VULNERABLE), "", 1, "b 2: CVE-1 (fixed in 2.1)"),
        (report(UNKNOWN), "", 0, "skipped: the vulnerability service cannot be reached"),
        ("", "requests.exceptions.ConnectionError: no route\n", 0, "reached: ConnectionError"),
        ("", "Traceback\nTypeError: no\n", 1, "pip-audit failed: TypeError: no"),
        ("", "", 1, "pip-audit failed"),
    ],
)
def test_only_a_vulnerability_or_a_broken_audit_fails(assess, output, errors, code, message):
    found, said = assess(output, errors)
    assert found == code
    assert message in said
