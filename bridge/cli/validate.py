"""Commands that check and explain without changing anything: check, explain, jql."""

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
from bridge.cli import context, output
from bridge.cli.errors import CommandError
from bridge.cli.options import Instant, as_json, now, with_settings
from bridge.core import bodies
from bridge.core import jql as language
from bridge.core.jql.syntax import And, Node, Not, Or, Query
from bridge.desk import explain as explaining
from bridge.desk.explain import Course, Explanation, Outcome
from bridge.errors import BadFilter, NotFound, Unreadable
from bridge.model import Clause, Event, Site, Verdict

#: How the three values of a filter are printed.
_ANSWERS = {True: "true", False: "false", None: "unknown"}
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


@click.command()
@with_settings("mappings")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@as_json
def check(*, strict: bool, as_json: bool, **flags: object) -> None:
    """Check the mappings and report every problem in them.

    Each problem is printed as file:line:column with its correction. Exits with 1 on
    errors.
    """
    folder = context.settings(**flags).mappings
    loaded = config.load(folder, os.environ)
    problems = (*loaded.problems, *config.unknown_variables(os.environ, loaded.variables))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    failed = bool(errors or (strict and warnings))
    if as_json:
        rows = [
            {name: getattr(p, name) for name in ("file", "line", "column", "severity", "message")}
            for p in problems
        ]
        output.json_line(
            {"ok": not failed, "errors": errors, "warnings": warnings, "problems": rows}
        )
    else:
        for problem in problems:
            click.echo(str(problem))
        routes = None if loaded.configuration is None else len(loaded.configuration.routes)
        click.echo(_summary(errors, warnings, routes))
    sys.exit(1 if failed else 0)


def _summary(errors: int, warnings: int, routes: int | None) -> str:
    found = [_count(errors, "error"), _count(warnings, "warning")]
    if routes is not None and not errors:
        found.insert(0, _count(routes, "route"))
    return ", ".join(found)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--hook", default="", help="The hook that received the body.  [default: the first of Jira]"
)
@click.option("--now", "at", type=Instant(), help="When the body arrived.  [default: now]")
@click.option("--body", is_flag=True, help="Also print the body that would be sent.")
@with_settings("mappings")
@as_json
def explain(
    *, file: IO[bytes], hook: str, at: int | None, body: bool, as_json: bool, **flags: object
) -> None:
    """Show what the bridge would do with a webhook body, by stage and by clause of the filter.

    FILE holds the raw body; `-` reads it from stdin. Nothing is sent and the database is not read:
    no earlier body of the issue is known, and this one counts as the newest.
    """
    plan = context.plan(context.settings(**flags).mappings)
    found = explaining.hook_for(plan, hook)
    if not hook and not as_json:
        click.echo(f"as if through the hook {found.name} (choose another with --hook)")
    explained = explaining.explain(plan, found, file.read(), now() if at is None else at)
    if as_json:
        data = explaining.as_dict(explained, body=body)
        output.json_line(data[0] if len(data) == 1 else data)
        return
    for each in explained:
        for line in _explanation(each, body=body):
            click.echo(line)


def _explanation(explained: Explanation, *, body: bool) -> Iterator[str]:
    if explained.event is None:
        yield f"{click.style('rejected', fg='red')}: {_escape(explained.rejected)}"
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
    yield _escape(f"{event.name}{about}{who}")
    for effect in event.effects:
        private = ", private" if effect.private else ""
        yield _escape(f"  effect {effect.identity} ({effect.event}{private})")
    if event.empty:
        yield _escape(f"  no effect: {event.empty}")


def _course(course: Course, *, body: bool) -> Iterator[str]:
    what = f": {course.description}" if course.description else ""
    yield click.style(_escape(f"route {course.route}{what}"), bold=True)
    for step in course.steps:
        why = f"  {step.why}" if step.why else ""
        yield _escape(f"  {step.stage:<16} {step.outcome}{why}")
    yield from _clauses(course.clauses, "    ")
    for outcome in course.outcomes:
        yield from _outcome(outcome, course, body=body)


def _clauses(clauses: Iterable[Clause], margin: str) -> Iterator[str]:
    for clause in clauses:
        mark, colour = _MARKS[clause.value]
        why = f"  ({clause.why})" if clause.why else ""
        text = _escape(f"{clause.text}{why}")
        yield f"{margin}{'  ' * clause.depth}{click.style(mark, fg=colour)} {text}"


