"""Which configuration is in use: the files of now, or the last good ones while those are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.config import files
from bridge.config.files import Files, Look
from bridge.config.kept import Kept
from bridge.config.loading import Loaded, check
from bridge.errors import BadConfiguration
from bridge.model import Configuration

log = structlog.get_logger()


class InUse:
    """The configuration of a running bridge, and what it was made of."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, spool: Path, from_kept: bool = False
    ) -> None:
        """Read the folder, or fall back to the last good files.

        Raises `BadConfiguration` when the files are wrong and there are no last good ones.
        `from_kept` begins with the last good files even if those of now are right: a process that
        another one starts again must not read a file in the middle of being saved.
        """
        self._folder = folder
        self._environ = environ
        self._kept = Kept(folder=folder, spool=spool)
        #: Why the files of now are not in use; "" when they are.
        self.trouble = ""
        #: How the folder looked when it was last judged, and when it was last looked at.
        self._judged: Look = {}
        self._before: Look | None = None
        #: The files that were read last, with everything that was found in them.
        self.loaded: Loaded
        #: What everything goes by.
        self.configuration: Configuration
        kept = self._kept.load() if from_kept else None
        if kept is None or not self._begin_with(kept):
            self._begin()

    def _begin_with(self, kept: Files) -> bool:
        """Use the last good files, if they still are; the others have their turn at a look."""
        loaded = check(kept, self._environ)
        if loaded.configuration is None:
            return False
        self.loaded, self.configuration, self._judged = loaded, loaded.configuration, kept.look
        now = files.read(self._folder)
        if now.look != kept.look:
            found = check(now, self._environ)
            if found.configuration is None:
                self._refuse(now, found)
        return True

    def _begin(self) -> None:
        now = files.read(self._folder)
        self.loaded = check(now, self._environ)
        if self.loaded.configuration is not None:
            self._take(now, self.loaded.configuration)
            return
        kept = self._kept.load()
        last = check(kept, self._environ).configuration if kept is not None else None
        if last is None:
            raise BadConfiguration(self.loaded.problems)
        self.configuration = last
        self._refuse(now, self.loaded)

    def look(self) -> bool:
        """Take the files of now into use, if they changed and are right; tell whether it was done.

        A change is judged when two looks in a row see the same: a file that is being saved is
        left alone until it stands still.
        """
        seen, before = files.look(self._folder), self._before
        self._before = seen
        if seen == self._judged or seen != before:
            return False
        now = files.read(self._folder)
        if now.look != seen or files.look(self._folder) != seen:
            return False
        self.loaded = check(now, self._environ)
        if self.loaded.configuration is None:
            self._refuse(now, self.loaded)
            return False
        self._take(now, self.loaded.configuration)
        warnings = [str(problem) for problem in self.loaded.problems]
        routes = len(self.configuration.routes)
        log.info("mappings.reloaded", routes=routes, **({"warnings": warnings} if warnings else {}))
        return True

    def _take(self, now: Files, configuration: Configuration) -> None:
        self.configuration, self._judged, self.trouble = configuration, now.look, ""
        if not self._kept.save(now):
            log.warning("mappings.not_kept", folder=str(self._kept.spool))

    def _refuse(self, now: Files, loaded: Loaded) -> None:
        """Go on with what is in use, and say why."""
        self._judged = now.look
        errors = [problem for problem in loaded.problems if problem.severity == "error"]
        self.trouble = f"{errors[0]} ({len(errors)} in all; see `aha-bridge check`)"
        self._kept.note(self.trouble)
        log.error("mappings.kept_the_last", problems=[str(problem) for problem in errors])
