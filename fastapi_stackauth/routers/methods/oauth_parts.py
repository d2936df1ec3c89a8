"""What both kinds of OAuth routes share: providers, scopes, where a browser is sent, and what a flow yields."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import (
    KnownApiError,
    UnexpectedAnswer,
)
from fastapi_stackauth.models import OAuthTokens, SignIn
from fastapi_stackauth.routers.plumbing.route import mount_of

TAG = "oauth"

Provider = Annotated[
    str,
    Path(
        max_length=100,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The provider's id, as `GET /methods` names it.",
        examples=["github"],
    ),
]
Scope = Annotated[
    str | None,
    Field(
        max_length=1000,
        pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$",  # RFC 6749 §3.3
        description="More scopes to ask the provider for, separated by blanks, beside those of `oauth_scopes`.",
        examples=["repo"],
    ),
]


class Location(BaseModel):
    """Where to send the browser."""

    model_config = ConfigDict(frozen=True)

    location: str = Field(
        repr=False,
        description="The provider's page; good for ten minutes.",
        examples=["https://github.com/login/oauth/authorize?client_id=..."],
    )


def scopes_of(request: Request, provider: str, more: str | None) -> str | None:
    """The scopes to ask a provider for beside those of a plain sign-in: the router's own, and those asked for now."""
    configured: Mapping[str, str] = mount_of(request).oauth_scopes
    return " ".join(scope for scope in (configured.get(provider), more) if scope) or None


def sign_in_of(tokens: OAuthTokens) -> SignIn:
    """Return the token endpoint's response as that of any other sign-in; the token says whose it is.

    Raises:
        UnexpectedAnswer: it is no token.
    """
    claims = tokens.claims
    if not claims:
        raise UnexpectedAnswer
    return SignIn(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        user_id=str(claims.get("sub", "")),
        is_new_user=tokens.is_new_user,
    )


START_ERRORS = (
    KnownApiError.of("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
    KnownApiError.of("OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS"),
    KnownApiError.of("BOT_CHALLENGE_REQUIRED"),
    KnownApiError.of("BOT_CHALLENGE_FAILED"),
    UnexpectedAnswer(400),
)
"""What the beginning of a flow can answer."""
