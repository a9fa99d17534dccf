"""Broken configurations: each error is found, at its place, all of them at once."""

from __future__ import annotations

import pytest

HOOKS = """\
hooks:
  main:
    source: jira
    site: acme
    token: 0123456789abcdef-main
"""
DESTINATIONS = """\
destinations:
  aha:
    kind: aha
    url: https://acme.aha.io
    token: callback-1
    run_as: {name: Bot, email: bot@acme.example}
"""


def bridge(hooks: str = HOOKS, destinations: str = DESTINATIONS, rest: str = "") -> dict[str, str]:
    return {"bridge.yaml": f"version: 1\n{hooks}{destinations}{rest}"}


def hook(text: str) -> dict[str, str]:
    return bridge(hooks=HOOKS + text)


def aha(lines: str) -> dict[str, str]:
    return bridge(destinations=DESTINATIONS + lines)


def route(lines: str) -> dict[str, str]:
    return {"route.yaml": f"version: 1\nfrom: main\nto: aha\n{lines}"}


BROKEN: dict[str, tuple[dict[str, str], list[str]]] = {
    # bridge.yaml, by itself
    "an unknown key at the top": (
        bridge(rest="▸hoks: {}\n"),
        ["hoks: unknown key; did you mean `hooks`?"],
    ),
    "an unknown key in a hook": (
        bridge(hooks=HOOKS + "    ▸tokn: abc\n"),
        ["hooks.main.tokn: unknown key; did you mean `token`?"],
    ),
    "missing keys": (
        bridge(
            hooks="hooks:\n  main:\n    ▸▸enabled: true\n",
            destinations="destinations:\n  aha: ▸▸▸▸{integration: 1}\n",
        ),
        [
            "hooks.main.source: is missing",
            "hooks.main.token: is missing",
            "destinations.aha.kind: is missing",
            "destinations.aha.run_as: is missing",
            "destinations.aha.token: is missing",
            "destinations.aha.url: is missing",
        ],
    ),
    "no hooks and no destinations": (
        {"bridge.yaml": "▸▸version: 1\n", "route.yaml": "version: 1\nfrom: ▸main\nto: ▸aha\n"},
        [
            "destinations: is missing",
            "hooks: is missing",
            "from: there is no hook `main`",
            "to: there is no destination `aha`",
        ],
    ),
    "another version": (
        {
            "bridge.yaml": f"version: ▸2\n{HOOKS}{DESTINATIONS}",
            "route.yaml": "▸from: main\nto: aha\n",
        },
        ["version: must be 1", "version: is missing"],
    ),
    "keys with nothing behind them": (
        bridge(hooks="hooks:\n  ▸main:\n", rest="▸sites:\n▸ignore:\n"),
        ["hooks.main: must be a mapping", "sites: needs a value", "ignore: needs a value"],
    ),
    "an unknown and a planned source": (
        hook(
            "  next:\n    source: ▸jria\n    token: 0123456789abcdef-next\n"
            "  other:\n    source: ▸github\n    token: 0123456789abcdef-other\n"
        ),
        [
            "hooks.next.source: `jria` is not known; did you mean `jira`?",
            "hooks.other.source: `github` is not supported yet; known: jira",
        ],
    ),
    "tokens": (
        hook(
            "  a: {source: jira, token: ▸short}\n"
            "  b: {source: jira, token: ▸0123456789abcdef/b}\n"
            "  c: {source: jira, token: ▸1234567890123456}\n"
            "  d: {source: jira, token: ▸''}\n"
            "  e: {source: jira, token: ▸0123456789abcdef-main}\n"
        ),
        [
            "hooks.a.token: is shorter than 16 characters",
            "hooks.b.token: may only hold letters",
            "hooks.c.token: must be a text: put it in quotes",
            "hooks.d.token: must not be empty",
            "hooks.e.token: is also the token of the hook `main`",
        ],
    ),
    "a name and secrets": (
        hook(
            "  ▸a hook: {source: jira, token: 0123456789abcdef-2, secret: ▸[a, b, c]}\n"
            "  b: {source: jira, token: 0123456789abcdef-3, secret: [▸1], enabled: ▸yes,"
            " site: ▸[]}\n"
        ),
        [
            "hooks.a hook: a name is made of letters",
            "hooks.a hook.secret: at most two at once",
            "hooks.b.secret[0]: must be a text: put it in quotes",
            "hooks.b.enabled: must be true or false",
            "hooks.b.site: must be a text, not a list",
        ],
    ),
    "a hook, a section and a destination of the wrong shape": (
        {
            "bridge.yaml": "version: 1\nhooks: ▸[main]\ndestinations:\n  aha: ▸https://acme.aha.io\n",
            "route.yaml": "version: 1\nfrom: ▸main\nto: aha\n",
        },
        [
            "hooks: must be a mapping: lines of `name: …`",
            "destinations.aha: must be a mapping: lines of `key: value`",
            "from: there is no hook `main`",
        ],
    ),
    "what a destination may not say": (
        aha(
            "    integration: ▸3\n"
            "    workspaces: ▸[]\n"
            "    limits: {per_second: ▸0, per_minute: ▸lots, ▸per_hour: 1}\n"
            "    on_doubt: ▸verfy\n"
            '    doubt: [500, ▸404, ▸"503"]\n'
            "    private: ▸maybe\n"
        ),
        [
            "destinations.aha.integration: must be 1 or 2",
            "destinations.aha.workspaces: an empty list would mean everywhere",
            "limits.per_second: must be a whole number from 1 to 10000, or `none`",
            "limits.per_minute: must be a whole number from 1 to 600000, or `none`",
            "limits.per_hour: unknown key",
            "destinations.aha.on_doubt: `verfy` is not known; did you mean `verify`?",
            "destinations.aha.doubt[1]: must be 408, 425, or a status from 500 to 599",
            "destinations.aha.doubt[2]: must be 408, 425, or a status from 500 to 599",
            "destinations.aha.private: must be true or false",
        ],
    ),
    "a run-as user": (
        bridge(
            destinations=DESTINATIONS.replace("bot@acme.example", "▸bot").replace("Bot,", "▸7,")
        ),
        ["destinations.aha.run_as.name: must be a text", "run_as.email: is no e-mail address"],
    ),
    "limits of another kind": (
        aha("    limits: ▸nothing\n"),
        ["destinations.aha.limits: must be `none` or a mapping"],
    ),
    "a site": (
        bridge(
            rest="sites:\n  acme:\n    timezone: ▸Europe/Berln\n    week_starts: ▸monda\n"
            "    priorities: [High, ▸High, ▸'']\n"
            "    fields: {Points: ▸10016, Team: ▸customfield_x}\n"
            "  ▸acne: {timezone: UTC}\n"
        ),
        [
            "sites.acme.timezone: `Europe/Berln` is no time zone; did you mean `Europe/Berlin`?",
            "sites.acme.week_starts: `monda` is not known; did you mean `monday`?",
            "sites.acme.priorities[1]: is in the list twice",
            "sites.acme.priorities[2]: must not be empty",
            "sites.acme.fields.Points: must be a text: put it in quotes",
            "sites.acme.fields.Team: must look like customfield_10016",
            "warning: sites.acne: no hook has this site; did you mean `acme`?",
        ],
    ),
    "a folder for a time zone": (
        bridge(rest="sites:\n  acme: {timezone: ▸Europe}\nignore: {▸actor: x, actors: ▸5}\n"),
        [
            "sites.acme.timezone: `Europe` is no time zone",
            "ignore.actor: unknown key; did you mean `actors`?",
            "ignore.actors: must be a text or a list of texts",
        ],
    ),
    # a route, by itself
    "words of a route": (
        route(
            "workspace: ▸5\n"
            "events: [▸jira:issue_created, ▸comment_create, ▸zzz]\n"
            "unknown: [▸deliver, ▸lookup]\n"
            "moves: ▸fallow\n"
            "unmapped: ▸kep\n"
            'comments: {private: ▸drp, attribution: ▸"{who}: {body}", ▸x: 1}\n'
        ),
        [
            "workspace: must be a text: put it in quotes",
            "events[0]: write `issue_created`, without `jira:`",
            "events[1]: `comment_create` is not known; did you mean `comment_created`?",
            "events[2]: `zzz` is not known",
            "unknown[0]: nothing after `deliver` is tried: it has to be last",
            "warning: unknown[1]: `lookup` is not implemented yet",
            "moves: `fallow` is not known; did you mean `follow`?",
            "unmapped: `kep` is not known; did you mean `keep`?",
            "comments.private: `drp` is not known; did you mean `drop`?",
            "comments.attribution: `{who}` is not known",
            "comments.x: unknown key",
        ],
    ),
    "lists that would mean nothing": (
        route("events: ▸[]\nunknown: ▸[]\n") | {"other.yaml": "version: 1\nfrom: ▸[]\n▸to:\n"},
        [
            "from: must name at least one",
            "to: needs a value",
            "events: with an empty list nothing would pass",
            "unknown: must name at least one",
        ],
    ),
    "names that are not there": (
        {"route.yaml": "version: 1\nfrom: [main, ▸mian]\nto: ▸ahha\n▸frm: x\n"},
        [
            "from[1]: there is no hook `mian`; did you mean `main`?",
            "to: there is no destination `ahha`; did you mean `aha`?",
            "frm: unknown key; did you mean `from`?",
        ],
    ),
    "lines of fields": (
        route(
            "fields:\n"
            "  - {from: ▸'$.a[', to: ▸$.token, type: ▸nmber, otherwise: ▸foo, ▸joint: x}\n"
            "  - ▸▸{type: text}\n"
            "  - ▸just a text\n"
            "  - {from: $.a, to: $.b, default: x}\n"
            "  - {from: $.a, to: ▸'$.b[*]', values: ▸[], template: ▸'{'}\n"
        ),
        [
            "fields[0].from: ",
            "fields[0].to: ",
            "fields[0].type: ",
            "fields[0].otherwise: ",
            "fields[0].joint: unknown key; did you mean `join`?",
            "fields[1].from: ",
            "fields[1].to: ",
            "fields[2]: must be a mapping",
            "fields[4].to: ",
            "fields[4].values: ",
            "fields[4].template: ",
        ],
    ),
    "fields that are no list": (
        route("fields: ▸{from: $.a, to: $.b}\n"),
        ["fields: must be a list: lines of `- {from: …, to: …}`"],
    ),
    # files that cannot be read
    "a tab": (
        {"route.yaml": "version: 1\n▸\tfrom: main\n"},
        ["a tab: YAML is indented with spaces"],
    ),
    "a quote that stays open": (
        {"route.yaml": 'version: 1\nfrom: ▸"main\nto: aha\n'},
        ["this quote is never closed"],
    ),
    "a bracket that stays open": (
        {"route.yaml": "version: 1\nfrom: [main\nto▸: aha\n"},
        ["a `,` or the closing bracket is missing before this; it was opened in line 2"],
    ),
    "a variable in brackets without quotes": (
        {"route.yaml": "version: 1\nfrom: {a: $▸{X}}\n"},
        ["inside { } or [ ], a ${…} has to be in quotes"],
    ),
    "two documents": (
        {"route.yaml": "version: 1\nfrom: main\nto: aha\n▸---\nversion: 1\n"},
        ["a second document"],
    ),
    "a colon in a text": (
        route("when: project = A▸: b\n"),
        ["a `:` where none can be: put a text with `: ` in quotes"],
    ),
    "text after a quote": (
        route('when: "project" ▸= A\n'),
        ["text after a closing quote: quote all of it, or write it as a block"],
    ),
    "a character of YAML's own": (route("when: ▸@me\n"), ["cannot begin with this character"]),
    "an escape of another language": (
        route('when: "a = \\▸d"\n'),
        ["after `\\` in double quotes only YAML's escapes: use single quotes"],
    ),
    "an indentation": (
        {"route.yaml": "version: 1\nfrom:\n  - main\n ▸- other\nto: aha\n"},
        ["the indentation does not fit the lines above"],
    ),
    "a key without a colon": ({"route.yaml": "version: 1\nfrom\n▸to: aha\n"}, ["without its `:`"]),
    "a control character": (
        {"route.yaml": "version: 1\nfrom: m▸\x01ain\n"},
        ["the character U+0001 cannot stand in YAML"],
    ),
    "too deep": ({"route.yaml": f"from: {'[' * 49}▸{'[' * 9}\n"}, ["nested too deeply"]),
    "no mapping": ({"route.yaml": "▸- version: 1\n"}, ["must be a mapping: lines of `key: value`"]),
    "a key twice": (
        route("workspace: A\n▸workspace: B\n▸to: other\n"),
        [
            "workspace: written twice, the first time in line 4",
            "to: written twice, the first time in line 3",
        ],
    ),
    "a key that is a list": (route("? ▸[a, b]\n: c\n"), ["a key must be a word"]),
    "anchors and tags": (
        {"route.yaml": "version: 1\nfrom: ▸&x main\nto: aha\nworkspace: ▸!secret A\n▸moves: *x\n"},
        [
            "from: anchors and aliases are not read here",
            "workspace: the tag !secret is not read here",
            "moves: `main` is not known; known: filter, follow",
        ],
    ),
    "an anchor twice": (
        route("workspace: ▸&x A\nmoves: ▸&x follow\n"),
        ["workspace: anchors and aliases", "moves: anchors and aliases"],
    ),
    "an alias of nothing": (
        {"route.yaml": "from: ▸*x\n"},
        ["anchors and aliases are not read here"],
    ),
    # variables
    "variables that are not set": (
        {
            "bridge.yaml": "version: 1\n"
            + HOOKS.replace("0123456789abcdef-main", "▸${MAIN_TOKN}")
            + DESTINATIONS.replace("callback-1", "▸${1x}"),
            "route.yaml": "version: 1\nfrom: ▸${}\nto: ▸${file:/nowhere/token}\nwhen: ▸a = ${X\n",
        },
        [
            "hooks.main.token: the environment variable MAIN_TOKN is not set; MAIN_TOKEN is",
            "destinations.aha.token: ${1x} is neither ${NAME}, ${NAME:-default} nor ${file:/path}",
            "from: ${} is neither",
            "to: cannot read the file /nowhere/token: No such file or directory",
            "when: `${` without its `}`",
        ],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_error_is_found_at_its_place(name, expect):
    files, words = BROKEN[name]
    loaded = expect(files, *words, MAIN_TOKEN="x" * 20)
    assert loaded.configuration is None


#: Address -> what is said about it; None: nothing.
ADDRESSES = {
    "https://acme.aha.io": None,
    "https://acme.aha.io/": None,
    "https://acme.aha.io:8443": None,
    "https://8.8.8.8": None,
    "acme.aha.io": "must be a web address",
    "ftp://acme.aha.io": "must be a web address",
    "https://": "must be a web address",
    "https://[::1": "must be a web address",
    "https://acme.aha.io:99999": "must be a web address",
    "https://acme.aha.io:0": "must be a web address",
    "https://acme.aha.io/api/v1/webhooks/t0ken": "must end after the host",
    "https://bot:pass@acme.aha.io": "must end after the host",
    "https://acme.aha.io?x=t0ken": "must end after the host",
    "http://acme.aha.io": "must begin with https://",
    "https://127.0.0.1:8443": "is a private address: say `private: true`",
    "https://10.1.2.3": "is a private address",
    "https://[fd00::1]": "is a private address",
    "https://localhost": "is a private address",
    "https://aha.internal": "is a private address",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses(url, expect):
    said = ADDRESSES[url]
    text = DESTINATIONS.replace("https://acme.aha.io", f"{'▸' if said else ''}{url}")
    loaded = expect(bridge(destinations=text), *([said] if said else []))
    assert "t0ken" not in str(loaded.problems)
    assert "pass" not in str(loaded.problems)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "https://10.1.2.3", "http://aha.internal"]
)
def test_a_private_address_is_fine_when_it_is_meant(url, expect):
    text = DESTINATIONS.replace("https://acme.aha.io", url) + "    private: true\n"
    assert expect(bridge(destinations=text)).configuration.targets["aha"].url == url


def test_everything_at_once(expect):
    files = {
        "bridge.yaml": """\
version: 1
hooks:
  cloud:
    source: ▸jria
    site: acme
    token: ${CLOUD_TOKEN}
  legacy:
    source: jira
    site: acme
    token: ▸${LEGACY_TOKN}
    ▸secrets: x
  third:
    source: jira
    site: acme
    token: ▸${CLOUD_TOKEN}
  fourth:
    source: jira
    token: ▸${CLOUD_TOKEN}
destinations:
  one:
    kind: ▸ahaa
    url: https://acme.aha.io
    token: one
    run_as: ▸{name: Bot, ▸mail: b@c.d}
  two:
    kind: aha
    url: ▸http://acme.aha.io
    token: two
    run_as: {name: Bot, email: b@c.d}
    limits: {per_second: ▸"${FAST:-many}"}
  three:
    kind: aha
    url: https://acme.aha.io
    token: three
    run_as: {name: Bot, email: b@c.d}
    workspaces: ▸[A]
  four:
    kind: aha
    url: https://acme.aha.io
    token: four
    run_as: {name: Other, email: e@f.g}
    workspaces: ▸[A, B]
sites:
  acme: {timezone: ▸Mars/Olympus}
""",
        "good.yaml": "version: 1\nfrom: third\nto: three\nworkspace: A\nwhen: project = A\n",
        "other.yaml": """\
version: 1
from: [third, ▸legcy]
to: [four, ▸three]
workspace: A
when: project = A
fields:
  - {from: $.a, to: $.b, ▸typ: text}
  - {from: ▸'$[', to: $.b}
""",
        "third.yaml": "version: 1\n▸\tfrom: third\n",
        "unread.yaml": "version: 1\nfrom: ▸'third\n",
        "when.yaml": "version: 1\nfrom: third\nto: ▸four\nworkspace: ▸C\nmoves: ▸folow\n",
    }
    loaded = expect(
        files,
        "hooks.cloud.source: `jria` is not known; did you mean `jira`?",
        "hooks.legacy.token: the environment variable LEGACY_TOKN is not set; LEGACY_TOKEN is",
        "hooks.legacy.secrets: unknown key; did you mean `secret`?",
        "hooks.third.token: is also the token of the hook `cloud`",
        "hooks.fourth.token: is also the token of the hook `cloud`",
        "destinations.one.kind: `ahaa` is not known; did you mean `aha`?",
        "destinations.one.run_as.email: is missing",
        "destinations.one.run_as.mail: unknown key; did you mean `email`?",
        "destinations.two.url: must begin with https://",
        "destinations.two.limits.per_second: must be a whole number",
        "destinations.three.workspaces: b@c.d here and e@f.g of `four` can both write in A",
        "destinations.four.workspaces: e@f.g here and b@c.d of `three` can both write in A",
        "sites.acme.timezone: `Mars/Olympus` is no time zone",
        "from[1]: there is no hook `legcy`; did you mean `legacy`?",
        "to[1]: ",
        "fields[0].typ: unknown key; did you mean `type`?",
        "fields[1].from: ",
        "a tab: YAML is indented with spaces",
        "this quote is never closed",
        "to: ",
        "workspace: no destination may write in `C`; known: A, B",
        "moves: `folow` is not known; did you mean `follow`?",
        CLOUD_TOKEN="very-secret-token-of-cloud",
        LEGACY_TOKEN="very-secret-token-of-legacy",
    )
    assert loaded.configuration is None
    assert loaded.variables == {"CLOUD_TOKEN", "LEGACY_TOKN", "FAST"}
    assert "very-secret" not in f"{loaded.problems}{loaded}"
