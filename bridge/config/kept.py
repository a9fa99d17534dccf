"""The last mapping files that were in use, kept on disk for when those in the folder are wrong.

A file `mappings-<folder>.json` in the spool's folder holds the text of each mapping file as it
was written, with `${NAME}` in place of secrets, and what is wrong with the files of now.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bridge.config.files import Files


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Where the last good files of one mappings folder are kept."""

    #: The mappings folder.
    folder: Path
    #: The spool's folder.
    spool: Path

    @property
    def path(self) -> Path:
        """Return the path of the file that keeps them; each mappings folder has its own."""
        name = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:8]
        return self.spool / f"mappings-{name}.json"

    def save(self, files: Files) -> bool:
        """Keep files that are in use from now on; False when the disk does not take them."""
        texts = {name: text.decode("utf-8", "replace") for name, text in files.contents.items()}
        told = {"folder": str(self.folder), "files": texts, "look": files.look, "trouble": ""}
        if self._write(told):
            return True
        with suppress(OSError):
            self.path.unlink(missing_ok=True)  # older ones must not come back into use
        return False

    def note(self, trouble: str) -> None:
        """Keep beside them why the files of now are not in use; "" when they are."""
        told = _read(self.path)
        if told is not None and told["trouble"] != trouble:
            self._write({**told, "trouble": trouble})

    def load(self) -> Files | None:
        """Return the last good files; None when there are none."""
        told = _read(self.path)
        if told is None:
            return None
        return Files(
            folder=self.folder,
            contents={name: text.encode() for name, text in told["files"].items()},
            look={name: tuple(each) for name, each in told["look"].items()},
        )

    def _write(self, told: dict[str, Any]) -> bool:
        try:
            self.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.spool, prefix=".mappings-")  # 0600
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(orjson.dumps(told))
                    file.flush()
                    os.fsync(descriptor)
                Path(name).replace(self.path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError:
            return False
        return True


def troubles(spool: Path) -> Iterator[tuple[str, str]]:
    """Give each mappings folder whose files of now are not in use, and why."""
    for path in sorted(spool.glob("mappings-*.json")):
        told = _read(path)
        if told is not None and told["trouble"]:
            yield told["folder"], told["trouble"]


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, orjson.JSONDecodeError):
        told = orjson.loads(path.read_bytes())
        if isinstance(told, dict) and {"folder", "files", "look", "trouble"} <= told.keys():
            return told
    return None
