"""Sign-in with codes and links in emails.

The email contains six characters. Together with a nonce, which only the requesting browser or app has, they form the
code. The link contains the complete code (contract/tokens.md §7).

Law: a code only upgrades the anonymous user of the browser or app that requested it, which the nonce proves. Otherwise
an attacker could send a user a link to the attacker's account and get the user's data.
"""

import hmac
import secrets
from contextlib import suppress
from typing import Annotated

from fastapi import Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from fastapi_stackauth.client.resources.otp import SentCode
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import (
    KnownApiError,
    RequestInvalid,
    SecondFactorRequired,
    StackAuthError,
)
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, account_key
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, ByDelivery, Routes
from fastapi_stackauth.routers.plumbing.emails import hiding_accounts
from fastapi_stackauth.routers.plumbing.inputs import (
    CODE_LENGTH,
    EXAMPLE_CODE,
    ChallengedBody,
    LinkCode,
    NewEmail,
    RequestBody,
)
from fastapi_stackauth.routers.plumbing.pages import find_foreign_origin, form_page, message_page
from fastapi_stackauth.routers.plumbing.transport import SignInResponse, SignInResult, Tokens
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, with_query
from fastapi_stackauth.startup.configuration import needs

routes = Routes("otp", feature="otp")

FLOW = "otp"
CODE_SECONDS = 7 * 24 * 3600  # contract/tokens.md §7
TYPED, WHOLE = 6, CODE_LENGTH
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # contract/tokens.md §3
_EXAMPLE_NONCE = "1bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg280"
_SIGN_IN_ERRORS = (
    *VERIFICATION_CODE_ERRORS,
    KnownApiError.of("USER_EMAIL_ALREADY_EXISTS", details={"would_work_if_email_was_verified": True}),
    "SIGN_UP_NOT_ENABLED",
    "SIGN_UP_REJECTED",
    "BOT_CHALLENGE_FAILED",
)
_PAGE_ERRORS = {403: "A second factor is required, or the account is rejected.", 404: "The code is wrong."}


# --- sending ---


class TokenOtpSendRequest(ChallengedBody):
    """The address to send a code to."""

    email: NewEmail


class OtpSendRequest(TokenOtpSendRequest):
    """The address to send a code to, and the URL to open after a sign-in with the link in the email."""

    return_to: str | None = Field(
        default=None,
        max_length=MAX_ADDRESS,
        description="Where to redirect this browser after a sign-in with the link in the email: a path of the app, or "
        "an allowed URL. The default is the setting `after_sign_in`.",
        examples=["/notes"],
    )


class OtpSendResponse(BaseModel):
    """How long the code is valid. The response is the same for every address."""

    model_config = ConfigDict(frozen=True)

    expires_in: int = Field(
        default=CODE_SECONDS, description="Seconds until the code expires.", examples=[CODE_SECONDS]
    )


class TokenOtpSendResponse(OtpSendResponse):
    """How long the code is valid, and the nonce to send with it."""

    nonce: str = Field(
        repr=False, description="Send it with the six characters from the email.", examples=[_EXAMPLE_NONCE]
    )


@routes.post(
    "/otp/send",
    "Send a code by email",
    errors=(403, "BOT_CHALLENGE_REQUIRED", "BOT_CHALLENGE_FAILED"),
    attempt="otp_send",
)
@needs("project_id", "app_url", unless_page="magic_link")
async def otp_send(
    body: Annotated[TokenOtpSendRequest, ByDelivery(cookie=OtpSendRequest, body=TokenOtpSendRequest)], context: Context
) -> Annotated[OtpSendResponse, ByDelivery(cookie=OtpSendResponse, body=TokenOtpSendResponse)]:
    """Send an email with a code and a link that sign in.

    Cookie delivery: Then ask the user for the six characters of the code; an HttpOnly cookie keeps the rest. In this
    browser, the link signs in immediately; in any other, the user must click a button.

    Body delivery: Then ask the user for the six characters of the code, and send them with the nonce.

    The response is the same whether or not the address has an account, and whether or not it can get one.

    Returns:
        The email is sent if the address can sign in or sign up.
    """
    facts = {}
    if isinstance(body, OtpSendRequest) and body.return_to is not None:
        if allowed_redirect(body.return_to, context.settings) is None:
            raise RequestInvalid((("body.return_to", "Redirects to this URL are not allowed"),))
        facts["return_to"] = body.return_to
    await context.count_account(body.email)
    # Errors of an email that was not sent.
    sent = SentCode(nonce="".join(secrets.choice(_ALPHABET) for _ in range(WHOLE - TYPED)))
    with hiding_accounts(context.services.events):
        sent = await context.client.otp.send_sign_in_code(
            email=body.email, callback_url=context.page_url("magic_link"), bot_challenge=body.bot_challenge
        )
    storage = context.services.storage
    await storage.set(_account_storage_key(sent.nonce), account_key("email", body.email), CODE_SECONDS)
    if not context.in_browser:
        return TokenOtpSendResponse(nonce=sent.nonce)
    if "magic_link" not in context.mount.pages:  # for the router's own page, and for unsent emails as well
        await storage.set(_address_storage_key(sent.nonce), _mask(body.email), CODE_SECONDS)
    context.transport.remember(FLOW, {**facts, "nonce": sent.nonce}, CODE_SECONDS)
    return OtpSendResponse()


