"""Plant known mistakes in the code, one at a time, and see whether the tests notice.

    .venv/bin/python bench/mutants.py                 all of them, on SQLite
    .venv/bin/python bench/mutants.py --only rates    those whose file or name contains a text

Each mistake is planted in a copy of the tree, and the tests that should find it are run there.
Prints one line for each: killed, survived, equivalent (it changes nothing that can be observed, for
the reason given), or stale (the line to change is not there any more). Exits with 1 if one that is
not equivalent survived or is stale.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: How long the tests of one mistake may run, in s. A test that hangs has noticed it.
LIMIT_S = 300


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake."""

    name: str
    #: Below `bridge/`.
    file: str
    old: str
    new: str
    #: Test files, below `tests/`.
    tests: tuple[str, ...]
    #: Why no test can notice it; "" if one should.
    equivalent: str = ""


STORE = "edges/store/"
MUTANTS = (
    # The breaker and the limits of a destination
    Mutant(
        name="many first failures make the first break longer",
        file="core/breaker.py",
        old="    pause_ms = _break_ms(policy, 0)\n",
        new="    pause_ms = _break_ms(policy, total)\n",
        tests=("core/test_breaker.py", STORE + "test_limits.py"),
    ),
    Mutant(
        name="the breaker never opens",
        file="core/breaker.py",
        old="if not policy.breaks_after or total <",
        new="if True or total <",
        tests=("core/test_breaker.py", STORE + "test_limits.py"),
    ),
    Mutant(
        name="a probe that fails does not make the break longer",
        file="core/breaker.py",
        old="    pause_ms = _break_ms(policy, probes)\n",
        new="    pause_ms = _break_ms(policy, 0)\n",
        tests=("core/test_breaker.py", STORE + "test_limits.py"),
    ),
    Mutant(
        name="a probe that sent nothing is not replaced",
        file="core/breaker.py",
        old="            if not send.failed:\n",
        new="            if False:\n",
        tests=("core/test_breaker.py", STORE + "test_limits.py"),
    ),
    Mutant(
        name="a burst is twice as long",
        file="core/rates.py",
        old="burst = max(1, limit // 10)",
        new="burst = max(1, limit // 5)",
        tests=(STORE + "test_limits.py",),
    ),
    Mutant(
        name="a requested pause is not spread",
        file="core/retry.py",
        old="return pause_ms + round(jitter * policy.first_wait_ms)",
        new="return pause_ms",
        tests=("core/test_retry.py",),
    ),
    # Lanes
    Mutant(
        name="a head at the watermark itself is sent",
        file="store/queue/leasing.py",
        old="head.place >= head.drained",
        new="head.place > head.drained",
        tests=(STORE + "test_places.py",),
    ),
    Mutant(
        name="lanes are leased by number, not by waiting time",
        file="store/queue/candidates.py",
        old=".where(*_DUE, kind)\n        .order_by(_lane.next_at)",
        new=".where(*_DUE, kind)\n        .order_by(_lane.id)",
        tests=(STORE + "test_lanes_model.py", STORE + "test_limits.py"),
    ),
    Mutant(
        name="the fence grows by two",
        file="store/queue/candidates.py",
        old="fence=_lane.fence + 1",
        new="fence=_lane.fence + 2",
        tests=(STORE + "test_accept.py", STORE + "test_lanes_model.py"),
    ),
    # The writer
    Mutant(
        name="the writer waits although requests can be drained",
        file="store/writer/loop.py",
        old="self.handover.is_wanted:\n                return 0\n",
        new="self.handover.is_wanted:\n                return self._timing.spool_poll_s\n",
        tests=(STORE + "test_writer.py", STORE + "test_places.py"),
        equivalent="it only makes draining slower: the writer polls while requests are spooled",
    ),
    Mutant(
        name="a failure that takes long is repeated at once",
        file="store/writer/outage.py",
        old="min(timing.database_retry_max_s, max(timing.database_retry_min_s, now - started))",
        new="timing.database_retry_min_s",
        tests=(STORE + "test_writer.py", STORE + "test_back_off.py"),
    ),
    Mutant(
        name="the host's clock is taken for the engine's",
        file="store/writer/places.py",
        old="return engine_ms - host_ms if abs(engine_ms - host_ms) > EXACT_MS else 0",
        new="return 0",
        tests=("flow/test_clocks.py", STORE + "test_steady_clock.py", STORE + "test_places.py"),
    ),
    Mutant(
        name="a request overtakes those in the spool",
        file="store/writer/loop.py",
        old="if batch.arrivals and self._spool.backlog:",
        new="if False:",
        tests=(STORE + "test_writer.py",),
    ),
    # Retention
    Mutant(
        name="a lane whose lease ends now is deleted a moment later",
        file="store/retention.py",
        old="lane.lease_until < now,",
        new="lane.lease_until <= now,",
        tests=(STORE + "test_retention.py",),
        equivalent="a lane with `next_at` NULL has no lease: both values are 0 by then",
    ),
    Mutant(
        name="claims are deleted before their decisions",
        file="store/retention.py",
        old="max(keep.effects, keep.decisions)",
        new="keep.effects",
        tests=(STORE + "test_retention.py",),
    ),
    # Deduplication
    Mutant(
        name="a deletion of the same batch is not seen",
        file="core/dedup/requests.py",
        old="known.update(((event.site, effect.identity), event.id) for effect in event.effects)",
        new="pass",
        tests=(STORE + "test_accept.py", "core/test_dedup.py", "core/test_dedup_laws.py"),
    ),
    Mutant(
        name="a complete event ends thin ones of other hooks",
        file="core/dedup/draft.py",
        old="if (waiting.hook, waiting.site) == (event.hook, event.site)",
        new="if waiting.site == event.site",
        tests=(STORE + "test_accept.py", STORE + "test_offers.py", "core/test_dedup.py"),
    ),
    Mutant(
        name="the body of a duplicate that may be fuller is not kept",
        file="store/inbox/rows.py",
        old="if outcome != VerdictName.DUPLICATE or _may_be_fuller(event) else None",
        new="if outcome != VerdictName.DUPLICATE else None",
        tests=(STORE + "test_accept.py", STORE + "test_offers.py", "flow/test_offered.py",
               "flow/test_carriers.py", "flow/test_order.py"),
    ),
    Mutant(
        name="after a grace, a verdict without a destination is chosen first",
        file="core/grace.py",
        old="    others.sort(key=lambda verdict: not verdict.destination)\n",
        new="",
        tests=("core/test_grace.py", "flow/test_worker.py", "flow/test_deliver.py"),
    ),
    # The spool
    Mutant(
        name="segments are adopted in the order of their names",
        file="store/spool.py",
        old="        adopted.sort(key=lambda segment: _first(segment[1]))\n",
        new="",
        tests=(STORE + "test_spool.py",),
    ),
    Mutant(
        name="a torn record stays",
        file="store/spool.py",
        old="                file.truncate(size)\n",
        new="                pass\n",
        tests=(STORE + "test_spool.py",),
    ),
    Mutant(
        name="one worker takes all wake-ups",
        file="store/wakeups.py",
        old="self._pending[destination] = max(0, left - 1)",
        new="self._pending[destination] = 0",
        tests=(STORE + "test_wakeups.py",),
    ),
    # Doors, mapping, log
    Mutant(
        name="the last of several query parameters counts",
        file="web/hooks.py",
        old="for name, value in reversed(pairs)",
        new="for name, value in pairs",
        tests=("edges/web/test_web_hooks.py",),
    ),
    Mutant(
        name="`unmapped: drop` forgets that a key belongs to the project",
        file="core/mapping.py",
        old='return "project" if name == "issuekey" else name',
        new="return name",
        tests=("core/test_mapping.py",),
    ),
    Mutant(
        name="a moved issue keeps its new project before the move",
        file="core/jira_body.py",
        old="    if moved:\n",
        new="    if False:\n",
        tests=("core/test_decide.py", "flow/test_deliver.py"),
    ),
    Mutant(
        name="the log follows without a window",
        file="desk/decisions.py",
        old="since = store.now() - WINDOW_MS",
        new="since = store.now()",
        tests=("edges/desk/test_desk_decisions.py",),
    ),
    Mutant(
        name="a single filtered verdict is joined with itself",
        file="store/history/entries.py",
        old="if strong or len(picked) < 2:",
        new="if strong or len(picked) < 1:",
        tests=(STORE + "test_history.py", "edges/desk/test_desk_decisions.py"),
        equivalent="one verdict joined with itself is the same verdict",
    ),
    # Sending
    Mutant(
        name="a replaced token pauses the destination",
        file="delivery/deliver.py",
        old="return target is None or target.token == self.target.token",
        new="return True",
        tests=("flow/test_worker.py", "flow/test_outage.py", "flow/test_deliver.py"),
    ),
    Mutant(
        name="one address gets all the time there is",
        file="destinations/aha/http.py",
        old="share = deadline.left() / (len(addresses) - position)",
        new="share = deadline.left()",
        tests=("edges/destinations/test_aha_destination.py",),
    ),
    Mutant(
        name="large bodies are judged on the event loop",
        file="web/asgi.py",
        old="if len(request.body) <= LARGE_BODY_BYTES and ENCODING not in request.headers:",
        new="if ENCODING not in request.headers:",
        tests=("edges/web/test_web_asgi.py",),
    ),
    Mutant(
        name="several large bodies are read at a time",
        file="intake.py",
        old="        if len(request.body) <= LARGE_BODY_BYTES:\n",
        new="        if True:\n",
        tests=("flow/test_intake.py", "flow/test_reading.py"),
    ),
)  # fmt: skip


