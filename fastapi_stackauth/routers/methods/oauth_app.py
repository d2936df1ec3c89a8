"""OAuth for mobile and command-line apps, which keep state and verifier themselves (RFC 8252)."""

from typing import Annotated

from pydantic import Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import RequestInvalid
from fastapi_stackauth.routers.methods.oauth_parts import (
    START_ERRORS,
    Location,
    Provider,
    Scope,
    exchange_code,
    join_scopes,
)
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, SignedInUser, UserClient, account_key
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.inputs import ChallengedBody, RequestBody
from fastapi_stackauth.routers.plumbing.transport import SignInResult
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, is_loopback

routes = Routes("oauth", feature="oauth")

RedirectUri = Annotated[
    str,
    Field(
        max_length=MAX_ADDRESS,
        description="The URL that returns to the app: one that `redirect_urls` allows, or a loopback URL "
        "(RFC 8252 §7.3). The project must trust it too.",
        examples=["myapp://auth/callback"],
    ),
]


class OAuthStartRequest(ChallengedBody):
    """The redirect URL, state and PKCE challenge of the app's flow."""

    redirect_uri: RedirectUri
    state: str = Field(
        repr=False,
        min_length=8,
        max_length=512,
        description="A random value; the app compares it with the returned one (RFC 6749 §10.12).",
        examples=["af0ifjsldkj3nFkw8"],
    )
    code_challenge: str = Field(
        pattern=r"^[A-Za-z0-9_-]{43}$",
        description="The app's verifier, hashed by S256 (RFC 7636 §4.2).",
        examples=["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
    )
    scope: Scope = None


@routes.post(
    "/oauth/{provider}/start",
    "Start a sign-in with a provider",
    errors=START_ERRORS,
    attempt="oauth_authorize",
    only="body",
)
async def oauth_start(provider: Provider, body: OAuthStartRequest, context: Context) -> Location:
    """Start a sign-in with a provider: open the URL of the response in a browser, and wait at your `redirect_uri`.

    An anonymous user who calls with their token keeps their id. Errors are returned as `errorCode` in the query.

    Returns:
        The URL for the browser.
    """
    return await _start(provider, body, context, await context.find_client(upgrade=True), link=False)


@routes.post(
    "/oauth/{provider}/link", "Link an account at a provider", errors=START_ERRORS, attempt="oauth_link", only="body"
)
async def token_oauth_link(
    provider: Provider, body: OAuthStartRequest, context: Context, user: SignedInUser, client: UserClient
) -> Location:
    """Start linking an account at a provider: open the URL of the response in a browser.

    The account is linked when the browser returns with a code; the app does not have to use the code.

    Returns:
        The URL for the browser.
    """
    await context.count_account(user.id)
    return await _start(provider, body, context, client, link=True)


async def _start(
    provider: str, body: OAuthStartRequest, context: RouteContext, client: StackAuthClient, *, link: bool
) -> Location:
    whole = "://" in body.redirect_uri and allowed_redirect(body.redirect_uri, context.settings)
    if not whole and not is_loopback(body.redirect_uri):
        raise RequestInvalid((("body.redirect_uri", "Redirects to this URI are not allowed"),))
    authorization = await client.oauth.authorize(
        provider,
        redirect_uri=body.redirect_uri,
        state=body.state,
        code_challenge=body.code_challenge,
        provider_scope=join_scopes(context, provider, body.scope),
        bot_challenge=body.bot_challenge,
        link=link,
    )
    return Location(location=authorization.location)


class OAuthFinishRequest(RequestBody):
    """The code of the redirect, the redirect URL and the PKCE verifier of the flow."""

    code: SecretStr = Field(
        min_length=1, max_length=512, description="The `code` in the query of the redirect.", examples=["3f9ac1d0b7..."]
    )
    redirect_uri: RedirectUri
    code_verifier: SecretStr = Field(
        min_length=43,
        max_length=128,
        description="The app's verifier (RFC 7636 §4.1).",
        examples=["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"],
    )


@routes.sign_in(
    "/oauth/finish", "Finish a sign-in with a provider", errors=("INVALID_AUTHORIZATION_CODE", 400), only="body"
)
async def oauth_finish(body: OAuthFinishRequest, context: Context) -> SignInResult:
    """Exchange the code of the redirect for tokens. It works once, within five minutes."""
    verifier = body.code_verifier.get_secret_value()
    call = exchange_code(context, body.code.get_secret_value(), body.redirect_uri, verifier)
    return await context.sign_in(call, account_key("oauth", verifier))
