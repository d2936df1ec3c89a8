"""The pages that links in emails open: password reset and email verification."""

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.pages.route import PageRoutes
from fastapi_stackauth.pages.showing import find_return_to, find_site, keep_return_to, read_query, show
from fastapi_stackauth.routers.account import contact_channels
from fastapi_stackauth.routers.methods import password, session
from fastapi_stackauth.routers.plumbing.context import Context
from fastapi_stackauth.routers.plumbing.inputs import LinkCode

routes = PageRoutes()


@routes.page("/forgot-password")
async def show_forgot_password(context: Context) -> Response:
    """Show a field for the email address of the account."""
    return await show(context, "forgot_password.html", fields=("email",), kept=("email",))


routes.action(
    "/forgot-password",
    password.routes,
    password.password_forgot,
    view=show_forgot_password,
    next_page=lambda context: find_site(context).link(
        "/forgot-password", done="reset", return_to=keep_return_to(context)
    ),
)


@routes.page("/password-reset")
async def show_password_reset(context: Context, code: LinkCode = "") -> Response:
    """Show a field for the new password. A hidden field contains the code of the link."""
    code = code or context.form.get("code", "")[:200]
    return await show(context, "password_reset.html", fields=("password", "code"), code=code)


routes.action(
    "/password-reset",
    password.routes,
    password.password_reset,
    view=show_password_reset,
    next_page=lambda context: find_site(context).link("/sign-in", done="password"),
)


@routes.page("/email-verification")
async def show_email_verification(context: Context, code: LinkCode = "") -> Response:
    """Show a button that verifies the address, because email scanners follow the link in the email."""
    code = code or context.form.get("code", "")[:200]
    step = read_query(context, "step")
    return await show(context, "email_verification.html", fields=("code",), code=code, step=step)


routes.action(
    "/email-verification",
    contact_channels.routes,
    contact_channels.verify_email,
    view=show_email_verification,
    next_page=lambda context: find_site(context).link("/email-verification", done="verified", step="verified"),
)
routes.action(
    "/email-verification/continue",
    session.routes,
    session.session_refresh,
    view=show_email_verification,
    next_page=find_return_to,
)


@routes.page("/email-verification/continue")
async def reopen_email_verification(context: Context) -> RedirectResponse:
    """Redirect to the page, for a browser that reloads the URL of its form."""
    query = {"return_to": keep_return_to(context), "step": read_query(context, "step")}
    return RedirectResponse(find_site(context).link("/email-verification", **query), 303)
