"""The complete app: `uvicorn example_app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from example_app import api, auth, notes, pages, teams
from example_app.headers import SecurityHeaders
from example_app.storage import notebooks

stack = auth.stack


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the notes while the app runs."""
    await notebooks.open()
    yield
    await notebooks.close()


app = FastAPIOffline(  # a FastAPI app whose /docs and /redoc load no files from a CDN
    title="Example app",
    description="Notes for users and teams: every sign-in method and protected endpoints with fastapi-stackauth.",
    lifespan=lifespan,
)
auth.install(app)
app.add_middleware(SecurityHeaders, https=stack.settings.app_url)
for router in (api.router, pages.router, notes.router, teams.router):
    app.include_router(router)
stack.mount_mcp(app, "/mcp", include_tags={"notes"}, include_operations={"write_note"})  # for AI agents
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