def _outcome(outcome: Outcome, course: Course, *, body: bool) -> Iterator[str]:
    verdict, then = outcome.verdict, outcome.then
    why = f"{_escape(verdict.reason)} [{verdict.stage}]"
    yield f"  -> {verdict.destination}: {_verdict_word(verdict)}: {why}"
    if then is not None:
        wait = "if nothing fuller comes, and " if course.waits else ""
        policy = f"`unknown: [{', '.join(course.unknown)}]`"
        last = f"{_verdict_word(then)} ({policy}) [{then.stage}]"
        yield f"     {wait}if nothing is remembered of it: {last}"
    if outcome.error:
        yield f"     it would be parked: {_escape(outcome.error)}"
    if body and outcome.body is not None:
        shown = orjson.dumps(outcome.body, option=orjson.OPT_INDENT_2).decode()
        yield from map(_escape, shown.split("\n"))


def _verdict_word(verdict: Verdict) -> str:
    return click.style(verdict.name.value, fg=output.COLOURS.get(verdict.name))


def _escape(text: str) -> str:
    """Remove markup and control characters from text of the body or the mappings."""
    return output.escape(text).plain


# JQL


@click.command()
@click.argument("query")
@click.option(
    "--against", type=click.File("rb"), help="A file with a webhook body to evaluate, or `-`."
)
@click.option("--site", default="", help="The site whose time zone and custom fields apply.")
@click.option("--now", "at", type=Instant(), help="The time of evaluation.  [default: now]")
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
    """Parse a filter and print its tree, or evaluate it on a webhook body with an explanation.

    Without --site, times are in UTC and custom fields cannot be named. With `-` as QUERY, filters
    are read from stdin, one JSON string a line. Exits with 1 if the filter is invalid or the body
    does not match.
    """
    if query == "-":
        if against is not None:
            raise click.UsageError("--against evaluates one filter, not those of stdin.")
        _check_stdin(as_json=as_json)
        return
    if against is None:
        _print_tree(query, as_json=as_json)
        return
    found = _site(site, context.settings(**flags).mappings)
    _evaluate(query, found, _body(against), now() if at is None else at, as_json=as_json)


def _print_tree(query: str, *, as_json: bool) -> None:
    if as_json:
        result = language.verdict(query)
        click.echo(json.dumps(result))
        sys.exit(0 if result["valid"] else 1)
    try:
        parsed = language.parse(query)
    except BadFilter as error:
        raise CommandError(language.caret(error)) from error
    click.echo("\n".join(_tree(parsed)))


def _tree(query: Query) -> Iterator[str]:
    if query.where is None:
        yield "everything"
    else:
        yield from _branch(query.where, "")
    for sort in query.order_by:
        yield _escape(f"ORDER BY {sort} (changes nothing)")


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
            yield margin + _escape(str(node))


def _check_stdin(*, as_json: bool) -> None:
    """Print one result for each line of stdin, as soon as the line is read."""
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        result = _verdict(line)
        if as_json:
            click.echo(json.dumps(result))
        else:
            message = "valid" if result["valid"] else f"invalid: {result['errors'][0]['message']}"
            click.echo(message)


def _verdict(line: bytes) -> dict[str, Any]:
    """Check the filter in a line of stdin; a line that is not a JSON string is invalid."""
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
    sites = context.plan(folder).configuration.sites
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


def _evaluate(query: str, site: Site, body: Mapping[str, Any], at: int, *, as_json: bool) -> None:
    try:
        compiled = language.compile(query, site, lookup=True)
    except BadFilter as error:
        raise CommandError(language.caret(error)) from error
    answer, clauses = compiled.match(body, at), compiled.explain(body, at)
    if as_json:
        data = {"answer": _ANSWERS[answer.value], "value": answer.value, "why": answer.why}
        output.json_line(data | {"clauses": [asdict(clause) for clause in clauses]})
    else:
        for offset, message in compiled.warnings:
            click.echo(f"warning: character {offset + 1}: {message}", err=True)
        click.echo(_escape(f"{_ANSWERS[answer.value]}: {answer.why}"))
        for line in _clauses(clauses, "  "):
            click.echo(line)
    sys.exit(0 if answer.value else 1)
