"""The tokens of a sign-in. The repr hides them.

A token that comes directly from the auth server needs no verification; only this module reads claims of such a token.
The `exp` claim decides when it expires, because OAuth's `expires_in` is wrong (contract/tokens.md §3).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody
from fastapi_stackauth.verification.claims import is_time, read_object, split_token


class AccessToken(ApiModel):
    """The response to a refresh. The refresh token stays the same."""

    access_token: str = Field(repr=False, description="A JSON Web Token; short-lived.")

    @property
    def claims(self) -> Mapping[str, Any]:
        """The token's claims, which are not verified (contract/tokens.md §1). Empty if the token cannot be decoded."""
        try:
            return read_object(split_token(self.access_token)[1], "payload")
        except ValueError:
            return {}

    @property
    def session_id(self) -> str | None:
        """The id of the token's session, or None if the token has no such claim."""
        claims = self.claims
        session_id = claims.get("refresh_token_id", claims.get("refreshTokenId"))
        return session_id if isinstance(session_id, str) else None

    @property
    def expires_at(self) -> datetime | None:
        """When the access token expires, or None if it has no such claim."""
        try:
            return datetime.fromtimestamp(self.claims["exp"], UTC)
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return None

    @property
    def lifetime(self) -> int | None:
        """The seconds between the token's issue and its expiry, or None if a claim is missing.

        A token that was just issued is valid for this long, whatever the clock of this host shows.
        """
        claims = self.claims
        issued_at, expires_at = claims.get("iat"), claims.get("exp")
        if not is_time(issued_at) or not is_time(expires_at):
            return None
        return max(0, expires_at - issued_at)


class TokenPair(AccessToken):
    """A session's two tokens."""

    refresh_token: str = Field(repr=False, description="Opaque and long-lived; not rotated (tokens.md §3).")


class SignIn(TokenPair):
    """The response to a sign-in or sign-up (contract/endpoints.json, `auth/**`)."""

    user_id: str = Field(description="The user's id.")
    is_new_user: bool | None = Field(
        default=None, description="Whether this call created the account, if the server reports it."
    )


class OAuthRefresh(AccessToken):
    """The response of OAuth's token endpoint to a refresh token (RFC 6749 §5.1)."""

    token_type: str | None = None
    expires_in: int | float | None = Field(default=None, description="Not reliable on real servers. Use `expires_at`.")
    scope: str | None = None
    after_callback_redirect_url: str | None = None


class OAuthTokens(OAuthRefresh):
    """The response of OAuth's token endpoint to an authorization code."""

    refresh_token: str = Field(repr=False, description="Opaque and long-lived; not rotated (tokens.md §3).")
    is_new_user: bool | None = None

    @property
    def pair(self) -> TokenPair:
        """The two tokens, for `client.session`."""
        return TokenPair(access_token=self.access_token, refresh_token=self.refresh_token)


class BotChallenge(ApiRequestBody):
    """The result of a bot challenge in the browser; a server may require it."""

    bot_challenge_token: str | None = Field(default=None, repr=False)
    bot_challenge_phase: str | None = Field(default=None, description="`invisible` or `visible`.")
    bot_challenge_unavailable: str | None = Field(
        default=None, description="`true` if the challenge could not be shown."
    )
