"""Folders of mappings: a good one to start from, and marks for what is wrong in others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge import config

#: Stands before the character that a problem has to point at.
MARK = "▸"

BRIDGE = """\
version: 1
hooks:
  main:
    source: jira
    site: acme
    token: 0123456789abcdef-main
destinations:
  aha:
    kind: aha
    url: https://acme.aha.io
    token: callback-1
    run_as: {name: Bot, email: bot@acme.example}
"""
ROUTE = """\
version: 1
from: main
to: aha
when: ""
"""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that files are written to and loaded from."""

    path: Path

    def load(self, files: Mapping[str, str], environ: Mapping[str, str]) -> config.Loaded:
        """Load a good folder with these files in place of its own, without their marks."""
        for name, text in self.complete(files).items():
            (self.path / name).write_text(text.replace(MARK, ""), "utf-8")
        return config.load(self.path, environ)

    def complete(self, files: Mapping[str, str]) -> dict[str, str]:
        """The files beside those of a good folder."""
        route = {} if any(name != "bridge.yaml" for name in files) else {"route.yaml": ROUTE}
        return {"bridge.yaml": BRIDGE, **route, **files}

    def places(self, files: Mapping[str, str]) -> list[str]:
        """`file:line:column` of every mark, in the order of files and lines."""
        found = []
        for name, text in sorted(files.items()):
            for number, line in enumerate(text.split("\n"), 1):
                at = [column for column, letter in enumerate(line) if letter == MARK]
                for before, column in enumerate(at):
                    found.append(f"{self.path / name}:{number}:{column - before + 1}")
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


Check = Callable[..., config.Loaded]


@pytest.fixture
def expect(folder: Folder) -> Check:
    """Load files and hold every problem to its mark and its words."""

    def expect(files: Mapping[str, str], *words: str, **environ: str) -> config.Loaded:
        loaded = folder.load(files, environ)
        said = [str(problem) for problem in loaded.problems]
        places = folder.places(files)
        assert len(places) == len(words), "a mark for each message"
        assert [text.split(": ")[0] for text in said] == places, "\n".join(said)
        for text, wanted in zip(said, words, strict=True):
            assert wanted in text.partition(": ")[2]
        return loaded

    return expect
