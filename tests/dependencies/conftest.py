"""Fixtures of these tests."""

import pytest
from fastapi import FastAPI

from tests.support.fixtures import signer, stranger, world
from tests.support.world import World

__all__ = ["signer", "stranger", "world"]


@pytest.fixture
def app(world: World) -> FastAPI:
    """An app with one protected and one optional endpoint."""
    return world.app()
