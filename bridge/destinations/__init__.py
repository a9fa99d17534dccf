"""The kinds of destination: one module or package each, named like the `kind` of a destination.

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
    """Return all kinds in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def connect(target: Target, *, connect_timeout: float = 5, read_timeout: float = 30) -> Destination:
    """Build the destination of a target; raises `NotFound` for an unknown kind.

    Timeouts are in seconds. `connect_timeout` covers the look-up of the host name and the
    connection, `read_timeout` everything after that, so a send never takes longer than both.
    """
    if target.kind not in names():
        known = ", ".join(names())
        raise NotFound(f"{target.name}: there is no kind {target.kind!r}; there are: {known}")
    module = import_module(f"{__name__}.{target.kind}")
    destination = module.connect(target, connect_timeout=connect_timeout, read_timeout=read_timeout)
    return cast("Destination", destination)
