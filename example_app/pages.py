"""The shared parts of all pages: templates, the header bar, and a page for unknown URLs."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.responses import Response

from example_app.auth import MaybeAnybody, SeesAdminPage
from fastapi_stackauth import User

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
templates = Jinja2Templates(Path(__file__).with_name("templates"))


def display_name(user: User | None) -> str:
    """Return the name of a user."""
    if user is None:
        return ""
    return user.display_name or user.email or ("Guest" if user.is_anonymous else "Somebody")


templates.env.globals.update(display_name=display_name)


async def renderer(request: Request, user: MaybeAnybody, is_admin: SeesAdminPage) -> Callable[..., HTMLResponse]:
    """Return a function that renders a template with the header bar of the caller."""

    def render(name: str, **values: Any) -> HTMLResponse:  # noqa: ANN401 - any template's
        return templates.TemplateResponse(request, name, {"user": user, "is_admin": is_admin, **values})

    return render


Page = Annotated[Callable[..., HTMLResponse], Depends(renderer)]


@router.get("/")
async def home(page: Page) -> HTMLResponse:
    return page("home.html")


async def show_http_error(request: Request, error: Exception) -> Response:
    """Show a page to browsers for unknown URLs. Programs get JSON."""
    if not isinstance(error, HTTPException):
        raise error
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    return templates.TemplateResponse(request, "error.html", {"user": None}, error.status_code, error.headers)
