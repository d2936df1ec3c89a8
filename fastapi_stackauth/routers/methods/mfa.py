"""The second factor: six digits from an authenticator app (TOTP, RFC 6238; contract/tokens.md §8)."""

import base64
import re
from datetime import timedelta
from typing import Annotated, ClassVar

import pyotp
from fastapi import APIRouter, Request
from fastapi.security import SecurityScopes
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import (
    AuthError,
    KnownApiError,
)
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import CurrentUserUpdate, User
from fastapi_stackauth.models.base import TrustedModel
from fastapi_stackauth.routers.plumbing import flows
from fastapi_stackauth.routers.plumbing.attempts import MFA_FLOW, find_account, recall_attempt
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, SignedInUser, client_of, count_account
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.operations import VERIFICATION_CODE_ERRORS, add, add_sign_in
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack
from fastapi_stackauth.startup.configuration import needs

TAG = "mfa"
ENROLMENT_FLOW = "totp"
ENROLMENT_SECONDS = 900
RECENT = timedelta(minutes=10)
SECRET_LENGTH = 32  # base32 characters: 160 bits, as RFC 4226 §4 recommends

_RECENT_USER = Require(allow_anonymous=True, signed_in_within=RECENT)


def _in_base32(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Z2-7]*", value.get_secret_value()):
        raise ValueError("must be base32")
    return value


Digits = Annotated[
    SecretStr,
    Field(
        min_length=6, max_length=6, description="The six digits that the authenticator app shows.", examples=["287082"]
    ),
]
Secret = Annotated[
    SecretStr,
    AfterValidator(_in_base32),
    Field(
        min_length=SECRET_LENGTH,
        max_length=SECRET_LENGTH,
        description="The secret that `/mfa/enrol` gave.",
        examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"],
    ),
]


class Code(Form):
    """What the authenticator app shows."""

    code: Digits


