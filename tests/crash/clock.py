"""The clock of a host that can be stepped: what processes under test are told the time is.

`clock.c` is compiled into a library that is loaded before libc. Monotonic clocks go on as they
are, as on a host whose clock is set.
"""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class HostClock:
    """A wall clock in a folder; `environ` makes processes go by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        library, offset = folder / "clock.so", folder / "offset"
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE], check=True, timeout=60
        )
        offset.write_bytes(bytes(8))
        self._offset = offset
        #: What a process that goes by this clock is started with.
        self.environ = {"LD_PRELOAD": str(library), "CRASH_CLOCK": str(offset)}

    def step(self, seconds: float) -> None:
        """Set the clock to so many seconds off the real one, for all processes at once."""
        with self._offset.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped:
            mapped[:] = round(seconds * 1e9).to_bytes(8, "little", signed=True)
