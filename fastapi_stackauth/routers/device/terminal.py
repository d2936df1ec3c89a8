"""The routes that a device calls: for its codes and for its tokens (RFC 8628 §3.1 to §3.5).

Law: the auth server's polling code never leaves the app, and of two concurrent requests, only one gets the tokens.
"""

from contextlib import suppress
from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fastapi_stackauth.errors import KnownApiError, RequestError, SessionEnded, StackAuthError, VerificationUnavailable
from fastapi_stackauth.models import AccessToken
from fastapi_stackauth.routers.device.codes import (
    CODE_SECONDS,
    HALF,
    INTERVAL,
    DeviceCodes,
    DeviceGrant,
    decrypt,
    encrypt,
)
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.transport import TokenPairResponse, require_lifetime
from fastapi_stackauth.runtime.events import SIGN_IN_FAILED, SIGN_IN_SUCCEEDED, get_error_code
from fastapi_stackauth.sessions.redirects import with_query
from fastapi_stackauth.startup.configuration import needs

routes = Routes("device authorization")

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ClientId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$",
        description="The name of the tool. The user sees it, marked as unverified. 1 to 64 letters, digits, blanks, "
        "dots, hyphens and underscores.",
        examples=["notes-cli"],
    ),
]
_DEVICE_CODE = "3m1Vx0pJ9eV8k0s0c1mZ8zq1m3yQm9wJ4lq7vB2hX0k"


class DeviceAuthorizationRequest(BaseModel):
    """A request of a device that wants to sign in. Unknown fields are ignored."""

    client_id: ClientId
    scope: str = Field(
        default="", max_length=1000, description="Ignored, because tokens have no scopes.", examples=[""]
    )


class DeviceAuthorizationResponse(BaseModel):
    """The codes of a device. It shows the user code and the address to its user."""

    model_config = ConfigDict(frozen=True)

    device_code: str = Field(repr=False, description="A secret of the device.", examples=[_DEVICE_CODE])
    user_code: str = Field(repr=False, description="The code that the user types.", examples=["WDJB-MJHT"])
    verification_uri: str = Field(
        description="The URL at which the user types the code.", examples=["https://app.example.com/auth/device"]
    )
    verification_uri_complete: str = Field(
        description="The same URL with the first four letters of the code, for a QR code. The user types the others.",
        examples=["https://app.example.com/auth/device?code=WDJB"],
    )
    expires_in: int = Field(default=CODE_SECONDS, description="Seconds until both codes expire.", examples=[900])
    interval: int = Field(default=INTERVAL, description="Seconds between two requests for tokens.", examples=[5])


@routes.post(
    "/device/authorization",
    "Start the sign-in of a device",
    attempt="device_authorize",
    oauth=True,
    needs_redis=True,
)
@needs("project_id", "app_url", "secret_server_key", unless_page="device")
async def device_authorize(
    body: Annotated[DeviceAuthorizationRequest, Form()], context: Context
) -> DeviceAuthorizationResponse:
    """Return the codes with which a device, such as a command-line tool, signs in (RFC 8628 §3.1).

    The device shows `user_code` and `verification_uri`, and then asks for its tokens every `interval` seconds.
    """
    await context.count_in_total()
    if not context.mount.share_browser_session:
        context.client.as_server()  # the key is needed later, when it would be too late to report that it is missing
    login = await context.client.cli.start()
    device_code, user_code = await DeviceCodes(context.services).create(
        client_id=body.client_id,
        address=context.address,
        login_code=login.login_code,
        polling_code=login.polling_code,
    )
    page = context.page_url("device")
    return DeviceAuthorizationResponse(
        device_code=device_code,
        user_code=user_code,
        verification_uri=page,
        verification_uri_complete=with_query(page, code=user_code[:HALF]),
    )


class DeviceTokenRequest(BaseModel):
    """A request for tokens. Unknown fields are ignored."""

    grant_type: str = Field(
        max_length=100, description=f"`{DEVICE_GRANT}` or `refresh_token`.", examples=[DEVICE_GRANT]
    )
    client_id: ClientId
    device_code: SecretStr | None = Field(
        default=None, max_length=200, description="The device code.", examples=[_DEVICE_CODE]
    )
    refresh_token: SecretStr | None = Field(
        default=None, max_length=512, description="For a new access token.", examples=[None]
    )


