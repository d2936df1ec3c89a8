"""What an app says of its authentication: what it rests on, and whether it can serve."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from fastapi_stackauth import HealthReport, StackAuth
from fastapi_stackauth.emulator import Emulator
from tests.support.company import Counting


class Watched:
    """A stack whose network can be cut and whose clocks can be turned."""

    def __init__(self, server: Emulator, **options: Any) -> None:
        self.network = Counting()
        self.stack = StackAuth(
            project_id=server.project_id, base_url=server.url, transport=self.network, timeout=2.0, **options
        )
        self.app = FastAPI()
        self.stack.install(self.app)
        self.app.include_router(self.stack.readiness("/ready"))
        self.ahead = 0.0
        keys = self.stack.verifier.keys
        monotonic = keys._clock
        keys._clock = lambda: monotonic() + self.ahead

    async def ready(self) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.get("/ready")


@pytest.fixture
async def watched_app(server: Emulator) -> AsyncIterator[Watched]:
    watched = Watched(server)
    yield watched
    await watched.stack.aclose()


async def test_a_new_worker_fetches_its_keys_and_is_ready(watched_app: Watched):
    answer = await watched_app.ready()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    health = HealthReport.model_validate(answer.json())
    assert (health.status, health.keys, health.redis, health.last_error) == ("ok", "fresh", "memory", None)
    assert health.keys_age_seconds is not None
    assert health.keys_age_seconds >= 0
    assert not health.fallback_in_use
    await watched_app.ready()
    assert len(watched_app.network.paths) == 1, "asked once"


async def test_without_keys_it_is_not_ready_and_fetches_rarely(watched_app: Watched):
    """Without keys it is not ready and does not hammer the server."""
    watched_app.network.cut = True
    for _ in range(3):
        answer = await watched_app.ready()
        assert answer.status_code == 503
    health = HealthReport.model_validate(answer.json())
    assert (health.status, health.keys, health.keys_age_seconds) == ("down", "none", None)
    assert (health.last_error, health.fallback_in_use) == ("auth_server_unavailable", True)
    assert watched_app.stack.verifier.stats.fetches == 1
    watched_app.network.cut = False
    watched_app.ahead = 31  # past the cool-down
    assert (await watched_app.ready()).status_code == 200


async def test_keys_past_their_time_serve_and_the_state_is_degraded(watched_app: Watched):
    await watched_app.ready()
    watched_app.network.cut = True
    watched_app.ahead = 90_000.0
    health = await watched_app.stack.health()
    assert health.keys in ("stale", "none")
    watched_app.ahead = watched_app.stack.settings.jwks_max_age + 1
    answer = await watched_app.ready()
    assert (answer.status_code, answer.json()["status"], answer.json()["keys"]) == (200, "degraded", "stale")


async def test_keys_fixed_by_the_settings_need_no_network(server: Emulator):
    async with httpx.AsyncClient() as client:
        path = f"/api/v1/projects/{server.project_id}/.well-known/jwks.json"
        jwks = (await client.get(server.url + path)).json()
    watched = Watched(server, jwks=jwks)
    watched.network.cut = True
    health = await watched.stack.health()
    assert (health.status, health.keys, health.keys_age_seconds) == ("ok", "fixed", None)
    await watched.stack.aclose()


async def test_a_missing_project_id_is_named():
    health = await StackAuth(project_id=None).health()
    assert (health.status, health.missing_settings) == ("down", ("project_id",))


async def test_it_tells_no_address_and_no_secret(server: Emulator):
    watched = Watched(server, redis_url="redis://:hunter2@127.0.0.1:1/0", secret_server_key="ssk_topsecret")
    text = (await watched.ready()).text
    assert "127.0.0.1" not in text
    assert "hunter2" not in text
    assert "topsecret" not in text
    assert '"redis":"degraded"' in text
    await watched.stack.aclose()


def test_openapi_describes_the_route(watched_app: Watched):
    schema = watched_app.app.openapi()
    validate(schema)
    assert set(schema["paths"]["/ready"]["get"]["responses"]) == {"200", "503"}
