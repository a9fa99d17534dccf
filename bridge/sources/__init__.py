"""The kinds of sender: one module each, and its file name is the word of a hook's `source`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import cast

from bridge.errors import NotFound
from bridge.model import Source


@cache
def names() -> tuple[str, ...]:
    """Every source there is, in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def get(name: str) -> Source:
    """Return the source of that name; raises `NotFound`, which lists those there are."""
    if name not in names():
        raise NotFound(f"there is no source {name!r}; there are: {', '.join(names())}")
    return cast("Source", import_module(f"{__name__}.{name}"))
