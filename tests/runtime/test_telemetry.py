"""Telemetry: spans and metrics with OpenTelemetry, what is an error in them, and when they are made."""

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partialmethod
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fastapi_stackauth import AuthEvents, CurrentTeam, CurrentUser, OptionalUser, QueryToken, Require, StackAuth, User
from fastapi_stackauth.dependencies import api_key_user
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.http.lifespan import start_telemetry
from fastapi_stackauth.models import ServerUser, ServerUserCreate
from fastapi_stackauth.runtime.events import KINDS
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, new_stack
from tests.runtime.scenes import SCENES, fault
from tests.support.asgi import bearer, call
from tests.support.fixtures import signer, stranger, world
from tests.support.forge import Signer
from tests.support.world import World

__all__ = ["signer", "stranger", "world"]

NATIVE = importlib.util.find_spec("fastapi.telemetry") is not None
"""Whether this FastAPI makes spans of its own."""


class Recorder:
    """Providers that keep what is recorded in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.metering = MeterProvider([self._reader])

    @property
    def spans(self) -> list[Any]:
        """The finished spans."""
        return list(self._exporter.get_finished_spans())

    def find(self, name: str) -> list[Any]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Any:
        """The only span of a name."""
        [span] = self.find(name)
        return span

    def clear(self) -> None:
        """Forget the spans."""
        self._exporter.clear()

    def points(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], Any]:
        """What is measured, by name and attributes."""
        data: Any = self._reader.get_metrics_data()
        return {
            (metric.name, frozenset(point.attributes.items())): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def make_app(recorder: Recorder) -> FastAPI:
    """An app whose FastAPI records too, if it can."""
    return FastAPI(telemetry={"tracer_provider": recorder.tracing}) if NATIVE else FastAPI()


@asynccontextmanager
async def caller(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        yield client


def statuses(spans: list[Any]) -> dict[str, StatusCode]:
    return {span.name: span.status.status_code for span in spans}


# --- who it was ---


async def test_the_user_is_on_the_verification_and_the_request(world: World, signer: Signer, recorder: Recorder):
    start_telemetry(world.stack, recorder.tracing)
    app, user_id = make_app(recorder), None
    world.stack.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    for _ in range(2):
        answer = await call(app, "/me", [bearer(signer.token())])
        assert answer.status == 200
        user_id = answer.json["id"]
    for span in recorder.find("stackauth.verify"):
        assert span.attributes == {"stackauth.credential": "access_token", "enduser.id": user_id}
        assert span.status.status_code is StatusCode.UNSET
    requests = [span for span in recorder.spans if span.kind is SpanKind.SERVER]
    assert [span.attributes["enduser.id"] for span in requests] == [user_id] * (2 if NATIVE else 0)
    verified = recorder.find("stackauth.verify")
    assert len(verified) == 2, "a token seen before is verified, too"
    [fetch] = recorder.find("stackauth.fetch_keys")
    assert fetch.parent.span_id == verified[0].context.span_id
    assert recorder.one("stackauth.call").parent.span_id == fetch.context.span_id


async def test_a_span_that_the_app_itself_serves_in_names_the_user(world: World, signer: Signer, recorder: Recorder):
    """The instrumentation of other packages makes the span of the request around the app."""
    start_telemetry(world.stack, recorder.tracing)
    tracer = recorder.tracing.get_tracer("other")
    with tracer.start_as_current_span("GET /me", kind=SpanKind.SERVER):
        answer = await call(world.app(), "/me", [bearer(signer.token())], query=b"code=abc&page=2")
    assert recorder.one("GET /me").attributes["enduser.id"] == answer.json["id"]


# --- what is an error ---


async def test_a_callers_mistake_is_no_error(server: Emulator, recorder: Recorder):
    """No span has the status ERROR, FastAPI's own included, if a request is rejected."""
    stack = new_stack(server, secret_server_key=server.secret_server_key, tracer_provider=recorder.tracing)
    app = make_app(recorder)
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth")

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    @app.get("/admin")
    async def admin(user: Annotated[User, Depends(Require(permission="admin"))]) -> User:
        return user

    @app.get("/teams/{team_id}")
    async def team(team: CurrentTeam) -> str:
        return team.id

    @app.get("/robots")
    async def robots(user: Annotated[User, Depends(api_key_user)]) -> User:
        return user

    @app.get("/maybe")
    async def maybe(user: OptionalUser) -> None: ...

    signed_up = await stack.client.password.sign_up(email=EMAIL, password=PASSWORD)
    known = {"authorization": f"Bearer {signed_up.access_token}"}
    conflict = {**known, "x-stack-access-token": "another"}
    requests: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("GET", "/me", {}, 401, "authentication_required"),
        ("GET", "/me", {"headers": {"authorization": "Bearer junk"}}, 401, "token_malformed"),
        ("GET", "/maybe", {"headers": conflict}, 401, "credentials_conflict"),
        ("GET", "/admin", {"headers": known}, 403, "permission_missing"),
        ("GET", "/teams/7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11", {"headers": known}, 403, "permission_missing"),
        ("GET", "/robots", {"headers": {"x-api-key": "sk_of_nobody"}}, 401, "api_key_invalid"),
        ("POST", "/auth/password/sign-in", {"json": {"email": EMAIL, "password": "wrong"}}, 400,
         "EMAIL_PASSWORD_MISMATCH"),
    ]  # fmt: skip
    faults = []
    async with caller(app) as client:
        for method, path, more, status, code in requests:
            recorder.clear()
            answer = await client.request(method, path, **more)
            failed = [span.name for span in recorder.spans if span.status.status_code is StatusCode.ERROR]
            codes = {span.attributes.get("stackauth.code") for span in recorder.spans if span.kind is SpanKind.SERVER}
            if (answer.status_code, failed, codes) != (status, [], {code} if NATIVE else set()):
                faults.append((path, answer.status_code, failed, codes))
    assert faults == []
    await stack.aclose()


