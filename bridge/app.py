"""Settings in, a running bridge out."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from bridge import config, destinations
from bridge.config import Settings
from bridge.core.plan import Plan
from bridge.core.retry import Policy
from bridge.delivery.pool import PoolSettings, WorkerPool
from bridge.desk import naming, sites
from bridge.errors import NotFound
from bridge.intake import Intake
from bridge.model import Configuration, Destination, Hook, Target
from bridge.store import Clocks, Down, Retention, Store, WakeupPipe
from bridge.timing import Timing

log = structlog.get_logger()

#: How often expired rows are deleted.
PURGE_EVERY_H = 1
#: The same answer for an unknown token and a disabled hook, so that tokens cannot be guessed.
_NO_HOOK = "there is no such hook, or it is disabled"


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
        self._pool = WorkerPool(
            self.store,
            lambda: self.plan,
            self._connect,
            PoolSettings(
                owner=self.process,
                workers=settings.workers,
                lease_ms=settings.lease_seconds * 1000,
                longest_send_ms=settings.longest_send * 1000,
                policy=self.policy,
                poll_s=self._timing.worker_poll_s,
            ),
        )
        self._delivering = False
        #: Destinations whose token was replaced, until that is in the database.
        self._renewed: set[str] = set()
        #: Warnings about the names of destinations, one line each.
        self._name_warnings: tuple[str, ...] = ()
        #: Warnings about the sites of hooks, one line each.
        self._site_warnings: tuple[str, ...] = ()
        #: Whether the workers and the database follow the mappings in use.
        self._installed = True
        #: How often another database had replaced the first when the mappings were last installed.
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
            grace_ms=self.settings.grace_seconds * 1000,
            policy=self.policy,
            adopt=receive,
            on_ready=pipe.send if pipe is not None and not deliver else None,
        )
        if pipe is not None and deliver:
            pipe.receive(self.store.wakeups.notify)
        self.intake.start()
        self._delivering = deliver
        self._try_install()
        self._check_names()
        if periodic:
            self._start_jobs()

    def stop_delivering(self) -> None:
        """Stop all workers once what they send is settled. Events are still kept."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        self._pool.stop()

    def stop(self) -> None:
        """Finish and settle the deliveries in flight, and close the store."""
        self.stop_delivering()
        self.store.close()
        self.intake.stop()

    # For the doors

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
        """List what does not work, one line each, although events are still kept."""
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
        return (*found, *self._name_warnings, *self._site_warnings)

    # Configuration

    def reload(self) -> bool:
        """Use the mapping files as they are now, if they changed and have no errors.

        A change is used once two calls in a row have seen the same files. Returns whether new
        mappings are in use.
        """
        before = self.plan.configuration
        changed = self._mappings.poll()
        if changed:
            configuration = self._mappings.configuration
            self._renewed |= _renewed(before, configuration)
            self.plan = Plan.of(configuration)
            self._hooks = _by_token(configuration)
        replaced = self.store.replaced
        if changed or replaced != self._replaced or not self._installed:
            self._replaced = replaced
            self._try_install()
        self._check_names()
        self._check_sites()
        return changed

    def _try_install(self) -> None:
        """Install the mappings in use; without the database, the next `reload` tries again."""
        try:
            self._install(self.plan.configuration)
        except Down as error:
            self._installed = False
            log.warning("mappings.wait_for_the_database", detail=str(error))
        else:
            self._installed = True
            self._renewed.clear()

    def _install(self, configuration: Configuration) -> None:
        """Let the database and the workers follow the mappings; raises `Down`.

        It can be repeated from the beginning.
        """
        targets = configuration.targets
        self._pool.stop_changed(targets)
        names = self.store.destinations.compare_names(naming.former_names(configuration))
        # Only here do the mappings rename: a process that still has older ones would undo it.
        self._rename((*names.new, *names.behind))
        self.store.destinations.register(
            {name: sha256(target.token.encode()).hexdigest() for name, target in targets.items()}
        )
        # A process with the replaced token may have paused the destination again.
        self.store.destinations.resume(self._renewed)
        self.store.destinations.requeue_unmappable(
            {route.name: route.revision for route in configuration.routes.values()}
        )
        if self._delivering:
            self._pool.start(targets)

    def _rename(self, pairs: Iterable[tuple[str, str]]) -> None:
        for was, name in pairs:
            count = self.store.destinations.rename(was, name)
            log.info("destination.renamed", was=was, destination=name, open=count)

    def _connect(self, target: Target) -> Destination:
        return destinations.connect(
            target,
            connect_timeout=self.settings.connect_timeout,
            read_timeout=self.settings.read_timeout,
        )

    def _check_names(self) -> None:
        """Carry over what is stored under former names, and warn of destinations without workers.

        Without the database, the last warnings stay.
        """
        try:
            names = self.store.destinations.compare_names(
                naming.former_names(self.plan.configuration)
            )
            self._rename(names.behind)
        except Down:
            return
        found = naming.describe(names)
        if found != self._name_warnings:
            for line in found:
                log.warning("destination.unknown", detail=line)
        self._name_warnings = found

    def _check_sites(self) -> None:
        """Warn of one installation with two sites, and of two with one.

        Without the database, the last warnings stay.
        """
        try:
            found = sites.warnings(self.store)
        except Down:
            return
        for line in set(found) - set(self._site_warnings):
            log.warning("sites.confused", detail=line)
        self._site_warnings = found

    # Periodic jobs

    def _start_jobs(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True})
        scheduler.add_job(self.reload, "interval", seconds=self._timing.mappings_poll_s)
        scheduler.add_job(self.tidy, "interval", hours=PURGE_EVERY_H)
        scheduler.start()
        self._scheduler = scheduler

    def tidy(self) -> None:
        """Delete everything that has expired, unless another process is doing it."""
        keep = Retention(
            bodies=self.settings.bodies_days,
            decisions=self.settings.decisions_days,
            effects=self.settings.effects_days,
        )
        self.store.purge_expired(keep)


def _renewed(before: Configuration, after: Configuration) -> set[str]:
    """Return the names of the destinations whose token was replaced."""
    pairs = ((name, before.targets.get(name), target) for name, target in after.targets.items())
    return {name for name, old, new in pairs if old is not None and old.token != new.token}


def _by_token(configuration: Configuration) -> dict[bytes, Hook]:
    return {sha256(h.token.encode()).digest(): h for h in configuration.hooks.values()}
