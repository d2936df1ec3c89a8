"""On whose behalf a route asks the auth server, and how often somebody may."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import SecurityScopes
from pydantic import SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.dependencies import Require, resolve
from fastapi_stackauth.dependencies.account import RequireAccessToken
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.http.openapi import UNAUTHENTICATED
from fastapi_stackauth.models import User
from fastapi_stackauth.routers.plumbing.route import RouteStack

ANYBODY = Require(allow_anonymous=True)
"""Whoever is signed in, guests and restricted users too: what they may do here, the auth server judges."""

SignedInUser = Annotated[User, Depends(ANYBODY)]


async def client_of_person(
    request: Request, stack: RouteStack, token: Annotated[SecretStr, Depends(RequireAccessToken(require=ANYBODY))]
) -> StackAuthClient:
    """The client on behalf of who is signed in."""
    return (await client_of(request, stack)).as_user(token.get_secret_value())


PersonsClient = Annotated[StackAuthClient, Depends(client_of_person)]


async def check_signed_in(request: Request, _: InstalledStack) -> None:
    """Check that somebody is signed in, before a route reads a large body.

    Raises:
        AuthError: 401.
    """
    await ANYBODY(request, SecurityScopes())


SIGNED_OUT = UNAUTHENTICATED
"""What a route for signed-in people answers others."""


async def client_of(request: Request, stack: InstalledStack, *, upgrade: bool = False) -> StackAuthClient:
    """The client for a sign-in route; it tells the end user's address where proxies are trusted.

    Args:
        request: the request being answered.
        stack: whose router it is.
        upgrade: speak for the guest who is calling, if one is, so that they sign up and keep their id.
    """
    client = stack.client.for_address(_peer(request), _forwarded_for(request))
    if not upgrade:
        return client
    resolution = await resolve(request, stack)
    if resolution.user and resolution.user.is_anonymous and resolution.credential:
        return client.as_user(resolution.credential.token)
    return client


async def count_address(request: Request, stack: InstalledStack, action: str) -> None:
    """Count one attempt of the caller's address.

    Unsafe routes name the action when they are declared, and count before they read the body (`operations.add`).

    Raises:
        RateLimitExceeded: 429.
    """
    await stack.limiter.count(action, address=client_address(request, stack))


async def count_account(stack: InstalledStack, action: str, account: str) -> None:
    """Count one attempt for an account.

    Args:
        stack: whose router it is.
        action: what is attempted; the same that the route counts for the address.
        account: the email address, user id or code that the attempt is about.

    Raises:
        RateLimitExceeded: 429.
    """
    await stack.limiter.count(action, address=None, account=account)


def client_address(request: Request, stack: InstalledStack) -> str | None:
    """The address of who is calling; None where it cannot be told, as behind a Unix socket."""
    return end_user_address(_peer(request), _forwarded_for(request), stack.settings.trusted_proxies)


def _peer(request: Request) -> str | None:
    return request.client.host if request.client else None


def _forwarded_for(request: Request) -> str:
    """Join all lines of the header: a proxy may append a line of its own (RFC 9110 §5.3), and the last hop decides."""
    return ",".join(request.headers.getlist("x-forwarded-for"))
