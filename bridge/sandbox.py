"""A stand-in for Aha!, to try the bridge against: it writes what it is told, each time it is told.

Like the real one it never recognises a comment that it has already written, answers 200 also for
what it could not use, and 410 for a token that it does not know. It lists what it wrote at
`/sandbox/writes` (JSON) and `/sandbox` (a page), what its records hold by now at
`/sandbox/records` (JSON), and misbehaves as `/sandbox/control` says.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Flask, Response, render_template, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from bridge.core.changelog import changes, setting

#: What Rails takes for its own at the top level of a body; told here as an outsider knows it.
_CLASHES = frozenset({"token", "action", "controller", "format", "webhook", "product_id"})
#: What an `issue_event_type_name` says of the comment beside it; any other: it is new.
_VERBS = {"issue_comment_edited": "updated", "issue_comment_deleted": "deleted"}
_ONLY_RECORDED = "nothing is documented for this: recorded, not written"
_NOTHING_KNOWN = "nothing is documented for this event"
_LONGEST_PAGE = 200
_PAGE_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Integration:
    """A callback token of an Aha! account."""

    token: str = field(repr=False)
    name: str = "integration"
    #: Comments written twice are counted within one account.
    account: str = "sandbox"
    #: 1 or 2: each generation keeps its own records.
    generation: int = 2
    run_as: str = "Integration user"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One thing the stand-in did because it was told to."""

    #: Counts from 1, in the order of writing.
    n: int
    #: In ms since the epoch.
    time: int
    integration: str
    account: str
    generation: int
    run_as: str
    #: comment | record | ignored
    kind: str
    #: created | updated | deleted, or ""
    verb: str = ""
    #: The host of the sender, which ids are unique within.
    site: str = ""
    record: str = ""
    key: str = ""
    comment: str = ""
    text: str = ""
    #: The sender's name of the event.
    event: str = ""
    #: The sender's instant of the event, as told.
    timestamp: object = None
    #: The same comment had been created before.
    double: bool = False
    #: Why it was ignored or only recorded.
    note: str = ""
    body: object = field(default=None, repr=False)


@dataclass(kw_only=True, slots=True)
class Record:
    """What one record holds after all that was told of it.

    Every body's fields are set, whatever event tells them. An edit or deletion of a comment is
    applied if the comment is there, and has no effect otherwise: nothing is documented for either.
    """

    account: str
    generation: int
    #: The host of the sender, which ids are unique within.
    site: str
    record: str
    key: str = ""
    #: The last event about it was its deletion.
    deleted: bool = False
    #: The issue's fields, as they were told last.
    fields: dict[str, Any] = field(default_factory=dict)
    #: What changelogs told last of each field: its id or name, and the text it was set to.
    changed: dict[str, object] = field(default_factory=dict)
    #: The texts of its comments, by the comment's id; several when it was created several times.
    comments: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How the stand-in behaves; of shares, exactly that part of the requests is meant, in turn."""

    #: Each answer takes so long.
    latency_ms: int = 0
    #: What the failing ones are answered, before anything is written.
    fail_status: int = 500
    fail_share: float = 0.0
    #: For a 429, after how many seconds to come again.
    retry_after: int = 1
    #: Written, and never answered.
    hang_share: float = 0.0
    #: Written, and the connection dropped without an answer.
    drop_share: float = 0.0
    #: Written, and answered `lost_status`, as a gateway does that gave up on the application.
    lost_share: float = 0.0
    lost_status: int = 502
    #: Everything is answered 503.
    down: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request that reached the stand-in, whatever came of it."""

    #: In ms since the epoch.
    time: int
    record: str
    key: str


