"""What the documents show of commands and answers is what these print.

A sample and the output are compared by their shapes: ids, keys, numbers and people may differ, and
a line that ends in "…" may be cut anywhere.
"""

import json
import re
import shutil
from pathlib import Path

import orjson
import pytest
from commands import ok, refused, run

from bridge import config
from bridge.demo.stories import SYNC

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]
MAPPINGS = ROOT / "mappings"
TOKENS = {
    name: f"a-token-of-20-letters-{name}"
    for name in config.load(MAPPINGS, {}).variables
    if name.endswith("_TOKEN")
}
_PEOPLE = re.compile(r"\b(?:Ana Duarte|Bo Lindqvist|Cem Öztürk|Dee Marsh)\b")


def page(name):
    return (ROOT / name).read_text("utf-8")


def blocks(text):
    """Return the blocks of code of a page, fenced and indented, without their indentation."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", text, re.MULTILINE)
    return fenced + [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented]


def block_with(text, words):
    """Return the one block of a page that has some words in it."""
    [found] = [block for block in blocks(text) if words in block]
    return found


def shape(line):
    """Reduce a line to what does not differ from run to run."""
    line = re.sub(r"\b01[0-9a-hjkmnp-tv-z]{18}\b|\b01m[0-9a-z]*(?=…)", "<event>", line.rstrip())
    line = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*", "<time>", _PEOPLE.sub("<person>", line))
    return re.sub(r"\d+(\.\d+)?", "0", line)


def alike(one, other):
    """Whether two lines have the same shape, as far as both go."""
    one, other = shape(one), shape(other)
    if one.endswith("…") or other.endswith("…"):
        one, other = sorted((one.removesuffix("…"), other.removesuffix("…")), key=len)
        other = other[: len(one)]
    return one == other


def is_in(sample, output):
    """Whether the lines of a sample stand in an output, one below the other."""
    wanted, lines = sample.splitlines(), output.splitlines()
    starts = range(len(lines) - len(wanted) + 1)
    return any(all(map(alike, wanted, lines[start:])) for start in starts)


@pytest.fixture
def mappings(tmp_path):
    return shutil.copytree(MAPPINGS, tmp_path / "shipped")


def test_the_demo():
    output = run("demo", "--fast", COLUMNS="160").stdout
    first = block_with(page("README.md"), "  1.1s  deliver")
    lines = [re.sub(r"[A-Z]+-\d+", "KEY", line) for line in output.splitlines()]
    for line in first.splitlines():
        sample = re.sub(r"[A-Z]+-\d+", "KEY", line)
        assert any(alike(sample, one) for one in lines), line
    last = block_with(page("README.md"), "received =")
    assert is_in(last, output)
    counts = list(map(int, re.findall(r"\d+", last.splitlines()[0])))
    assert counts[0] == sum(counts[1:])


def test_check(mappings):
    sample = block_with(page("docs/mappings.md"), "did you mean `aha-platform`?")
    for name, right, wrong in (
        ("mobile", "to: [aha-platform]", "to: [aha-platfrm]"),
        ("platform", "AND issuetype in", "AND isuetype in"),
        ("platform", "\nmoves:", "\nmove:"),
    ):
        path = mappings / f"{name}.yaml"
        text = path.read_text("utf-8")
        assert right in text
        path.write_text(text.replace(right, wrong), "utf-8")
    result = run("check", BRIDGE_MAPPINGS=str(mappings), **TOKENS)
    output = (result.stdout + result.stderr).replace(f"{mappings}/", "mappings/")
    assert set(sample.splitlines()) <= set(output.splitlines())


@pytest.fixture
def explained(mappings, tmp_path, cloud):
    """What `explain` prints of a comment that names no labels."""
    body = cloud.said(cloud.comment(), cloud.issue("PLAT-42"))
    (tmp_path / "body.json").write_bytes(orjson.dumps(body))
    arguments = ("explain", tmp_path / "body.json", "--hook", "jira-main")
    return ok(*arguments, BRIDGE_MAPPINGS=str(mappings), **TOKENS)


def test_explain(explained):
    sample = block_with(page("docs/troubleshooting.md"), "about_a_record")
    assert sample.partition("\n\n")[2].rstrip() in explained


def test_addresses(scene):
    scene.start()
    answer = scene.get("/api/v1/webhooks/hook-of-cloud-a-0001")
    said = answer.data.decode().strip()
    assert said in page("README.md")
    assert said in page("docs/getting-started.md")
    assert said in " ".join(page("docs/troubleshooting.md").split())


def test_readyz(scene):
    [sample] = re.findall(r'`(\{"status":"degraded".*?\})`', page("docs/operations.md"))
    scene.start()
    scene.bridge_yaml["version"] = 2
    scene.configure()
    scene.until(lambda: scene.bridge.reload() or scene.get("/readyz").json["status"] != "ok")
    answer = scene.get("/readyz")
    assert answer.json.keys() == json.loads(sample).keys()
    [sample] = re.findall(r"`(the mappings on disk are .*?): …`", page("docs/operations.md"))
    assert answer.json["degraded"][0].startswith(f"{sample}: ")


def test_a_port_that_is_taken(scene, mappings):
    port = scene.sandbox.url.rpartition(":")[2]
    environ = {
        "BRIDGE_MAPPINGS": str(mappings),
        "BRIDGE_DATABASE": scene.environ["BRIDGE_DATABASE"],
    }
    said = refused("serve", "--port", port, **environ, **TOKENS)
    [sample] = re.findall(r"`(cannot listen on …: [^`]+)`", page("docs/troubleshooting.md"))
    assert alike(sample.replace("…", f"127.0.0.1:{port}"), said.split(";")[0].split("bridge: ")[1])


# --- reasons


@pytest.fixture(scope="module")
def reasons(make_scene, jiras):
    """The reasons of a bridge for each verdict, by its name."""
    scene, cloud, dc = make_scene(), jiras["cloud"], jiras["dc"]
    user = {"name": "Integration user", "email": "integration@acme.example"}
    destinations = scene.bridge_yaml["destinations"]
    destinations.clear()
    for number, name in enumerate(("aha-platform", "aha-other", "aha-thin")):
        destinations[name] = scene.destination(token=f"callback-000{number}", run_as=user)
    destinations["aha-platform"] |= {"workspaces": ["PLAT"]}
    platform = {"to": ["aha-platform"], "workspace": "PLAT"}
    plat = "project = PLAT AND (labels IS EMPTY OR labels NOT IN (internal))"
    scene.route("plat", **platform, when=plat, events=["issue_created", "issue_updated"])
    scene.route("comments", **platform, when="project = PLAT", events=["comment_created"])
    both = ["aha-platform", "aha-other"]
    scene.route("ops", to=both, workspace="OPS", when="project = MOB")
    scene.route("core", to=["aha-other"], when="project = CORE")
    scene.route("thin", **{"from": ["dc_b"], "to": ["aha-thin"]})
    scene.start(deliver=False)
    issue, hidden = cloud.issue("PLAT-1"), cloud.comment(role="Administrators")
    old, new = cloud.edited(issue), cloud.edited(issue)
    old["timestamp"] -= 60_000
    old["issue"]["fields"]["updated"] = cloud.writes.instant(issue.created - 60_000)
    thin, full = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-9"), 27)
    another, _ = dc.writes.comment_pair("comment_created", dc.comment(), dc.issue("CORE-8"), 27)
    twice = cloud.said(cloud.comment(), cloud.issue("PLAT-7"))
    for hook, body in (
        ("cloud_a", twice),
        ("cloud_b", twice),
        ("cloud_a", new),
        ("cloud_a", old),
        ("cloud_a", cloud.created(cloud.issue("PLAT-2", labels=("internal",)))),
        ("cloud_a", cloud.writes.sprint("sprint_started", 7, "Sprint 7", issue.created)),
        ("cloud_a", cloud.said(hidden, issue)),
        ("dc_a", dc.created(dc.issue("CORE-3"), by=SYNC)),
        ("dc_a", thin),
        ("dc_b", full),
        ("dc_b", another),
        ("cloud_a", cloud.created(cloud.issue("MOB-1"))),
        ("cloud_a", b'{"timestamp": 1772697600000, "webhookEvent": "jira:iss'),
    ):
        scene.send(hook, body)
    found = {}
    for line in scene.lines():
        found.setdefault(str(line.verdict), []).extend(line.reason.split("; "))
        found[str(line.verdict)].append(line.reason)
    return found


def examples():
    table = page("docs/how-it-works.md").partition("| verdict | means |")[2].partition("\n\n")[0]
    verdict = ""
    for row in table.splitlines()[2:]:
        name, _, example = (cell.strip().strip("`") for cell in row.strip("|").split("|"))
        verdict = name or verdict
        yield verdict, example


@pytest.mark.parametrize(("verdict", "example"), list(examples()))
def test_the_reason_of_a_verdict(reasons, verdict, example):
    assert any(alike(example, reason) for reason in reasons[verdict]), reasons[verdict]
