"""Check the installed packages for known vulnerabilities, with pip-audit.

Exits with 1 if there is one. Without access to the vulnerability service nothing can be checked:
then the reason is printed, and the exit code is 0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

_TIMEOUT_S = 120
#: Errors of the network or the service, as they are named in pip-audit's output.
_UNREACHABLE = re.compile(
    r"\b(ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|ServiceError"
    r"|Could not connect|not redirecting properly)\b"
)


def main() -> int:
    """Run pip-audit on this environment; returns the exit code."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--skip-editable"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [*command, "--progress-spinner", "off", "--timeout", "10"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        code, message = 0, f"skipped: the vulnerability service took longer than {_TIMEOUT_S} s"
    else:
        code, message = assess(done.stdout, done.stderr)
    sys.stdout.write(f"audit: {message}\n")
    return code


def assess(output: str, errors: str) -> tuple[int, str]:
    """Return the exit code and a message for pip-audit's output and error output."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        return _assess_failure(errors)
    audited = [package for package in packages if "vulns" in package]
    found = [package for package in audited if package["vulns"]]
    if found:
        return 1, "\n".join(["known vulnerabilities:", *map(_describe, found)])
    if not audited:
        return 0, "skipped: the vulnerability service cannot be reached, or knows no package here"
    return 0, f"no known vulnerability in {len(audited)} of {len(packages)} packages"


def _assess_failure(errors: str) -> tuple[int, str]:
    last = errors.strip().rpartition("\n")[2]
    if reason := _UNREACHABLE.search(errors):
        return 0, f"skipped: the vulnerability service cannot be reached: {reason[1]}"
    return 1, f"pip-audit failed: {last}"


def _describe(package: dict[str, Any]) -> str:
    names = ", ".join(
        f"{one['id']} (fixed in {', '.join(one['fix_versions']) or 'no version yet'})"
        for one in package["vulns"]
    )
    return f"  {package['name']} {package['version']}: {names}"


if __name__ == "__main__":
    sys.exit(main())
