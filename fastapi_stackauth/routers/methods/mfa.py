"""The second factor: six digits from an authenticator app (TOTP, RFC 6238; contract/tokens.md §8)."""

import base64
import re
from datetime import timedelta
from typing import Annotated, ClassVar

import pyotp
from fastapi import Depends, Request
from fastapi.security import SecurityScopes
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import AuthError, KnownApiError
from fastapi_stackauth.http.installed import route_services
from fastapi_stackauth.models import CurrentUserUpdate, SignIn, User
from fastapi_stackauth.models.base import TrustedModel
from fastapi_stackauth.routers.plumbing.context import Context, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, ByDelivery, Routes
from fastapi_stackauth.routers.plumbing.inputs import EXAMPLE_CODE, RequestBody
from fastapi_stackauth.routers.plumbing.transport import MFA_FLOW, CookieTransport, SignInResult, Transport
from fastapi_stackauth.services import Services
from fastapi_stackauth.startup.configuration import needs

routes = Routes("mfa", feature="mfa")

ENROLLMENT_FLOW = "totp"
ENROLLMENT_SECONDS = 900
RECENT = timedelta(minutes=10)
SECRET_LENGTH = 32  # base32 characters: 160 bits, as RFC 4226 §4 recommends
EXAMPLE_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 - an example

_RECENT_USER = Require(allow_anonymous=True, max_age=RECENT)
_TOO_LONG_AGO = AuthError("reauthentication_required", details={"max_age": int(RECENT.total_seconds())})
_WRONG = "INVALID_TOTP_CODE"


def _check_base32(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Z2-7]*", value.get_secret_value()):
        raise ValueError("must be base32")
    return value


class MfaCodeRequest(RequestBody):
    """The code from the authenticator app."""

    code: SecretStr = Field(
        min_length=6, max_length=6, description="The six digits that the authenticator app shows.", examples=["287082"]
    )


# --- signing in ---


class TokenMfaSignInRequest(MfaCodeRequest):
    """The code from the authenticator app, and the sign-in that needs it."""

    attempt: SecretStr = Field(
        min_length=1,
        max_length=200,
        description="The `attempt` in the details of the error `mfa_required`.",
        examples=[EXAMPLE_CODE],
    )


@routes.sign_in(
    "/mfa/sign-in",
    "Finish a sign-in with a second factor",
    errors=(*VERIFICATION_CODE_ERRORS, _WRONG),
    second_factor=False,
)
async def mfa_sign_in(
    body: Annotated[MfaCodeRequest, ByDelivery(cookie=MfaCodeRequest, body=TokenMfaSignInRequest)], context: Context
) -> SignInResult:
    """Finish a sign-in that returned `mfa_required`. The user can try again after a wrong code, for five minutes.

    Cookie delivery: The sign-in must have started in this browser. It may have ended in a redirect with
    `?mfa=required`.
    """
    attempt, account = await context.transport.recall_attempt(body)
    await context.count_account(account or attempt)
    signed_in = await context.sign_in(_sign_in(context.client, attempt, body.code), account or attempt)
    context.transport.forget(MFA_FLOW)
    return signed_in


async def _sign_in(client: StackAuthClient, attempt: str, code: SecretStr) -> SignIn:
    if not attempt:
        raise KnownApiError.of("VERIFICATION_CODE_NOT_FOUND")
    return await client.mfa.sign_in(attempt_code=attempt, totp=code.get_secret_value())


# --- enabling and disabling it ---


class TotpEnrollment(TrustedModel, BaseModel):
    """The secret for an authenticator app. `POST /mfa/confirm` enables it with a first code."""

    model_config = ConfigDict(frozen=True)

    _use: ClassVar[str] = "`{name}: Annotated[TotpEnrollment, Depends(totp_enrollment)]`"

    secret: str = Field(repr=False, description="The secret in base32, for typing it in.", examples=[EXAMPLE_SECRET])
    uri: str = Field(
        repr=False,
        description="The secret as an `otpauth://` URL, for a QR code.",
        examples=[f"otpauth://totp/Notes:ada%40example.com?secret={EXAMPLE_SECRET}&issuer=Notes"],
    )


