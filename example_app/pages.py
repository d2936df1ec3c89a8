"""What all pages of the app share: templates and the header bar."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from example_app.auth import MaybeAnybody, SeesAdminPage
from fastapi_stackauth import User

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
templates = Jinja2Templates(Path(__file__).with_name("templates"))


def display_name(user: User | None) -> str:
    """Return the name of a user."""
    if user is None:
        return ""
    return user.display_name or user.email or ("Guest" if user.is_anonymous else "Somebody")


async def renderer(request: Request, user: MaybeAnybody, is_admin: SeesAdminPage) -> Callable[..., HTMLResponse]:
    """Return a function that renders a template with the header bar of the caller."""

    def render(name: str, **values: Any) -> HTMLResponse:  # noqa: ANN401 - any template's
        shared = {"user": user, "user_name": display_name(user), "is_admin": is_admin}
        return templates.TemplateResponse(request, name, {**shared, **values})

    return render


Page = Annotated[Callable[..., HTMLResponse], Depends(renderer)]


@router.get("/")
async def home(page: Page) -> HTMLResponse:
    return page("home.html")
