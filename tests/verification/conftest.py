"""Fixtures of these tests."""

import pytest

from fastapi_stackauth.verification.verifier import Verifier
from tests.support.fixtures import signer, stranger, world
from tests.support.forge import Signer
from tests.support.world import World

__all__ = ["signer", "stranger", "world"]


@pytest.fixture
def verifier(world: World, signer: Signer) -> Verifier:
    """A verifier with seeded keys: what is refused here is refused without asking anybody."""
    settings = world.stack.settings.model_copy(update={"jwks": {"keys": [signer.jwk]}})
    return Verifier(settings, world.stack.client, clock=world.clock, monotonic=world.monotonic)
