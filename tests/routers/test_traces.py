"""The spans and metrics of a full run of all flows, FastAPI's own included: no secret in them."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fastapi_stackauth.http.lifespan import start_telemetry
from fastapi_stackauth.routers import Delivery
from tests.routers.all_flows import NEW_EMAIL, all_flows
from tests.routers.callers import EMAIL, ORIGIN, House


def spans_of_the_app(spans: tuple[Any, ...]) -> list[Any]:
    """Those that are not in a trace of the auth server, which is a FastAPI app of the same process."""
    foreign = {
        span.context.trace_id
        for span in spans
        if span.kind is SpanKind.SERVER and span.attributes["server.address"] != urlsplit(ORIGIN).hostname
    }
    return [span for span in spans if span.context.trace_id not in foreign]


@pytest.mark.parametrize("keyed", [False, True], ids=["publishable-key", "secret-key"])
async def test_no_span_and_no_metric_of_any_flow_has_a_secret(
    house: House, keyed_house: House, delivery: Delivery, keyed: bool, monkeypatch: pytest.MonkeyPatch
):
    place = keyed_house if keyed else house
    reader, exporter, tracing = InMemoryMetricReader(), InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    # Providers of the process, so that FastAPI records too; setting them as an app does cannot be undone.
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", tracing)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([reader]))
    start_telemetry(place.stack)
    async with place.person(delivery) as person:
        secrets = await all_flows(place, person)
    secrets += [place.server.publishable_client_key, place.server.secret_server_key]
    spans = spans_of_the_app(exporter.get_finished_spans())
    recorded = "\n".join(span.to_json() for span in spans)
    metrics: Any = reader.get_metrics_data()
    measured = metrics.to_json()
    ours = {span.name for span in spans if span.name.startswith("stackauth.")}
    assert ours == {"stackauth.verify", "stackauth.call", "stackauth.refresh", "stackauth.fetch_keys"}
    assert "stackauth.sign_in_succeeded" in measured
    assert [secret for secret in secrets if secret in recorded or secret in measured] == []
    assert [private for private in (EMAIL, NEW_EMAIL) if private in recorded + measured] == []
    users = [user["id"] for user in place.server.store.users.in_order(place.server.project_id)]
    assert [user for user in users if user in measured] == []
    assert {span.attributes["enduser.id"] for span in spans if "enduser.id" in span.attributes} <= set(users)
    failed = [span.name for span in spans if span.status.status_code is StatusCode.ERROR]
    assert failed == []