async def test_an_outage_is_an_error(world: World, signer: Signer, recorder: Recorder):
    start_telemetry(world.stack, recorder.tracing)
    world.server.keys = world.server.me = "503"
    app = make_app(recorder)
    world.stack.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    assert (await call(app, "/me", [bearer(signer.token())])).status == 503
    verify, fetch = recorder.one("stackauth.verify"), recorder.one("stackauth.fetch_keys")
    for span, code in ((verify, "verification_unavailable"), (fetch, "auth_server_unavailable")):
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, code)
    assert {span.status.status_code for span in recorder.find("stackauth.call")} == {StatusCode.ERROR}
    if NATIVE:
        assert statuses(recorder.spans)["fastapi.dependencies"] is StatusCode.ERROR


async def test_a_bug_is_an_error_by_its_name(world: World, recorder: Recorder):
    start_telemetry(world.stack, recorder.tracing)
    with pytest.raises(LookupError), world.stack.events.span("stackauth.refresh"):
        raise LookupError("secret")
    span = recorder.one("stackauth.refresh")
    assert (span.status.status_code, span.attributes) == (StatusCode.ERROR, {"error.type": "LookupError"})
    assert not span.events, "a message may hold what no attribute may"


async def test_another_tracers_span_keeps_its_status(world: World, recorder: Recorder):
    """Only FastAPI's spans of its steps are marked, because the app's own may go on."""
    start_telemetry(world.stack, recorder.tracing)
    with recorder.tracing.get_tracer("app").start_as_current_span("fastapi.dependencies"):
        await call(world.app(), "/me", [bearer("junk")])
    assert recorder.one("fastapi.dependencies").status.status_code is StatusCode.UNSET


# --- the work in between ---


