"""E-mail and password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Form as FormBody
from fastapi.responses import Response
from pydantic import BaseModel, Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerUnavailable,
    KnownApiError,
    RedirectUrlNotAllowed,
    UnexpectedAnswer,
)
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import SignIn
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.bot_challenge import Challenged
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, SignedInUser, client_of, count_account
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.inputs import Email, NewEmail, OneTimeCode, Password
from fastapi_stackauth.routers.plumbing.links import RESET, log_untrusted_link, telling_nothing, verification_link
from fastapi_stackauth.routers.plumbing.operations import VERIFICATION_CODE_ERRORS, add, add_page, add_sign_in
from fastapi_stackauth.routers.plumbing.pages import RESET_FIELDS, form_page, message_page
from fastapi_stackauth.routers.plumbing.posted import Posted, posted_by_page
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack, page_address
from fastapi_stackauth.startup.configuration import needs

TAG = "password"
MIN_LENGTH = 8  # contract/known_errors.json, PASSWORD_TOO_SHORT


class PasswordCredentials(Form):
    """An e-mail address and its password."""

    email: Email
    password: Password


class NewAccount(Challenged):
    """The e-mail address and the password of a new account."""

    email: NewEmail
    password: Password


class Forgotten(Form):
    """Whose password was forgotten."""

    email: Email


class CodeToCheck(Form):
    """A code from a mail."""

    code: OneTimeCode


class NewPassword(Form):
    """A new password, and the code from the mail that allows it."""

    code: OneTimeCode
    password: Password


class FirstPassword(Form):
    """The first password of an account."""

    password: Password


class ChangedPassword(Form):
    """The old password and the new one."""

    old_password: Password
    new_password: Password


class ChangedPasswordOfApp(ChangedPassword):
    """The old password and the new one, and the session that is to live on."""

    refresh_token: SecretStr | None = Field(
        default=None,
        max_length=512,
        description="Of the session that lives on; without it all sessions end.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )


# --- signing up and in ---


async def sign_up(account: NewAccount, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Make an account and sign in to it. A guest who signs up keeps their id.

    A mail with a link that verifies the address goes out where the app has a public address (`app_url`) that the
    project trusts.
    """
    await count_account(stack, "password_sign_up", account.email)
    client = await client_of(request, stack, upgrade=True)
    link = verification_link(request, stack, "/password/sign-up")
    async with signing_in(request, stack, TAG, account_key("email", account.email)):
        signed_in = await _signed_up(client, account, link)
    return deliver(request, stack, signed_in, TAG, is_new_user=True)


async def _signed_up(client: StackAuthClient, account: NewAccount, link: str | None) -> SignIn:
    email, password, challenge = account.email, account.password.get_secret_value(), account.bot_challenge
    try:
        return await client.password.sign_up(
            email=email, password=password, verification_callback_url=link, bot_challenge=challenge
        )
    except RedirectUrlNotAllowed as error:
        # The server refuses an untrusted link before it does anything, and a missing mail must keep nobody out.
        log_untrusted_link(error, client.events)
        return await client.password.sign_up(email=email, password=password, bot_challenge=challenge)


