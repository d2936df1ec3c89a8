"""The parts that both kinds of OAuth routes share: providers, scopes, redirects, and the end of a flow."""

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import UnexpectedResponse
from fastapi_stackauth.models import SignIn
from fastapi_stackauth.routers.plumbing.context import RouteContext

Provider = Annotated[
    str,
    Path(
        max_length=100,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The id of the provider, from `GET /methods`.",
        examples=["github"],
    ),
]
Scope = Annotated[
    str | None,
    Field(
        max_length=1000,
        pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$",  # RFC 6749 §3.3
        description="Scopes to request in addition to `oauth_scopes`, separated by spaces.",
        examples=["repo"],
    ),
]
START_ERRORS = (
    "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED",
    "OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS",
    "BOT_CHALLENGE_REQUIRED",
    "BOT_CHALLENGE_FAILED",
    400,
)
"""The errors that can occur when a flow begins."""


class Location(BaseModel):
    """The URL to open in the browser."""

    model_config = ConfigDict(frozen=True)

    location: str = Field(
        repr=False,
        description="The provider's page; valid for ten minutes.",
        examples=["https://github.com/login/oauth/authorize?client_id=..."],
    )


def join_scopes(context: RouteContext, provider: str, more: str | None) -> str | None:
    """Return the scopes to request in addition to those of a plain sign-in: the router's and the request's."""
    return " ".join(scope for scope in (context.mount.oauth_scopes.get(provider), more) if scope) or None


async def exchange_code(context: RouteContext, code: str, redirect_uri: str, code_verifier: str) -> SignIn:
    """Exchange the code of a flow for tokens, and return the user id from the access token.

    Raises:
        UnexpectedResponse: It is not a token.
    """
    tokens = await context.client.oauth.exchange_code(code=code, redirect_uri=redirect_uri, code_verifier=code_verifier)
    if not (claims := tokens.claims):
        raise UnexpectedResponse
    return SignIn(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        user_id=str(claims.get("sub", "")),
        is_new_user=tokens.is_new_user,
    )
