"""The app, put together: `uvicorn example_app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from example_app import account, api, auth, notes, pages, sign_in, teams
from example_app.headers import SecurityHeaders
from example_app.storage import notebooks
from fastapi_stackauth import StackAuthError

stack = auth.stack


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Notes are at hand while the app runs."""
    await notebooks.open()
    yield
    await notebooks.close()


app = FastAPIOffline(  # an app like any other, whose /docs and /redoc take no file from a CDN
    title="Example app",
    description="Notes for people and teams: every sign-in method and protected endpoints with fastapi-stackauth.",
    lifespan=lifespan,
)
auth.install(app)
secured = partial(SecurityHeaders, https=stack.settings.app_url)


async def handle_failure(request: Request, error: Exception) -> ASGIApp:
    """The answer to a mistake of this app's goes round the middleware, so it is given the headers here."""
    return secured(await pages.show_failure(request, error))


app.add_middleware(secured)
app.add_exception_handler(Exception, handle_failure)  # type: ignore[arg-type]  # Starlette calls any answer that is an ASGI app
app.add_exception_handler(RequestValidationError, pages.show_invalid)
app.add_exception_handler(StackAuthError, pages.show_error)  # type: ignore[arg-type]  # Starlette types handlers of requests and of WebSockets apart
app.add_exception_handler(HTTPException, pages.show_http_error)
for router in (api.router, pages.router, sign_in.router, account.router, notes.router, teams.router):
    app.include_router(router)
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