async def sign_in(credentials: PasswordCredentials, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Sign in to an account."""
    await count_account(stack, "password_sign_in", credentials.email)
    client = await client_of(request, stack)
    async with signing_in(request, stack, TAG, account_key("email", credentials.email)):
        signed_in = await client.password.sign_in(
            email=credentials.email, password=credentials.password.get_secret_value()
        )
    return deliver(request, stack, signed_in, TAG)


# --- a forgotten password ---


@needs("project_id", "app_url", unless_page="password_reset")
async def forgot(body: Forgotten, request: Request, stack: RouteStack) -> None:
    """Send a mail with a link to choose a new password. The answer is the same whether or not there is an account.

    The link leads to the page of this router, or to yours: `pages={"password_reset": ...}`.
    """
    await count_account(stack, "password_forgot", body.email)
    client = await client_of(request, stack)
    link = page_address(request, stack, "password_reset", "/password/forgot", RESET)
    with telling_nothing(stack.events):
        await client.password.send_reset_code(email=body.email, callback_url=link)


async def check_reset(body: CodeToCheck, request: Request, stack: RouteStack) -> None:
    """See whether a code would allow a new password, without using it. It counts as one of the code's 20 attempts."""
    code = body.code.get_secret_value()
    await count_account(stack, "password_reset_check", code)
    await (await client_of(request, stack)).password.check_reset_code(code=code)


_RESET_BODY = Posted(NewPassword)


async def reset(
    body: Annotated[NewPassword, Depends(_RESET_BODY)], request: Request, stack: RouteStack
) -> Response | None:
    """Choose a new password with the code of the link in the mail. All sessions of the account end; sign in then.

    The page's form posts here too, and is answered with a page.
    """
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    await count_account(stack, "password_reset", code)
    if len(password) < MIN_LENGTH:  # the auth server would say so too, but only after using the code up
        raise KnownApiError.of("PASSWORD_TOO_SHORT", details={"min_length": MIN_LENGTH})
    await (await client_of(request, stack)).password.reset(code=code, password=password)
    if posted_by_page(request):
        return message_page("Your password has been changed", "Sign in with it now. You can close this page.")
    return None


@needs()
async def reset_page(code: Annotated[str, Query(max_length=200, description="The code of the link.")]) -> Response:
    """Where the link in the mail leads: a form for the new password. It works without scripts."""
    return form_page(
        "Choose a new password",
        "You will be signed out everywhere, and can sign in with it then.",
        action="reset",
        code=code,
        button="Save the password",
        fields=RESET_FIELDS,
    )


# --- the form that API docs sign in with ---


class PasswordGrant(BaseModel):
    """A sign-in as OAuth's password grant writes it (RFC 6749 §4.3.2); members that are not known are ignored."""

    grant_type: Literal["password"] = Field(default="password", description="Always `password`.", examples=["password"])
    username: Email
    password: Password
    scope: str = Field(default="", max_length=1000, description="Ignored: tokens have no scopes.", examples=[""])


async def password_grant(
    body: Annotated[PasswordGrant, FormBody()], request: Request, stack: RouteStack
) -> SignedIn | Tokens:
    """Sign in with e-mail and password by a form, as “Authorize” in an API's docs does (RFC 6749 §4.3).

    It is `/password/sign-in` in another form, for tools; its refusals are the same.
    """
    return await sign_in(PasswordCredentials(email=body.username, password=body.password), request, stack)


# --- changing it ---


async def set_first(body: FirstPassword, stack: RouteStack, user: SignedInUser, client: PersonsClient) -> None:
    """Give the signed-in account its first password. One that has a password changes it with `/password/update`."""
    async with _refusing_what_ends(stack, client, {user.session_id}):
        await client.password.set(password=body.password.get_secret_value())


async def update(body: ChangedPasswordOfApp, stack: RouteStack, user: SignedInUser, client: PersonsClient) -> None:
    """Change the password. All other sessions of the account end; this one too, unless its refresh token comes along.

    Access tokens of the ended sessions are refused by this app from then on.
    """
    await count_account(stack, "password_update", user.id)
    kept = body.refresh_token.get_secret_value() if body.refresh_token else None
    async with _refusing_what_ends(stack, client, {user.session_id} if kept else set()):
        await _change(body, client, kept)


async def update_in_browser(
    body: ChangedPassword, request: Request, stack: RouteStack, user: SignedInUser, client: PersonsClient
) -> None:
    """Change the password. All other sessions of the account end; this browser stays signed in."""
    await count_account(stack, "password_update", user.id)
    credential = (await resolve(request, stack)).credential
    async with _refusing_what_ends(stack, client, {user.session_id}):
        await _change(body, client, credential.refresh_token if credential else None)


@asynccontextmanager
async def _refusing_what_ends(
    stack: InstalledStack, client: StackAuthClient, kept: set[str | None]
) -> AsyncIterator[None]:
    """Refuse from then on the tokens of the sessions that the block ended.

    Args:
        stack: where they are refused.
        client: the person, whose sessions they are. They are listed first: who could not be told apart afterwards must
            not be left alone, so a list that fails stops the change.
        kept: the sessions that go on, should the second list fail.
    """
    before = await _session_ids(client)
    try:
        yield
    except AuthServerUnavailable:  # it may be changed all the same
        with suppress(AuthServerError):
            await stack.revocations.revoke_sessions(before - await _session_ids(client))
        raise
    try:
        left = await _session_ids(client)
    except AuthServerError:  # the password is changed by now: what can be said is said
        left = {session_id for session_id in kept if session_id}
    await stack.revocations.revoke_sessions(before - left)


async def _session_ids(client: StackAuthClient) -> set[str]:
    return {session.id for session in await client.sessions.list()}


async def _change(body: ChangedPassword, client: StackAuthClient, kept: str | None) -> None:
    await client.password.update(
        old_password=body.old_password.get_secret_value(),
        new_password=body.new_password.get_secret_value(),
        refresh_token=kept,
    )


# --- on a router ---

_LENGTH = (
    KnownApiError.of("PASSWORD_TOO_SHORT", details={"min_length": 8}),
    KnownApiError.of("PASSWORD_TOO_LONG", details={"maxLength": 70}),
)
_OFF = KnownApiError.of("PASSWORD_AUTHENTICATION_NOT_ENABLED")


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's routes on a router."""
    _add_sign_in(router, delivery)
    _add_reset(router, delivery)
    add(router, delivery, "/password/set", set_first, operation="password_set", summary="Set a first password",
        response_description="Set.", tag=TAG,
        errors=(*SIGNED_OUT, *_LENGTH, _OFF, UnexpectedAnswer(400)))  # fmt: skip
    add(router, delivery, "/password/update", update_in_browser if delivery == "cookie" else update,
        operation="password_update", summary="Change the password", response_description="Changed.", tag=TAG,
        errors=(*SIGNED_OUT, KnownApiError.of("PASSWORD_CONFIRMATION_MISMATCH"),
                KnownApiError.of("USER_DOES_NOT_HAVE_PASSWORD"), *_LENGTH, _OFF,
                UnexpectedAnswer(400)),
        attempt="password_update")  # fmt: skip


def _add_sign_in(router: APIRouter, delivery: Delivery) -> None:
    add_sign_in(
        router,
        delivery,
        "/password/sign-up",
        sign_up,
        operation="password_sign_up",
        summary="Sign up with a password",
        tag=TAG,
        errors=(
            KnownApiError.of("USER_EMAIL_ALREADY_EXISTS", details={"would_work_if_email_was_verified": False}),
            *_LENGTH,
            KnownApiError.of("SIGN_UP_NOT_ENABLED"),
            KnownApiError.of("SIGN_UP_REJECTED"),
            _OFF,
            KnownApiError.of("BOT_CHALLENGE_REQUIRED"),
            KnownApiError.of("BOT_CHALLENGE_FAILED"),
        ),
    )
    add_sign_in(
        router,
        delivery,
        "/password/sign-in",
        sign_in,
        operation="password_sign_in",
        summary="Sign in with a password",
        tag=TAG,
        errors=(KnownApiError.of("EMAIL_PASSWORD_MISMATCH"), _OFF),
    )
    if delivery == "body":
        add_sign_in(
            router,
            delivery,
            "/token",
            password_grant,
            operation="password_grant",
            summary="Sign in with a password, by a form",
            tag=TAG,
            attempt="password_sign_in",
            errors=(KnownApiError.of("EMAIL_PASSWORD_MISMATCH"), _OFF),
        )


def _add_reset(router: APIRouter, delivery: Delivery) -> None:
    add(router, delivery, "/password/forgot", forgot, operation="password_forgot", summary="Ask for a new password",
        response_description="The mail is on its way, if there is an account.", tag=TAG,
        errors=(_OFF,), attempt="password_forgot")  # fmt: skip
    add_page(router, delivery, RESET, reset_page, operation="password_reset_page",
             summary="Open a link to choose a new password", tag=TAG)  # fmt: skip
    add(router, delivery, RESET, reset, operation="password_reset", summary="Choose a new password",
        response_description="Changed.", tag=TAG, errors=(*VERIFICATION_CODE_ERRORS, *_LENGTH, _OFF),
        attempt="password_reset", openapi_extra=_RESET_BODY.documented)  # fmt: skip
    add(router, delivery, "/password/reset/check", check_reset, operation="password_reset_check",
        summary="See whether a code holds", response_description="It holds.", tag=TAG,
        errors=VERIFICATION_CODE_ERRORS, attempt="password_reset_check")  # fmt: skip
