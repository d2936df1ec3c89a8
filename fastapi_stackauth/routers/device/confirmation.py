"""The routes of the user: they type the code that a device shows, and allow or deny the device to act for them.

Law: only a full user who signed in within the last ten minutes may decide, and only once for each code. The device gets
a separate session, which never counts as a recent sign-in.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import AuthError, KnownApiError, RequestError, StackAuthError, UnexpectedResponse
from fastapi_stackauth.models import Millis, User
from fastapi_stackauth.routers.device.codes import HALF, LETTERS, DeviceCodes, PendingDevice
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, UserClient, check_full_user
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.inputs import RequestBody
from fastapi_stackauth.routers.plumbing.pages import describe_account, form_page, message_page
from fastapi_stackauth.startup.configuration import needs

routes = Routes("device authorization")

RECENT = timedelta(minutes=10)
RECENT_USER = Require(live=True, max_age=RECENT)
RecentUser = Annotated[User, Depends(RECENT_USER)]

_ATTEMPT = "device_decide"
_SHARED_SECONDS = 367 * 24 * 3600  # the maximum lifetime of a session
_INVALID = RequestError("user_code_invalid")
_ERRORS = (
    _INVALID,
    AuthError("authentication_required"),
    AuthError("credentials_conflict"),
    AuthError("reauthentication_required", details={"max_age": int(RECENT.total_seconds())}),
    AuthError("anonymous_not_allowed"),
    AuthError("restricted_not_allowed", details={"restricted_reason": "email_not_verified"}),
)  # listed here, so that they can be pages too
_PAGE_ERRORS = {
    401: "No user is signed in, or the sign-in is not recent. If `sign_in_url` is set, the browser is redirected.",
    403: "Anonymous and restricted users cannot sign in devices.",
    502: "The auth server does not accept this app's configuration, or its response cannot be read.",
    503: "The auth server cannot be reached right now.",
}
_FIELD = (
    '<label for="user_code">$label</label>\n<input id="user_code" name="user_code" required autofocus '
    'autocomplete="off" autocapitalize="characters" spellcheck="false">\n'
)


class DeviceCodeRequest(RequestBody):
    """The code that a device shows."""

    user_code: str = Field(
        repr=False,
        max_length=40,
        description="The code. Case, blanks and hyphens do not matter.",
        examples=["WDJB-MJHT"],
    )
    start: str = Field(
        default="",
        repr=False,
        max_length=40,
        description="The first four letters, if `user_code` contains only the last four.",
        examples=[""],
    )

    @property
    def full_code(self) -> str:
        """The complete code, as the user wrote it. The user may have typed both halves."""
        typed = sum(letter in LETTERS for letter in self.user_code.upper())
        return self.user_code if typed > HALF else self.start + self.user_code


class Device(BaseModel):
    """A device that asks for access to the user's account."""

    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="The name that it gave itself, which is not verified.", examples=["notes-cli"])
    address: str | None = Field(
        description="The IP address that its request came from, if known.", examples=["192.0.2.7"]
    )
    requested_at: Millis = Field(description="When it asked.", examples=[1762333949000])
    expires_at: Millis = Field(description="When its code expires.", examples=[1762334849000])


_EXAMPLE = {
    "client_id": "notes-cli",
    "address": "192.0.2.7",
    "requested_at": 1762333949000,
    "expires_at": 1762334849000,
}


@routes.page("/device", "Open the page for a device's code", page_errors=_PAGE_ERRORS, only="cookie")
@needs("project_id", "app_url", "secret_server_key")
async def device_page(
    user: RecentUser,
    code: Annotated[str, Query(max_length=40, description="The first four letters of the code.")] = "",
) -> HTMLResponse | RedirectResponse:
    """Show the account of the browser, and a field for the code that a device shows.

    The user must have signed in within the last ten minutes. Otherwise the browser is redirected to `sign_in_url`, if
    it is set, and back after the sign-in.
    """
    start = code.upper() if len(code) == HALF and set(code.upper()) <= set(LETTERS) else ""
    text = "Type the code that your command-line tool or device shows."
    label = f"The last four letters, after {start}-" if start else "The code"
    return form_page(
        "Sign in a device",
        text,
        note=f"This browser is signed in as {describe_account(user)}. The device gets access to this account.",
        action="device/verify",
        hidden={"start": start} if start else {},
        fields=_FIELD.replace("$label", label),
        button="Continue",
    )


