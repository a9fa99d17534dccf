"""Health checks and metrics for monitoring: /healthz, /readyz, /metrics."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from bridge.app import Bridge
from bridge.web.metrics import ACCEPTED, ANSWERS, DatabaseMetrics, VerdictMetrics


def blueprint(bridge: Bridge) -> Blueprint:
    """Build the three routes."""
    routes = Blueprint("health", __name__)
    registry = CollectorRegistry()
    collectors: tuple[Collector, ...] = (
        ANSWERS,
        ACCEPTED,
        VerdictMetrics(bridge),
        DatabaseMetrics(bridge),
    )
    for collector in collectors:
        registry.register(collector)

    @routes.get("/healthz")
    def live() -> Response:
        """Answer 200 while the process runs."""
        return _json({"status": "ok"})

    @routes.get("/readyz")
    def ready() -> Response:
        """Answer 200 if events can be stored, else 503; list everything that is degraded."""
        can, degraded = bridge.store.can_keep(), bridge.degraded()
        status = "degraded" if can and degraded else "ok" if can else "not ready"
        count = len(bridge.plan.configuration.routes)
        return _json(
            {"status": status, "degraded": list(degraded), "routes": count}, 200 if can else 503
        )

    @routes.get("/metrics")
    def metrics() -> Response:
        """Answer with the metrics in Prometheus' text format."""
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return routes


def _json(value: dict[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, content_type="application/json")
