"""No test patches the bridge: a test that needs another value passes it in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
#: The crash tests kill a process inside a function of the bridge, which has no seam for that.
EXEMPT = {TESTS / "crash" / "points.py"}
#: Functions that replace or delete an attribute or an item of their first argument.
PATCHING = {"setattr", "delattr", "setitem", "delitem"}


def patches(source: str) -> list[int]:
    """Return the lines of a test file that patch the bridge."""
    tree = ast.parse(source)
    ours = _names_of_bridge(tree)
    return sorted({node.lineno for node in ast.walk(tree) if _is_patch(node, ours)})


def _names_of_bridge(tree: ast.AST) -> set[str]:
    """Return the names that a file gives to modules, classes and objects of the bridge."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each for each in node.names if _is_of_bridge(each.name)]
            found |= {each.asname or each.name.partition(".")[0] for each in names}
        elif isinstance(node, ast.ImportFrom) and _is_of_bridge(node.module or ""):
            found |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Assign) and _imports_bridge(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _is_of_bridge(name: str) -> bool:
    return name == "bridge" or name.startswith("bridge.")


def _imports_bridge(node: ast.AST) -> bool:
    """Return whether an expression is `import_module("bridge...")`."""
    return (
        isinstance(node, ast.Call)
        and _path(node.func)[-1:] == ["import_module"]
        and any(_is_text_of_bridge(each) for each in node.args)
    )


def _is_text_of_bridge(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_of_bridge(node.value)
    )


def _is_patch(node: ast.AST, ours: set[str]) -> bool:
    if isinstance(node, ast.Import):
        return any(each.name.startswith("unittest.mock") for each in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("unittest") and any(
            "mock" in f"{node.module}.{each.name}" for each in node.names
        )
    if isinstance(node, ast.Call):
        return _patches_first(node, ours)
    return any(_is_within(target, ours) for target in _targets(node))


def _patches_first(node: ast.Call, ours: set[str]) -> bool:
    name = _path(node.func)[-1:]
    if not name or name[0] not in PATCHING or not node.args:
        return False
    first = node.args[0]
    named = isinstance(first, ast.Name) and first.id in ours
    return named or _is_text_of_bridge(first) or _is_within(first, ours)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """Return what a statement assigns to or deletes."""
    if isinstance(node, ast.Assign | ast.Delete):
        for target in node.targets:
            yield from target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        yield node.target


def _is_within(target: ast.expr, ours: set[str]) -> bool:
    """Return whether an attribute or item is the bridge's, or is private to another object."""
    if not isinstance(target, ast.Attribute | ast.Subscript):
        return False
    root, *rest = _path(target) or [""]
    private = any(name.startswith("_") and not name.startswith("__") for name in rest)
    return root in ours or (private and root not in ("self", "cls"))


def _path(node: ast.AST) -> list[str]:
    """Return the names of `a.b[0].c()` as a, b and c; empty when it begins with no name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*(_path(node.value) or ["()"]), node.attr]
    if isinstance(node, ast.Subscript):
        return _path(node.value)
    return _path(node.func) if isinstance(node, ast.Call) else []


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(TESTS.rglob("*.py")) if path not in EXEMPT],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_no_test_patches_the_bridge(path: Path) -> None:
    lines = patches(path.read_text())
    assert not lines, f"{path.name} patches the bridge in lines {lines}: pass the value in instead"


@pytest.mark.parametrize(
    "source",
    [
        "monkeypatch.setattr('bridge.worker.POLL', 1)",
        "monkeypatch.delattr('bridge.worker.POLL')",
        "from bridge.store import writer\nmonkeypatch.setattr(writer, 'QUIET', 0)",
        "import bridge.store.writer as writer\nmonkeypatch.setattr(writer.loop, 'QUIET', 0)",
        "from bridge.store import Store\ndef test_it(monkeypatch):\n"
        "    monkeypatch.setattr(Store, 'keep', None)",
        "from bridge import worker\nworker.POLL = 0",
        "from bridge import worker\nworker.POLL += 1",
        "from bridge import worker\nworker.POLL: int = 1",
        "from bridge import worker\ndel worker.POLL",
        "from bridge import worker\nworker.POLL, other = 1, 2",
        "from bridge import worker\nsetattr(worker, 'POLL', 0)",
        "from bridge import worker\nworker.WORDS['a'] = 'b'",
        "from bridge import worker\nmonkeypatch.setitem(worker.WORDS, 'a', 'b')",
        "import bridge.worker\nbridge.worker.POLL = 0",
        "worker = importlib.import_module('bridge.worker')\nworker.POLL = 0",
        "store.writer._again_at = 0",
        "made()._spool.append = None",
        "store._jobs[0] = None",
        "setattr(store._spool, 'append', None)",
        "from unittest import mock",
        "import unittest.mock",
        "from unittest.mock import patch",
    ],
)
def test_a_patch_is_found(source: str) -> None:
    assert patches(source) == [source.count("\n") + 1]


@pytest.mark.parametrize(
    "source",
    [
        "monkeypatch.setattr(socket, 'getaddrinfo', None)",
        "monkeypatch.setenv('BRIDGE_MAPPINGS', 'x')",
        "monkeypatch.chdir(tmp_path)",
        "from bridge import worker\nmade = worker.POLL",
        "from bridge import worker\nassert worker.POLL == 1",
        "scene.policy = 1",
        "class A:\n    def __init__(self):\n        self._left = 1",
        "from bridge.timing import Timing\nStore(url, timing=Timing(quiet_period_s=0))",
        "from unittest import TestCase",
    ],
)
def test_other_code_is_no_patch(source: str) -> None:
    assert patches(source) == []