@routes.post("/mfa/enroll", "Start enabling two-factor authentication")
async def mfa_enroll(context: Context, user: SignedInUser) -> TotpEnrollment:
    """Start enabling two-factor authentication. Show the URL as a QR code, and ask for a code (`/mfa/confirm`).

    Cookie delivery: An HttpOnly cookie keeps the secret until then, for 15 minutes.

    Body delivery: The app keeps the secret until then, and sends it with the code.

    Returns:
        The secret for the authenticator app.
    """
    return await _enroll(context.transport, user, pyotp.random_base32(SECRET_LENGTH))


@needs("project_id", "app_url")
async def totp_enrollment(
    request: Request, services: Annotated[Services, Depends(route_services)], user: SignedInUser
) -> TotpEnrollment:
    """Return the secret for an authenticator app, for a page of the app's own; `POST /mfa/confirm` takes the code.

    `POST /mfa/enroll` of the cookie router returns the same model. If the page is shown again after a wrong code, the
    secret stays the same. Requires `app_url`.

    Example:
        >>> @app.get("/two-factor")
        ... async def page(enrollment: Annotated[TotpEnrollment, Depends(totp_enrollment)]) -> HTMLResponse: ...
    """
    transport = CookieTransport(request, services)
    secret = transport.recall(ENROLLMENT_FLOW).get("secret", "")
    if not re.fullmatch(rf"[A-Z2-7]{{{SECRET_LENGTH}}}", secret):
        secret = pyotp.random_base32(SECRET_LENGTH)
    return await _enroll(transport, user, secret)


async def _enroll(transport: Transport, user: User, secret: str) -> TotpEnrollment:
    issuer = (await transport.services.project.get()).display_name
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email or user.display_name or user.id, issuer_name=issuer)
    transport.remember(ENROLLMENT_FLOW, {"secret": secret}, ENROLLMENT_SECONDS)
    return TotpEnrollment(secret=secret, uri=uri)


class TokenMfaConfirmRequest(MfaCodeRequest):
    """A first code from the authenticator app, and the secret."""

    secret: Annotated[SecretStr, AfterValidator(_check_base32)] = Field(
        min_length=SECRET_LENGTH,
        max_length=SECRET_LENGTH,
        description="The secret from `/mfa/enroll`.",
        examples=[EXAMPLE_SECRET],
    )


@routes.post(
    "/mfa/confirm",
    "Enable two-factor authentication",
    errors=(_TOO_LONG_AGO, _WRONG),
    cookie_errors=("VERIFICATION_CODE_EXPIRED",),
    attempt="mfa_confirm",
)
async def mfa_confirm(
    body: Annotated[MfaCodeRequest, ByDelivery(cookie=MfaCodeRequest, body=TokenMfaConfirmRequest)],
    context: Context,
    user: SignedInUser,
    client: UserClient,
) -> None:
    """Enable two-factor authentication with a first code. From then on, every sign-in requires one.

    To replace the secret of an account that has two-factor authentication, the user must have signed in recently: else
    401 `reauthentication_required`.

    Returns:
        Two-factor authentication is enabled.
    """
    await context.count_account(user.id)
    secret = context.transport.recall(ENROLLMENT_FLOW, body).get("secret")
    if not secret:
        raise KnownApiError.of("VERIFICATION_CODE_EXPIRED")
    account = await client.users.me()
    if account.requires_totp_mfa:  # otherwise a stolen session could replace the user's secret
        await _RECENT_USER(context.request, SecurityScopes())
    if not _is_code(secret, body.code.get_secret_value()):
        raise KnownApiError.of("INVALID_TOTP_CODE")
    encoded = base64.b64encode(base64.b32decode(secret)).decode()
    await client.users.update_me(CurrentUserUpdate(totp_secret_base64=encoded))
    context.transport.forget(ENROLLMENT_FLOW)


@routes.post("/mfa/disable", "Disable two-factor authentication", errors=(_TOO_LONG_AGO,))
async def mfa_disable(client: UserClient, _: Annotated[User, Depends(_RECENT_USER)]) -> None:
    """Disable two-factor authentication. After 401 `reauthentication_required`, sign in again and repeat the request.

    Returns:
        Two-factor authentication is disabled.
    """
    await client.users.update_me(CurrentUserUpdate(totp_secret_base64=None))


def _is_code(secret: str, code: str) -> bool:
    """Whether a code is current or half a minute old, because users need time to type it (RFC 6238 §5.2)."""
    try:
        return code.isascii() and pyotp.TOTP(secret).verify(code, valid_window=1)
    except ValueError:  # a malformed cookie
        return False
