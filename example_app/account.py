"""One's account. It shows what the auth server knows; the forms change it through the routes under `/auth`."""

import io
from typing import Annotated

import segno
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from example_app.auth import READ_REPORTS, Anybody, Caller, Offered
from example_app.pages import Page
from fastapi_stackauth import TotpEnrollment, totp_enrollment

router = APIRouter(prefix="/account", include_in_schema=False, default_response_class=HTMLResponse)


@router.get("")
async def account(page: Page, user: Anybody, caller: Caller, offered: Offered) -> HTMLResponse:
    return page(
        "account.html",
        profile=await caller.users.me(),
        addresses=await caller.contact_channels.list(),
        sessions=await caller.sessions.list(),
        offered=offered,
        is_admin=await caller.project_permissions.check(READ_REPORTS),
        session_id=user.session_id,
    )


@router.get("/two-factor")
async def two_factor(page: Page, enrollment: Annotated[TotpEnrollment, Depends(totp_enrollment)]) -> HTMLResponse:
    return page("two_factor.html", enrollment=enrollment, qr=qr_code(enrollment.uri))


def qr_code(content: str) -> Markup:
    """A QR code as inline SVG."""
    image = io.BytesIO()
    segno.make(content, micro=False).save(
        image, kind="svg", xmldecl=False, scale=5, border=3, light="#fff", title="QR code for an authenticator app"
    )
    return Markup(image.getvalue().decode())  # noqa: S704 - the library escapes its input