class Sandbox:
    """The stand-in: a WSGI application and what it wrote. Threads may share it."""

    def __init__(self, *integrations: Integration) -> None:
        self.manners = Manners()
        #: Where it is served; "" while it is not.
        self.url = ""
        self._integrations = {one.token: one for one in integrations}
        self._written: list[Written] = []
        self._created: set[tuple[object, ...]] = set()
        self._records: dict[tuple[object, ...], Record] = {}
        self._asked: list[Asked] = []
        #: How records are treated that are not treated as all are, by their keys.
        self._special: dict[str, Manners] = {}
        self._turns: dict[str, float] = {}
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server: BaseWSGIServer | None = None
        self.app = _application(self)

    def writes(self, record: str = "") -> list[Written]:
        """List what was written, of one record or of all, in order."""
        with self._lock:
            return [one for one in self._written if not record or one.record == record]

    def comments(self, record: str = "") -> list[Written]:
        """List the comments created, of one record or of all, in order."""
        made = (one for one in self.writes(record) if one.kind == "comment")
        return [one for one in made if one.verb == "created"]

    def records(self, record: str = "") -> list[Record]:
        """List what the records hold by now: one of them, or all that were ever told of."""
        with self._lock:
            found = [one for one in self._records.values() if not record or one.record == record]
            return deepcopy(found)

    def asked(self, key: str = "") -> list[Asked]:
        """List the requests that came, for one issue key or for all, in order."""
        with self._lock:
            return [one for one in self._asked if not key or one.key == key]

    def doubled(self) -> int:
        """Count the comments that were created although they already had been."""
        return sum(one.double for one in self.comments())

    def add(self, integration: Integration) -> None:
        """Accept one more token."""
        with self._lock:
            self._integrations[integration.token] = integration

    def revoke(self, token: str) -> None:
        """Accept a token no more, if it was accepted."""
        with self._lock:
            self._integrations.pop(token, None)

    def behave(self, **manners: Any) -> Manners:  # noqa: ANN401  # the fields of Manners
        """Change the manners named, as `Manners` has them; the others stay."""
        self.manners = replace(self.manners, **manners)
        return self.manners

    def treat(self, key: str, **manners: Any) -> None:  # noqa: ANN401  # the fields of Manners
        """Treat an issue in its own way; without manners, as all others."""
        with self._lock:
            self._special.pop(key, None)
            if manners:
                self._special[key] = Manners(**manners)

    def integrations(self) -> list[Integration]:
        """List the tokens that are accepted."""
        with self._lock:
            return list(self._integrations.values())

    # --- as a server

    def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve in a thread and return the URL; port 0 is any free one."""
        self._server = make_server(
            host, port, self.app, threaded=True, request_handler=_QuietRequests
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.port}"
        return self.url

    def stop(self) -> None:
        """Stop serving, and let go of whoever still waits; what was written is kept."""
        self.release()
        server, self._server, self.url = self._server, None, ""
        if server is not None:
            server.shutdown()
            server.server_close()

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond `stop` or `release`."""
        self._released.wait(seconds)

    def release(self) -> None:
        """Let go of whoever waits now; whoever comes later waits as before."""
        released, self._released = self._released, threading.Event()
        released.set()

    # --- as Aha!

    def receive(self, token: str, raw: bytes) -> Response:
        """Do what Aha! does with a body, or what the manners want."""
        manners = self._note(raw)
        self.wait(manners.latency_ms / 1000)
        with self._lock:
            integration = self._integrations.get(token)
            failing = self._turn("fail", manners.fail_share)
            dropping = self._turn("drop", manners.drop_share)
            hanging = self._turn("hang", manners.hang_share)
            losing = self._turn("lose", manners.lost_share)
        if manners.down:
            return _said(503, "down for maintenance")
        if integration is None:
            return _said(410, "no such token")
        if failing:
            return _failed(manners)
        self._write(integration, raw)
        if hanging:
            self.wait(600)
        if dropping or hanging:
            _hang_up()
        return _said(manners.lost_status, "lost") if losing else _said(200, "OK")

    def _note(self, raw: bytes) -> Manners:
        """Note that a request came; returns how it is treated."""
        issue = _part(_object(raw) or {}, "issue")
        key = str(issue.get("key") or "")
        now = int(time.time() * 1000)
        with self._lock:
            self._asked.append(Asked(time=now, record=str(issue.get("id") or ""), key=key))
            return self._special.get(key, self.manners)

    def _turn(self, name: str, share: float) -> bool:
        due = self._turns.get(name, 0.0) + share
        self._turns[name] = due - 1 if due >= 1 else due
        return due >= 1

    def _write(self, integration: Integration, raw: bytes) -> None:
        for told in _told(raw):
            with self._lock:
                one = Written(
                    n=len(self._written) + 1,
                    time=int(time.time() * 1000),
                    integration=integration.name,
                    account=integration.account,
                    generation=integration.generation,
                    run_as=integration.run_as,
                    **told,
                )
                this = (one.account, one.generation, one.site, one.comment)
                created = one.kind == "comment" and one.verb == "created"
                self._written.append(replace(one, double=created and this in self._created))
                if created:
                    self._created.add(this)
                self._hold(one)

    def _hold(self, one: Written) -> None:
        """Set a record to what was told of it."""
        if one.kind == "ignored" and one.note != _NOTHING_KNOWN:
            return
        this = (one.account, one.generation, one.site, one.record)
        if this not in self._records:
            self._records[this] = Record(
                account=one.account, generation=one.generation, site=one.site, record=one.record
            )
        _apply(self._records[this], one)