@routes.post(
    "/device/verify", "Look up the code of a device", errors=_ERRORS, example=_EXAMPLE, attempt=_ATTEMPT, form=True
)
@needs("project_id", "app_url", "secret_server_key", unless_page="device")
async def device_verify(body: DeviceCodeRequest, context: Context, user: RecentUser) -> Device | Response:
    """Return the device with a code, so that its user can decide about it. The form of the page gets a page."""
    device = await _find(context, user, body)
    requested_at = datetime.fromtimestamp(device.requested_at, UTC)
    if not context.is_page_form:
        return Device(
            client_id=device.client_id,
            address=device.address,
            requested_at=requested_at,
            expires_at=datetime.fromtimestamp(device.expires_at, UTC),
        )
    return form_page(
        "Allow this device?",
        f"A device that calls itself \u201c{device.client_id}\u201d asks for access to the account "
        f"{describe_account(user)}. Its name is not verified.",
        note=f"Its request came from {device.address or 'an unknown address'} at {requested_at:%H:%M} UTC on "
        f"{requested_at:%Y-%m-%d}. Allow it only if you started this yourself: the device could do all that you can.",
        action="confirm",
        hidden={"user_code": body.full_code},
        button="Allow",
        other_button=("deny", "Deny"),
    )


@routes.post("/device/confirm", "Allow a device", errors=_ERRORS, attempt=_ATTEMPT, form=True)
@needs("project_id", "app_url", "secret_server_key", unless_page="device")
async def device_confirm(
    body: DeviceCodeRequest, context: Context, user: RecentUser, client: UserClient
) -> Response | None:
    """Let a device act for the user, in a separate session, which is listed and can be revoked like any other.

    That session never counts as a recent sign-in.

    Returns:
        The device gets its tokens with its next request.
    """
    await check_full_user(client)
    device = await _find(context, user, body)
    async with _deciding(context, device) as codes:

        async def decide() -> None:
            await codes.decide(device, body.full_code, "approved")

        if context.mount.share_browser_session:
            await _share_session(context, user, body, device)
            await decide()
        else:
            await _open_session(context, user, device, decide)
    return message_page("The device is signed in", "You can close this page.") if context.is_page_form else None


@routes.post("/device/deny", "Deny a device", errors=_ERRORS, attempt=_ATTEMPT, form=True)
@needs("project_id", "app_url", "secret_server_key", unless_page="device")
async def device_deny(body: DeviceCodeRequest, context: Context, user: RecentUser) -> Response | None:
    """Deny a device access. Its code cannot be used again.

    Returns:
        The next request of the device gets an error.
    """
    device = await _find(context, user, body)
    async with _deciding(context, device) as codes:
        await codes.decide(device, body.full_code, "denied")
    return message_page("Access was denied", "You can close this page.") if context.is_page_form else None


async def _find(context: RouteContext, user: User, body: DeviceCodeRequest) -> PendingDevice:
    """Return the device with a code. Codes are short, so attempts are limited per user and in total.

    Raises:
        RateLimitExceeded: 429.
        RequestError: 404 `user_code_invalid`.
    """
    await context.count_account(user.id, in_total=True)
    return await DeviceCodes(context.services).find(body.full_code)


@asynccontextmanager
async def _deciding(context: RouteContext, device: PendingDevice) -> AsyncIterator[DeviceCodes]:
    """Allow only one decision about a device. If it fails, the user may try again."""
    codes = DeviceCodes(context.services)
    await codes.claim_decision(device)
    try:
        yield codes
    except BaseException:
        await codes.release_decision(device)
        raise


async def _open_session(
    context: RouteContext, user: User, device: PendingDevice, decide: Callable[[], Awaitable[None]]
) -> None:
    """Create a new session of the user for the device, and record it. If this fails, end the session."""
    seconds = context.settings.cli_session_max_age
    server = context.client.as_server()
    tokens = await server.sessions.create(user.id, expires_in=timedelta(seconds=seconds))
    if tokens.session_id is None:
        raise UnexpectedResponse
    try:
        await context.services.live_sessions.mark_of_terminal(tokens.session_id, seconds)
        await _complete(context.client, device, tokens.refresh_token)
        await decide()
    except BaseException:
        with suppress(StackAuthError):
            await context.client.as_user(tokens.access_token).sessions.sign_out()
        raise


async def _share_session(context: RouteContext, user: User, body: DeviceCodeRequest, device: PendingDevice) -> None:
    """Give the device the browser's own session, which no longer counts as a recent sign-in."""
    refresh_token = await context.transport.find_refresh_token(body)
    if refresh_token is None or user.session_id is None:  # a bearer token instead of the cookies
        raise AuthError("authentication_required")
    token = await context.client.sessions.refresh(refresh_token)
    # The two cookies belong to different sessions, and the page showed the account of one.
    if token.session_id != user.session_id:
        raise AuthError("credentials_conflict")
    await _complete(context.client, device, refresh_token)
    await context.services.live_sessions.mark_of_terminal(user.session_id, _SHARED_SECONDS)


async def _complete(client: StackAuthClient, device: PendingDevice, refresh_token: str) -> None:
    try:
        await client.cli.complete(device.login_code, refresh_token=refresh_token)
    except KnownApiError as error:
        if error.code == "RESTRICTED_USER_NOT_ALLOWED":  # newer auth servers check it too
            raise AuthError("restricted_not_allowed", details={"restricted_reason": None}) from None
        raise
    except UnexpectedResponse as error:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # the auth server's own code has expired
            raise RequestError("user_code_invalid") from None
        raise
