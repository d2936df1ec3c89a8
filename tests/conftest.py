"""Fixtures: an auth server, an app that uses it, and clients of that app."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, settings

# Before their first import, so that a failed assert of a helper shows its values.
pytest.register_assert_rewrite(
    "tests.cli.servers",
    "tests.client.wire",
    "tests.dependencies.helpers",
    "tests.emulator.api",
    "tests.emulator.oauth",
    "tests.emulator.replaying",
    "tests.example.visitors",
    "tests.routers.callers",
    "tests.routers.flows",
    "tests.sessions.helpers",
    "tests.support",
    "tests.verification.helpers",
)

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator, emulator
from tests.apps import make_app
from tests.support import real
from tests.support.browser import browser, chromium, debugging_port
from tests.support.redis_server import redis_server
from tests.support.resolver import resolve_here_only
from tests.support.undocumented import Collector

__all__ = ["browser", "chromium", "debugging_port", "redis_server"]

# The properties of `make test` draw the same examples each time, so that no change is blamed for a find of chance.
# `make fuzz` draws others each time, and many more.
settings.register_profile("short", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("short")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of our own."""
    real.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Compare what apps answer with what their schemas say, over the whole run."""
    config.pluginmanager.register(Collector(), "undocumented")
    real.configure(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what a real auth server does not have."""
    real.skip_what_is_not_there(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was skipped against a real auth server."""
    real.summarize(terminalreporter, config)


@pytest.fixture(scope="session", autouse=True)
def resolver(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test depends on a name server, except against a real auth server."""
    if real.KEY in request.config.stash:
        yield
        return
    with resolve_here_only():
        yield


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    """An auth server of its own for each test, on a real loopback port."""
    async with emulator() as running:
        yield running


@pytest.fixture
async def stack(server: Emulator) -> AsyncIterator[StackAuth]:
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, publishable_client_key=server.publishable_client_key
    )
    yield stack
    await stack.aclose()


@pytest.fixture
def app(stack: StackAuth) -> FastAPI:
    return make_app(stack)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        yield client
