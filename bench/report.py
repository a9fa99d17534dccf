"""What was measured, as a table, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measure beside its target."""

    measure: str
    #: What it should be; "" where the figure is only told.
    target: str = ""
    figure: str
    #: Whether it is; None where there is no target.
    met: bool | None = None
    #: What it was made of.
    detail: Mapping[str, Any] = field(default_factory=dict)


def at_least(measure: str, figure: float, least: float, **detail: object) -> Row:
    """Hold a ratio to what it should at least be."""
    return Row(
        measure=measure,
        target=f"at least {least:g}",
        figure=f"{figure:.2f}",
        met=figure >= least,
        detail=detail,
    )


def at_most(measure: str, figure: float, most: float, unit: str = "", **detail: object) -> Row:
    """Hold a figure to what it should at most be."""
    unit = f" {unit}" if unit else ""
    return Row(
        measure=measure,
        target=f"at most {most:g}{unit}",
        figure=f"{figure:.{1 if unit else 2}f}{unit}",
        met=figure <= most,
        detail=detail,
    )


def told(measure: str, figure: str, **detail: object) -> Row:
    """Tell a figure that nothing is held to."""
    return Row(measure=measure, figure=figure, detail=detail)


def holds(measure: str, target: str, figure: str, *, met: bool, **detail: object) -> Row:
    """Hold something to a sentence."""
    return Row(measure=measure, target=target, figure=figure, met=met, detail=detail)


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)


def machine(folder: Path) -> dict[str, Any]:
    """Tell what the figures come from."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fsync_ms": round(_fsync(folder), 2),
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }


def _fsync(folder: Path) -> float:
    """Measure how long the disk takes to keep a page, in ms."""
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(40):
            file.write(bytes(4096))
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def show(facts: Mapping[str, Any], rows: Sequence[Row], *, seconds: float) -> None:
    """Print everything for people."""
    console = Console(width=None if os.isatty(1) else 150, highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), soft_wrap=True)
    table = Table("measure", "target", "figure", "")
    for row in rows:
        word = {True: "met", False: "short", None: ""}[row.met]
        table.add_row(row.measure, row.target, row.figure, word)
    console.print(table)
    load = os.getloadavg()
    console.print(f"{seconds:.0f} s; load average at the end {load[0]:.1f}")


def plain(row: Row) -> dict[str, Any]:
    """Say a row as plain data."""
    return asdict(row)
