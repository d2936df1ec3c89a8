"""Access tokens from an OAuth authorization server, bound to one resource (RFC 8707), for MCP servers.

They have their own issuer and keys, and no session. The token identifies the user; the auth server decides what the
user may do. Law: a resource token is never accepted as the project's access token, or vice versa. The token's
issuer selects one verifier, and no other verifier is tried.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from fastapi_stackauth.access.accounts import Accounts
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import AuthError, ConfigurationError, VerificationUnavailable
from fastapi_stackauth.models import User
from fastapi_stackauth.models.user import user_with_claims
from fastapi_stackauth.runtime.events import TOKEN_REJECTED, TOKEN_VERIFIED
from fastapi_stackauth.settings import Settings, check_issuer, to_origin
from fastapi_stackauth.verification.claims import (
    Checks,
    UnverifiedToken,
    check_time,
    find_claims_error,
    parse_token,
    raise_first,
    read_object,
    split_token,
)
from fastapi_stackauth.verification.jwks import KeyStore, KeysUnavailable
from fastapi_stackauth.verification.revocation import Revocations

_REQUIRED = ("sub", "iss", "exp", "iat")
_TYPES = ("at+jwt", "application/at+jwt", "jwt")  # RFC 9068 §2.1 has the first two; the vendor's form is not released
_USER_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class ResourceTokens:
    """An OAuth authorization server. An MCP server accepts its tokens if they are bound to that MCP server (RFC 8707).

    Its access tokens are JSON Web Tokens signed with ES256. `sub` is the id of a user of this project. `aud` or
    `resource`, or both if both are present, must contain the MCP server and nothing else.

    Attributes:
        issuer: The issuer that its tokens name, such as
            ``https://api.hexclave.com/api/v1/projects/<project id>/oidc``.
        jwks_url: The URL of its key set; ``/.well-known/jwks.json`` below the issuer by default.

    Raises:
        ConfigurationError: A URL is not https (http is only allowed on loopback), or contains a query or a user name.
    """

    issuer: str
    jwks_url: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("issuer", self.issuer), ("jwks_url", self.jwks_url)):
            if value is None and name == "jwks_url":
                continue
            if not isinstance(value, str):
                raise ConfigurationError(f"ResourceTokens({name}=...) must be a string; got {type(value).__name__}.")
            try:
                check_issuer(value)
            except ValueError as error:
                raise ConfigurationError(
                    f"ResourceTokens({name}=...): addresses {error}. Write an address such as "
                    '"https://login.example.com/oidc".'
                ) from None

    @property
    def keys_address(self) -> str:
        """The URL of the key set."""
        return self.jwks_url or f"{self.issuer.rstrip('/')}/.well-known/jwks.json"


class ResourceTokenVerifier:
    """Verifies tokens bound to a resource.

    Args:
        settings: The leeway, and the limits of the key cache.
        client: Fetches the keys.
        accounts: Finds the users.
        revocations: Revoked users, whose tokens are rejected.
        clock: Unix time in seconds.
        monotonic: A monotonic clock in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        client: StackAuthClient,
        accounts: Accounts,
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._accounts = accounts
        self._revocations = revocations
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, KeyStore] = {}

    async def verify(self, token: str, accepted: ResourceTokens, resource: str) -> User | None:
        """Return the user for a token: the current account at the auth server, with the claims of the token.

        Args:
            token: The raw token.
            accepted: The authorization server.
            resource: The resource that the token must be bound to.

        Returns:
            The user, or None if the token has another issuer or cannot be parsed. The project's verifier then decides.

        Raises:
            AuthError: 401, with the code of the first check that failed.
            VerificationUnavailable: The keys or the user cannot be fetched.
            AuthServerMisconfigured: The auth server rejects this app.
            ConfigurationError: No secret key is set.
        """
        unverified = _parse(token)
        if unverified is None or unverified.claims.get("iss") != accepted.issuer:
            return None
        with self._client.events.span("stackauth.verify") as span:
            span.set("stackauth.credential", "resource_token")
            user = await self._check(token, unverified, accepted, resource)
            span.identify(user.id)
        return user

    async def aclose(self) -> None:
        """Cancel the fetches that are running in this event loop."""
        for store in self._keys.values():
            await store.aclose()

    async def _check(self, token: str, unverified: UnverifiedToken, accepted: ResourceTokens, resource: str) -> User:
        try:
            _check_type(token)
            await self._check_signature(unverified, accepted)
            claims = unverified.claims
            raise_first(
                chain(check_binding(claims, resource), check_time(claims, self._clock(), self._settings.leeway))
            )
            user = user_with_claims(await self._accounts.get(claims["sub"]), claims)
            await self._revocations.check(user)
        except AuthError as rejection:
            self._client.events.emit(TOKEN_REJECTED, code=rejection.code, reason=rejection.reason)
            raise
        self._client.events.emit(TOKEN_VERIFIED, cache="miss", source="resource")
        return user

    async def _check_signature(self, unverified: UnverifiedToken, accepted: ResourceTokens) -> None:
        try:
            key = await self._find_keys(accepted.keys_address).find(unverified.key_id)
        except KeysUnavailable as unavailable:
            raise VerificationUnavailable(retry_after=unavailable.retry_after) from None
        if not key.verify(unverified.signing_input, unverified.signature):
            raise AuthError("token_signature_invalid", reason=f"kid {unverified.key_id!r}")

    def _find_keys(self, address: str) -> KeyStore:
        store = self._keys.get(address)
        if store is None:
            fetch = partial(self._client.keys.fetch, url=address, timeout=self._settings.jwks_timeout)
            own = self._settings.model_copy(update={"jwks": None})  # fixed keys are only for the project
            store = self._keys[address] = KeyStore(fetch, own, self._monotonic, self._client.events)
        return store


