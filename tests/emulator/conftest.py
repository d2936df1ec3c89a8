"""An emulator in memory for each test."""

from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth.emulator import APRIL_2026, Emulator

from .api import Api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    emulator = Emulator(fast_hashes=True)
    api = Api(emulator)
    yield api
    await api.http.aclose()
    emulator.close()


@pytest.fixture
async def april() -> AsyncIterator[Api]:
    """An emulator that plays the recorded version of the real server."""
    emulator = Emulator(profile=APRIL_2026, fast_hashes=True)
    api = Api(emulator)
    yield api
    await api.http.aclose()
    emulator.close()
