"""The pages for sign-in, sign-up, codes, the second factor, magic links, providers and sign-out."""

from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.errors import VerificationCodeError
from fastapi_stackauth.models import User
from fastapi_stackauth.pages.errors import describe_action
from fastapi_stackauth.pages.messages import FAILED_HEADING, MFA_OVER, find_message
from fastapi_stackauth.pages.route import PageRoutes
from fastapi_stackauth.pages.showing import (
    find_return_to,
    find_site,
    find_user,
    keep_return_to,
    read_query,
    show,
    translate,
)
from fastapi_stackauth.routers.methods import mfa, oauth, otp, overview, password, session
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext
from fastapi_stackauth.routers.plumbing.inputs import LinkCode

routes = PageRoutes()


def _link(context: RouteContext, path: str, **query: str) -> str:
    return find_site(context).link(path, **{"return_to": keep_return_to(context), **query})


# --- sign-in ---


@routes.page("/sign-in")
async def show_sign_in(context: Context) -> Response:
    """Show the sign-in methods of the project. A signed-in user may continue or switch accounts.

    With `prompt=login` (OpenID Connect Core §3.1.2.1), a signed-in user must sign in again.
    """
    again, user = read_query(context, "prompt") == "login", await find_user(context)
    if user and not user.is_anonymous and not again and context.error is None:
        return await show(context, "signed_in.html")
    return await _show_methods(context, "sign_in.html", prompt="login" if again else "", user=user if again else None)


async def _show_methods(context: RouteContext, template: str, *, user: User | None = None, **values: Any) -> Response:  # noqa: ANN401 - see show
    site, methods = find_site(context), await overview.sign_in_methods(context.services)
    email = context.form.get("email", "") or (user and user.email) or ""
    return await show(
        context,
        template,
        fields=("email", "password"),
        methods=methods.model_dump(),
        email=email[:320],
        after_link=site.link("/oauth-callback", return_to=keep_return_to(context)),
        by_code=methods.otp and (read_query(context, "by") == "code" or not methods.password),
        complete="username webauthn" if methods.passkey else "username",
        **values,
    )


routes.action("/sign-in", password.routes, password.password_sign_in, view=show_sign_in, next_page=find_return_to)


# --- the code in an email ---


@routes.page("/sign-in/code")
async def show_code(context: Context) -> Response:
    """Show a field for the code in the email."""
    return await show(context, "code.html", fields=("code",))


routes.action(
    "/sign-in/send",
    otp.routes,
    otp.otp_send,
    view=show_sign_in,
    next_page=lambda context: _link(context, "/sign-in/code", done="code"),
)
routes.action("/sign-in/code", otp.routes, otp.otp_sign_in, view=show_code, next_page=find_return_to)


@routes.page("/sign-in/send")
async def reopen_sign_in(context: Context) -> RedirectResponse:
    """Redirect to the sign-in page, for a browser that reloads the URL of a form."""
    return RedirectResponse(_link(context, "/sign-in", by="code"), 303)


# --- sign-up ---


@routes.page("/sign-up")
async def show_sign_up(context: Context) -> Response:
    """Show the ways to create an account."""
    user = await find_user(context)
    if user and not user.is_anonymous and context.error is None:
        return await show(context, "signed_in.html")
    return await _show_methods(context, "sign_up.html")


routes.action(
    "/sign-up",
    password.routes,
    password.password_sign_up,
    view=show_sign_up,
    next_page=lambda context: _link(context, "/email-verification", step="sent"),
)


# --- the second factor ---


@routes.page("/mfa")
async def show_mfa(context: Context) -> Response:
    """Show a field for the code from the authenticator app."""
    over = translate(context, MFA_OVER) if isinstance(context.error, VerificationCodeError) else ""
    return await show(context, "mfa.html", fields=("code",), over=over)


routes.action("/mfa", mfa.routes, mfa.mfa_sign_in, view=show_mfa, next_page=find_return_to)


# --- links, and providers ---


@routes.page("/magic-link-callback", attempt="otp_sign_in")
async def show_magic_link(context: Context, code: LinkCode = "") -> Response:
    """Open a magic link: sign in immediately in the browser that requested it, and show a button in any other."""
    code = code or context.form.get("code", "")[:200]
    if context.error is None and code and (signed_in := await otp.open_link(context, code)) is not None:
        return signed_in
    address = await otp.find_masked_address(context, code) if code else None
    return await show(context, "magic_link.html", fields=("code",), code=code, address=address or "")


routes.action("/magic-link-callback", otp.routes, otp.otp_sign_in, view=show_magic_link, next_page=find_return_to)
routes.include(oauth.routes, oauth.oauth_authorize)
routes.include(oauth.routes, oauth.oauth_callback)


@routes.page("/oauth-callback")
async def show_oauth_callback(context: Context) -> Response:
    """Continue after a provider or an emailed link: redirect to the app or to the second factor, or show the error."""
    if read_query(context, "mfa") == "required":
        return RedirectResponse(_link(context, "/mfa"), 303)
    code = read_query(context, "error")
    if not code:
        return RedirectResponse(find_return_to(context), 303)
    return await show(context, "oauth_failed.html", message=translate(context, find_message(code)))


# --- sign-out, and errors ---


def _after_sign_out(context: RouteContext) -> str:
    chosen = keep_return_to(context) or context.settings.after_sign_out
    return chosen or find_site(context).link("/sign-out", done="signed-out")


@routes.page("/sign-out")
async def show_sign_out(context: Context) -> Response:
    """Show a button that signs out. A link must not sign out, because another site could open it."""
    return await show(context, "sign_out.html", leads_to=_after_sign_out(context))


routes.action(
    "/sign-out",
    session.routes,
    session.sign_out,
    view=show_sign_out,
    next_page=_after_sign_out,
)


@routes.page("/error")
async def show_error_page(context: Context) -> Response:
    """Show the text for an error code."""
    return await show(
        context,
        "error.html",
        heading=translate(context, FAILED_HEADING),
        message=translate(context, find_message(read_query(context, "code"))),
        action=describe_action(context),
    )
