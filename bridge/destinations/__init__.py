"""The kinds of receiver: one module each, and its file name is the word of a destination's `kind`.

A module has `connect(target, *, connect_timeout, read_timeout)`, which returns a
`model.Destination` and sends nothing yet.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import cast

from bridge.errors import NotFound
from bridge.model import Destination, Target


@cache
def names() -> tuple[str, ...]:
    """Every kind there is, in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def connect(target: Target, *, connect_timeout: float = 5, read_timeout: float = 30) -> Destination:
    """Make a destination of its kind's module, with timeouts in seconds; raises `NotFound`.

    A send takes no longer than both timeouts together, whatever the receiver does: connecting has
    the one, with the look-up of the name in it, and everything after that the other.
    """
    if target.kind not in names():
        known = ", ".join(names())
        raise NotFound(f"{target.name}: there is no kind {target.kind!r}; there are: {known}")
    module = import_module(f"{__name__}.{target.kind}")
    made = module.connect(target, connect_timeout=connect_timeout, read_timeout=read_timeout)
    return cast("Destination", made)