async def test_a_call_has_the_attributes_of_an_http_client(server: Emulator, recorder: Recorder):
    stack = new_stack(server, secret_server_key=server.secret_server_key, tracer_provider=recorder.tracing)
    user = await stack.client.as_server().users.create(ServerUserCreate(primary_email=EMAIL))
    recorder.clear()
    await fault(server, path=f"/api/v1/users/{user.id}", status=503, times=1)
    await stack.client.as_server().users.get(user.id)
    call = recorder.one("stackauth.call")
    url = httpx.URL(server.url)
    assert call.kind is SpanKind.CLIENT
    assert call.attributes == {
        "http.request.method": "GET",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "server.address": url.host,
        "server.port": url.port,
        "stackauth.operation": "GET /users/{user_id}",
        "url.scheme": "http",
        "url.template": "/api/v1/users/{user_id}",
    }
    await stack.aclose()


async def test_a_path_of_the_apps_own_is_in_no_span(server: Emulator, recorder: Recorder):
    stack = new_stack(server, secret_server_key=server.secret_server_key, tracer_provider=recorder.tracing)
    user = await stack.client.as_server().users.create(ServerUserCreate(primary_email=EMAIL))
    recorder.clear()
    await stack.client.as_server().request("GET", f"/users/{user.id}", model=ServerUser)
    call = recorder.one("stackauth.call")
    assert call.attributes["stackauth.operation"] == "GET other"
    assert user.id not in call.to_json()
    await stack.aclose()


async def test_permissions_and_refreshes_have_spans(server: Emulator, recorder: Recorder):
    """A permission that is cached has none."""
    stack = new_stack(server, tracer_provider=recorder.tracing)
    app = make_app(recorder)
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.get("/admin")
    async def admin(user: Annotated[User, Depends(Require(permission="admin"))]) -> User:
        return user

    async with caller(app) as client:
        await client.post("/auth/password/sign-up", json={"email": EMAIL, "password": PASSWORD})
        server.clock.advance(595)
        for _ in range(2):
            assert (await client.get("/admin")).status_code == 403
    permission = recorder.one("stackauth.permission")
    wanted = {"stackauth.question": "project", "stackauth.permission": "admin", "stackauth.granted": False}
    assert permission.attributes == wanted
    assert recorder.one("stackauth.refresh").attributes == {"stackauth.delivery": "cookie"}
    await stack.aclose()


@pytest.mark.skipif(not NATIVE, reason="this FastAPI makes no spans")
async def test_fastapis_span_shows_no_token_of_the_query(recorder: Recorder):
    stack = StackAuth(sources=[QueryToken("ticket")], project_id="p", tracer_provider=recorder.tracing)
    app = make_app(recorder)
    stack.install(app)

    @app.get("/events")
    async def events(user: CurrentUser) -> None: ...

    async with caller(app) as client:
        await client.get("/events?page=2&ticket=of-nobody")
    [request] = [span for span in recorder.spans if span.kind is SpanKind.SERVER]
    assert request.attributes["url.query"] == "page=2&ticket=[redacted]"
    await stack.aclose()


# --- metrics ---


@pytest.mark.parametrize("names", SCENES, ids=", ".join)
async def test_each_event_is_a_metric_and_spans_stay_bounded(
    names: tuple[str, ...], world: World, signer: Signer, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
):
    """The counters say what `events.counts` says, and every attribute is one of the documented ones."""
    start_telemetry(world.stack, recorder.tracing, recorder.metering)
    providers = {"tracer_provider": recorder.tracing, "meter_provider": recorder.metering}
    # A scene makes its own stack.
    monkeypatch.setattr(StackAuth, "__init__", partialmethod(StackAuth.__init__, **providers))
    outcome = await SCENES[names](world, signer)
    if isinstance(outcome, AuthEvents):
        return  # of no stack
    await outcome.aclose()
    counted = {
        (f"stackauth.{name}", frozenset((f"stackauth.{label}", value) for label, value in labels)): count
        for (name, labels), count in outcome.events.counts().items()
        if name != "event_hook_failed"
    }
    points = recorder.points()
    assert {key: point.value for key, point in points.items() if hasattr(point, "value")} == counted
    lasting = {f"stackauth.{name}.duration" for name, kind in KINDS.items() if "duration" in kind.fields}
    assert {name for (name, _), point in points.items() if not hasattr(point, "value")} <= lasting
    seen = {name for span in recorder.spans if span.name.startswith("stackauth.") for name in span.attributes}
    assert seen <= ATTRIBUTES
    tokens = [span.name for span in recorder.spans if "eyJ" in span.to_json()]
    assert tokens == []


