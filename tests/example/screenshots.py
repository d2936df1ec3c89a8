"""`make screenshots`: every page of the example, light and dark, into a folder; the best few into the docs.

python tests/example/screenshots.py [FOLDER]
"""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser, FloatRect, ViewportSize

from tests.example.visitors import Demo, Visitor, running_demo
from tests.example.walk import LIBRARY, STOPS, Stop, reach
from tests.support.browser import running_chromium

DOCS = Path(__file__).parents[2] / "docs"
BEST = {"sign-in": "light", "team": "light", "account": "dark", "two-factor": "light"}
"""Which pages the docs show, and how."""
SIZE: ViewportSize = {"width": 880, "height": 660}
LONGEST = 1_000


async def picture(stop: Stop, scheme: str, browser: Browser, demo: Demo, folder: Path) -> None:
    """Open a page and keep what it looks like; for the docs without what is beyond reason."""
    context = await browser.new_context(base_url=demo.app, color_scheme=scheme, viewport=SIZE)  # type: ignore[arg-type]
    visitor = Visitor(demo, context, await context.new_page())
    await reach(stop, visitor, demo)
    await visitor.page.wait_for_timeout(300)  # fonts, the live list
    await visitor.page.screenshot(path=folder / f"{stop.name}-{scheme}.png", full_page=True)
    if BEST.get(stop.name) == scheme:
        await visitor.page.screenshot(path=DOCS / f"example-{stop.name}.png", full_page=True, clip=await _clip(visitor))
    await context.close()


async def _clip(visitor: Visitor) -> FloatRect:
    """The whole page where it is not too long, without the room below it."""
    end = await visitor.page.evaluate("document.querySelector('footer').getBoundingClientRect().top")
    return {"x": 0, "y": 0, "width": SIZE["width"], "height": min(end, LONGEST)}


async def main(folder: Path) -> None:
    """Walk through all pages."""
    with running_demo() as demo:
        async with running_chromium() as browser:
            for stop in (*STOPS, *LIBRARY):
                for scheme in ("light", "dark"):
                    await picture(stop, scheme, browser, demo, folder)
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots")
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
