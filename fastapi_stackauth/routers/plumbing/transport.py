"""Deliver tokens and the state of multi-step flows to the caller, in cookies or in the body.

Law: in cookie delivery, a body never contains a token, nonce or code of a flow, because scripts must not read them.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import UnexpectedResponse
from fastapi_stackauth.models import AccessToken, SignIn
from fastapi_stackauth.routers.plumbing.declaration import ByDelivery, Delivery
from fastapi_stackauth.runtime.storage import seal
from fastapi_stackauth.services import Services
from fastapi_stackauth.sessions.context import get_cookies
from fastapi_stackauth.sessions.cookies import cookie, cookie_names

MFA_FLOW = "mfa"
MFA_SECONDS = 900
"""Seconds that an attempt is stored. This is longer than at the auth server, which reports the expiry."""

_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9UbzZXa2lkblBrTCJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"  # noqa: S105 - an example
_USER_ID = "f7383500-3cc7-45ea-b3c1-50d16bdbdf35"


class SignInResponse(BaseModel):
    """The user who signed in. The tokens are in cookies that scripts cannot read."""

    model_config = ConfigDict(frozen=True)

    user_id: str = Field(description="The id of the user who signed in.", examples=[_USER_ID])
    is_new_user: bool = Field(description="Whether this created the account.", examples=[False])


class AccessTokenResponse(BaseModel):
    """A new access token. The refresh token does not change."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False, description="Send it as `Authorization: Bearer`.", examples=[_TOKEN])
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[600])
    token_type: Literal["Bearer"] = Field(default="Bearer", description="How the access token is sent (RFC 6750).")


class TokenPairResponse(AccessTokenResponse):
    """The tokens of a session."""

    refresh_token: str = Field(
        repr=False,
        description="Long-lived. Store it safely, and exchange it for new access tokens.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )


class Tokens(TokenPairResponse):
    """The tokens of a sign-in."""

    user_id: str = Field(description="The id of the user who signed in.", examples=[_USER_ID])
    is_new_user: bool = Field(description="Whether this created the account.", examples=[False])


SignInResult = Annotated[SignInResponse | Tokens, ByDelivery(cookie=SignInResponse, body=Tokens)]
"""The return type of a route that signs in."""


class Transport:
    """Tokens and flows in request and response bodies, for callers that store them. See also `CookieTransport`.

    Args:
        request: The request.
        services: The services of the router's stack.
    """

    delivery: ClassVar[Delivery] = "body"

    def __init__(self, request: Request, services: Services) -> None:
        self.request = request
        self.services = services

    def deliver(self, sign_in: SignIn, *, is_new_user: bool) -> SignInResponse | Tokens:
        """Deliver the tokens of a sign-in.

        Raises:
            RequestError, UnexpectedResponse: A token does not fit into a cookie, or is not valid.
        """
        return Tokens(
            access_token=sign_in.access_token,
            refresh_token=sign_in.refresh_token,
            expires_in=require_lifetime(sign_in),
            user_id=sign_in.user_id,
            is_new_user=is_new_user,
        )

    async def find_refresh_token(self, body: BaseModel) -> str | None:
        """Return the refresh token of the caller's session, or None."""
        return self.recall("", body).get("refresh_token")

    def forget_session(self) -> None:
        """Remove the tokens from the browser."""

    def remember(self, flow: str, facts: Mapping[str, str], max_age: int) -> None:
        """Store the values of a flow in the browser, for `max_age` seconds."""

    def recall(self, flow: str, body: BaseModel | None = None) -> Mapping[str, str]:  # noqa: ARG002 - a body has only one flow
        """Return the values of a flow, or an empty dict if there is no such flow."""
        fields = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in body or ()
        }
        return {name: value for name, value in fields.items() if isinstance(value, str)}

    def forget(self, flow: str) -> None:
        """Remove the values of a flow from the browser."""

    def list_flows(self, prefix: str) -> list[str]:  # noqa: ARG002 - the caller has the values
        """Return the flows in the browser with this prefix, oldest first."""
        return []

    async def keep_attempt(self, attempt: str, account: str) -> str | None:
        """Store a sign-in that waits for a second factor, and the account of its first step.

        Attempts at the second factor are counted per account, because a caller with the password can start any number
        of sign-ins. The shared storage contains the account under a hash of the attempt.

        Returns:
            The attempt, if the caller must send it back, or None.
        """
        await self.services.storage.set(_attempt_key(attempt), account, MFA_SECONDS)
        return attempt

    async def recall_attempt(self, body: BaseModel) -> tuple[str, str | None]:
        """Return the attempt, or an empty string, and its account, or None if it is unknown."""
        attempt = self.recall(MFA_FLOW, body).get("attempt", "")
        return attempt, await self.services.storage.get(_attempt_key(attempt))


