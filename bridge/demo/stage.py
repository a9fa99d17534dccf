"""The setting of the demo: a stand-in for Aha!, and a real bridge in a process of its own."""

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

#: The example mappings that the package contains.
MAPPINGS = Path(__file__).parent / "mappings"
#: How long a thin event waits in the demo; the default would make it long.
GRACE_S = 2
#: How long the bridge may take to start, and to stop, in seconds.
TIMEOUT_S = 30
_SECRETS = ("JIRA_MAIN_TOKEN", "JIRA_LEGACY_TOKEN", "JIRA_DC_TOKEN", "AHA_PLATFORM_TOKEN")
_BRIDGE_VARIABLES = re.compile("BRIDGE_|JIRA_|AHA_")
_ADDRESS = re.compile(r"http://[^/\s]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A running bridge and its surroundings."""

    #: The environment variables set for the bridge's process.
    settings: Mapping[str, str]
    #: The root URL of the bridge.
    url: str
    aha: Sandbox
    aha_url: str
    plan: Plan
    #: The bridge's database and spool folder, for reading.
    store: Store


@contextmanager
def open_stage(environ: Mapping[str, str], *, mappings: Path = MAPPINGS) -> Iterator[Stage]:
    """Start everything in a temporary folder, and remove it afterwards.

    Raises `BridgeError` when the folder of the example `mappings` is missing.
    """
    if not mappings.is_dir():
        raise BridgeError(f"the example mappings are not installed: {mappings} is missing")
    mappings = mappings.resolve()
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
            "BRIDGE_MAPPINGS": str(mappings),
            "BRIDGE_DATABASE": f"sqlite:///{folder}/bridge.db",
            "BRIDGE_PORT": "0",
            "BRIDGE_LOG": "json",
            "BRIDGE_GRACE_SECONDS": str(GRACE_S),
        }
        plan = Plan.of(config.require(mappings, settings))
        url = stack.enter_context(_serve(folder, environ, settings))
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


@contextmanager
def _serve(folder: Path, environ: Mapping[str, str], settings: Mapping[str, str]) -> Iterator[str]:
    """Run `aha-bridge serve` as a process; yields its root URL once it is ready."""
    inherited = {
        name: value for name, value in environ.items() if not _BRIDGE_VARIABLES.match(name)
    }
    here = str(Path(__file__).parents[2])  # for a source tree that is not installed
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
            process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _ready(process: subprocess.Popen[str], errors: Path) -> str:
    """Wait until the bridge can store events, and return its root URL; raises `BridgeError`."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    found = _ADDRESS.search(process.stdout.readline())
    until = monotonic() + TIMEOUT_S
    while found and process.poll() is None and monotonic() < until:
        try:
            if requests.get(f"{found[0]}/readyz", timeout=1).ok:
                return found[0]
        except requests.RequestException:
            Event().wait(0.05)
    raise BridgeError(f"the bridge did not start: {errors.read_text()[-2000:].strip()}")
