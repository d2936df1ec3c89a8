"""How tokens reach the caller after a sign-in: in cookies, or in the body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import MfaRequired, SecondFactorRequired, StackAuthError, UnexpectedAnswer
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import AccessToken, SignIn
from fastapi_stackauth.routers.plumbing.attempts import keep_attempt
from fastapi_stackauth.routers.plumbing.route import mount_of
from fastapi_stackauth.runtime.events import SECOND_FACTOR_ASKED, SIGN_IN_FAILED, SIGN_IN_SUCCEEDED, code_of

_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9UbzZXa2lkblBrTCJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"  # noqa: S105 - an example
_USER_ID = "f7383500-3cc7-45ea-b3c1-50d16bdbdf35"


class SignedIn(BaseModel):
    """Who signed in. The tokens travel in cookies that scripts cannot read."""

    model_config = ConfigDict(frozen=True)

    user_id: str = Field(description="Who signed in.", examples=[_USER_ID])
    is_new_user: bool = Field(description="Whether this made the account.", examples=[False])


class RefreshedToken(BaseModel):
    """A new access token. The refresh token stays as it was."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False, description="Send it as `Authorization: Bearer`.", examples=[_TOKEN])
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[600])
    token_type: Literal["Bearer"] = Field(default="Bearer", description="How the access token is sent (RFC 6750).")


class Tokens(RefreshedToken):
    """What a sign-in yields where tokens are delivered in the body."""

    refresh_token: str = Field(
        repr=False,
        description="Long-lived; keep it safe, and trade it for new access tokens.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )
    user_id: str = Field(description="Who signed in.", examples=[_USER_ID])
    is_new_user: bool = Field(description="Whether this made the account.", examples=[False])


def deliver(
    request: Request, stack: InstalledStack, sign_in: SignIn, method: str, *, is_new_user: bool = False
) -> SignedIn | Tokens:
    """A sign-in's tokens, as this request's router delivers them; in the body with the token's real lifetime.

    Args:
        request: the request being answered.
        stack: whose router it is.
        sign_in: what the auth server gave.
        method: how it was done, for those who count.
        is_new_user: whether it made the account, where the auth server does not say.
    """
    new = sign_in.is_new_user if sign_in.is_new_user is not None else is_new_user
    delivered = _delivered(request, stack, sign_in, is_new_user=new)
    stack.events.emit(SIGN_IN_SUCCEEDED, method=method, new_user=new)
    return delivered


def _delivered(request: Request, stack: InstalledStack, sign_in: SignIn, *, is_new_user: bool) -> SignedIn | Tokens:
    if mount_of(request).delivery == "cookie":
        stack.sessions.start(request, sign_in)
        return SignedIn(user_id=sign_in.user_id, is_new_user=is_new_user)
    return Tokens(
        access_token=sign_in.access_token,
        refresh_token=sign_in.refresh_token,
        expires_in=expires_in(sign_in),
        user_id=sign_in.user_id,
        is_new_user=is_new_user,
    )


def deliver_refreshed(token: AccessToken) -> RefreshedToken:
    """A new access token, with its real lifetime."""
    return RefreshedToken(access_token=token.access_token, expires_in=expires_in(token))


@asynccontextmanager
async def signing_in(request: Request, stack: InstalledStack, method: str, account: str) -> AsyncIterator[None]:
    """Around a sign-in call: if it needs a second factor, deliver the attempt as tokens would be.

    It tells what went wrong; `deliver` tells what went well.

    Args:
        request: the request being answered.
        stack: whose router it is.
        method: how the user signs in, for those who count.
        account: what names the account (`account_key`); guesses of the second factor count for it.

    Raises:
        SecondFactorRequired: 403, instead of the server's `MfaRequired`.
    """
    try:
        yield
    except MfaRequired as error:
        stack.events.emit(SECOND_FACTOR_ASKED, method=method)
        in_body = mount_of(request).delivery == "body"
        await keep_attempt(request, stack, error.attempt_code, account, in_browser=not in_body)
        raise SecondFactorRequired(error.attempt_code if in_body else None) from None
    except StackAuthError as error:
        stack.events.emit(SIGN_IN_FAILED, method=method, code=code_of(error))
        raise


def expires_in(token: AccessToken) -> int:
    """Return how many seconds a token that the auth server has just given lives, by its own `iat` and `exp`.

    This host's clock has no part in it: it may be wrong (contract/tokens.md §3).

    Raises:
        UnexpectedAnswer: it is no token.
    """
    if token.lifetime is None:
        raise UnexpectedAnswer
    return token.lifetime