def _account_storage_key(nonce: str) -> str:
    """Return the storage key for the account of a code: a hash, so that the storage does not contain the code."""
    return "otp-account:" + account_key("nonce", nonce)


def _address_storage_key(nonce: str) -> str:
    """Return the storage key for the masked address of a code. It is a hash, so the storage contains no code."""
    return "magic-link:" + account_key("address", nonce)


def _mask(email: str) -> str:
    """Keep the first character of an email address, and its domain."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


# --- the code, typed ---


class OtpSignInRequest(RequestBody):
    """The code from the email."""

    code: SecretStr = Field(
        min_length=TYPED,
        max_length=WHOLE,
        description="The six characters in the email, in upper or lower case; or the whole code from the link.",
        examples=["7BD52H"],
    )

    @field_validator("code")
    @classmethod
    def _check_code(cls, value: SecretStr) -> SecretStr:
        code = value.get_secret_value()
        if not (code.isascii() and code.isalnum()):
            raise ValueError("must be letters and digits")
        if len(code) not in (TYPED, WHOLE):
            raise ValueError(f"must have {TYPED} characters, or {WHOLE} if it is of a link")
        return value


class TokenOtpSignInRequest(OtpSignInRequest):
    """The code from the email, and the nonce."""

    nonce: SecretStr | None = Field(
        default=None,
        max_length=WHOLE,
        description="The nonce from `/otp/send`. The whole code of a link signs in without it, but then an anonymous "
        "user does not keep their id. Never take the nonce from the link itself.",
        examples=[_EXAMPLE_NONCE],
    )


OtpCode = Annotated[OtpSignInRequest, ByDelivery(cookie=OtpSignInRequest, body=TokenOtpSignInRequest)]


@routes.sign_in("/otp/sign-in", "Sign in with a code", errors=_SIGN_IN_ERRORS)
async def otp_sign_in(body: OtpCode, context: Context) -> SignInResult:
    """Sign in with the code from the email. An address without an account gets one; an anonymous user keeps their id.

    Cookie delivery: Six characters are enough in the browser that requested them. In any other, the whole code of the
    link signs in, but an anonymous user does not keep their id.

    Body delivery: The whole code of a link upgrades an anonymous user only together with the nonce: an app that did not
    request the link must not give its user's account to the sender.
    """
    nonce = context.transport.recall(FLOW, body).get("nonce", "")
    signed_in = await _sign_in(context, _complete(body.code, nonce), nonce)
    context.transport.forget(FLOW)
    return signed_in


@routes.post("/otp/check", "Check a sign-in code", errors=VERIFICATION_CODE_ERRORS, attempt="otp_check")
async def otp_check(body: OtpCode, context: Context) -> None:
    """Check whether a code can sign in, without using it up. This counts as one of the code's 20 attempts.

    Returns:
        The code is valid.
    """
    code = _complete(body.code, context.transport.recall(FLOW, body).get("nonce", ""))
    await context.count_account(code[TYPED:])
    await context.client.otp.check_code(code=code)


async def _sign_in(context: RouteContext, code: str, nonce: str) -> SignInResponse | Tokens:
    """Sign in with a complete code. This upgrades an anonymous caller only if `nonce` belongs to the code."""
    await context.count_account(code[TYPED:])
    client = await context.find_client(upgrade=_is_requested_here(code, nonce))
    account = await context.services.storage.get(_account_storage_key(code[TYPED:]))  # unless the storage forgot it
    return await context.sign_in(client.otp.sign_in(code=code), account or account_key("nonce", code[TYPED:]))


def _is_requested_here(code: str, nonce: str) -> bool:
    """Whether a complete code belongs to the nonce that the browser or app received when it requested a code."""
    own, given = (text.lower().encode("utf-8", "replace") for text in (nonce, code[TYPED:]))
    return bool(own) and hmac.compare_digest(own, given)


def _complete(code: SecretStr, nonce: str) -> str:
    """Return the complete code.

    Raises:
        KnownApiError: `VERIFICATION_CODE_NOT_FOUND`: six characters without their nonce are not a code.
    """
    typed = code.get_secret_value()
    if len(typed) == WHOLE:
        return typed
    if len(typed) + len(nonce) != WHOLE:
        raise KnownApiError.of("VERIFICATION_CODE_NOT_FOUND")
    return typed + nonce


# --- the link, opened ---


@routes.page(
    "/magic-link/callback", "Open a magic link", page_errors=_PAGE_ERRORS, attempt="otp_sign_in", only="cookie"
)
@needs("project_id", "app_url")
async def magic_link(code: LinkCode, context: Context) -> HTMLResponse | RedirectResponse:
    """Open the link in the email. In the browser that requested the email, it signs in at once.

    Other browsers show a button first, because email scanners follow links and must not use up the code. The page names
    the masked email address of the link, if it is known, and the account that this browser is signed in to: the link
    may belong to another user.
    """
    if (signed_in := await open_link(context, code)) is not None:
        return signed_in
    address = await find_masked_address(context, code)
    return form_page(
        "Sign in",
        (f"This link signs in as {address}. It " if address else "This link ") + _ELSEWHERE,
        note=await _describe_account(context),
        action="callback",
        hidden={"code": code},
        button="Sign in",
        leads_to=find_foreign_origin(context.settings.after_sign_in, context.settings),
    )


async def open_link(context: RouteContext, code: str) -> RedirectResponse | None:
    """Sign in and redirect the browser if it requested the code. Return None if the user must confirm first.

    Raises:
        RateLimitExceeded: 429.
        StackAuthError: The sign-in failed.
    """
    opened = context.request.method == "GET"  # HEAD only checks whether there is a page
    if opened and _is_requested_here(code, context.transport.recall(FLOW).get("nonce", "")):
        await context.count_address()
        return await _sign_in_and_redirect(context, code)
    return None


async def find_masked_address(context: RouteContext, code: str) -> str | None:
    """Return the masked email address that a link was sent to, if the storage knows it."""
    return await context.services.storage.get(_address_storage_key(code[TYPED:]))


_ELSEWHERE = "was requested in another browser, or some time ago. Continue only if you requested it yourself."


async def _describe_account(context: RouteContext) -> str:
    """Return a sentence about the account of this browser. Empty if no user is signed in, or during an outage."""
    user = None
    with suppress(StackAuthError):
        user = (await resolve(context.request, context.services)).user
    if user is None:
        return ""
    if user.is_anonymous:
        return "You are using this browser as a guest. Anything you did as a guest is not transferred to that account."
    return f"This browser is signed in as {user.email or user.display_name or user.id}."


class MagicLinkForm(RequestBody):
    """The form that the page's button submits."""

    code: str = Field(repr=False, max_length=200, description="The code from the link.", examples=[EXAMPLE_CODE])


