"""The configuration in use: the present files, or the last good ones while those have errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.config import files
from bridge.config.files import FolderState, MappingFiles
from bridge.config.last_good import LastGoodFiles
from bridge.config.loading import Loaded, check
from bridge.errors import BadConfiguration
from bridge.model import Configuration

log = structlog.get_logger()


class LiveConfiguration:
    """The configuration of a running bridge, and the files it is made of."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, spool: Path, from_kept: bool = False
    ) -> None:
        """Read the folder, or fall back to the last good files.

        Raises `BadConfiguration` when the files have errors and there are no last good ones.
        `from_kept` starts with the last good files even if the present ones are correct: a process
        that its parent starts again must not read a file while an editor saves it.
        """
        self._folder = folder
        self._environ = environ
        self._last_good = LastGoodFiles(folder=folder, spool=spool)
        #: Why the present files are not in use; "" when they are.
        self.error = ""
        #: The state of the folder when its files were last checked.
        self._checked: FolderState = {}
        #: The state of the folder at the last poll.
        self._polled: FolderState | None = None
        #: The result of the last check.
        self.loaded: Loaded
        #: The configuration in use.
        self.configuration: Configuration
        kept = self._last_good.load() if from_kept else None
        if kept is None or not self._start_with(kept):
            self._start()

    def _start_with(self, kept: MappingFiles) -> bool:
        """Use the last good files if they still have no errors; the next poll reads the others."""
        loaded = check(kept, self._environ)
        if loaded.configuration is None:
            return False
        self.loaded, self.configuration, self._checked = loaded, loaded.configuration, kept.state
        now = files.read(self._folder)
        if now.state != kept.state:
            found = check(now, self._environ)
            if found.configuration is None:
                self._refuse(now, found)
        return True

    def _start(self) -> None:
        now = files.read(self._folder)
        self.loaded = check(now, self._environ)
        if self.loaded.configuration is not None:
            self._use(now, self.loaded.configuration)
            return
        kept = self._last_good.load()
        last = check(kept, self._environ).configuration if kept is not None else None
        if last is None:
            raise BadConfiguration(self.loaded.problems)
        self.configuration = last
        self._refuse(now, self.loaded)

    def poll(self) -> bool:
        """Use the present files if they changed and have no errors; return whether they came in.

        A change is checked once two polls in a row find the same state, so that a file is not read
        while an editor saves it.
        """
        seen, before = files.folder_state(self._folder), self._polled
        self._polled = seen
        if seen == self._checked or seen != before:
            return False
        now = files.read(self._folder)
        if now.state != seen or files.folder_state(self._folder) != seen:
            return False
        self.loaded = check(now, self._environ)
        if self.loaded.configuration is None:
            self._refuse(now, self.loaded)
            return False
        self._use(now, self.loaded.configuration)
        warnings = [str(problem) for problem in self.loaded.problems]
        routes = len(self.configuration.routes)
        log.info("mappings.reloaded", routes=routes, **({"warnings": warnings} if warnings else {}))
        return True

    def _use(self, now: MappingFiles, configuration: Configuration) -> None:
        self.configuration, self._checked, self.error = configuration, now.state, ""
        if not self._last_good.save(now):
            log.warning("mappings.not_kept", folder=str(self._last_good.spool))

    def _refuse(self, now: MappingFiles, loaded: Loaded) -> None:
        """Stay with the configuration in use, and log why."""
        self._checked = now.state
        errors = [problem for problem in loaded.problems if problem.severity == "error"]
        self.error = f"{errors[0]} ({len(errors)} in all; see `aha-bridge check`)"
        self._last_good.set_error(self.error)
        log.error("mappings.kept_the_last", problems=[str(problem) for problem in errors])
