"""Holds the documents to the code: what they name must be there, and what is there be named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from bridge import config
from bridge.cli import main
from bridge.config import OPTIONS, schemas
from bridge.config.schema_fields import Section
from bridge.core import jql
from bridge.core.fields import TYPES
from bridge.errors import BadFilter
from bridge.model import Stage, State, VerdictName
from bridge.sources.jira import EVENTS
from bridge.web import metrics

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
#: What is no page, and names settings all the same.
DEPLOYED = tuple(path for path in sorted((DOCS / "deploy").iterdir()) if path.suffix != ".md")

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```[\s\S]*?^```$|^ {4}.*$|`[^`\n]+`", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")
_WHOLE = re.compile(r"# mappings/([\w.-]+\.yaml)\n")
#: The least that a route can be, and what an excerpt of one is put into.
_LEAST = {"version": "1", "from": "jira-main", "to": "aha-platform", "workspace": "PLAT"}


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def words(text: str) -> set[str]:
    """Return what stands in `backticks`."""
    return set(re.findall(r"`([^`\n]+)`", text))


def under(text: str, heading: str) -> str:
    """Return what stands under a heading, down to the next of its level or above."""
    level = heading.split(" ", maxsplit=1)[0]
    after = text.partition(f"\n{heading}\n")[2]
    assert after, f"there is no heading {heading}"
    return re.split(rf"^#{{1,{len(level)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Settings


def told_default(default: str | None) -> str | None:
    """Say how the table writes a default; None: it follows from others and is told in words."""
    return None if default is None else f"`{default}`" if default else "none"


def test_every_setting_is_told_with_its_default() -> None:
    rows = re.findall(r"^\| `(BRIDGE_\w+)` \| (.+?) \| .+ \|$", page("operations.md"), re.MULTILINE)
    told = dict(rows)
    assert [name for name, _ in rows] == [option.variable for option in OPTIONS]
    for option in OPTIONS:
        wanted = told_default(option.default)
        assert wanted is None or told[option.variable] == wanted, option.variable


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED], ids=named)
def test_no_page_names_a_setting_that_is_not_there(path: Path) -> None:
    known = {option.variable for option in OPTIONS} | {"BRIDGE_TEST_POSTGRES", "BRIDGE_"}
    found = set(re.findall(r"\bBRIDGE_[A-Z_]*", path.read_text("utf-8")))
    assert {name.removesuffix("_FILE") or name for name in found} <= known


# Commands


def told_commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give each `aha-bridge COMMAND` that a page's code has, with the flags that follow it."""
    for code in _CODE.findall(path.read_text("utf-8")):
        for call in re.split(r"[|;`#]|&&|\n", code.replace("\\\n", " ")):
            found = re.search(r"(?:^|[ /])aha-bridge ([a-z]+)(?![\w-])(.*)", call)
            if found:
                yield found[1], re.findall(r"(?<=\s)--?[a-z][a-z-]*", found[2])


def test_every_command_is_told() -> None:
    told = under(page("operations.md"), "### One command")
    assert set(main.commands) <= {name for spell in words(told) for name in spell.split()}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_promises_a_command_or_a_flag_that_is_not_there(path: Path) -> None:
    for name, flags in told_commands(path):
        command = main.commands.get(name)
        assert isinstance(command, click.Command), f"aha-bridge {name}"
        known = {spell for param in command.params for spell in param.opts}
        assert set(flags) <= {*known, "--help"}, f"aha-bridge {name}"