class _QuietRequests(WSGIRequestHandler):
    """No access log: its lines hold the tokens."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def create(*integrations: Integration) -> Flask:
    """Make a stand-in's WSGI application; raises nothing, keeps everything in memory."""
    return Sandbox(*integrations).app


def serve(host: str, port: int, *integrations: Integration) -> Sandbox:
    """Start a stand-in in a thread of its own: it is at its `url`, and `stop` ends it."""
    sandbox = Sandbox(*integrations)
    sandbox.start(host, port)
    return sandbox


# --- what a record holds


def _apply(record: Record, one: Written) -> None:
    body = one.body if isinstance(one.body, dict) else {}
    record.key = one.key or record.key
    record.fields |= _part(_part(body, "issue"), "fields")
    for item in changes(body):
        record.changed[setting(item)] = item.get("toString")
    if one.kind == "record":
        record.deleted = one.verb == "deleted"
    if one.kind == "comment":
        _apply_comment(record.comments, one)


def _apply_comment(comments: dict[str, list[str]], one: Written) -> None:
    if one.verb == "created":
        comments.setdefault(one.comment, []).append(one.text)
    elif one.verb == "deleted":
        comments.pop(one.comment, None)
    elif one.comment in comments:
        comments[one.comment] = [one.text]


# --- reading a body as Aha! would


def _told(raw: bytes) -> Iterator[dict[str, Any]]:
    """Give what a body makes Aha! write, as fields of `Written`: a comment, a record, or both."""
    body = _object(raw)
    if body is None:
        yield {"kind": "ignored", "note": "not a JSON object"}
        return
    issue, comment = _part(body, "issue"), _part(body, "comment")
    event, record = str(body.get("webhookEvent") or ""), str(issue.get("id") or "")
    here = {
        "event": event,
        "timestamp": body.get("timestamp"),
        "record": record,
        "key": str(issue.get("key") or ""),
        "site": _host(comment) or _host(issue),
        "body": body,
    }
    note = _unusable(body, record)
    if note:
        yield {**here, "kind": "ignored", "note": note}
        return
    if comment:
        yield {**here, **_comment(body, comment, event)}
    if event.startswith("jira:issue_") and (not comment or "changelog" in body):
        yield {**here, "kind": "record", "verb": event.rpartition("_")[2]}
    elif not comment:
        yield {**here, "kind": "ignored", "note": _NOTHING_KNOWN}


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _host(part: Mapping[str, Any]) -> str:
    try:
        return urlsplit(str(part.get("self") or "")).netloc
    except ValueError:
        return ""


def _unusable(body: Mapping[str, Any], record: str) -> str:
    clashes = sorted(_CLASHES & body.keys())
    if clashes:
        return f"taken for something of our own: {', '.join(clashes)}"
    return "" if record else "names no issue"


def _comment(body: Mapping[str, Any], comment: Mapping[str, Any], event: str) -> dict[str, Any]:
    verb = _verb(body, comment, event)
    return {
        "kind": "comment",
        "verb": verb,
        "comment": str(comment.get("id") or ""),
        "text": str(comment.get("body") or ""),
        "note": "" if verb == "created" else _ONLY_RECORDED,
    }


def _verb(body: Mapping[str, Any], comment: Mapping[str, Any], event: str) -> str:
    """Tell what happened to a comment: by the event, its kind, or the comment's own instants."""
    if event.startswith("comment_"):
        return event.rpartition("_")[2]
    kind = body.get("issue_event_type_name")
    if kind is None and comment.get("updated") != comment.get("created"):
        return "updated"
    return _VERBS.get(str(kind), "created")


# --- the application


