"""Commands that judge and touch nothing: check, explain, jql."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click
import orjson

from bridge import config
from bridge.cli import opening, screen
from bridge.cli.failing import Told
from bridge.cli.options import Instant, as_json, now, with_settings
from bridge.core import bodies
from bridge.core import jql as language
from bridge.core.jql.syntax import And, Node, Not, Or, Query
from bridge.desk import explain as explaining
from bridge.desk.explain import Course, Explanation, Outcome
from bridge.errors import BadFilter, NotFound, Unreadable
from bridge.model import Clause, Event, Site, Verdict

#: How a filter's answers are shown.
_ANSWERS = {True: "true", False: "false", None: "unknown"}
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


@click.command()
@with_settings("mappings")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@as_json
def check(*, strict: bool, as_json: bool, **flags: object) -> None:
    """Check the mappings, and say everything that is wrong with them.

    Each line is file:line:column and what to do about it. Exits with 1 if there are errors.
    """
    folder = opening.settings(**flags).mappings
    loaded = config.load(folder, os.environ)
    problems = (*loaded.problems, *config.unknown_variables(os.environ, loaded.variables))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    failed = bool(errors or (strict and warnings))
    if as_json:
        told = [
            {name: getattr(p, name) for name in ("file", "line", "column", "severity", "message")}
            for p in problems
        ]
        screen.json_line(
            {"ok": not failed, "errors": errors, "warnings": warnings, "problems": told}
        )
    else:
        for problem in problems:
            click.echo(str(problem))
        routes = None if loaded.configuration is None else len(loaded.configuration.routes)
        click.echo(_summary(errors, warnings, routes))
    sys.exit(1 if failed else 0)


def _summary(errors: int, warnings: int, routes: int | None) -> str:
    found = [_counted(errors, "error"), _counted(warnings, "warning")]
    if routes is not None and not errors:
        found.insert(0, _counted(routes, "route"))
    return ", ".join(found)


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--hook", default="", help="The hook it came through.  [default: Jira's first]")
@click.option("--now", "at", type=Instant(), help="When it came.  [default: now]")
@click.option("--body", is_flag=True, help="Also print what would be sent.")
@with_settings("mappings")
@as_json
def explain(
    *, file: IO[bytes], hook: str, at: int | None, body: bool, as_json: bool, **flags: object
) -> None:
    """Say what would become of a webhook body: stage by stage, and the filter clause by clause.

    FILE holds the body as it was sent; `-` reads it from stdin. Nothing is sent, and the database
    is not looked at: nothing is remembered of the issue, and the body is taken for its newest.
    """
    plan = opening.plan(opening.settings(**flags).mappings)
    found = explaining.hook_for(plan, hook)
    if not hook and not as_json:
        click.echo(f"as if through the hook {found.name} (another one: --hook)")
    explained = explaining.explain(plan, found, file.read(), now() if at is None else at)
    if as_json:
        told = explaining.as_dict(explained, body=body)
        screen.json_line(told[0] if len(told) == 1 else told)
        return
    for each in explained:
        for line in _explanation(each, body=body):
            click.echo(line)


def _explanation(explained: Explanation, *, body: bool) -> Iterator[str]:
    if explained.event is None:
        yield f"{click.style('rejected', fg='red')}: {_plain(explained.rejected)}"
        return
    yield from _event(explained.event)
    if not explained.courses:
        yield f"no route reads from the hook {explained.hook}: filtered"
    for course in explained.courses:
        yield ""
        yield from _course(course, body=body)


def _event(event: Event) -> Iterator[str]:
    who = f" by {event.actor}" if event.actor else ""
    about = f" about {event.key or event.record}" if event.key or event.record else ""
    yield _plain(f"{event.name}{about}{who}")
    for effect in event.effects:
        private = ", private" if effect.private else ""
        yield _plain(f"  effect {effect.identity} ({effect.event}{private})")
    if event.empty:
        yield _plain(f"  no effect: {event.empty}")


def _course(course: Course, *, body: bool) -> Iterator[str]:
    what = f": {course.description}" if course.description else ""
    yield click.style(_plain(f"route {course.route}{what}"), bold=True)
    for step in course.steps:
        why = f"  {step.why}" if step.why else ""
        yield _plain(f"  {step.stage:<16} {step.outcome}{why}")
    yield from _clauses(course.clauses, "    ")
    for outcome in course.outcomes:
        yield from _outcome(outcome, course, body=body)


def _clauses(clauses: Iterable[Clause], margin: str) -> Iterator[str]:
    for clause in clauses:
        mark, colour = _MARKS[clause.value]
        why = f"  ({clause.why})" if clause.why else ""
        text = _plain(f"{clause.text}{why}")
        yield f"{margin}{'  ' * clause.depth}{click.style(mark, fg=colour)} {text}"


def _outcome(outcome: Outcome, course: Course, *, body: bool) -> Iterator[str]:
    verdict, then = outcome.verdict, outcome.then
    why = f"{_plain(verdict.reason)} [{verdict.stage}]"
    yield f"  -> {verdict.destination}: {_verdict_word(verdict)}: {why}"
    if then is not None:
        wait = "if nothing fuller comes, and " if course.waits else ""
        told = f"`unknown: [{', '.join(course.unknown)}]`"
        last = f"{_verdict_word(then)} ({told}) [{then.stage}]"
        yield f"     {wait}if nothing is remembered of it: {last}"
    if outcome.error:
        yield f"     it would be parked: {_plain(outcome.error)}"
    if body and outcome.body is not None:
        shown = orjson.dumps(outcome.body, option=orjson.OPT_INDENT_2).decode()
        yield from map(_plain, shown.split("\n"))


def _verdict_word(verdict: Verdict) -> str:
    return click.style(verdict.name.value, fg=screen.COLOURS.get(verdict.name))


def _plain(text: str) -> str:
    """Let nothing that others wrote speak to the terminal."""
    return screen.plain(text).plain


# JQL


@click.command()
@click.argument("query")
@click.option("--against", type=click.File("rb"), help="A webhook body to judge, or -.")
@click.option("--site", default="", help="The site whose time zone and fields count.")
@click.option("--now", "at", type=Instant(), help="The instant that counts.  [default: now]")
@with_settings("mappings")
@as_json
def jql(
    *,
    query: str,
    against: IO[bytes] | None,
    site: str,
    at: int | None,
    as_json: bool,
    **flags: object,
) -> None:
    """Parse a filter and print its tree; or judge a webhook body by it, and say why.

    Without --site nothing is known of the Jira: times are UTC, and custom fields have no names.
    As QUERY, `-` reads one filter a line from stdin, each a JSON string. Exits with 1 when the
    filter cannot be used, or when the body is not let through.
    """
    if query == "-":
        if against is not None:
            raise click.UsageError("--against judges one filter, not those of stdin.")
        _many(as_json=as_json)
        return
    if against is None:
        _outline(query, as_json=as_json)
        return
    found = _site(site, opening.settings(**flags).mappings)
    _judge(query, found, _body(against), now() if at is None else at, as_json=as_json)


def _outline(query: str, *, as_json: bool) -> None:
    if as_json:
        said = language.verdict(query)
        click.echo(json.dumps(said))
        sys.exit(0 if said["valid"] else 1)
    try:
        parsed = language.parse(query)
    except BadFilter as error:
        raise Told(language.caret(error)) from error
    click.echo("\n".join(_tree(parsed)))


def _tree(query: Query) -> Iterator[str]:
    if query.where is None:
        yield "everything"
    else:
        yield from _branch(query.where, "")
    for sort in query.order_by:
        yield _plain(f"ORDER BY {sort} (changes nothing)")


def _branch(node: Node, margin: str) -> Iterator[str]:
    match node:
        case Not(part=part):
            yield f"{margin}NOT"
            yield from _branch(part, f"{margin}  ")
        case And(parts=parts) | Or(parts=parts):
            yield f"{margin}{'AND' if isinstance(node, And) else 'OR'}"
            for part in parts:
                yield from _branch(part, f"{margin}  ")
        case _:
            yield margin + _plain(str(node))


def _many(*, as_json: bool) -> None:
    """Answer each line of stdin by a line, as soon as it is there."""
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        said = _verdict(line)
        if as_json:
            click.echo(json.dumps(said))
        else:
            click.echo("valid" if said["valid"] else f"invalid: {said['errors'][0]['message']}")


def _verdict(line: bytes) -> dict[str, Any]:
    try:
        query = json.loads(line)
    except ValueError as error:
        message = f"not a JSON string: {error}"
    else:
        if isinstance(query, str):
            return language.verdict(query)
        message = f"not a JSON string, but {type(query).__name__}"
    found = {"line": None, "col": None, "message": message}
    return {"valid": False, "errors": [found], "ast": None}


def _site(name: str, folder: Path) -> Site:
    if not name:
        return Site(name="")
    sites = opening.plan(folder).configuration.sites
    if name not in sites:
        raise NotFound(f"there is no site {name}; there are: {', '.join(sites)}")
    return sites[name]


def _body(file: IO[bytes]) -> Mapping[str, Any]:
    try:
        body = bodies.read(file.read()).value
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"{file.name} is not JSON: {error}") from error
    except bodies.TooMuch as error:
        raise Unreadable(f"{file.name} cannot be read: {error}") from error
    if not isinstance(body, dict):
        raise Unreadable(f"{file.name} is JSON, but not an object")
    return body


def _judge(query: str, site: Site, body: Mapping[str, Any], at: int, *, as_json: bool) -> None:
    try:
        compiled = language.compile(query, site, lookup=True)
    except BadFilter as error:
        raise Told(language.caret(error)) from error
    answer, clauses = compiled.match(body, at), compiled.explain(body, at)
    if as_json:
        told = {"answer": _ANSWERS[answer.value], "value": answer.value, "why": answer.why}
        screen.json_line(told | {"clauses": [asdict(clause) for clause in clauses]})
    else:
        for offset, message in compiled.warnings:
            click.echo(f"warning: character {offset + 1}: {message}", err=True)
        click.echo(_plain(f"{_ANSWERS[answer.value]}: {answer.why}"))
        for line in _clauses(clauses, "  "):
            click.echo(line)
    sys.exit(0 if answer.value else 1)
