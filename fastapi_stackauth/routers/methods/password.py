"""Sign-in with email address and password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Literal

from fastapi import Form, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerUnavailable,
    KnownApiError,
    RedirectUrlNotAllowed,
)
from fastapi_stackauth.models import SignIn
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, SignedInUser, UserClient, account_key
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, ByDelivery, Routes
from fastapi_stackauth.routers.plumbing.emails import hiding_accounts, log_untrusted_link
from fastapi_stackauth.routers.plumbing.inputs import (
    EXAMPLE_CODE,
    ChallengedBody,
    Email,
    LinkCode,
    NewEmail,
    OneTimeCode,
    Password,
    RequestBody,
)
from fastapi_stackauth.routers.plumbing.pages import RESET_FIELDS, form_page, message_page
from fastapi_stackauth.routers.plumbing.transport import SignInResponse, SignInResult, Tokens
from fastapi_stackauth.startup.configuration import needs

routes = Routes("password", feature="password")

MIN_LENGTH = 8  # contract/known_errors.json, PASSWORD_TOO_SHORT
_LENGTH = (
    KnownApiError.of("PASSWORD_TOO_SHORT", details={"min_length": MIN_LENGTH}),
    KnownApiError.of("PASSWORD_TOO_LONG", details={"maxLength": 70}),
)
_OFF = "PASSWORD_AUTHENTICATION_NOT_ENABLED"
_MISMATCH = "EMAIL_PASSWORD_MISMATCH"


# --- signing up and in ---


class PasswordSignUpRequest(ChallengedBody):
    """The email address and the password of a new account."""

    email: NewEmail
    password: Password


@routes.sign_in(
    "/password/sign-up",
    "Sign up with a password",
    errors=(
        KnownApiError.of("USER_EMAIL_ALREADY_EXISTS", details={"would_work_if_email_was_verified": False}),
        *_LENGTH,
        "SIGN_UP_NOT_ENABLED",
        "SIGN_UP_REJECTED",
        _OFF,
        "BOT_CHALLENGE_REQUIRED",
        "BOT_CHALLENGE_FAILED",
    ),
    features=("sign_up",),
)
async def password_sign_up(body: PasswordSignUpRequest, context: Context) -> SignInResult:
    """Create an account and sign in to it. An anonymous user who signs up keeps their id.

    If the app has a public address (`app_url`) that the project trusts, an email with a link verifies the address.
    """
    await context.count_account(body.email)
    client = await context.find_client(upgrade=True)
    call = _sign_up(client, body, context)
    return await context.sign_in(call, account_key("email", body.email), is_new_user=True)


async def _sign_up(client: StackAuthClient, body: PasswordSignUpRequest, context: RouteContext) -> SignIn:
    email, password, challenge = body.email, body.password.get_secret_value(), body.bot_challenge
    linkable = context.settings.app_url is not None or "://" in context.mount.pages.get("verify_email", "")
    link = context.page_url("verify_email") if linkable else None
    try:
        return await client.password.sign_up(
            email=email, password=password, verification_callback_url=link, bot_challenge=challenge
        )
    except RedirectUrlNotAllowed as error:
        # The server rejects an untrusted link before it does anything. Users must be able to sign up without the email.
        log_untrusted_link(error, client.events)
        return await client.password.sign_up(email=email, password=password, bot_challenge=challenge)


class PasswordSignInRequest(RequestBody):
    """An email address and its password."""

    email: Email
    password: Password


@routes.sign_in("/password/sign-in", "Sign in with a password", errors=(_MISMATCH, _OFF))
async def password_sign_in(body: PasswordSignInRequest, context: Context) -> SignInResult:
    """Sign in with an email address and its password."""
    return await _sign_in(context, body.email, body.password)


class PasswordGrant(BaseModel):
    """A sign-in in the form of OAuth's password grant (RFC 6749 §4.3.2); unknown fields are ignored."""

    grant_type: Literal["password"] = Field(default="password", description="Always `password`.", examples=["password"])
    username: Email
    password: Password
    scope: str = Field(
        default="", max_length=1000, description="Ignored, because tokens have no scopes.", examples=[""]
    )


@routes.sign_in(
    "/token", "Sign in with the OAuth password grant", errors=(_MISMATCH, _OFF), attempt="password_sign_in", only="body"
)
async def password_grant(body: Annotated[PasswordGrant, Form()], context: Context) -> SignInResult:
    """Sign in with an email address and a password, sent as a form (RFC 6749 §4.3).

    It is for tools such as the “Authorize” button of the API docs. Its errors are those of `/password/sign-in`.
    """
    return await _sign_in(context, body.username, body.password)


async def _sign_in(context: RouteContext, email: str, password: SecretStr) -> SignInResponse | Tokens:
    await context.count_account(email)
    call = context.client.password.sign_in(email=email, password=password.get_secret_value())
    return await context.sign_in(call, account_key("email", email))


# --- a forgotten password ---


class PasswordForgotRequest(RequestBody):
    """The address of the account."""

    email: Email


@routes.post("/password/forgot", "Send a password reset email", errors=(_OFF,), attempt="password_forgot")
@needs("project_id", "app_url", unless_page="password_reset")
async def password_forgot(body: PasswordForgotRequest, context: Context) -> None:
    """Send an email with a link to choose a new password. The response is the same whether or not an account exists.

    The link opens this router's page, or your own: `pages={"password_reset": ...}`.

    Returns:
        The email is sent if there is an account.
    """
    await context.count_account(body.email)
    with hiding_accounts(context.services.events):
        await context.client.password.send_reset_code(email=body.email, callback_url=context.page_url("password_reset"))


