"""Several doors and workers on one PostgreSQL: one order, and each effect once."""

from __future__ import annotations

import time

import pytest

from crash.processes import BridgeProcess
from crash.run import Run, wait_until

SOON = 60


def _start(run: Run, command: str, count: int) -> list[BridgeProcess]:
    made = [run.bridge(command, name=f"{command}-{n}") for n in range(count)]
    for process in made:
        process.start()
    return made


def _finish(run: Run) -> None:
    run.operator.start()
    assert run.load is not None
    assert run.load.wait(SOON)
    assert run.quiet(SOON), run.account()
    account = run.account()
    assert account.fine, account.complaints()


@pytest.mark.crash
@pytest.mark.enable_socket
def test_each_step_through_another_door_while_sessions_end(shared_run: Run) -> None:
    """A door whose session ended must not put aside what others then overtake."""
    run = shared_run
    webs = _start(run, "web", 3)
    _start(run, "worker", 2)
    load = run.send(webs, chains=run.world.chains(12, 60), copies=1, pause=0.05)
    assert wait_until(lambda: load.answered > 50, SOON)
    for _ in range(12):
        run.database.throw_out()
        time.sleep(0.4)
    _finish(run)


@pytest.mark.crash
@pytest.mark.enable_socket
def test_the_same_through_all_doors_while_a_web_and_a_worker_die(shared_run: Run) -> None:
    run = shared_run
    webs, workers = _start(run, "web", 3), _start(run, "worker", 3)
    load = run.send(webs, chains=run.world.chains(12, 60), copies=3, pause=0.1)
    assert wait_until(lambda: load.answered > 50, SOON)
    for web, worker in zip(webs, workers, strict=True):
        web.kill()
        worker.kill()
        time.sleep(1)
        web.start()
        worker.start()
        time.sleep(1)
    _finish(run)
