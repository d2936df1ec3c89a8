"""Fixtures around the forge and the fake auth server; the conftest files of the rooms import them."""

from collections.abc import AsyncIterator

import pytest

from tests.support.forge import Signer
from tests.support.world import World


@pytest.fixture(scope="session")
def signer() -> Signer:
    """The auth server's key."""
    return Signer()


@pytest.fixture(scope="session")
def stranger() -> Signer:
    """Somebody else's key, under the very same key id."""
    return Signer()


@pytest.fixture
async def world(signer: Signer) -> AsyncIterator[World]:
    """A fake auth server and a `StackAuth` that uses it."""
    world = World.make(signer)
    yield world
    await world.stack.aclose()
