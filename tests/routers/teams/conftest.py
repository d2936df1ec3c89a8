"""Two teams, once for users in browsers and once for users of an app that keeps its tokens itself."""

from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import House
from tests.routers.conftest import Shared
from tests.routers.teams.company import Company, company_at, keyed_stack


@pytest.fixture
async def company(server: Emulator, shared_app: Shared, delivery: Delivery) -> AsyncIterator[Company]:
    async with (
        shared_app.serving(keyed_stack(server)) as stack,
        company_at(House(server, stack, app=shared_app.app), server, delivery) as company,
    ):
        yield company