class CodeOfApp(Code):
    """What the authenticator app shows, and the sign-in that waits for it."""

    attempt: SecretStr = Field(
        min_length=1,
        max_length=200,
        description="What came with `mfa_required`.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )


class ConfirmationOfApp(Code):
    """A first code, and the secret that it was made from."""

    secret: Secret


class Enrolment(TrustedModel, BaseModel):
    """What an authenticator app needs. Nothing is switched on until a first code fits."""

    model_config = ConfigDict(frozen=True)

    _use: ClassVar[str] = "`{name}: Annotated[Enrolment, Depends(totp_enrolment)]`"

    secret: str = Field(
        repr=False,
        description="The secret in base32, for typing it in.",
        examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"],
    )
    uri: str = Field(
        repr=False,
        description="The same as an `otpauth://` address, for a QR code.",
        examples=["otpauth://totp/Notes:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Notes"],
    )


# --- signing in ---


async def sign_in(body: CodeOfApp, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Finish a sign-in that answered `mfa_required`. A wrong code can be tried again, for five minutes."""
    attempt = body.attempt.get_secret_value()
    return await _signed_in(request, stack, attempt, await find_account(stack, attempt), body.code)


async def sign_in_browser(body: Code, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Finish a sign-in that answered `mfa_required`, or came back with `?mfa=required`, in this browser.

    A wrong code can be tried again, for five minutes.
    """
    attempt, account = recall_attempt(request, stack)
    account = account or await find_account(stack, attempt)
    signed_in = await _signed_in(request, stack, attempt, account, body.code)
    flows.forget(request, stack, MFA_FLOW)
    return signed_in


async def _signed_in(
    request: Request, stack: InstalledStack, attempt: str, account: str | None, code: SecretStr
) -> SignedIn | Tokens:
    """Sign in with a code. It counts for the account that the first step named, or else for the attempt."""
    await count_account(stack, "mfa_sign_in", account or attempt)
    client = await client_of(request, stack)
    async with signing_in(request, stack, TAG, account or attempt):
        if not attempt:
            raise KnownApiError.of("VERIFICATION_CODE_NOT_FOUND")
        tokens = await client.mfa.sign_in(attempt_code=attempt, totp=code.get_secret_value())
    return deliver(request, stack, tokens, TAG)


# --- switching it on and off ---


async def enrol(stack: RouteStack, user: SignedInUser) -> Enrolment:
    """Begin to switch the second factor on: show the address as a QR code, and ask for a first code (`/mfa/confirm`).

    Until then the app alone keeps the secret, and sends it back.
    """
    return await _enrolment(stack, user, pyotp.random_base32(SECRET_LENGTH))


async def _enrolment(stack: InstalledStack, user: User, secret: str) -> Enrolment:
    issuer = (await stack.project.get()).display_name
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email or user.display_name or user.id, issuer_name=issuer)
    return Enrolment(secret=secret, uri=uri)


async def enrol_browser(request: Request, stack: RouteStack, user: SignedInUser) -> Enrolment:
    """Begin to switch the second factor on: show the address as a QR code, and ask for a first code (`/mfa/confirm`).

    This browser keeps the secret until then, in an HttpOnly cookie, for 15 minutes.
    """
    return _kept(await enrol(stack, user), request, stack)


@needs("project_id", "app_url")
async def totp_enrolment(request: Request, stack: RouteStack, user: SignedInUser) -> Enrolment:
    """What an authenticator app needs, for a page of the app's own that shows it; `POST /mfa/confirm` takes the code.

    It is what `POST /mfa/enrol` of the cookie router gives. A page that is shown again, after a wrong code, shows the
    same secret. Needs `app_url`.

    Example:
        >>> @app.get("/two-factor")
        ... async def page(enrolment: Annotated[Enrolment, Depends(totp_enrolment)]) -> HTMLResponse: ...
    """
    secret = flows.recall(request, stack, ENROLMENT_FLOW).get("secret", "")
    if not re.fullmatch(rf"[A-Z2-7]{{{SECRET_LENGTH}}}", secret):
        secret = pyotp.random_base32(SECRET_LENGTH)
    return _kept(await _enrolment(stack, user, secret), request, stack)


def _kept(enrolment: Enrolment, request: Request, stack: InstalledStack) -> Enrolment:
    flows.remember(request, stack, ENROLMENT_FLOW, {"secret": enrolment.secret}, ENROLMENT_SECONDS)
    return enrolment


async def confirm(
    body: ConfirmationOfApp, request: Request, stack: RouteStack, user: SignedInUser, client: PersonsClient
) -> None:
    """Switch the second factor on, with a first code that fits. Every sign-in asks for one from then on."""
    await _switch_on(request, stack, user, client, body.secret.get_secret_value(), body.code)


async def confirm_browser(
    body: Code, request: Request, stack: RouteStack, user: SignedInUser, client: PersonsClient
) -> None:
    """Switch the second factor on, with a first code that fits. Every sign-in asks for one from then on."""
    secret = flows.recall(request, stack, ENROLMENT_FLOW).get("secret", "")
    await _switch_on(request, stack, user, client, secret, body.code)
    flows.forget(request, stack, ENROLMENT_FLOW)


async def _switch_on(
    request: Request, stack: InstalledStack, user: User, client: PersonsClient, secret: str, code: SecretStr
) -> None:
    await count_account(stack, "mfa_confirm", user.id)
    if not secret:
        raise KnownApiError.of("VERIFICATION_CODE_EXPIRED")
    account = await client.users.me()
    if account.requires_totp_mfa:  # else whoever holds a session could put their own secret in place of the person's
        await _RECENT_USER(request, SecurityScopes())
    if not _fits(secret, code.get_secret_value()):
        raise KnownApiError.of("INVALID_TOTP_CODE")
    await client.users.update_me(CurrentUserUpdate(totp_secret_base64=_base64_of(secret)))


async def disable(client: PersonsClient) -> None:
    """Switch the second factor off. The sign-in must be fresh: 401 `reauthentication_required` after ten minutes."""
    await client.users.update_me(CurrentUserUpdate(totp_secret_base64=None))


def _fits(secret: str, code: str) -> bool:
    """Whether a code is the secret's now, or half a minute ago: people need a moment to type (RFC 6238 §5.2)."""
    try:
        return code.isascii() and pyotp.TOTP(secret).verify(code, valid_window=1)
    except ValueError:  # a cookie of nonsense
        return False


def _base64_of(secret: str) -> str:
    return base64.b64encode(base64.b32decode(secret)).decode()


# --- on a router ---

_WRONG = KnownApiError.of("INVALID_TOTP_CODE")
_TOO_LONG_AGO = AuthError("reauthentication_required", details={"max_age": int(RECENT.total_seconds())})


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put these routes on a router."""
    browser = delivery == "cookie"
    add_sign_in(router, delivery, "/mfa/sign-in", sign_in_browser if browser else sign_in, operation="mfa_sign_in",
                summary="Finish a sign-in with a code", tag=TAG, errors=(*VERIFICATION_CODE_ERRORS, _WRONG),
                second_factor=False)  # fmt: skip
    add(router, delivery, "/mfa/enrol", enrol_browser if browser else enrol, operation="mfa_enrol",
        summary="Begin to switch the second factor on", response_model=Enrolment,
        response_description="What the authenticator app needs.", tag=TAG, errors=SIGNED_OUT)  # fmt: skip
    add(router, delivery, "/mfa/confirm", confirm_browser if browser else confirm, operation="mfa_confirm",
        summary="Switch the second factor on", response_description="It is on.", tag=TAG,
        errors=(*SIGNED_OUT, _TOO_LONG_AGO, _WRONG,
                *((KnownApiError.of("VERIFICATION_CODE_EXPIRED"),) if browser else ())),
        attempt="mfa_confirm")  # fmt: skip
    add(router, delivery, "/mfa/disable", disable, operation="mfa_disable", summary="Switch the second factor off",
        response_description="It is off.", tag=TAG, errors=(*SIGNED_OUT, _TOO_LONG_AGO),
        demands=(_RECENT_USER,))  # fmt: skip
