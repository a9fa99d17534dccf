"""What this process counts by itself; the rest is counted from the database when asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.app import Bridge
from bridge.store import log

ANSWERS = Counter("bridge_answers_total", "Answers given at the webhook door.", ["status"])
ACCEPTED = Histogram(
    "bridge_accept_seconds",
    "From the first byte read to the commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)


class Rows(Collector):
    """The account, as gauges: the same numbers as `aha-bridge status`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read the account once."""
        with self._bridge.store.reading() as conn:
            account = log.account(conn)
        events = GaugeMetricFamily(
            "bridge_events", "Events kept, by what they came to.", labels=["outcome"]
        )
        for outcome, count in account.events.items():
            events.add_metric([outcome], count)
        yield events
        deliveries = GaugeMetricFamily(
            "bridge_deliveries", "Deliveries, by where they are.", labels=["state"]
        )
        for state, count in account.deliveries.items():
            deliveries.add_metric([state], count)
        yield deliveries
        paused = GaugeMetricFamily(
            "bridge_destination_paused", "Whether a destination is paused.", labels=["destination"]
        )
        for name, gate in account.destinations.items():
            paused.add_metric([name], float(bool(gate["paused"])))
        yield paused
        yield GaugeMetricFamily(
            "bridge_spool_waiting",
            "Whether events wait in the spool.",
            value=float(self._bridge.store.writer.backlog),
        )
