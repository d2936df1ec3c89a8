"""OAuth for apps that keep their own state and verifier: mobile and command-line apps (RFC 8252)."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import KnownApiError, RequestInvalid, UnexpectedAnswer
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.routers.methods.oauth_parts import (
    START_ERRORS,
    TAG,
    Location,
    Provider,
    Scope,
    scopes_of,
    sign_in_of,
)
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.bot_challenge import Challenged
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, SignedInUser, client_of, count_account
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.operations import add, add_sign_in
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, is_loopback

CodeChallenge = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{43}$",
        description="The app's verifier, hashed by S256 (RFC 7636 §4.2).",
        examples=["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
    ),
]
RedirectUri = Annotated[
    str,
    Field(
        max_length=MAX_ADDRESS,
        description="Where the browser comes back to the app: within `redirect_urls`, or on loopback (RFC 8252 §7.3). "
        "The project must trust it too.",
        examples=["myapp://auth/callback"],
    ),
]


class OAuthStart(Challenged):
    """What the app keeps of a flow, as far as the auth server must know it."""

    redirect_uri: RedirectUri
    state: str = Field(
        repr=False,
        min_length=8,
        max_length=512,
        description="Random, and compared by the app with what comes back (RFC 6749 §10.12).",
        examples=["af0ifjsldkj3nFkw8"],
    )
    code_challenge: CodeChallenge
    scope: Scope = None


class OAuthFinish(Form):
    """What came back, and the verifier whose hash the flow began with."""

    code: SecretStr = Field(
        min_length=1, max_length=512, description="From the query of the redirect.", examples=["3f9ac1d0b7..."]
    )
    redirect_uri: RedirectUri
    code_verifier: SecretStr = Field(
        min_length=43,
        max_length=128,
        description="The app's verifier (RFC 7636 §4.1).",
        examples=["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"],
    )


async def start(provider: Provider, body: OAuthStart, request: Request, stack: RouteStack) -> Location:
    """Begin a sign-in at a provider: open the answer's address in a browser, and wait at your `redirect_uri`.

    A guest who calls with their token keeps their id. Errors come back as `errorCode` in the query.
    """
    return await _started(provider, body, request, stack, await client_of(request, stack, upgrade=True), linking=False)


async def link_from_app(
    provider: Provider,
    body: OAuthStart,
    request: Request,
    stack: RouteStack,
    user: SignedInUser,
    client: PersonsClient,
) -> Location:
    """Begin to link an account at a provider to who is signed in: open the answer's address in a browser.

    The account is linked once the browser comes back with a code, which need not be used then.
    """
    await count_account(stack, "oauth_link", user.id)
    return await _started(provider, body, request, stack, client, linking=True)


async def _started(
    provider: str, body: OAuthStart, request: Request, stack: InstalledStack, client: StackAuthClient, *, linking: bool
) -> Location:
    whole = "://" in body.redirect_uri and allowed_redirect(body.redirect_uri, stack.settings)
    if not whole and not is_loopback(body.redirect_uri):
        raise RequestInvalid((("body.redirect_uri", "Redirects may not lead there"),))
    authorization = await client.oauth.authorize(
        provider,
        redirect_uri=body.redirect_uri,
        state=body.state,
        code_challenge=body.code_challenge,
        provider_scope=scopes_of(request, provider, body.scope),
        bot_challenge=body.bot_challenge,
        link=linking,
    )
    return Location(location=authorization.location)


async def finish(body: OAuthFinish, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Trade the code that came back for tokens. It works once, within five minutes."""
    client = await client_of(request, stack)
    async with signing_in(request, stack, TAG, account_key("oauth", body.code_verifier.get_secret_value())):
        tokens = await client.oauth.exchange_code(
            code=body.code.get_secret_value(),
            redirect_uri=body.redirect_uri,
            code_verifier=body.code_verifier.get_secret_value(),
        )
    return deliver(request, stack, sign_in_of(tokens), TAG)


# --- on a router ---


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put these routes on a router."""
    add(router, delivery, "/oauth/{provider}/start", start, operation="oauth_start",
        summary="Begin a sign-in at a provider", response_model=Location,
        response_description="Where to send the browser.", tag=TAG, errors=START_ERRORS,
        attempt="oauth_authorize")  # fmt: skip
    add(router, delivery, "/oauth/{provider}/link", link_from_app, operation="oauth_link", summary="Link an account",
        response_model=Location, response_description="Where to send the browser.", tag=TAG,
        errors=(*SIGNED_OUT, *START_ERRORS), attempt="oauth_link")  # fmt: skip
    add_sign_in(router, delivery, "/oauth/finish", finish, operation="oauth_finish",
                summary="Finish a sign-in at a provider", tag=TAG,
                errors=(KnownApiError.of("INVALID_AUTHORIZATION_CODE"),
                        UnexpectedAnswer(400)))  # fmt: skip
