"""Codes and links in mails: the mail shows six characters; with a nonce that only the asking browser or app has, they
make the code. The link holds the whole code (contract/tokens.md §7).

Law: only a code that this browser or app asked for, which the nonce proves, upgrades its anonymous user. Whoever sends
a link of their own to a user must not get the account that the user has used so far.
"""

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Form as FormFields
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from fastapi_stackauth.client.resources.otp import SentCode
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import (
    KnownApiError,
    RequestInvalid,
    SecondFactorRequired,
    StackAuthError,
    UnexpectedAnswer,
)
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import SignIn
from fastapi_stackauth.routers.plumbing import flows
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.bot_challenge import Challenged
from fastapi_stackauth.routers.plumbing.caller import client_of, count_account, count_address
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.inputs import CODE_LENGTH, NewEmail
from fastapi_stackauth.routers.plumbing.links import MAGIC_LINK, foreign_origin, telling_nothing
from fastapi_stackauth.routers.plumbing.operations import VERIFICATION_CODE_ERRORS, add, add_page, add_sign_in
from fastapi_stackauth.routers.plumbing.pages import form_page, message_page
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack, mount_of, page_address
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, with_query
from fastapi_stackauth.startup.configuration import needs

TAG = "otp"
FLOW = "otp"
CODE_SECONDS = 7 * 24 * 3600  # contract/tokens.md §7
TYPED, WHOLE = 6, CODE_LENGTH
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # contract/tokens.md §3


class CodeRequest(Challenged):
    """Whom to send a code."""

    email: NewEmail


class CodeRequestOfBrowser(CodeRequest):
    """Whom to send a code, and where the link in the mail leads in the end."""

    return_to: str | None = Field(
        default=None,
        max_length=MAX_ADDRESS,
        description="Where the link in the mail leads after signing in, in this browser: a path of the app, or an "
        "address that redirects may lead to. `after_sign_in` where it is absent.",
        examples=["/notes"],
    )


class CodeSent(BaseModel):
    """The mail is on its way, if this address may sign in or up."""

    model_config = ConfigDict(frozen=True)

    expires_in: int = Field(
        default=CODE_SECONDS, description="Seconds that the code is good for.", examples=[CODE_SECONDS]
    )


class CodeSentToApp(CodeSent):
    """The same, with what goes with the code."""

    nonce: str = Field(
        repr=False,
        description="Goes with the six characters from the mail.",
        examples=["1bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg280"],
    )


class TypedCode(Form):
    """The code from the mail."""

    code: SecretStr = Field(
        min_length=TYPED,
        max_length=WHOLE,
        description="The six characters that the mail shows, in any case; or the whole code of its link.",
        examples=["7BD52H"],
    )

    @field_validator("code")
    @classmethod
    def _plain(cls, value: SecretStr) -> SecretStr:
        code = value.get_secret_value()
        if not (code.isascii() and code.isalnum()):
            raise ValueError("must be letters and digits")
        if len(code) not in (TYPED, WHOLE):
            raise ValueError(f"must have {TYPED} characters, or {WHOLE} if it is of a link")
        return value


class TypedCodeOfApp(TypedCode):
    """The code from the mail, and the nonce."""

    nonce: SecretStr | None = Field(
        default=None,
        max_length=WHOLE,
        description="What `/otp/send` gave. The whole code of a link signs in without it, but only with it does an "
        "anonymous user keep their id. Never take it from the link itself.",
        examples=["1bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg280"],
    )


# --- sending ---


@needs("project_id", "app_url", unless_page="magic_link")
async def send(body: CodeRequest, request: Request, stack: RouteStack) -> CodeSentToApp:
    """Send a code and a link to an address. Ask for the six characters then, and send them with the nonce.

    The answer is the same whether or not the address has an account, and whether or not it may get one.
    """
    return CodeSentToApp(nonce=await _send(body, request, stack))


@needs("project_id", "app_url", unless_page="magic_link")
async def send_to_browser(body: CodeRequestOfBrowser, request: Request, stack: RouteStack) -> CodeSent:
    """Send a code and a link to an address. Ask for the six characters then; the browser keeps what goes with them.

    The answer is the same whether or not the address has an account, and whether or not it may get one. The link in the
    mail signs in at once in this browser, and after a click on a button in any other.
    """
    facts = {}
    if body.return_to is not None:
        if allowed_redirect(body.return_to, stack.settings) is None:
            raise RequestInvalid((("body.return_to", "Redirects may not lead there"),))
        facts["return_to"] = body.return_to
    nonce = facts["nonce"] = await _send(body, request, stack)
    if "magic_link" not in mount_of(request).pages:  # for the router's own page, and for unsent emails as well
        await stack.storage.set(_address_key(nonce), _mask(body.email), CODE_SECONDS)
    flows.remember(request, stack, FLOW, facts, CODE_SECONDS)
    return CodeSent()