def copy(target: Path) -> None:
    """Copy the files that git knows, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def judge(mutant: Mutant, tree: Path) -> tuple[str, str]:
    """Plant a mistake, run its tests and take it back; returns the result and what shows it."""
    path = tree / "bridge" / mutant.file
    text = path.read_text("utf-8") if path.exists() else ""
    if text.count(mutant.old) != 1:
        return "stale", f"{text.count(mutant.old)} places to change"
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        return run(mutant, tree)
    finally:
        path.write_text(text, "utf-8")


def run(mutant: Mutant, tree: Path) -> tuple[str, str]:
    """Run the tests of a mistake in a tree."""
    tests = [name for name in mutant.tests if (tree / "tests" / name).exists()]
    command = ["pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-m", "not postgres and not crash", *(f"tests/{name}" for name in tests)]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed", "the tests do not end"
    if ended.returncode == 1:
        failed = [
            line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
        ]
        return "killed", failed[0].split(" - ")[0] if failed else ""
    last = (ended.stdout.strip() or ended.stderr.strip() or "no output").splitlines()[-1]
    return ("survived" if ended.returncode == 0 else "broken"), last


def results(chosen: list[Mutant]) -> Iterator[tuple[Mutant, str, str]]:
    """Judge mistakes in one copy of the tree; gives each with its result."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy(tree)
        for mutant in chosen:
            result, detail = judge(mutant, tree)
            if result == "survived" and mutant.equivalent:
                result, detail = "equivalent", mutant.equivalent
            yield mutant, result, detail


def main() -> int:
    parser = argparse.ArgumentParser(description="Plant mistakes, and see whether tests notice.")
    parser.add_argument("--only", default="", help="a text in the name or the file")
    only = parser.parse_args().only
    bad, began = 0, time.monotonic()
    chosen = [mutant for mutant in MUTANTS if only in mutant.name or only in mutant.file]
    for mutant, result, detail in results(chosen):
        bad += result not in ("killed", "equivalent")
        print(f"{result:11}{mutant.file}: {mutant.name}\n           {detail}", flush=True)
    print(f"{len(chosen)} mutants, {bad} not killed, in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