ATTRIBUTES = {
    "enduser.id",
    "error.type",
    "http.request.method",
    "http.request.resend_count",
    "http.response.status_code",
    "server.address",
    "server.port",
    "stackauth.code",
    "stackauth.credential",
    "stackauth.delivery",
    "stackauth.granted",
    "stackauth.operation",
    "stackauth.permission",
    "stackauth.question",
    "url.scheme",
    "url.template",
}


async def test_two_stacks_share_a_provider(signer: Signer, recorder: Recorder):
    worlds = [World.make(signer), World.make(signer)]
    for each in worlds:
        start_telemetry(each.stack, recorder.tracing, recorder.metering)
        await each.verify(signer.token())
    key = ("stackauth.token_verified", frozenset({("stackauth.cache", "miss"), ("stackauth.source", "keys")}))
    assert recorder.points()[key].value == 2
    fetched = recorder.points()["stackauth.keys_fetched.duration", frozenset()]
    assert fetched.count == 2


# --- on and off ---


def use_globally(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the providers of the process, as an app does; that cannot be undone, so it is patched."""
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", recorder.tracing)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", recorder.metering)


async def test_telemetry_starts_with_the_app_if_there_is_a_provider(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
):
    """There may be one when the app starts, or its own lifespan sets one; the setting `telemetry` prevents it."""

    @asynccontextmanager
    async def sets_providers(_: FastAPI) -> AsyncIterator[None]:
        use_globally(recorder, monkeypatch)
        yield

    cases: list[tuple[bool, Callable[..., Any] | None, bool]] = [
        (True, None, False), (True, sets_providers, True), (False, sets_providers, False), (True, None, True),
    ]  # fmt: skip
    faults = []
    for telemetry, lifespan, on in cases:
        stack, app = StackAuth(project_id="p", telemetry=telemetry), FastAPI(lifespan=lifespan)
        stack.install(app)
        async with app.router.lifespan_context(app):
            if (stack.events.tracer is not None) is not on:
                faults.append((telemetry, lifespan, on))
    assert faults == []


async def test_a_second_start_records_nothing_twice(world: World, signer: Signer, recorder: Recorder):
    for _ in range(2):
        start_telemetry(world.stack, recorder.tracing, recorder.metering)
    await world.verify(signer.token())
    key = ("stackauth.token_verified", frozenset({("stackauth.cache", "miss"), ("stackauth.source", "keys")}))
    assert recorder.points()[key].value == 1


async def test_a_stack_works_without_opentelemetry(world: World, signer: Signer, monkeypatch: pytest.MonkeyPatch):
    """FastAPI brings it along in newer versions only. Other packages may have a part of its namespace."""
    monkeypatch.delitem(sys.modules, "fastapi_stackauth.http.telemetry", raising=False)
    monkeypatch.delattr("fastapi_stackauth.http.telemetry", raising=False)
    for part in (None, ModuleType("opentelemetry")):
        monkeypatch.setitem(sys.modules, "opentelemetry", part)
        start_telemetry(world.stack)
        assert world.stack.events.tracer is None
    await world.verify(signer.token())


async def test_tests_of_an_app_keep_its_telemetry(recorder: Recorder):
    stack = StackAuth(project_id="p", tracer_provider=recorder.tracing)
    tracer = stack.events.tracer
    with stack.reconfigure(project_id="other"):
        assert stack.events.tracer is tracer is not None