async def _send(body: CodeRequest, request: Request, stack: InstalledStack) -> str:
    """Send the mail; its nonce, or one that belongs to nothing where no mail may be sent."""
    await count_account(stack, "otp_send", body.email)
    client = await client_of(request, stack)
    link = page_address(request, stack, "magic_link", "/otp/send", MAGIC_LINK)
    sent = SentCode(nonce="".join(secrets.choice(_ALPHABET) for _ in range(WHOLE - TYPED)))
    with telling_nothing(stack.events):
        sent = await client.otp.send_sign_in_code(email=body.email, callback_url=link, bot_challenge=body.bot_challenge)
    await stack.storage.set(_account_key(sent.nonce), account_key("email", body.email), CODE_SECONDS)
    return sent.nonce


def _account_key(nonce: str) -> str:
    """Return where the account of a code is kept: a hash, so that reading the storage yields no code."""
    return "otp-account:" + account_key("nonce", nonce)


async def _account_of(stack: InstalledStack, code: str) -> str:
    """Return the account that a whole code was sent to, or what stands for the code if the storage forgot it."""
    return await stack.storage.get(_account_key(code[TYPED:])) or account_key("nonce", code[TYPED:])


def _address_key(nonce: str) -> str:
    """Where the masked address of an email is kept; a hash, so that who reads the storage gets no code."""
    return "magic-link:" + hashlib.sha256(nonce.lower().encode("utf-8", "replace")).hexdigest()


def _mask(email: str) -> str:
    """Keep the first character of an email address, and its domain."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


# --- the code, typed ---


async def sign_in(body: TypedCodeOfApp, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Sign in with the code from the mail; an address without an account gets one. A guest keeps their id then.

    The whole code of a link upgrades a guest only together with the nonce: an app that did not ask for the link must
    not give its guest's account to whoever sent it.
    """
    nonce = body.nonce.get_secret_value() if body.nonce else ""
    return await _delivered(request, stack, _whole(body.code, nonce), nonce)