class PasswordResetCheckRequest(RequestBody):
    """A code from an email."""

    code: OneTimeCode


@routes.post(
    "/password/reset/check",
    "Check a password reset code",
    errors=VERIFICATION_CODE_ERRORS,
    attempt="password_reset_check",
)
async def password_reset_check(body: PasswordResetCheckRequest, context: Context) -> None:
    """Check whether a code can reset the password, without using it up. This counts as one of the code's 20 attempts.

    Returns:
        The code is valid.
    """
    code = body.code.get_secret_value()
    await context.count_account(code)
    await context.client.password.check_reset_code(code=code)


class PasswordResetRequest(RequestBody):
    """A new password, and the code from the email that allows it."""

    code: OneTimeCode
    password: Password


@routes.post(
    "/password/reset",
    "Reset the password",
    errors=(*VERIFICATION_CODE_ERRORS, *_LENGTH, _OFF),
    attempt="password_reset",
    form=True,
)
async def password_reset(body: PasswordResetRequest, context: Context) -> Response | None:
    """Choose a new password with the code of the link in the email. All sessions of the account end; sign in again.

    The form of this router's page posts here too, and gets a page as the response.

    Returns:
        The password is changed.
    """
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    await context.count_account(code)
    if len(password) < MIN_LENGTH:  # the auth server checks this too, but only after the code is used up
        raise KnownApiError.of("PASSWORD_TOO_SHORT", details={"min_length": MIN_LENGTH})
    await context.client.password.reset(code=code, password=password)
    if context.is_page_form:
        return message_page("Your password has been changed", "Sign in with it now. You can close this page.")
    return None


@routes.page("/password/reset", "Show the password reset page")
@needs()
async def password_reset_page(code: LinkCode) -> HTMLResponse:
    """Show a form for the new password. The link in the email opens this page; it works without JavaScript."""
    return form_page(
        "Choose a new password",
        "You will be signed out everywhere. You can then sign in with the new password.",
        action="reset",
        hidden={"code": code},
        button="Save the password",
        fields=RESET_FIELDS,
    )


# --- changing it ---


class PasswordSetRequest(RequestBody):
    """The first password of an account."""

    password: Password


@routes.post("/password/set", "Set a first password", errors=(*_LENGTH, _OFF, 400))
async def password_set(body: PasswordSetRequest, context: Context, user: SignedInUser, client: UserClient) -> None:
    """Set a password on an account that has none. To change an existing password, use `/password/update`.

    Returns:
        The password is set.
    """
    async with _revoking_ended_sessions(context, client, {user.session_id}):
        await client.password.set(password=body.password.get_secret_value())


class PasswordUpdateRequest(RequestBody):
    """The old password and the new one."""

    old_password: Password
    new_password: Password


class TokenPasswordUpdateRequest(PasswordUpdateRequest):
    """The old password and the new one, and the refresh token of the session to keep."""

    refresh_token: SecretStr | None = Field(
        default=None,
        max_length=512,
        description="The refresh token of the current session, which then continues. Without it, all sessions end.",
        examples=[EXAMPLE_CODE],
    )


@routes.post(
    "/password/update",
    "Change the password",
    errors=("PASSWORD_CONFIRMATION_MISMATCH", "USER_DOES_NOT_HAVE_PASSWORD", *_LENGTH, _OFF, 400),
    attempt="password_update",
)
async def password_update(
    body: Annotated[PasswordUpdateRequest, ByDelivery(PasswordUpdateRequest, TokenPasswordUpdateRequest)],
    context: Context,
    user: SignedInUser,
    client: UserClient,
) -> None:
    """Change the password. All other sessions of the account end, and this app rejects their access tokens.

    Cookie delivery: This browser stays signed in.

    Body delivery: This session ends too, unless the request has its refresh token.

    Returns:
        The password is changed.
    """
    await context.count_account(user.id)
    kept = await context.transport.find_refresh_token(body)
    async with _revoking_ended_sessions(context, client, {user.session_id} if kept else set()):
        await client.password.update(
            old_password=body.old_password.get_secret_value(),
            new_password=body.new_password.get_secret_value(),
            refresh_token=kept,
        )


@asynccontextmanager
async def _revoking_ended_sessions(
    context: RouteContext, client: StackAuthClient, kept: set[str | None]
) -> AsyncIterator[None]:
    """Revoke the tokens of the sessions that end within the block.

    Args:
        context: The context of the request.
        client: Lists the sessions first. If this fails, the change is not made, because the ended sessions would be
            unknown.
        kept: The sessions that do not end, in case the second list fails.
    """
    before, revocations = await _list_session_ids(client), context.services.revocations
    try:
        yield
    except AuthServerUnavailable:  # the password may have been changed anyway
        with suppress(AuthServerError):
            await revocations.revoke_sessions(before - await _list_session_ids(client))
        raise
    try:
        left = await _list_session_ids(client)
    except AuthServerError:  # the password has been changed
        left = {session_id for session_id in kept if session_id}
    await revocations.revoke_sessions(before - left)


async def _list_session_ids(client: StackAuthClient) -> set[str]:
    return {session.id for session in await client.sessions.list()}
