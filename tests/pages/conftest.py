"""An app with the pages on an auth server of its own."""

from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth.emulator import Emulator
from tests.pages.site import Site, Visitor


@pytest.fixture
async def site(server: Emulator) -> AsyncIterator[Site]:
    site = Site(server)
    yield site
    await site.stack.aclose()


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[Visitor]:
    async with site.visitor() as visitor:
        yield visitor
