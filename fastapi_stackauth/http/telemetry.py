"""Spans and metrics with OpenTelemetry. Only this module imports it; FastAPI depends on it from 0.165 on.

Law: attributes are those of `runtime/spans.py` and the labels of events, which contain no secrets and have few values.
"""

from collections.abc import Mapping
from contextvars import Token
from http import HTTPStatus
from types import TracebackType
from typing import Self

from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, SpanKind, StatusCode, TracerProvider

from fastapi_stackauth._version import __version__
from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.runtime.events import (
    ERROR_RETURNED,
    EVENT_HOOK_FAILED,
    KINDS,
    AuthEvent,
    AuthEvents,
    get_error_code,
)
from fastapi_stackauth.runtime.redaction import RedactingFilter
from fastapi_stackauth.runtime.spans import Attribute, Span

try:
    from fastapi import telemetry
except ImportError:  # with an older FastAPI, a request only has a span if the app's own instrumentation creates one
    telemetry = None  # type: ignore[assignment]  # the module or nothing

SCOPE = "fastapi_stackauth"
_STEPS = ("fastapi.dependencies", "fastapi.endpoint")
_URL_ATTRIBUTES = {"url.query", "url.full", "http.url", "http.target"}
"""Attributes that contain a request's query, in FastAPI and in other instrumentation."""
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def start_telemetry(
    events: AuthEvents,
    redaction: RedactingFilter,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Start to record spans and count events, if there is a provider: the given one, or the process's.

    Call it again if a provider was set later.

    Args:
        events: Counts the events, and stores the tracer.
        redaction: Knows the query parameters that are secrets.
        tracer_provider: The provider of spans.
        meter_provider: The provider of metrics.
    """
    tracers = tracer_provider or trace.get_tracer_provider()
    if events.tracer is None and not isinstance(tracers, NoOpTracerProvider | ProxyTracerProvider):
        events.tracer = _Tracer(tracers.get_tracer(SCOPE, __version__), redaction)
        events.on(ERROR_RETURNED.name)(_annotate)
    meters = meter_provider or metrics.get_meter_provider()
    if _is_configured(meters) and events.is_first("the meter provider"):
        _count(events, meters)


def _is_configured(meters: MeterProvider) -> bool:
    """Whether this provider was set. The API has no public name for the default placeholder."""
    return not isinstance(meters, NoOpMeterProvider) and type(meters).__name__ != "_ProxyMeterProvider"


# --- metrics ---


def _count(events: AuthEvents, meters: MeterProvider) -> None:
    meter = meters.get_meter(SCOPE, __version__)
    kinds = [kind for kind in KINDS.values() if kind is not EVENT_HOOK_FAILED]  # hooks are not called for that event
    counters = {kind.name: meter.create_counter(f"stackauth.{kind.name}", "{event}") for kind in kinds}
    histograms = {
        kind.name: meter.create_histogram(
            f"stackauth.{kind.name}.duration", "s", explicit_bucket_boundaries_advisory=_BUCKETS
        )
        for kind in kinds
        if "duration" in kind.fields
    }

    @events.on(*counters)
    def record(event: AuthEvent) -> None:
        attributes = {f"stackauth.{label}": value for label, value in event.labels.items()}
        counters[event.name].add(1, attributes)
        if "duration" in event.fields:
            histograms[event.name].record(event.duration, attributes)


# --- spans ---


def _annotate(event: AuthEvent) -> None:
    """Set the error response's code and instance on the request's span."""
    span = trace.get_current_span()
    span.set_attribute("stackauth.code", event.labels["code"])
    span.set_attribute("stackauth.instance", str(event.fields["instance"]))


class _Tracer:
    """Starts tracing spans for one `StackAuth` instance."""

    def __init__(self, tracer: trace.Tracer, redaction: RedactingFilter) -> None:
        self._tracer = tracer
        self._redaction = redaction

    def start(self, name: str, attributes: Mapping[str, Attribute] | None = None, *, is_call: bool = False) -> Span:
        if name == "stackauth.verify":  # the token may be in the query
            self.redact_query()
        return _RecordedSpan(self._tracer, name, SpanKind.CLIENT if is_call else SpanKind.INTERNAL, attributes)

    def redact_query(self) -> None:
        span = _find_request_span(trace.get_current_span())
        attributes: Mapping[str, object] = getattr(span, "attributes", None) or {}
        for name in _URL_ATTRIBUTES & attributes.keys():
            query = f"?{attributes[name]}"
            if (redacted := self._redaction.redact_query(query)) != query:
                span.set_attribute(name, redacted[1:])

    def mark_rejection(self, error: StackAuthError) -> None:
        """Set the status of FastAPI's own span to OK, which is final.

        FastAPI treats every exception except its own as an application error. In OpenTelemetry, the status OK overrides
        this. Other spans do not change.
        """
        span = trace.get_current_span()
        scope, name = getattr(span, "instrumentation_scope", None), getattr(span, "name", "")
        if not _is_failure(error) and getattr(scope, "name", "") == "fastapi" and name in _STEPS:
            span.set_attribute("stackauth.code", get_error_code(error))
            span.set_status(StatusCode.OK)


class _RecordedSpan(Span):
    __slots__ = ("_attributes", "_kind", "_name", "_parent", "_span", "_token", "_tracer")

    _parent: trace.Span
    _span: trace.Span
    _token: Token[Context]

    def __init__(
        self, tracer: trace.Tracer, name: str, kind: SpanKind, attributes: Mapping[str, Attribute] | None
    ) -> None:
        self._tracer, self._name, self._kind, self._attributes = tracer, name, kind, attributes

    def __enter__(self) -> Self:
        self._parent = trace.get_current_span()
        self._span = self._tracer.start_span(self._name, kind=self._kind, attributes=self._attributes)
        self._token = attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        if isinstance(error, StackAuthError):
            code = get_error_code(error)
            if _is_failure(error):
                self.fail(code)
            else:
                self.set("stackauth.code", code)
        elif isinstance(error, Exception):
            self.fail(type(error).__qualname__)
        self._span.end()

    def set(self, name: str, value: Attribute | None) -> None:
        if value is not None:
            self._span.set_attribute(name, value)

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(StatusCode.ERROR)

    def identify(self, user_id: str) -> None:
        self._span.set_attribute("enduser.id", user_id)
        _find_request_span(self._parent).set_attribute("enduser.id", user_id)


def _is_failure(error: StackAuthError) -> bool:
    """Whether an error is an outage or the app's mistake, not the caller's."""
    return error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR


def _find_request_span(current: trace.Span) -> trace.Span:
    """Return the span of the current request, or one that records nothing."""
    if getattr(current, "kind", None) is SpanKind.SERVER:
        return current
    data = None if telemetry is None else telemetry.get_telemetry_data()
    connection = None if data is None else data.request or data.websocket
    request_telemetry = None if connection is None else connection.scope.get("fastapi.telemetry")
    span = getattr(request_telemetry, "span", None)
    return span if isinstance(span, trace.Span) else trace.INVALID_SPAN
