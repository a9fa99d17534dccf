"""Commands to try the bridge with: demo, sandbox."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable

import click
from rich.text import Text

from bridge.cli import ending, screen
from bridge.cli.options import as_json
from bridge.demo import run
from bridge.demo.run import Happening, Summary
from bridge.demo.stage import Stage, staged
from bridge.sandbox import Integration, Sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8090, show_default=True, help="The port; 0 takes any free one.")
@click.option("--token", "tokens", multiple=True, help="A callback token.  [default: a new one]")
@click.option("--latency", default=0, show_default=True, help="How long an answer takes, in ms.")
@click.option("--fail", metavar="STATUS:SHARE", help="Fail a part of the requests: 500:0.1.")
def sandbox(
    *, host: str, port: int, tokens: tuple[str, ...], latency: int, fail: str | None
) -> None:
    """Run a stand-in for Aha!, which writes what it is told, each time it is told."""
    accepted = tokens or (secrets.token_hex(24),)
    made = Sandbox(*(Integration(token=token) for token in accepted))
    made.behave(latency_ms=latency, **_failing(fail))
    asked = ending.asked()
    root = made.start(host, port)  # ends this process, and says why, when the port is taken
    click.echo(f"Aha! stand-in  {root}")
    click.echo(f"what it wrote  {root}/sandbox")
    for token in accepted if not tokens else ():
        click.echo(f"callback       {root}/api/v1/webhooks/{token}")
    asked.wait()
    made.stop()


def _failing(told: str | None) -> dict[str, float]:
    if told is None:
        return {}
    status, _, share = told.partition(":")
    try:
        return {"fail_status": int(status), "fail_share": float(share or 1)}
    except ValueError as error:
        raise click.BadParameter("is like 500:0.1", param_hint="--fail") from error


@click.command()
@click.option("--issues", default=40, show_default=True, help="How much happens.")
@click.option("--seed", default=7, show_default=True, help="Another one makes up another day.")
@click.option("--fast", is_flag=True, help="Send without pauses.")
@click.option("--keep", is_flag=True, help="Leave it running afterwards, until Ctrl-C.")
@as_json
def demo(*, issues: int, seed: int, fast: bool, keep: bool, as_json: bool) -> None:
    """Run the whole bridge on this machine, with made-up Jiras and a stand-in for Aha!.

    Two Jiras tell of a day's work, one of them through two overlapping hooks; what was decided is
    shown as it happens, and in the end it is counted. Exits with 1 if anything was lost or doubled.
    """
    with staged(os.environ) as stage:
        if not as_json:
            click.echo(
                f"the bridge is at {stage.url}, a stand-in for Aha! at {stage.aha_url}/sandbox"
            )
        tell = _silent if as_json else _shown()
        summary = run.play(stage, issues=issues, seed=seed, fast=fast, tell=tell)
        if as_json:
            screen.json_line(run.told(summary))
        else:
            _summed_up(summary)
        if keep:
            _kept_open(stage)
    sys.exit(0 if summary.good else 1)


def _silent(_: Happening) -> None:
    pass


def _shown() -> Callable[[Happening], None]:
    console = screen.console()

    def show(happening: Happening) -> None:
        line = happening.line
        what = happening.note or f"{line.key or line.record} {line.name}"
        row = Text("  ").join(
            [
                Text(f"{happening.at:5.1f}s", "bright_black"),
                screen.word(f"{line.verdict:<9}", line.verdict),
                screen.plain(f"{line.hook:<11}"),
                screen.plain(what),
                screen.plain(line.reason, "bright_black"),
            ]
        )
        console.print(row, no_wrap=True, overflow="ellipsis", soft_wrap=not console.is_terminal)

    return show


def _summed_up(summary: Summary) -> None:
    console = screen.console()
    parts = {"delivered": "deliver", "duplicates": "duplicate", "echoes": "echo"}
    named = {verdict: name for name, verdict in parts.items()}
    counts = {n: c for n, c in summary.status.verdicts.items() if c}
    account = " + ".join(f"{count} {named.get(name, name)}" for name, count in counts.items())
    console.print(f"\n{summary.status.received} received = {account}", soft_wrap=True)
    console.print(
        f"{summary.written} comments written by Aha!, {summary.doubled} of them twice; without the "
        f"bridge {summary.naive_written}, {summary.naive_doubled} of them twice",
        soft_wrap=True,
    )
    lost = ", ".join(f"{site} comment {name}" for site, name in summary.lost)
    console.print(f"{len(summary.lost)} comments or edits lost{': ' if lost else ''}{lost}")
    if summary.unwanted:
        console.print(f"{len(summary.unwanted)} comments that should not have been written")
    for name, count in summary.status.totals.open.items():
        console.print(screen.plain(f"still on its way to {name}: {dict(count)}"))
    console.print(f"in {summary.seconds:.1f} s")


def _kept_open(stage: Stage) -> None:
    asked = ending.asked()
    click.echo(f"\nbridge    {stage.url}")
    click.echo(f"Aha!      {stage.aha_url}/sandbox")
    click.echo(f"log       aha-bridge log --database {stage.settings['BRIDGE_DATABASE']}")
    for name, hook in stage.plan.configuration.hooks.items():
        click.echo(f"webhook   {stage.url}/api/v1/webhooks/{hook.token}  {name}")
    click.echo("Ctrl-C ends it.")
    asked.wait()
