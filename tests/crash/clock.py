"""A wall clock for processes under test that can be set forward and back.

`clock.c` is compiled into a library that is loaded before libc. Monotonic clocks are not changed,
as on a host whose clock is set.
"""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class HostClock:
    """A wall clock kept in a folder; processes started with `environ` use it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        library, offset = folder / "clock.so", folder / "offset"
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE], check=True, timeout=60
        )
        offset.write_bytes(bytes(8))
        self._offset = offset
        #: The environment variables of a process that is to use this clock.
        self.environ = {"LD_PRELOAD": str(library), "CRASH_CLOCK": str(offset)}

    def step(self, seconds: float) -> None:
        """Set the clock that many seconds ahead of the real one, for all processes at once."""
        with self._offset.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped:
            mapped[:] = round(seconds * 1e9).to_bytes(8, "little", signed=True)
