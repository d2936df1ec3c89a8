"""The pages for sign-in, sign-up, forgotten passwords and links in emails. Forms, no logic."""

from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from example_app.auth import MaybeAnybody, Offered
from example_app.pages import Page, local

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/sign-in")
async def sign_in(
    page: Page,
    user: MaybeAnybody,
    offered: Offered,
    return_to: str = "",
    step: str = "",
    mfa: str = "",
    prompt: str = "",
    error: str = "",
) -> Response:
    then = local(return_to)
    unfinished = prompt == "login" or step or mfa or error  # a user who signs in again has a session meanwhile
    if user and not user.is_anonymous and not unfinished:
        return RedirectResponse(then, 303)
    # Without the prompt: a browser that returns from a provider has signed in again.
    here = "/sign-in?" + urlencode({"return_to": then})
    template = "second_factor.html" if mfa == "required" else "code.html" if step == "code" else "sign_in.html"
    return page(template, offered=offered, then=then, here=here)


@router.get("/sign-up")
async def sign_up(page: Page, user: MaybeAnybody, offered: Offered, return_to: str = "") -> Response:
    then = local(return_to)
    if user and not user.is_anonymous:
        return RedirectResponse(then, 303)
    return page("sign_up.html", offered=offered, then=then, here="/sign-up?" + urlencode({"return_to": then}))


@router.get("/forgot-password")
async def forgot_password(page: Page) -> HTMLResponse:
    return page("forgot_password.html")


@router.get("/new-password")
async def new_password(page: Page, code: str = "") -> HTMLResponse:
    return page("new_password.html", code=code)


@router.get("/verify-email")
async def verify_email(page: Page, code: str = "") -> HTMLResponse:
    return page("verify_email.html", code=code)
