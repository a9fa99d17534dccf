"""Commands to try the bridge out: demo, sandbox."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable

import click
from rich.text import Text

from bridge.cli import output
from bridge.cli.options import as_json
from bridge.cli.stop_signal import stop_event
from bridge.demo import run
from bridge.demo.run import Decision, Summary
from bridge.demo.stage import Stage, open_stage
from bridge.sandbox import Integration, Sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8090, show_default=True, help="The port; 0 takes any free one.")
@click.option("--token", "tokens", multiple=True, help="A callback token.  [default: a new one]")
@click.option("--latency", default=0, show_default=True, help="Delay before each answer, in ms.")
@click.option(
    "--fail", metavar="STATUS:SHARE", help="Fail a share of the requests, such as 500:0.1."
)
def sandbox(
    *, host: str, port: int, tokens: tuple[str, ...], latency: int, fail: str | None
) -> None:
    """Run a stand-in for Aha!, which like Aha! writes every comment each time it is sent."""
    accepted = tokens or (secrets.token_hex(24),)
    aha = Sandbox(*(Integration(token=token) for token in accepted))
    aha.behave(latency_ms=latency, **_failures(fail))
    stop = stop_event()
    root = aha.start(host, port)  # exits with a message when the port is taken
    click.echo(f"Aha! stand-in  {root}")
    click.echo(f"comments       {root}/sandbox")
    for token in accepted if not tokens else ():
        click.echo(f"callback       {root}/api/v1/webhooks/{token}")
    stop.wait()
    aha.stop()


def _failures(option: str | None) -> dict[str, float]:
    if option is None:
        return {}
    status, _, share = option.partition(":")
    try:
        return {"fail_status": int(status), "fail_share": float(share or 1)}
    except ValueError as error:
        raise click.BadParameter("is like 500:0.1", param_hint="--fail") from error


@click.command()
@click.option("--issues", default=40, show_default=True, help="Number of issues.")
@click.option(
    "--seed", default=7, show_default=True, help="Another seed gives another day of events."
)
@click.option("--fast", is_flag=True, help="Send everything without pauses.")
@click.option("--keep", is_flag=True, help="Keep the bridge running afterwards, until Ctrl-C.")
@as_json
def demo(*, issues: int, seed: int, fast: bool, keep: bool, as_json: bool) -> None:
    """Run the whole bridge on this machine, with invented Jira traffic and a stand-in for Aha!.

    Two Jiras report a day's work, one of them through two overlapping webhooks. Each decision is
    shown as it is made, and a summary follows. Exits with 1 if anything was lost or doubled.
    """
    with open_stage(os.environ) as stage:
        if not as_json:
            click.echo(
                f"the bridge runs at {stage.url}, a stand-in for Aha! at {stage.aha_url}/sandbox"
            )
        show = _ignore if as_json else _printer()
        summary = run.play(stage, issues=issues, seed=seed, fast=fast, show=show)
        if as_json:
            output.json_line(run.as_dict(summary))
        else:
            _print_summary(summary)
        if keep:
            _keep_open(stage)
    sys.exit(0 if summary.good else 1)


def _ignore(_: Decision) -> None:
    pass


def _printer() -> Callable[[Decision], None]:
    console = output.console()

    def show(decision: Decision) -> None:
        line = decision.line
        what = decision.note or f"{line.key or line.record} {line.name}"
        row = Text("  ").join(
            [
                Text(f"{decision.at:5.1f}s", "bright_black"),
                output.colour(f"{line.verdict:<9}", line.verdict),
                output.escape(f"{line.hook:<11}"),
                output.escape(what),
                output.escape(line.reason, "bright_black"),
            ]
        )
        console.print(row, no_wrap=True, overflow="ellipsis", soft_wrap=not console.is_terminal)

    return show


def _print_summary(summary: Summary) -> None:
    console = output.console()
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
        console.print(output.escape(f"still on its way to {name}: {dict(count)}"))
    console.print(f"in {summary.seconds:.1f} s")


def _keep_open(stage: Stage) -> None:
    stop = stop_event()
    click.echo(f"\nbridge    {stage.url}")
    click.echo(f"Aha!      {stage.aha_url}/sandbox")
    click.echo(f"log       aha-bridge log --database {stage.settings['BRIDGE_DATABASE']}")
    for name, hook in stage.plan.configuration.hooks.items():
        click.echo(f"webhook   {stage.url}/api/v1/webhooks/{hook.token}  {name}")
    click.echo("Ctrl-C stops it.")
    stop.wait()