def _application(sandbox: Sandbox) -> Flask:
    app = Flask("bridge.sandbox", template_folder=str(Path(__file__).parent / "web/templates"))

    @app.post("/api/v1/webhooks/<token>")
    def receive(token: str) -> Response:
        return sandbox.receive(token, request.get_data())

    @app.get("/api/v1/webhooks/<token>")
    def check(token: str) -> Response:  # noqa: ARG001  # as at Aha!, it says nothing of the token
        return _said(200, "OK")

    @app.get("/sandbox/writes")
    def writes() -> Response:
        return _listed(sandbox)

    @app.get("/sandbox/records")
    def records() -> Response:
        return _json([asdict(one) for one in sandbox.records(request.args.get("record", ""))])

    @app.get("/sandbox/requests")
    def requests() -> Response:
        return _json([asdict(one) for one in sandbox.asked(request.args.get("key", ""))])

    @app.get("/sandbox")
    def page() -> Response:
        return _page(sandbox)

    @app.post("/sandbox/control")
    def control() -> Response:
        return _controlled(sandbox, request.get_json(silent=True))

    return app


def _said(status: int, text: str) -> Response:
    return Response(text, status=status, mimetype="text/plain")


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status=status, mimetype="application/json")


def _failed(manners: Manners) -> Response:
    answer = _said(manners.fail_status, "failing, as told to")
    if manners.fail_status == 429:
        answer.headers["Retry-After"] = str(manners.retry_after)
    return answer


def _hang_up() -> None:
    """Drop the connection without an answer, where there is one."""
    connection = request.environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(SHUT_RDWR)


def _listed(sandbox: Sandbox) -> Response:
    after = request.args.get("after", 0, type=int)
    rows = [asdict(one) for one in sandbox.writes(request.args.get("record", "")) if one.n > after]
    if not request.args.get("body", 0, type=int):
        for row in rows:
            del row["body"]
    return _json(rows)


def _page(sandbox: Sandbox) -> Response:
    nonce = secrets.token_urlsafe(16)
    writes = sandbox.writes()
    shown = render_template(
        "sandbox.html",
        nonce=nonce,
        integrations=sandbox.integrations(),
        manners=asdict(sandbox.manners),
        total=len(writes),
        comments=len(sandbox.comments()),
        doubled=sandbox.doubled(),
        writes=writes[: -_LONGEST_PAGE - 1 : -1],
    )
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'"
    return Response(shown, headers={**_PAGE_HEADERS, "Content-Security-Policy": policy})


def _controlled(sandbox: Sandbox, told: object) -> Response:
    """Do what a control request says.

    Manners, `fail: {status, share, after}`, `add`, `revoke`, and `treat: {key: manners}`.
    """
    try:
        special = _special(told)
        manners, added, revoked = _wishes(told)
    except (TypeError, ValueError, AttributeError) as error:
        known = ", ".join([*asdict(Manners()), "fail", "add", "revoke", "treat"])
        return _json({"error": f"{error}; known are: {known}"}, 400)
    for integration in added:
        sandbox.add(integration)
    for token in revoked:
        sandbox.revoke(token)
    for key, one in special.items():
        sandbox.treat(key, **one)
    return _json(asdict(sandbox.behave(**manners)))


def _special(told: object) -> dict[str, dict[str, Any]]:
    found = told.pop("treat", {}) if isinstance(told, dict) else {}
    return {str(key): _manners(dict(one)) for key, one in found.items()}


def _wishes(told: object) -> tuple[dict[str, Any], list[Integration], list[str]]:
    if not isinstance(told, dict):
        raise TypeError("a JSON object is wanted")
    wishes = dict(told)
    added, revoked = wishes.pop("add", []), wishes.pop("revoke", [])
    return (
        _manners(wishes),
        [_integration(one) for one in _several(added)],
        list(map(str, _several(revoked))),
    )


def _manners(wishes: dict[str, Any]) -> dict[str, Any]:
    fail = wishes.pop("fail", None)
    if fail is not None:
        wishes["fail_status"] = fail.get("status", 500)
        wishes["fail_share"] = fail.get("share", 1)
        wishes["retry_after"] = fail.get("after", 1)
    plain = Manners()
    return {name: type(getattr(plain, name))(value) for name, value in wishes.items()}


def _several(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _integration(told: object) -> Integration:
    return Integration(**told) if isinstance(told, dict) else Integration(token=str(told))
