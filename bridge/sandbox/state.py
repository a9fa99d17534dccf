"""The stand-in without HTTP: its tokens, its faults, and everything it has received."""

from __future__ import annotations

import threading
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from bridge.sandbox.faults import Faults, Shares
from bridge.sandbox.records import (
    UNDOCUMENTED,
    Integration,
    Record,
    Written,
    json_object,
    part,
    read,
)

#: How long a request hangs unless the stand-in is stopped, in seconds.
_HANG_S = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request that reached the stand-in, whether or not it was written."""

    #: In ms since the epoch.
    time: int
    record: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to a webhook request."""

    status: int
    text: str
    #: The value of `Retry-After`, in seconds.
    retry_after: int | None = None
    #: Close the connection instead of answering.
    drop: bool = False


class FakeAha:
    """The tokens, records and faults of the stand-in. Threads may share it."""

    def __init__(self, *integrations: Integration) -> None:
        self.faults = Faults()
        self._integrations = {one.token: one for one in integrations}
        self._written: list[Written] = []
        self._created: set[tuple[object, ...]] = set()
        self._records: dict[tuple[object, ...], Record] = {}
        self._received: list[Received] = []
        #: The faults of single issues, by their keys.
        self._faults_by_key: dict[str, Faults] = {}
        self._shares = Shares()
        self._lock = threading.Lock()
        self._released = threading.Event()

    def writes(self, record: str = "") -> list[Written]:
        """Return the writes to one record or to all, in order."""
        with self._lock:
            return [one for one in self._written if not record or one.record == record]

    def comments(self, record: str = "") -> list[Written]:
        """Return the comments created in one record or in all, in order."""
        writes = (one for one in self.writes(record) if one.kind == "comment")
        return [one for one in writes if one.verb == "created"]

    def records(self, record: str = "") -> list[Record]:
        """Return the present content of one record or of all."""
        with self._lock:
            found = [one for one in self._records.values() if not record or one.record == record]
            return deepcopy(found)

    def requests(self, key: str = "") -> list[Received]:
        """Return the requests about one issue key or about all, in order."""
        with self._lock:
            return [one for one in self._received if not key or one.key == key]

    def doubled(self) -> int:
        """Count the comments that were created although they existed."""
        return sum(one.double for one in self.comments())

    def integrations(self) -> list[Integration]:
        """Return the integrations whose tokens are accepted."""
        with self._lock:
            return list(self._integrations.values())

    def add(self, integration: Integration) -> None:
        """Accept one more token."""
        with self._lock:
            self._integrations[integration.token] = integration

    def revoke(self, token: str) -> None:
        """Stop accepting a token; an unknown one is ignored."""
        with self._lock:
            self._integrations.pop(token, None)

    def behave(self, **faults: Any) -> Faults:  # noqa: ANN401 - the fields of Faults
        """Change the given fields of `Faults`; the others stay."""
        self.faults = replace(self.faults, **faults)
        return self.faults

    def treat(self, key: str, **faults: Any) -> None:  # noqa: ANN401 - the fields of Faults
        """Give one issue faults of its own; without any, those of all others."""
        with self._lock:
            self._faults_by_key.pop(key, None)
            if faults:
                self._faults_by_key[key] = Faults(**faults)

    def wait(self, seconds: float) -> None:
        """Wait, at most until `release`."""
        self._released.wait(seconds)

    def release(self) -> None:
        """End all present waits; later ones are not affected."""
        released, self._released = self._released, threading.Event()
        released.set()

    def receive(self, token: str, raw: bytes) -> Answer:
        """Write what Aha! would write for a body, or fail as the faults require."""
        faults = self._note(raw)
        self.wait(faults.latency_ms / 1000)
        with self._lock:
            integration = self._integrations.get(token)
            failing = self._shares.is_due("fail", faults.fail_share)
            dropping = self._shares.is_due("drop", faults.drop_share)
            hanging = self._shares.is_due("hang", faults.hang_share)
            losing = self._shares.is_due("lose", faults.lost_share)
        if faults.down:
            return Answer(status=503, text="down for maintenance")
        if integration is None:
            return Answer(status=410, text="no such token")
        if failing:
            retry_after = faults.retry_after if faults.fail_status == 429 else None
            return Answer(
                status=faults.fail_status, text="failing, as told to", retry_after=retry_after
            )
        self._write(integration, raw)
        if hanging:
            self.wait(_HANG_S)
        status, text = (faults.lost_status, "lost") if losing else (200, "OK")
        return Answer(status=status, text=text, drop=dropping or hanging)

    def _note(self, raw: bytes) -> Faults:
        """Record that a request arrived; returns the faults that apply to it."""
        issue = part(json_object(raw) or {}, "issue")
        key = str(issue.get("key") or "")
        now = int(time.time() * 1000)
        with self._lock:
            self._received.append(Received(time=now, record=str(issue.get("id") or ""), key=key))
            return self._faults_by_key.get(key, self.faults)

    def _write(self, integration: Integration, raw: bytes) -> None:
        for fields in read(raw):
            with self._lock:
                write = Written(
                    n=len(self._written) + 1,
                    time=int(time.time() * 1000),
                    integration=integration.name,
                    account=integration.account,
                    generation=integration.generation,
                    run_as=integration.run_as,
                    **fields,
                )
                comment = (write.account, write.generation, write.site, write.comment)
                created = write.kind == "comment" and write.verb == "created"
                self._written.append(replace(write, double=created and comment in self._created))
                if created:
                    self._created.add(comment)
                self._apply(write)

    def _apply(self, write: Written) -> None:
        if write.kind == "ignored" and write.note != UNDOCUMENTED:
            return
        record = (write.account, write.generation, write.site, write.record)
        if record not in self._records:
            self._records[record] = Record(
                account=write.account,
                generation=write.generation,
                site=write.site,
                record=write.record,
            )
        self._records[record].apply(write)
