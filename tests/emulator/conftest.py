"""An emulator in memory for each test."""

from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth.emulator import Emulator

from .api import Api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    emulator = Emulator()
    api = Api(emulator)
    yield api
    await api.http.aclose()
    emulator.close()
