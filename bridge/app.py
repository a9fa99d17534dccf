"""Settings in, a running bridge out."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from bridge import config, destinations, worker
from bridge.config import Settings
from bridge.core.plan import Plan
from bridge.core.retry import Policy
from bridge.desk import naming, sites
from bridge.errors import NotFound
from bridge.intake import Intake
from bridge.model import Configuration, Destination, Hook, Target
from bridge.store import Clocks, Down, Retention, Store, WakeupPipe
from bridge.timing import Timing
from bridge.worker import Crew

log = structlog.get_logger()

#: The same for both, so that nobody learns which tokens there are.
_NO_HOOK = "there is no such hook, or it is disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gang:
    """The running workers of one destination."""

    target: Target
    destination: Destination
    stopping: threading.Event
    threads: tuple[threading.Thread, ...]


class Bridge:
    """A bridge, or one half of it: what the doors talk to."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        clocks: Clocks | None = None,
        from_kept: bool = False,
        policy: Policy | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Read the mappings; raises `BadConfiguration` when there are none that can be used.

        `from_kept` begins with the last good ones, as `config.LiveConfiguration` does.
        """
        self.settings = settings
        self._timing = timing or Timing()
        #: How patiently every destination is tried.
        self.policy = policy or Policy(park_after_ms=settings.park_hours * 3_600_000)
        self._mappings = config.LiveConfiguration(
            settings.mappings, environ, spool=settings.spool, from_kept=from_kept
        )
        self.plan = Plan.of(self._mappings.configuration)
        self._hooks = _by_token(self.plan.configuration)
        # In a container the number is the same each time; what a dead process left is not ours.
        self.process = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.store = Store(
            settings.database,
            spool=settings.spool,
            spool_limit=settings.spool_max,
            process=self.process,
            clocks=clocks,
            timing=self._timing,
        )
        self.intake = Intake(store=self.store, plan=lambda: self.plan, max_body=settings.max_body)
        self._gangs: dict[str, _Gang] = {}
        self._delivering = False
        #: Destinations whose token was replaced, until the database knows.
        self._renewed: set[str] = set()
        #: What is wrong with the names of destinations, one line each.
        self._misnamed: tuple[str, ...] = ()
        #: What is wrong with the sites of hooks, one line each.
        self._confused: tuple[str, ...] = ()
        #: Whether the workers and the database follow the mappings in use.
        self._staffed = True
        #: How many other databases were found in place of the first, when the last was told so.
        self._replaced = 0
        self._scheduler: BackgroundScheduler | None = None

    # Starting and stopping

    def start(
        self,
        *,
        receive: bool = True,
        deliver: bool = True,
        periodic: bool = True,
        pipe: WakeupPipe | None = None,
    ) -> None:
        """Open the store and begin; `deliver` starts the workers too.

        Of a bridge in two processes, one receives and wakes the one that delivers through `pipe`.

        An embedded database is migrated; any other must already have this version's schema. One
        that is away is waited for: events are kept in the spool meanwhile.
        """
        if self.store.embedded:
            self.store.migrate()
        try:
            self.store.require_schema()
        except Down as error:
            log.warning("bridge.started_without_database", detail=str(error))
        self.store.start(
            grace=self.settings.grace_seconds * 1000,
            policy=self.policy,
            adopt=receive,
            on_ready=pipe.send if pipe is not None and not deliver else None,
        )
        if pipe is not None and deliver:
            pipe.receive(self.store.wakeups.notify)
        self.intake.start()
        self._delivering = deliver
        self._staff()
        self._look_at_names()
        if periodic:
            self._start_jobs()

    def rest(self) -> None:
        """Stop delivering: what is in flight is finished and settled. Events are still kept."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        # All at once, so that the longest send is the longest wait.
        for gang in list(self._gangs.values()):
            gang.stopping.set()
        for name in list(self._gangs):
            self._dismiss(name)

    def stop(self) -> None:
        """Finish what is in flight, settle it, and let go of everything."""
        self.rest()
        self.store.close()
        self.intake.stop()

    # Asked by the doors

    def hook(self, token: str) -> Hook:
        """Find the live hook of a token; raises `NotFound`."""
        given = sha256(token.encode()).digest()
        hook = self._hooks.get(given)
        if hook is None or not compare_digest(sha256(hook.token.encode()).digest(), given):
            raise NotFound(_NO_HOOK)
        if not hook.enabled:
            raise NotFound(_NO_HOOK)
        return hook

    def degraded(self) -> tuple[str, ...]:
        """Say what does not work as it should, although events are still kept."""
        found = []
        if self.store.outage:
            found.append(f"the database cannot be reached: {self.store.outage}")
        if self.store.backlog:
            found.append("events wait in the spool")
        if self._mappings.error:
            found.append(
                "the mappings on disk are not in use, but the last good ones:"
                f" {self._mappings.error}"
            )
        return (*found, *self._misnamed, *self._confused)

    # Configuration

    def reload(self) -> bool:
        """Use the mapping files of now, if they changed, stand still and are in order.

        Tells whether they are in use since; it takes two calls in a row that see the same files.
        """
        before = self.plan.configuration
        changed = self._mappings.poll()
        if changed:
            configuration = self._mappings.configuration
            self._renewed |= _renewed(before, configuration)
            self.plan = Plan.of(configuration)
            self._hooks = _by_token(configuration)
        replaced = self.store.replaced
        if changed or replaced != self._replaced or not self._staffed:
            self._replaced = replaced
            self._staff()
        self._look_at_names()
        self._look_at_sites()
        return changed

    def _staff(self) -> None:
        """Let the workers follow the mappings; without the database, at the next look."""
        try:
            self._install(self.plan.configuration)
        except Down as error:
            self._staffed = False
            log.warning("mappings.wait_for_the_database", detail=str(error))
        else:
            self._staffed = True
            self._renewed.clear()

    def _install(self, configuration: Configuration) -> None:
        """Tell the store of the destinations, free what an edit freed, and staff them.

        Raises `Down`; doing it again is then all there is to do.
        """
        tokens = {t.name: sha256(t.token.encode()).hexdigest() for t in _targets(configuration)}
        revisions = {route.name: route.revision for route in configuration.routes.values()}
        for name, gang in list(self._gangs.items()):
            if configuration.targets.get(name) != gang.target:
                self._dismiss(name)
        self._carry_along(configuration, install=True)
        self.store.destinations.register(tokens)
        # A process that had not heard of the new token yet may have paused it again.
        self.store.destinations.resume(self._renewed)
        self.store.destinations.requeue_unmappable(revisions)
        if self._delivering:
            for target in _targets(configuration):
                if target.name not in self._gangs:
                    self._hire(target)

    def _carry_along(self, configuration: Configuration, *, install: bool = False) -> None:
        """Carry what destinations had under former names; raises `Down`.

        Only when they are installed do the mappings rename: a process that still has older ones
        would take it back at its next look.
        """
        names = self.store.destinations.compare_names(naming.configured(configuration))
        for was, name in (*(names.new if install else ()), *names.behind):
            carried = self.store.destinations.rename(was, name)
            log.info("destination.renamed", was=was, destination=name, open=carried)

    def _look_at_names(self) -> None:
        """Carry along what came since, and notice deliveries that nobody sends any more."""
        try:
            self._carry_along(self.plan.configuration)
            found = naming.take(self.store, self.plan.configuration)
        except Down:
            return  # what was found the last time still holds
        if found != self._misnamed:
            for line in found:
                log.warning("destination.unknown", detail=line)
        self._misnamed = found

    def _look_at_sites(self) -> None:
        """Notice hooks of one installation with two sites, and of two with one."""
        try:
            found = sites.take(self.store)
        except Down:
            return  # what was found the last time still holds
        for line in set(found) - set(self._confused):
            log.warning("sites.confused", detail=line)
        self._confused = found

    def _hire(self, target: Target) -> None:
        destination = destinations.connect(
            target,
            connect_timeout=self.settings.connect_timeout,
            read_timeout=self.settings.read_timeout,
        )
        crew = Crew(
            target=target,
            destination=destination,
            store=self.store,
            plan=lambda: self.plan,
            owner=self.process,
            lease_ms=self.settings.lease_seconds * 1000,
            poll_s=self._timing.worker_poll_s,
            longest_send_ms=self.settings.longest_send * 1000,
            policy=self.policy,
            most_failing=max(1, self.settings.workers // 4),
        )
        stopping = threading.Event()
        threads = tuple(
            threading.Thread(
                target=worker.run, args=(crew, stopping), name=f"{target.name}-{n}", daemon=True
            )
            for n in range(self.settings.workers)
        )
        self._gangs[target.name] = _Gang(
            target=target, destination=destination, stopping=stopping, threads=threads
        )
        for thread in threads:
            thread.start()

    def _dismiss(self, name: str) -> None:
        gang = self._gangs.pop(name)
        gang.stopping.set()
        self.store.wakeups.notify({name: len(gang.threads)})
        for thread in gang.threads:
            thread.join()
        gang.destination.close()

    # What is periodic

    def _start_jobs(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True})
        scheduler.add_job(self.reload, "interval", seconds=self._timing.mappings_poll_s)
        scheduler.add_job(self.tidy, "interval", hours=1)
        scheduler.start()
        self._scheduler = scheduler

    def tidy(self) -> None:
        """Delete what retention no longer keeps, unless another process is at it."""
        keep = Retention(
            bodies=self.settings.bodies_days,
            decisions=self.settings.decisions_days,
            effects=self.settings.effects_days,
        )
        self.store.purge_expired(keep)


def _targets(configuration: Configuration) -> tuple[Target, ...]:
    return tuple(configuration.targets.values())


def _renewed(before: Configuration, after: Configuration) -> set[str]:
    """Name the destinations whose token was replaced."""
    pairs = ((name, before.targets.get(name), target) for name, target in after.targets.items())
    return {name for name, old, new in pairs if old is not None and old.token != new.token}


def _by_token(configuration: Configuration) -> dict[bytes, Hook]:
    return {sha256(h.token.encode()).digest(): h for h in configuration.hooks.values()}
