"""Metrics: some are counted in this process, the others in the database, at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.app import Bridge
from bridge.desk import Totals, status

log = structlog.get_logger()

ANSWERS = Counter("bridge_answers_total", "Answers given at the webhook door.", ["status"])
ACCEPTED = Histogram(
    "bridge_accept_seconds",
    "From the first byte read to the commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


class Rows(Collector):
    """The totals of the database as gauges: the same numbers as `aha-bridge status`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read the totals once; what needs no database is reported without one, too."""
        yield GaugeMetricFamily(
            "bridge_spool_waiting",
            "Whether events wait in the spool.",
            value=float(self._bridge.store.writer.backlog),
        )
        found = self._totals()
        yield GaugeMetricFamily(
            "bridge_database_up", "Whether the database answers.", value=float(found is not None)
        )
        if found is not None:
            yield from _gauges(found)

    def _totals(self) -> Totals | None:
        try:
            return status.totals(self._bridge.store)
        except Exception as error:  # noqa: BLE001 - an outage shows as many kinds of error
            log.warning("metrics.without_database", error=type(error).__name__)
            return None


def _gauges(found: Totals) -> Iterator[Metric]:
    paused = {name: float(bool(row["paused"])) for name, row in found.destinations.items()}
    yield _gauge("bridge_events", "Events kept, by what they came to.", "outcome", found.events)
    yield _gauge("bridge_deliveries", "Deliveries, by where they are.", "state", found.deliveries)
    yield _gauge(
        "bridge_destination_paused", "Whether a destination is paused.", "destination", paused
    )


def _gauge(name: str, sentence: str, label: str, values: Mapping[str, float]) -> Metric:
    gauge = GaugeMetricFamily(name, sentence, labels=[label])
    for value, count in values.items():
        gauge.add_metric([value], count)
    return gauge