def check_binding(claims: Mapping[str, Any], resource: str) -> Checks:
    """Check that a token is bound to a user and to a resource. Pure.

    The vendor's tokens contain the resource in the claim `resource`, others in `aud` (RFC 9068 §2.2). If such a claim
    contains another resource, or several, the token is rejected (RFC 7519 §4.1.3).
    """
    error = find_claims_error(claims, [name for name in _REQUIRED if claims.get(name) is None])
    yield "required_claims", error
    is_user = _USER_ID.fullmatch(claims["sub"]) is not None
    yield "subject", None if is_user else AuthError("token_malformed", reason="sub is not the id of a user")
    named = [claims[name] for name in ("resource", "aud") if claims.get(name) is not None]
    yield "resource", None if named else AuthError("token_audience_not_allowed", reason="bound to no resource")
    bound = all(_names(value, resource) for value in named)
    yield "audience", None if bound else AuthError("token_audience_not_allowed", reason="bound to another resource")


def _parse(token: str) -> UnverifiedToken | None:
    try:
        return parse_token(token)
    except AuthError:  # the project's verifier rejects it and gives the reason
        return None


def _check_type(token: str) -> None:
    """Reject other types of tokens from the same issuer, such as logout tokens (RFC 8725 §3.11)."""
    name = read_object(split_token(token)[0], "header").get("typ", _TYPES[0])
    if not isinstance(name, str) or name.lower() not in _TYPES:
        raise AuthError("token_malformed", reason="typ is not that of an access token")


def _names(value: object, resource: str) -> bool:
    """Whether a claim contains this resource and nothing else."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return isinstance(value, str) and _normalize(value) == _normalize(resource)


def _normalize(address: str) -> str | None:
    """Return a resource URL with a lower-case scheme and host, and without a default port or a trailing slash."""
    try:
        parts = urlsplit(address)
        origin = to_origin(address)
    except ValueError:
        return None
    if parts.query or parts.fragment or "@" in parts.netloc or not address.isprintable() or address != address.strip():
        return None
    return origin + parts.path.rstrip("/")