async def sign_in_browser(body: TypedCode, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Sign in with the code from the mail; an address without an account gets one. A guest keeps their id then.

    Six characters are enough in the browser that asked for them. In any other, the whole code of the link signs in, but
    a guest does not keep their id.
    """
    nonce = _nonce_of(request, stack)
    signed_in = await _delivered(request, stack, _whole(body.code, nonce), nonce)
    flows.forget(request, stack, FLOW)
    return signed_in


async def check(body: TypedCodeOfApp, request: Request, stack: RouteStack) -> None:
    """See whether a code would sign in, without using it. It counts as one of the code's 20 attempts."""
    await _check(request, stack, _whole(body.code, body.nonce.get_secret_value() if body.nonce else ""))


async def check_in_browser(body: TypedCode, request: Request, stack: RouteStack) -> None:
    """See whether a code would sign in, without using it. It counts as one of the code's 20 attempts."""
    await _check(request, stack, _whole(body.code, _nonce_of(request, stack)))


async def _check(request: Request, stack: InstalledStack, code: str) -> None:
    await count_account(stack, "otp_check", code[TYPED:])
    await (await client_of(request, stack)).otp.check_code(code=code)


async def _delivered(request: Request, stack: InstalledStack, code: str, nonce: str) -> SignedIn | Tokens:
    return deliver(request, stack, await _signed_in(request, stack, code, nonce), TAG)


async def _signed_in(request: Request, stack: InstalledStack, code: str, nonce: str) -> SignIn:
    """Sign in with a whole code. The anonymous user who calls is upgraded only if `nonce` belongs to the code."""
    await count_account(stack, "otp_sign_in", code[TYPED:])
    client = await client_of(request, stack, upgrade=_is_requested_here(code, nonce))
    async with signing_in(request, stack, TAG, await _account_of(stack, code)):
        return await client.otp.sign_in(code=code)


def _nonce_of(request: Request, stack: InstalledStack) -> str:
    return flows.recall(request, stack, FLOW).get("nonce", "")


def _is_requested_here(code: str, nonce: str) -> bool:
    """Whether a whole code belongs to the nonce that the calling browser or app was given when it asked for a code."""
    own, given = (text.lower().encode("utf-8", "replace") for text in (nonce, code[TYPED:]))
    return bool(own) and hmac.compare_digest(own, given)


def _whole(code: SecretStr, nonce: str) -> str:
    """The whole code.

    Raises:
        `VERIFICATION_CODE_NOT_FOUND`: six characters without their nonce are none.
    """
    typed = code.get_secret_value()
    if len(typed) == WHOLE:
        return typed
    if len(typed) + len(nonce) != WHOLE:
        raise KnownApiError.of("VERIFICATION_CODE_NOT_FOUND")
    return typed + nonce


# --- the link, opened ---

LinkCode = Annotated[str, Query(max_length=200, description="The code of the link.")]


@needs("project_id", "app_url")
async def open_link(code: LinkCode, request: Request, stack: RouteStack) -> Response:
    """Where the link in the mail leads. In the browser that asked for the mail it signs in at once.

    Elsewhere it shows a button first: programs that look at mails follow links, and must not use them up. The page
    names the masked address that the link signs in to, if it is known, and the account that this browser is signed in
    to: the link may be another user's.
    """
    if _is_requested_here(code, _nonce_of(request, stack)):
        await count_address(request, stack, "otp_sign_in")
        return await _sent_on(request, stack, code)
    address = await stack.storage.get(_address_key(code[TYPED:]))
    return form_page(
        "Sign in",
        (f"This link signs in as {address}. It " if address else "This link ") + _ELSEWHERE,
        note=await _account_here(request, stack),
        action="callback",
        code=code,
        button="Sign in",
        leads_to=foreign_origin(stack.settings.after_sign_in, stack.settings),
    )


_ELSEWHERE = "was requested in another browser, or some time ago. Continue only if you requested it yourself."


async def _account_here(request: Request, stack: InstalledStack) -> str:
    """Say which account this browser is signed in to; nothing if that is none, or cannot be said now."""
    user = None
    with suppress(StackAuthError):
        user = (await resolve(request, stack)).user
    if user is None:
        return ""
    if user.is_anonymous:
        return "You use this browser as a guest. What you did as a guest does not move to that account."
    return f"This browser is signed in as {user.email or user.display_name or user.id}."


class PressedButton(Form):
    """What the page's button sends."""

    code: str = Field(
        repr=False,
        max_length=200,
        description="The code of the link.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )


async def press_button(body: Annotated[PressedButton, FormFields()], request: Request, stack: RouteStack) -> Response:
    """What the page's button does: it signs in, and sends the browser on."""
    return await _sent_on(request, stack, body.code)


@needs()
async def open_link_of_app(code: LinkCode) -> Response:  # noqa: ARG001 - the link has it, the page has no use for it
    """Where the link in the mail leads when tokens travel in bodies: a browser has no use for them.

    Point the link at your app with `pages={"magic_link": ...}` to let the link itself sign in there.
    """
    return message_page("Go back to the app", "Type the six characters from the mail there.")


async def _sent_on(request: Request, stack: InstalledStack, code: str) -> Response:
    """Sign in, and send the browser on; to its `return_to` with `?mfa=required` where a second factor is to follow.

    What this browser asked for itself counts only for its own code.

    Raises:
        SecondFactorRequired: it is to follow, and the app named no place for that.
    """
    own = flows.recall(request, stack, FLOW)
    nonce = own.get("nonce", "")
    place = own.get("return_to") if _is_requested_here(code, nonce) else None
    return_to = allowed_redirect(place, stack.settings)
    try:
        deliver(request, stack, await _signed_in(request, stack, code, nonce), TAG)
    except SecondFactorRequired:
        if return_to is None:
            raise
        return RedirectResponse(with_query(return_to, mfa="required"), 303)
    flows.forget(request, stack, FLOW)
    return RedirectResponse(return_to or stack.settings.after_sign_in, 303)


# --- on a router ---

_SIGN_IN_ERRORS = (
    *VERIFICATION_CODE_ERRORS,
    KnownApiError.of("USER_EMAIL_ALREADY_EXISTS", details={"would_work_if_email_was_verified": True}),
    KnownApiError.of("SIGN_UP_NOT_ENABLED"),
    KnownApiError.of("SIGN_UP_REJECTED"),
    KnownApiError.of("BOT_CHALLENGE_FAILED"),
)
_SEND_ERRORS = (
    UnexpectedAnswer(403),
    KnownApiError.of("BOT_CHALLENGE_REQUIRED"),
    KnownApiError.of("BOT_CHALLENGE_FAILED"),
)
_PAGE_ERRORS = {403: "A second factor is needed, or the account is refused.", 404: "The code is wrong."}


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's routes on a router."""
    browser = delivery == "cookie"
    add(router, delivery, "/otp/send", send_to_browser if browser else send, operation="otp_send",
        summary="Send a code by e-mail", response_model=CodeSent if browser else CodeSentToApp,
        response_description="On its way, if it may be.", tag=TAG, errors=_SEND_ERRORS,
        attempt="otp_send")  # fmt: skip
    add_sign_in(router, delivery, "/otp/sign-in", sign_in_browser if browser else sign_in, operation="otp_sign_in",
                summary="Sign in with a code", tag=TAG, errors=_SIGN_IN_ERRORS)  # fmt: skip
    add(router, delivery, "/otp/check", check_in_browser if browser else check, operation="otp_check",
        summary="See whether a code holds", response_description="It holds.", tag=TAG,
        errors=VERIFICATION_CODE_ERRORS, attempt="otp_check")  # fmt: skip
    if not browser:
        add_page(router, delivery, MAGIC_LINK, open_link_of_app, operation="magic_link", summary="Open a link", tag=TAG)
        return
    add_page(router, delivery, MAGIC_LINK, open_link, operation="magic_link", summary="Open a link", tag=TAG,
             redirects=True, errors=_PAGE_ERRORS)  # fmt: skip
    add_page(router, delivery, MAGIC_LINK, press_button, operation="magic_link_button", summary="Sign in by a link",
             tag=TAG, method="POST", attempt="otp_sign_in", redirects=True, errors=_PAGE_ERRORS)  # fmt: skip