def command_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give each whole `aha-bridge COMMAND …` of a page's code, without what a shell makes of it."""
    for code in _CODE.findall(path.read_text("utf-8")):
        for call in re.split(r"[|`#]|;|&&|\n", code.replace("\\\n", " ")):
            found = re.search(r"(?:^|[ /])aha-bridge ([a-z]+)(?![\w-])(.*)", call)
            line = re.split(r"\s{3,}", found[2])[0] if found else ""
            if found and line.count("'") % 2 == 0 and line.count('"') % 2 == 0:
                piped = ["1"] if "xargs" in call else []
                yield found[1], shlex.split(re.sub(r"<\w+>|…", "1", line)) + piped


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_command_line_can_be_read(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_text("{}")
    for name, arguments in command_lines(path):
        if "--help" in arguments or not arguments:
            continue
        given = ["body.json" if one == "FILE" else one for one in arguments]
        with main.commands[name].make_context(name, [one for one in given if one not in "<>"]):
            pass


def test_what_is_not_yet_there_is_not_there() -> None:
    told = words(under((ROOT / "README.md").read_text("utf-8"), "## Not yet"))
    assert {"doctor", "backfill"} <= told
    assert not told & set(main.commands)


def test_every_filter_that_a_page_tries_can_be_read() -> None:
    tried = [
        (query, text)
        for text in (path.read_text("utf-8") for path in PAGES)
        for query in re.findall(r"aha-bridge jql '([^']+)'", text)
    ]
    assert tried
    # One that cannot be read is there to show what is said of it.
    assert [query for query, text in tried if said_of(query) not in text] == []


def said_of(query: str) -> str:
    """Return what is said of a filter that cannot be read."""
    try:
        jql.parse(query)
    except BadFilter as error:
        return jql.caret(error)
    return ""


# Links


def anchors(path: Path) -> set[str]:
    """Return the fragments by which a page's headings are linked to."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", path.read_text("utf-8"))):
        if re.match(r"\w+://", link):
            continue
        place, _, fragment = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_page_is_linked_to() -> None:
    linked = {
        (path.parent / link.partition("#")[0]).resolve()
        for path in PAGES
        for link in _LINK.findall(path.read_text("utf-8"))
    }
    assert {path for path in (*PAGES, *DEPLOYED) if path != ROOT / "README.md"} <= linked


# Mapping files


PARTS = {name: part for name, part in vars(schemas).items() if isinstance(part, Section)}


@pytest.mark.parametrize("name", PARTS)
def test_every_key_of_the_mapping_files_is_told(name: str) -> None:
    sections = set(re.findall(r"^### (\w+)$", page("mappings.md"), re.MULTILINE))
    assert PARTS[name].keys <= words(page("mappings.md")) | sections


def test_every_word_of_the_mapping_files_is_told() -> None:
    told = words(page("mappings.md"))
    assert set(EVENTS) <= told
    assert set(TYPES) <= told
    assert {"remember", "lookup", "deliver", "drop", "keep", "park", "follow"} <= told
    assert {"actors", "moves: filter", "verify", "hold", "resend"} <= told


@dataclass(frozen=True, kw_only=True)
class Block:
    """A YAML block of a page."""

    path: Path
    #: Which of the page it is, from 1.
    number: int
    text: str

    @property
    def name(self) -> str:
        """The name of the file that it is the whole of, or "" for an excerpt."""
        found = _WHOLE.match(self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        return f"{named(self.path)}:{self.number}:{self.name or 'excerpt'}"


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        fenced = _FENCED.findall(path.read_text("utf-8"))
        several = [text for language, text in fenced if language == "yaml"]
        found += [Block(path=path, number=n, text=text) for n, text in enumerate(several, 1)]
    return found


BLOCKS = blocks()


def bridge_for(block: Block) -> str:
    """Return the bridge.yaml of the page before a block, or the one that is shipped."""
    before = [b.text for b in BLOCKS if b.path == block.path and b.number <= block.number]
    own = [text for text in before if text.startswith("# mappings/bridge.yaml\n")]
    return own[-1] if own else (ROOT / "mappings" / "bridge.yaml").read_text("utf-8")


def completed(excerpt: str) -> str:
    """Add to an excerpt of a route what every route must have."""
    there = set(re.findall(r"^(\w+):", excerpt, re.MULTILINE))
    return "".join(f"{k}: {v}\n" for k, v in _LEAST.items() if k not in there) + excerpt


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_yaml_block_passes_the_check(block: Block, tmp_path: Path) -> None:
    files = {"bridge.yaml": bridge_for(block)}
    if block.name != "bridge.yaml":
        files[block.name or "excerpt.yaml"] = block.text if block.name else completed(block.text)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    wanted = {name for text in files.values() for name in _VARIABLE.findall(text)}
    loaded = config.load(tmp_path, {name: f"0123456789-{name}" for name in wanted})
    assert loaded.configuration is not None, "\n".join(map(str, loaded.problems))


def test_the_shipped_mappings_say_which_variables_they_read() -> None:
    text = (ROOT / "mappings" / "bridge.yaml").read_text("utf-8")
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    loaded = config.load(ROOT / "mappings", {})
    assert loaded.variables <= set(re.findall(r"\b[A-Z]{3}[A-Z_]*\b", comment))


# Words for what happens


def test_every_verdict_state_and_stage_is_told() -> None:
    told = words(page("how-it-works.md"))
    assert set(VerdictName) <= told
    assert set(State) <= told
    rows = re.findall(
        r"^\| `(\w+)` \|", under(page("how-it-works.md"), "### The stages"), re.MULTILINE
    )
    assert rows == list(Stage)
    assert set(VerdictName) | set(State) <= words(page("words.md"))


def told_metrics() -> dict[str, str]:
    """Return the metrics that the operations page tells of, with their labels."""
    table = under(page("operations.md"), "### metrics")
    return dict(re.findall(r"^\| `(bridge_\w+)(?:\{([\w,]+)\})?` \|", table, re.MULTILINE))


def test_every_metric_is_told() -> None:
    text = (ROOT / "bridge" / "web" / "metrics.py").read_text("utf-8")
    assert set(re.findall(r'"(bridge_\w+)"', text)) == told_metrics().keys()
    assert told_metrics()["bridge_answers_total"] == metrics.ANSWERS._labelnames[0]


_LOGGED = re.compile(r'\b(?:log\.(?:info|warning|error)|_log)\(\s*"([a-z_]+\.[a-z_]+)"')
#: Written only when somebody debugs.
_QUIET = {"delivery.delivered"}


def test_every_line_of_the_log_is_told() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "bridge").rglob("*.py"))
    table = under(page("operations.md"), "### The log")
    told = {word for word in words(table) if re.fullmatch(r"[a-z_]+\.[a-z_]+", word)}
    assert told == set(_LOGGED.findall(code)) - _QUIET


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_names_a_line_of_the_log_that_is_not_there(path: Path) -> None:
    code = "\n".join(one.read_text("utf-8") for one in (ROOT / "bridge").rglob("*.py"))
    logged = set(_LOGGED.findall(code))
    kinds = {name.partition(".")[0] for name in logged} - {"comment"}
    found = {
        word for word in words(path.read_text("utf-8")) if re.fullmatch(r"[a-z]+\.[a-z_]+", word)
    }
    files = {word for word in found if word.rpartition(".")[2] in _SUFFIXES}
    assert {word for word in found - files if word.partition(".")[0] in kinds} <= logged


_SUFFIXES = {"db", "py", "md", "yaml", "json", "sql", "spool", "log", "txt"}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_names_a_metric_that_is_not_there(path: Path) -> None:
    text = (ROOT / "bridge" / "web" / "metrics.py").read_text("utf-8")
    named_there = set(re.findall(r"`(bridge_[a-z_]+)", path.read_text("utf-8"))) - {"bridge_test"}
    assert named_there <= set(re.findall(r'"(bridge_\w+)"', text))


# The code

_PATH = re.compile(r"(?<![\w./-])(?:bridge|tests|bench|docs|mappings)/[\w./-]*\w/?(?![\w*<{-])")


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED], ids=named)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    text = "\n".join(_CODE.findall(path.read_text("utf-8")))
    text = re.sub(r"^\w* *mappings/[\w.:-]+.*$", "", text, flags=re.MULTILINE)
    found = set(_PATH.findall(re.sub(r"(?<=[\w>…])/\S+|\S*//\S+", "", text)))
    assert {one for one in found if not (ROOT / one).exists()} == set()
