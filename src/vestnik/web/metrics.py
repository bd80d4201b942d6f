"""`/metrics` in Prometheus' text format."""

from __future__ import annotations

from aiohttp import web
from aiohttp_apigami import docs
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from vestnik.web.auth import loopback_only


class MetricsApi:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self.metrics, allow_head=False)]

    @docs(
        tags=["operating"],
        summary="Metrics for Prometheus",
        description="For this machine only, unless the configuration says `metrics: open`.",
        responses={
            200: {"description": "text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
            403: {"description": "not from this machine"},
        },
    )
    @loopback_only
    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
