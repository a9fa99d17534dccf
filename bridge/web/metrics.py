"""Prometheus metrics: counters of this process, and gauges read from the database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.app import Bridge
from bridge.desk import Totals, status

log = structlog.get_logger()

ANSWERS = Counter(
    "bridge_answers_total", "Answers to webhook requests, by HTTP status.", ["status"]
)
ACCEPTED = Histogram(
    "bridge_accept_seconds",
    "Seconds from the end of a webhook request's headers to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


class AnswerMetrics:
    """Counts and times the answers of the webhook endpoint."""

    def __init__(self) -> None:
        #: The counters of the usual statuses, because looking one up by its label is slow.
        self._counters = {
            status: ANSWERS.labels(status=str(status)) for status in (200, 410, 413, 503)
        }

    def record(self, status: int, started: float) -> None:
        """Count an answer to a request that arrived at `started`, on `time.perf_counter`."""
        ACCEPTED.observe(time.perf_counter() - started)
        self.count(status)

    def count(self, status: int) -> None:
        """Count an answer without its time."""
        counter = self._counters.get(status) or ANSWERS.labels(status=str(status))
        counter.inc()


class VerdictMetrics(Collector):
    """Counts the verdicts of the events that this process kept, by verdict and stage."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read the counts of the writer, without the database."""
        counter = CounterMetricFamily(
            "bridge_verdicts_total",
            "Verdicts on the events that this process kept, by verdict and stage.",
            labels=["verdict", "stage"],
        )
        for (verdict, stage), count in sorted(self._bridge.store.verdicts.items()):
            counter.add_metric([verdict, stage], count)
        yield counter


class DatabaseMetrics(Collector):
    """The totals of events and deliveries as gauges: the same numbers as `aha-bridge status`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read the totals once; while the database is unreachable, only the first two gauges."""
        yield GaugeMetricFamily(
            "bridge_spool_waiting",
            "1 while the spool holds events, else 0.",
            value=float(self._bridge.store.backlog),
        )
        found = self._totals()
        yield GaugeMetricFamily(
            "bridge_database_up",
            "1 if the database answers, else 0.",
            value=float(found is not None),
        )
        if found is not None:
            yield from _gauges(found)

    def _totals(self) -> Totals | None:
        try:
            return status.totals(self._bridge.store)
        except Exception as error:  # noqa: BLE001 - drivers report an unreachable database variously
            log.warning("metrics.without_database", error=type(error).__name__)
            return None


def _gauges(found: Totals) -> Iterator[Metric]:
    paused = {name: float(bool(state["paused"])) for name, state in found.destinations.items()}
    yield _gauge(
        "bridge_events", "Stored events, by their strongest verdict.", "outcome", found.events
    )
    yield _gauge("bridge_deliveries", "Deliveries, by state.", "state", found.deliveries)
    yield _gauge(
        "bridge_destination_paused",
        "1 while a destination is paused, else 0.",
        "destination",
        paused,
    )


def _gauge(name: str, sentence: str, label: str, values: Mapping[str, float]) -> Metric:
    gauge = GaugeMetricFamily(name, sentence, labels=[label])
    for value, count in values.items():
        gauge.add_metric([value], count)
    return gauge
