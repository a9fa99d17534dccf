"""A full disk: requests that cannot be stored are refused, and accepted ones are not lost."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crash.databases import SQLite
from crash.processes import BridgeProcess
from crash.run import Run, wait_until

SOON = 40
_FLOOD = 60


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MiB: the bridge writes a log of 32 beside its database."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "bridge-crash", str(folder)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield
    ballast.unlink()


def _finish(run: Run, bridge: BridgeProcess) -> None:
    run.operator.start()
    assert run.load is not None
    assert run.load.wait(SOON), bridge.output()
    assert run.quiet(90), f"{run.account()}\n{bridge.output()[-4000:]}"
    account = run.account()
    assert account.fine, f"{account.complaints()}\n{bridge.output()[-4000:]}"


@pytest.mark.crash
@pytest.mark.enable_socket
def test_no_room_for_the_database(small: Path, tmp_path: Path) -> None:
    """The spool, on another disk, takes over."""
    with Run(tmp_path, SQLite(small)) as run:
        bridge = run.bridge("serve")
        bridge.start()
        load = run.send([bridge], chains=run.world.chains(8, _FLOOD), pause=0.05)
        assert wait_until(lambda: load.answered > 100, SOON), bridge.output()
        with full(small):
            before = load.failed, load.answered
            assert wait_until(lambda: load.answered > before[1] + 150, SOON), bridge.output()
            assert load.failed == before[0], "nobody was turned away"
        bridge.kill()
        bridge.start()
        _finish(run, bridge)


@pytest.mark.crash
@pytest.mark.enable_socket
def test_no_room_anywhere(small: Path, tmp_path: Path) -> None:
    """Senders get a 503, and are served once there is room again."""
    with Run(tmp_path, SQLite(small)) as run:
        bridge = run.bridge("serve", BRIDGE_SPOOL=str(small / "spool"))
        bridge.start()
        load = run.send([bridge], chains=run.world.chains(8, _FLOOD), pause=0.05)
        assert wait_until(lambda: load.answered > 100, SOON), bridge.output()
        with full(small):
            failed = load.failed
            assert wait_until(lambda: load.failed > failed + 50, SOON), bridge.output()
        answered = load.answered
        assert wait_until(lambda: load.answered > answered + 50, SOON), bridge.output()
        _finish(run, bridge)


@pytest.mark.crash
@pytest.mark.enable_socket
def test_no_file_may_grow(tmp_path: Path) -> None:
    """The same by a limit of the process: other errors of the same kind."""
    with Run(tmp_path, SQLite(tmp_path)) as run:
        bridge = run.bridge("serve")
        bridge.start()
        load = run.send([bridge], chains=run.world.chains(8, _FLOOD), pause=0.05)
        assert wait_until(lambda: load.answered > 100, SOON), bridge.output()
        _limit(bridge, 4096)
        failed = load.failed
        assert wait_until(lambda: load.failed > failed + 50, SOON), bridge.output()
        _limit(bridge, resource.RLIM_INFINITY)
        _finish(run, bridge)


def _limit(bridge: BridgeProcess, size: int) -> None:
    for pid in bridge.pids():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
