"""The demo as a real process, and people who use the app, each in a browser context of their own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.example.visitors import Demo, Visitor, running_demo
from tests.support.real import KEY


@pytest.fixture(scope="session")
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """What `make demo` runs: the app and its auth server, on free ports; or the app at a real auth server."""
    with running_demo(real=request.config.stash.get(KEY, None)) as demo:
        yield demo


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser, demo: Demo) -> AsyncIterator[Any]:
    """Opens browsers, apart from each other; in the end none has met an error of a script or of the policy."""
    opened: list[Visitor] = []

    async def open_browser(**options: Any) -> Visitor:
        context = await chromium.new_context(base_url=demo.app, **options)
        context.set_default_timeout(20_000)
        visitor = Visitor(demo, context, await context.new_page())
        opened.append(visitor)
        return visitor

    yield open_browser
    for visitor in opened:
        await visitor.context.close()
    assert [trouble for visitor in opened for trouble in visitor.troubles] == []


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(visit: Any) -> Visitor:
    """Somebody in a fresh browser."""
    return await visit()  # type: ignore[no-any-return]  # the fixture is a function
