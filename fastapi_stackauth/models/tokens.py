"""What a sign-in yields. No repr shows a token.

When an access token ends is read from the token itself: OAuth's `expires_in` is wrong (contract/tokens.md §3).
"""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody

_UNREADABLE = (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError, RecursionError)


def expiry_of(access_token: str) -> datetime | None:
    """When a token says it expires (RFC 7519 §4.1.4), unverified; None where it cannot be read."""
    try:
        return datetime.fromtimestamp(_claims_of(access_token)["exp"], UTC)
    except _UNREADABLE:
        return None


def lifetime_of(access_token: str) -> float | None:
    """Seconds from a token's issue to its expiry, unverified; None where it does not tell both.

    It is how long a token that was just given serves, whatever this host's clock says.
    """
    try:
        claims = _claims_of(access_token)
        return float(claims["exp"] - claims["iat"])
    except _UNREADABLE:
        return None


def _claims_of(access_token: str) -> Any:  # noqa: ANN401 - whatever stands there
    payload = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class AccessToken(ApiModel):
    """The answer to a refresh. The refresh token stays the same."""

    access_token: str = Field(repr=False, description="A JSON Web Token; short-lived.")

    @property
    def expires_at(self) -> datetime | None:
        """When the access token expires, as it says itself."""
        return expiry_of(self.access_token)


class TokenPair(AccessToken):
    """A session's two tokens."""

    refresh_token: str = Field(repr=False, description="Opaque and long-lived; not rotated (tokens.md §3).")


class SignIn(TokenPair):
    """The answer to a sign-in or sign-up (contract/endpoints.json, `auth/**`)."""

    user_id: str = Field(description="The user's id.")
    is_new_user: bool | None = Field(
        default=None, description="Whether this call made the account, where the server says so."
    )


class OAuthRefresh(AccessToken):
    """The answer of OAuth's token endpoint to a refresh token (RFC 6749 §5.1)."""

    token_type: str | None = None
    expires_in: int | float | None = Field(default=None, description="Wrong on real servers: see `expires_at`.")
    scope: str | None = None
    after_callback_redirect_url: str | None = None


class OAuthTokens(OAuthRefresh):
    """The answer of OAuth's token endpoint to an authorization code."""

    refresh_token: str = Field(repr=False, description="Opaque and long-lived; not rotated (tokens.md §3).")
    is_new_user: bool | None = None

    @property
    def pair(self) -> TokenPair:
        """The two tokens alone, as `client.session` takes them."""
        return TokenPair(access_token=self.access_token, refresh_token=self.refresh_token)


class BotChallenge(ApiRequestBody):
    """What a browser's bot challenge yielded; servers that know the person's browser ask for it."""

    bot_challenge_token: str | None = Field(default=None, repr=False)
    bot_challenge_phase: str | None = Field(default=None, description="`invisible` or `visible`.")
    bot_challenge_unavailable: str | None = Field(
        default=None, description="`true` where the challenge could not be shown."
    )
