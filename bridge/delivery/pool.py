"""The workers of all destinations: for each, the number of threads that the settings give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.core.plan import Plan
from bridge.core.retry import Policy
from bridge.delivery import worker
from bridge.delivery.deliver import Deliverer
from bridge.model import Destination, Target
from bridge.store import LeaseRequest, Store


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSettings:
    """How workers work, the same for all destinations."""

    #: The process, by its name in the store.
    owner: str
    #: Threads for each destination.
    workers: int
    #: How long a lane is leased: longer than the longest send.
    lease_ms: int
    longest_send_ms: int
    #: How patiently every destination is tried.
    policy: Policy
    #: How long a worker without a delivery waits before it asks again without a wake-up.
    poll_s: float

    def request(self, target: Target) -> LeaseRequest:
        """Return what the workers of a destination request of the store."""
        return LeaseRequest(
            destination=target.name,
            owner=self.owner,
            lease_ms=self.lease_ms,
            limits=target.limits,
            most_failing=max(1, self.workers // 4),
            longest_send_ms=self.longest_send_ms,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Workers:
    """The running workers of one destination."""

    deliverer: Deliverer
    stopping: threading.Event
    threads: tuple[threading.Thread, ...]


class WorkerPool:
    """Starts and stops the workers of each destination. Not thread-safe."""

    def __init__(
        self,
        store: Store,
        plan: Callable[[], Plan],
        connect: Callable[[Target], Destination],
        settings: PoolSettings,
    ) -> None:
        self._store = store
        self._plan = plan
        self._connect = connect
        self._settings = settings
        self._running: dict[str, _Workers] = {}

    @property
    def threads(self) -> list[threading.Thread]:
        """All threads that were started and not stopped since."""
        return [thread for workers in self._running.values() for thread in workers.threads]

    def start(self, targets: Mapping[str, Target]) -> None:
        """Start workers for each destination that has none."""
        for name, target in targets.items():
            if name not in self._running:
                self._running[name] = self._start_one(target)

    def stop_changed(self, targets: Mapping[str, Target]) -> None:
        """Stop the workers of each destination that is gone, or is configured otherwise now."""
        running = {name: workers.deliverer.target for name, workers in self._running.items()}
        self._stop([name for name, target in running.items() if targets.get(name) != target])

    def stop(self) -> None:
        """Stop all workers, once the deliveries in flight are finished and settled."""
        self._stop(list(self._running))

    def _start_one(self, target: Target) -> _Workers:
        deliverer = Deliverer(
            target=target,
            destination=self._connect(target),
            store=self._store,
            plan=self._plan,
            policy=self._settings.policy,
            request=self._settings.request(target),
            poll_s=self._settings.poll_s,
        )
        stopping = threading.Event()
        threads = tuple(
            threading.Thread(
                target=worker.run,
                args=(deliverer, stopping),
                name=f"{target.name}-{n}",
                daemon=True,
            )
            for n in range(self._settings.workers)
        )
        for thread in threads:
            thread.start()
        return _Workers(deliverer=deliverer, stopping=stopping, threads=threads)

    def _stop(self, names: list[str]) -> None:
        # All are asked to stop before any is waited for: the longest send is the longest wait.
        for name in names:
            self._running[name].stopping.set()
        for name in names:
            workers = self._running.pop(name)
            self._store.wakeups.notify({name: len(workers.threads)})
            for thread in workers.threads:
                thread.join()
            workers.deliverer.destination.close()