class CookieTransport(Transport):
    """Tokens and flows in HttpOnly cookies."""

    delivery = "cookie"

    def deliver(self, sign_in: SignIn, *, is_new_user: bool) -> SignInResponse:
        """Queue both cookies."""
        self.services.sessions.start(self.request, sign_in)
        return SignInResponse(user_id=sign_in.user_id, is_new_user=is_new_user)

    async def find_refresh_token(self, body: BaseModel) -> str | None:  # noqa: ARG002 - the cookie has it
        """Return the refresh token of the session that authenticated the request."""
        credential = (await resolve(self.request, self.services)).credential
        return credential.refresh_token if credential else None

    def forget_session(self) -> None:
        """Remove both cookies."""
        self.services.sessions.forget(self.request)

    def remember(self, flow: str, facts: Mapping[str, str], max_age: int) -> None:
        """Set the flow's cookie."""
        policy = self.services.sessions.policy
        self.services.sessions.warn_of_other_host(self.request)
        value = base64.urlsafe_b64encode(json.dumps(facts, separators=(",", ":")).encode()).rstrip(b"=").decode()
        get_cookies(self.request.scope).set(policy.name(flow), policy.set(flow, value, max_age))

    def recall(self, flow: str, body: BaseModel | None = None) -> Mapping[str, str]:  # noqa: ARG002 - the cookie has them
        """Read the flow's cookie. A malformed cookie has no values."""
        value = cookie(self.request.scope, self.services.sessions.policy.name(flow)) or ""
        try:
            facts = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
            # Half a surrogate pair cannot be hashed or sent.
            json.dumps(facts, ensure_ascii=False).encode("utf-8")
        except (binascii.Error, ValueError, RecursionError):
            return {}
        if not isinstance(facts, dict):
            return {}
        return {key: fact for key, fact in facts.items() if isinstance(fact, str)}

    def forget(self, flow: str) -> None:
        """Remove the flow's cookie."""
        policy = self.services.sessions.policy
        get_cookies(self.request.scope).set(policy.name(flow), policy.remove(flow))

    def list_flows(self, prefix: str) -> list[str]:
        """Return the flows from the names of the cookies."""
        start = self.services.sessions.policy.name("")
        return [name.removeprefix(start) for name in cookie_names(self.request.scope, start + prefix)]

    async def keep_attempt(self, attempt: str, account: str) -> None:
        """Also store both in the browser, sealed if there is a secret key."""
        await super().keep_attempt(attempt, account)
        facts = {"attempt": attempt}
        if self.services.settings.secret_server_key:
            facts |= {"account": account, "seal": self._seal(attempt, account)}
        self.remember(MFA_FLOW, facts, MFA_SECONDS)

    async def recall_attempt(self, body: BaseModel) -> tuple[str, str | None]:
        """Read both from the browser. If there is a secret key, ignore an attempt without a valid seal.

        Otherwise an attacker could omit the account.
        """
        attempt, account = await super().recall_attempt(body)
        facts = self.recall(MFA_FLOW)
        if not self.services.settings.secret_server_key:
            return attempt, account
        sealed = self._seal(attempt, facts.get("account", ""))
        if not hmac.compare_digest(facts.get("seal", "").encode(), sealed.encode()):
            return "", None
        return attempt, facts.get("account") or account

    def _seal(self, attempt: str, account: str) -> str:
        return seal(self.services.settings, f"mfa-attempt\n{attempt}\n{account}")


TRANSPORTS: Mapping[Delivery, type[Transport]] = {"cookie": CookieTransport, "body": Transport}


def require_lifetime(token: AccessToken) -> int:
    """Return the lifetime in seconds of a token that was just issued, from its `iat` and `exp`.

    It does not use this host's clock, which may be wrong (contract/tokens.md §3).

    Raises:
        UnexpectedResponse: The value is not a token.
    """
    if token.lifetime is None:
        raise UnexpectedResponse
    return token.lifetime


def _attempt_key(attempt: str) -> str:
    return "mfa-attempt:" + hashlib.sha256(attempt.encode("utf-8", "replace")).hexdigest()
