"""A copy of the last mapping files without errors, to run with while the present ones have some.

A file `mappings-<digest of the folder's path>.json` in the spool folder holds the text of each
mapping file as written (with `${NAME}`, not the secrets), and the error of the present files.
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

from bridge.config.files import MappingFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class LastGoodFiles:
    """The stored copy of one mappings folder."""

    #: The mappings folder.
    folder: Path
    #: The folder of the spool, where the copy is stored.
    spool: Path

    @property
    def path(self) -> Path:
        """The path of the copy; each mappings folder has its own."""
        name = hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:8]
        return self.spool / f"mappings-{name}.json"

    def save(self, files: MappingFiles) -> bool:
        """Store the files that come into use; False when they cannot be written."""
        texts = {name: text.decode("utf-8", "replace") for name, text in files.contents.items()}
        copy = {"folder": str(self.folder), "files": texts, "look": files.state, "trouble": ""}
        if self._write(copy):
            return True
        with suppress(OSError):
            self.path.unlink(missing_ok=True)  # an older copy must not come into use again
        return False

    def set_error(self, error: str) -> None:
        """Store why the present files are not in use; "" when they are."""
        copy = _read(self.path)
        if copy is not None and copy["trouble"] != error:
            self._write({**copy, "trouble": error})

    def load(self) -> MappingFiles | None:
        """Return the last files without errors; None when there is no copy."""
        copy = _read(self.path)
        if copy is None:
            return None
        return MappingFiles(
            folder=self.folder,
            contents={name: text.encode() for name, text in copy["files"].items()},
            state={name: tuple(each) for name, each in copy["look"].items()},
        )

    def _write(self, copy: dict[str, Any]) -> bool:
        try:
            self.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.spool, prefix=".mappings-")  # 0600
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(orjson.dumps(copy))
                    file.flush()
                    os.fsync(descriptor)
                Path(name).replace(self.path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError:
            return False
        return True


def reload_errors(spool: Path) -> Iterator[tuple[str, str]]:
    """Yield each mappings folder whose present files are not in use, and their error."""
    for path in sorted(spool.glob("mappings-*.json")):
        copy = _read(path)
        if copy is not None and copy["trouble"]:
            yield copy["folder"], copy["trouble"]


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, orjson.JSONDecodeError):
        copy = orjson.loads(path.read_bytes())
        if isinstance(copy, dict) and {"folder", "files", "look", "trouble"} <= copy.keys():
            return copy
    return None
