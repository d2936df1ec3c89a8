"""Startup and shutdown of an app: start telemetry, report missing settings, close connections."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from fastapi_stackauth.http.health import report_missing_settings
from fastapi_stackauth.runtime.redaction import RedactingFilter
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.credentials import QueryToken

if TYPE_CHECKING:  # FastAPI depends on it from 0.165 on
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


def compose_lifespan(
    app: FastAPI, stack: Stack, start: Callable[[], None], stop: Callable[[], Awaitable[None]]
) -> None:
    """Add a stack's startup and shutdown to the app's own lifespan."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - Starlette's own types
        start()
        start_telemetry(stack)
        async with inner(scope_app) as state:
            start_telemetry(stack)  # the app's own lifespan may have set a provider
            report_missing_settings(app)
            try:
                yield state
            finally:
                await stop()

    app.router.lifespan_context = lifespan


def start_telemetry(
    stack: Stack, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
) -> None:
    """Record spans and metrics from now on, if there is a provider and the setting `telemetry` allows it."""
    if not stack.services.settings.telemetry:
        return
    try:
        from fastapi_stackauth.http import telemetry  # noqa: PLC0415 - it imports OpenTelemetry, which may not be installed
    except ImportError as missing:  # another package may have a part of OpenTelemetry's namespace
        if not str(missing.name).startswith("opentelemetry"):
            raise
    else:
        services = stack.services
        parameters = tuple(source.parameter for source in services.sources if isinstance(source, QueryToken))
        telemetry.start_telemetry(services.events, RedactingFilter(parameters), tracer_provider, meter_provider)