@routes.post(
    "/device/token",
    "Get the tokens of a device",
    errors=(
        RequestError("authorization_pending"),
        RequestError("slow_down"),
        RequestError("access_denied"),
        RequestError("expired_token"),
        RequestError("invalid_grant"),
        RequestError("unsupported_grant_type"),
    ),
    oauth=True,
    needs_redis=True,
)
@needs("project_id", "app_url", "secret_server_key", unless_page="device")
async def device_token(body: Annotated[DeviceTokenRequest, Form()], context: Context) -> TokenPairResponse:
    """Return the tokens of a device once its user has confirmed it (RFC 8628 §3.4), or refresh its access token.

    Until then the error is `authorization_pending`.
    """
    # A parameter without a value counts as missing (RFC 6749 §3.2).
    if body.grant_type == "refresh_token" and body.refresh_token:
        refresh_token = body.refresh_token.get_secret_value()
        if not refresh_token.isascii() or not refresh_token.isprintable():
            raise RequestError("invalid_grant")
        return _to_response(await _refresh(context, refresh_token), refresh_token)
    if body.grant_type != DEVICE_GRANT or not body.device_code:
        raise RequestError("unsupported_grant_type")
    return await _get_tokens(context, body.device_code.get_secret_value(), body.client_id)


async def _get_tokens(context: RouteContext, device_code: str, client_id: str) -> TokenPairResponse:
    codes, events = DeviceCodes(context.services), context.services.events
    grant = await codes.find_grant(device_code, client_id)
    decision = await codes.read_decision(device_code)
    if decision is None:
        raise RequestError("authorization_pending")
    if decision == "denied":
        events.emit(SIGN_IN_FAILED, method=routes.tag, code="access_denied")
        raise RequestError("access_denied")
    if not await codes.claim_tokens(device_code):
        raise RequestError("authorization_pending")  # another request is fetching them, and may fail
    try:
        refresh_token = await _fetch_refresh_token(context, codes, grant, device_code)
        response = _to_response(await _refresh(context, refresh_token), refresh_token)
    except BaseException as error:  # also if the request is canceled
        if isinstance(error, StackAuthError) and error.code != "authorization_pending":
            events.emit(SIGN_IN_FAILED, method=routes.tag, code=get_error_code(error))
        await codes.release_tokens(device_code)
        raise
    await codes.forget_grant(device_code)
    events.emit(SIGN_IN_SUCCEEDED, method=routes.tag, new_user=False)
    return response


async def _fetch_refresh_token(context: RouteContext, codes: DeviceCodes, grant: DeviceGrant, device_code: str) -> str:
    """Return the refresh token of the session that the user has given to the device.

    The auth server returns it only once. The storage keeps it, encrypted, because later steps may fail.

    Raises:
        RequestError: `authorization_pending`, `expired_token` or `invalid_grant`.
    """
    if grant.refresh_token is not None:
        return decrypt(grant.refresh_token, device_code)
    try:
        poll = await context.client.cli.poll(decrypt(grant.polling_code, device_code))
    except KnownApiError as error:
        if error.code == "INVALID_POLLING_CODE":
            raise RequestError("invalid_grant") from None
        raise
    if poll.status == "waiting":
        raise RequestError("authorization_pending")
    if poll.status == "expired":
        raise RequestError("expired_token")
    if poll.refresh_token is None:
        raise RequestError("invalid_grant")
    kept = grant.model_copy(update={"refresh_token": encrypt(poll.refresh_token, device_code)})
    with suppress(VerificationUnavailable):
        await codes.save_grant(device_code, kept)
    return poll.refresh_token


async def _refresh(context: RouteContext, refresh_token: str) -> AccessToken:
    try:
        return await context.client.sessions.refresh(refresh_token)
    except SessionEnded:
        raise RequestError("invalid_grant") from None


def _to_response(token: AccessToken, refresh_token: str) -> TokenPairResponse:
    return TokenPairResponse(
        access_token=token.access_token, refresh_token=refresh_token, expires_in=require_lifetime(token)
    )