@routes.page(
    "/magic-link/callback",
    "Sign in with a magic link",
    method="POST",
    page_errors=_PAGE_ERRORS,
    attempt="otp_sign_in",
    only="cookie",
)
async def magic_link_confirm(body: Annotated[MagicLinkForm, Form()], context: Context) -> RedirectResponse:
    """Sign in when the user presses the button of the page, and redirect the browser."""
    return await _sign_in_and_redirect(context, body.code)


@routes.page("/magic-link/callback", "Open a magic link", only="body")
@needs()
async def token_magic_link(code: LinkCode) -> Response:  # noqa: ARG001 - part of the link; the page does not use it
    """Open the link in the email. The page asks the user to type the code in the app: tokens belong there.

    To sign in with the link itself, point it at your app with `pages={"magic_link": ...}`.
    """
    return message_page("Go back to the app", "Type the six characters from the email there.")


async def _sign_in_and_redirect(context: RouteContext, code: str) -> RedirectResponse:
    """Sign in and redirect the browser. If a second factor must follow, redirect to `return_to` with `?mfa=required`.

    The nonce and `return_to` of this browser are only used for the code that it requested.

    Raises:
        SecondFactorRequired: A second factor must follow, and the request for the code had no `return_to`.
    """
    own = context.transport.recall(FLOW)
    nonce = own.get("nonce", "")
    place = own.get("return_to") if _is_requested_here(code, nonce) else None
    return_to = allowed_redirect(place, context.settings)
    try:
        await _sign_in(context, code, nonce)
    except SecondFactorRequired:
        if return_to is None:
            raise
        return RedirectResponse(with_query(return_to, mfa="required"), 303)
    context.transport.forget(FLOW)
    return RedirectResponse(return_to or context.settings.after_sign_in, 303)
