"""The pytest plugin of fastapi-stackauth: fixtures for testing apps with real signed tokens (`docs/testing.md`).

Law: pytest loads this file in every run once the package is installed, so it imports nothing but pytest and is not part
of the package, whose imports take time. Fixtures import what they need.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fastapi_stackauth.emulator import Emulator
    from fastapi_stackauth.testing import Clients, Clock, Kit, Outbox, SyncClients, Users


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the pytest settings `stack_app` and `stack_profile`."""
    parser.addini("stack_app", "the FastAPI app that fastapi-stackauth's fixtures test, as module:name", default="")
    parser.addini(
        "stack_profile",
        "the version of the emulated auth server: newest or april-2026",
        default="newest",
    )


@pytest.fixture
def stack_app(pytestconfig: pytest.Config) -> "FastAPI | None":
    """The app under test. Override this fixture, or set `stack_app = "module:name"` in the pytest settings."""
    named = str(pytestconfig.getini("stack_app"))
    if not named:
        return None
    from fastapi_stackauth.testing.naming import load_app  # noqa: PLC0415 - see above

    return load_app(named)


@pytest.fixture(scope="session")
def _stack_emulator(pytestconfig: pytest.Config) -> "Iterator[Emulator]":
    from fastapi_stackauth.testing.kit import new_emulator  # noqa: PLC0415 - see above

    emulator = new_emulator(profile=pytestconfig.getini("stack_profile"))
    yield emulator
    emulator.close()


@pytest.fixture
def stack_kit(_stack_emulator: "Emulator", stack_app: "FastAPI | None") -> "Iterator[Kit]":
    """All fixtures below in one object. During the test, the app under test uses the emulator."""
    from fastapi_stackauth.testing import emulate  # noqa: PLC0415 - see above

    _stack_emulator.reset()
    with emulate(*([] if stack_app is None else [stack_app]), emulator=_stack_emulator) as kit:
        yield kit


@pytest.fixture
def stack_emulator(stack_kit: "Kit") -> "Emulator":
    """The auth server in this process, reset for each test: settings, seed, faults."""
    return stack_kit.emulator


@pytest.fixture
def stack_user(stack_kit: "Kit") -> "Users":
    """Creates users with real signed tokens: `stack_user(team="Red", team_permissions=["posts:delete"])`."""
    return stack_kit.user


@pytest.fixture
def stack_client(stack_kit: "Kit") -> "Clients":
    """Creates an `httpx.AsyncClient` of the app: `stack_client(ada)`, `stack_client(ada, by="cookie")`."""
    return stack_kit.client


@pytest.fixture
def stack_sync_client(stack_kit: "Kit") -> "SyncClients":
    """Creates an `httpx.Client` of the app for sync tests, with the arguments of `stack_client`."""
    return stack_kit.sync_client


@pytest.fixture
def stack_outbox(stack_kit: "Kit") -> "Outbox":
    """The emails that the auth server would have sent."""
    return stack_kit.outbox


@pytest.fixture
def stack_clock(stack_kit: "Kit") -> "Clock":
    """The clock of emulator and app: after `stack_clock.advance(601)`, access tokens have expired."""
    return stack_kit.clock
