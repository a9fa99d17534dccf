"""Where the demo plays: a stand-in for Aha!, and the true bridge as a process beside us."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

import requests

from bridge import config
from bridge.core.plan import Plan
from bridge.errors import BridgeError
from bridge.sandbox import Integration, Sandbox
from bridge.store import Store

#: The mappings that are shipped as an example.
MAPPINGS = Path(__file__).parent / "mappings"
#: For how long a thin event waits here, in seconds: the default would make the demo long.
GRACE = 2
#: How long the bridge may take to start, and to end, in seconds.
PATIENCE = 30
_SECRETS = ("JIRA_MAIN_TOKEN", "JIRA_LEGACY_TOKEN", "JIRA_DC_TOKEN", "AHA_PLATFORM_TOKEN")
_OURS = re.compile("BRIDGE_|JIRA_|AHA_")
_ADDRESS = re.compile(r"http://[^/\s]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A running bridge with everything around it."""

    #: What the bridge's process was started with, without the rest of the environment.
    settings: Mapping[str, str]
    #: The bridge's own root URL.
    url: str
    aha: Sandbox
    aha_url: str
    plan: Plan
    #: The bridge's database and spool, for reading.
    store: Store


@contextmanager
def staged(environ: Mapping[str, str]) -> Iterator[Stage]:
    """Set everything up, and clear it away afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="aha-bridge-demo-")))
        tokens = {name: secrets.token_hex(24) for name in _SECRETS}
        aha = Sandbox(Integration(token=tokens["AHA_PLATFORM_TOKEN"], name="aha-platform"))
        aha_url = aha.start()
        stack.callback(aha.stop)
        settings = {
            **tokens,
            "AHA_URL": aha_url,
            "AHA_PRIVATE": "true",
            "AHA_PER_SECOND": "none",
            "AHA_PER_MINUTE": "none",
            "BRIDGE_MAPPINGS": str(_mappings()),
            "BRIDGE_DATABASE": f"sqlite:///{folder}/bridge.db",
            "BRIDGE_PORT": "0",
            "BRIDGE_LOG": "json",
            "BRIDGE_GRACE_SECONDS": str(GRACE),
        }
        plan = Plan.of(config.require(_mappings(), settings))
        url = stack.enter_context(_served(folder, environ, settings))
        store = Store(settings["BRIDGE_DATABASE"], spool=folder / "spool")
        stack.callback(store.close)
        yield Stage(
            settings=settings,
            url=url,
            aha=aha,
            aha_url=aha_url,
            plan=plan,
            store=store,
        )


def _mappings() -> Path:
    if not MAPPINGS.is_dir():
        raise BridgeError(f"the example mappings are not installed: {MAPPINGS} is missing")
    return MAPPINGS.resolve()


@contextmanager
def _served(folder: Path, environ: Mapping[str, str], settings: Mapping[str, str]) -> Iterator[str]:
    """Run `aha-bridge serve` as a process; gives its root URL once it is ready."""
    inherited = {name: value for name, value in environ.items() if not _OURS.match(name)}
    here = str(Path(__file__).parents[2])  # also from a source tree that was not installed
    paths = f"{here}:{environ['PYTHONPATH']}" if environ.get("PYTHONPATH") else here
    errors = folder / "bridge.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "serve"],
            env={**inherited, **settings, "PYTHONPATH": paths},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield _ready(process, errors)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _ready(process: subprocess.Popen[str], errors: Path) -> str:
    """Wait until the bridge can keep events; returns its root URL, raises `BridgeError`."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    found = _ADDRESS.search(process.stdout.readline())
    until = monotonic() + PATIENCE
    while found and process.poll() is None and monotonic() < until:
        try:
            if requests.get(f"{found[0]}/readyz", timeout=1).ok:
                return found[0]
        except requests.RequestException:
            Event().wait(0.05)
    raise BridgeError(f"the bridge did not start: {errors.read_text()[-2000:].strip()}")
