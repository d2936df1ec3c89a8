"""The recipes for logs, Prometheus and OpenTelemetry export what has really happened."""

import json
import logging
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from prometheus_client.parser import text_string_to_metric_families

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import RateLimitExceeded
from fastapi_stackauth.runtime.events import TOKEN_REJECTED
from tests.apps import ADA, serving
from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "observability.md"
OPERATION = "POST /auth/password/sign-in"


@pytest.fixture
def recipe(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the one block of the page that has these words; gives what it defined."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)

    def run(words: str) -> dict[str, Any]:
        [block] = [block for block in blocks(PAGE, "python") if words in block.text]
        names: dict[str, Any] = {"__name__": "recipe"}
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), names)
        return names

    return run


async def what_people_do(app: FastAPI, client: httpx.AsyncClient) -> httpx.Response:
    """Ada signs up and in, mistypes once, and reads her page three times; somebody comes with a junk token."""
    tokens = (await client.post("/auth/password/sign-up", json=ADA)).json()
    assert (await client.post("/auth/password/sign-in", json=ADA)).status_code == 200
    for _ in range(2):
        assert (await client.post("/auth/password/sign-in", json=ADA | {"password": "wrong"})).status_code == 400
    for _ in range(3):
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/me", headers=headers)).status_code == 200
    return await client.get("/me", headers={"authorization": "Bearer junk"})


def prometheus(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of an exposition, as Prometheus' own parser reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_prometheus_reads_counters_and_durations(recipe: Any):
    names = recipe("class EventCollector")
    async with serving(names["app"]) as client:
        await what_people_do(names["app"], client)
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = prometheus(answer.text)

    def value(name: str, **labels: str) -> float:
        return samples[f"stackauth_{name}", frozenset(labels.items())]

    assert value("sign_in_succeeded_total", method="password", new_user="true") == 1
    assert value("sign_in_failed_total", method="password", code="EMAIL_PASSWORD_MISMATCH") == 2
    assert value("token_verified_total", cache="miss", source="keys") == 1
    assert value("token_verified_total", cache="hit", source="keys") == 2
    assert value("token_rejected_total", code="token_malformed") == 1
    assert value("error_returned_total", code="token_malformed", status="401") == 1
    assert value("auth_server_call_total", operation=OPERATION, status="400") == 2
    assert value("call_seconds_count", operation=OPERATION, status="400") == 2
    assert value("call_seconds_sum", operation=OPERATION, status="400") > 0


async def test_a_prometheus_counter_in_a_hook_counts_the_same(recipe: Any):
    names = recipe("rejected = Counter(")
    for _ in range(2):
        names["stack"].events.emit(TOKEN_REJECTED, code="token_expired")
    assert names["registry"].get_sample_value("stackauth_token_rejected_total", {"code": "token_expired"}) == 2


async def test_opentelemetry_gets_counters_spans_and_instances(recipe: Any, monkeypatch: pytest.MonkeyPatch):
    """Opentelemetry gets counters durations spans and the instance of an error."""
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    # What the page sends to the console is kept here.
    monkeypatch.setattr("opentelemetry.sdk.trace.export.ConsoleSpanExporter", lambda: exporter)
    monkeypatch.setattr("opentelemetry.sdk.metrics.export.PeriodicExportingMetricReader", lambda _: reader)
    # Setting the global providers as an app does cannot be undone, and FastAPI would trace all later tests.
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER_SET_ONCE", Once())
    names = recipe("set_meter_provider")
    async with serving(names["app"]) as client:
        refused = await what_people_do(names["app"], client)
    exported: Any = reader.get_metrics_data()
    points = {
        (metric.name, frozenset(dict(point.attributes).items())): point
        for resource in exported.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }

    def point(name: str, **attributes: str) -> Any:
        return points[name, frozenset((f"stackauth.{label}", value) for label, value in attributes.items())]

    assert point("stackauth.token_verified", cache="hit", source="keys").value == 2
    failed = point("stackauth.sign_in_failed", method="password", code="EMAIL_PASSWORD_MISMATCH")
    assert failed.value == 2
    took = point("stackauth.auth_server_call.duration", operation=OPERATION, status="400")
    assert (took.count, took.sum > 0) == (2, True)
    names["tracing"].shutdown()
    spans: tuple[Any, ...] = exporter.get_finished_spans()
    known = {span.context.span_id for span in spans}
    calls = [span for span in spans if span.attributes.get("stackauth.operation") == OPERATION]
    assert [span.attributes["http.response.status_code"] for span in calls] == [200, 400, 400]
    assert all(span.parent.span_id in known for span in calls)
    told = [span.attributes["stackauth.instance"] for span in spans if "stackauth.instance" in span.attributes]
    assert refused.json()["instance"] in told
    await names["stack"].aclose()


async def test_the_formatter_writes_events_as_json(recipe: Any, caplog: pytest.LogCaptureFixture):
    """The formatter writes events as json and other lines as ever."""
    formatter = recipe("class JsonLines")["JsonLines"]()
    names = recipe("def rejections")
    caplog.set_level(logging.INFO)
    names["stack"].events.emit(TOKEN_REJECTED, code="token_expired", reason='an "exp" of\nlong ago')
    logging.getLogger("app").info("hello %s", "Ada")
    event, line = [json.loads(formatter.format(record)) for record in caplog.records[-2:]]
    reason = 'an "exp" of\nlong ago'
    assert event == {"level": "INFO", "event": "token_rejected", "code": "token_expired", "reason": reason}
    assert line == {"level": "INFO", "logger": "app", "message": "hello Ada"}
    assert names["rejections"]() == {"token_expired": 1}


async def test_a_hook_hears_what_is_suspicious(recipe: Any, capsys: pytest.CaptureFixture[str]):
    names = recipe("def suspicious")
    names["stack"].events.emit(TOKEN_REJECTED, code="token_expired")
    for _ in range(70):
        with suppress(RateLimitExceeded):
            await names["stack"].limiter.count("sign_in", address="192.0.2.1")
    written = capsys.readouterr().out
    assert written.startswith("rate_limited {'action': 'sign_in', 'by': 'address'}")
    assert "192.0.2.1" not in written
    await names["stack"].aclose()
