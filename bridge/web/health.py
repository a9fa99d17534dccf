"""Health for machines: lives, can keep events, metrics."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from bridge.app import Bridge
from bridge.web.metrics import ACCEPTED, ANSWERS, Rows


def blueprint(bridge: Bridge) -> Blueprint:
    """Make the routes."""
    door = Blueprint("health", __name__)
    registry = CollectorRegistry()
    collectors: tuple[Collector, ...] = (ANSWERS, ACCEPTED, Rows(bridge))
    for collector in collectors:
        registry.register(collector)

    @door.get("/healthz")
    def alive() -> Response:
        """Answer while the process lives."""
        return _json({"status": "ok"})

    @door.get("/readyz")
    def ready() -> Response:
        """Answer whether events can be kept, and what is degraded."""
        can, degraded = bridge.store.can_keep(), bridge.degraded()
        status = "degraded" if can and degraded else "ok" if can else "not ready"
        routes = len(bridge.plan.configuration.routes)
        told = {"status": status, "degraded": list(degraded), "routes": routes}
        return _json(told, 200 if can else 503)

    @door.get("/metrics")
    def metrics() -> Response:
        """Tell Prometheus."""
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return door


def _json(told: dict[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(told), status, content_type="application/json")
