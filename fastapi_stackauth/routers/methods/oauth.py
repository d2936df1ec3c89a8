"""Sign-in with OAuth providers: the authorization code flow with PKCE (RFC 9700 §2.1; design decision 12).

Each flow has a state of 256 random bits. A short-lived cookie, named after its hash, contains the state, the PKCE
verifier and the return URL. The callback path contains the same hash, because the auth server's errors have no state.
So only the browser that started a flow can finish it, once, and several tabs do not interfere.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from typing import Annotated, TypedDict

from fastapi import Depends, Path, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import (
    ConfigurationError,
    KnownApiError,
    RequestError,
    RequestInvalid,
    SchemaError,
    SecondFactorRequired,
    StackAuthError,
    UnexpectedResponse,
)
from fastapi_stackauth.http.handlers import log_error_response
from fastapi_stackauth.http.openapi import UNAUTHENTICATED
from fastapi_stackauth.models import BotChallenge
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
from fastapi_stackauth.routers.plumbing.inputs import RequestBody, read_challenge
from fastapi_stackauth.routers.plumbing.pages import onward_page
from fastapi_stackauth.runtime.events import SIGN_IN_FAILED, get_error_code
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, with_query
from fastapi_stackauth.settings import to_origin
from fastapi_stackauth.startup.configuration import needs
from fastapi_stackauth.verification.rejections import to_route_error

routes = Routes("oauth", feature="oauth")

FLOW = "oauth-"
FLOW_SECONDS = 600  # as long as the auth server keeps its part of the flow (contract/tokens.md §10)
OPEN_FLOWS = 8
"""The maximum number of unfinished flows in a browser. The oldest are dropped, because browsers store few cookies."""

_ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")

ReturnTo = Annotated[
    str | None,
    Field(
        max_length=MAX_ADDRESS,
        description="Where to send the browser afterwards: a path of the app, or an allowed URL. Errors are added as "
        "`?error=<code>`. By default, the setting `after_sign_in`.",
        examples=["/notes"],
    ),
]


@dataclass(frozen=True)
class Flow:
    """The state that the browser keeps while the user is at the provider."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    provider: str
    kind: str
    return_to: str

    @property
    def id(self) -> str:
        """Return the hash of the state, which names the cookie and the callback path and does not reveal the state."""
        return _s256(self.state)


# --- in a browser ---


@routes.get(
    "/oauth/{provider}/authorize",
    "Sign in with a provider",
    errors=START_ERRORS,
    attempt="oauth_authorize",
    only="cookie",
)
@needs("project_id", "app_url")
async def oauth_authorize(
    provider: Provider,
    context: Context,
    challenge: Annotated[BotChallenge | None, Depends(read_challenge)],
    return_to: ReturnTo = None,
    scope: Scope = None,
) -> RedirectResponse:
    """Redirect the browser to a provider, which sends it back signed in. An anonymous user keeps their id.

    Open this route as a page, with a link or a form, not with a script. An error sends the browser to `return_to` with
    `?error=<code>`; without a `return_to`, the response is a problem document.

    Returns:
        The browser is redirected to the provider.
    """
    _check_return(return_to, "query.return_to", context)
    try:
        await context.count_address()
        # A page of another site may open this URL, and must not be able to upgrade an anonymous user.
        client = await context.find_client(upgrade=context.request.headers.get("sec-fetch-site") != "cross-site")
        location = await _begin(context, client, provider, "authenticate", return_to, scope, challenge)
    except StackAuthError as error:
        return _redirect_error(error, return_to, context)
    return RedirectResponse(location, 303)


class OAuthLinkRequest(RequestBody):
    """The URL to return to when the account is linked."""

    return_to: ReturnTo = None
    scope: Scope = None


@routes.post(
    "/oauth/{provider}/link",
    "Link an account at a provider",
    errors=(*UNAUTHENTICATED, *START_ERRORS),  # a form gets these errors as pages
    attempt="oauth_link",
    form=True,
    only="cookie",
)
async def oauth_link(
    provider: Provider, body: OAuthLinkRequest, context: Context, user: SignedInUser, client: UserClient
) -> Location | Response:
    """Start linking an account at a provider. The user can then sign in with it as well.

    A script gets the URL for the browser; a form gets a page that continues to it.

    Returns:
        The URL for the browser.
    """
    _check_return(body.return_to, "body.return_to", context)
    await context.count_account(user.id)
    location = await _begin(context, client, provider, "link", body.return_to, body.scope, None)
    if not context.is_page_form:
        return Location(location=location)
    if context.pages is None:
        return onward_page(location)
    return await context.pages.show_onward(context.request, context.services, location)


FlowId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{43}$",
        description="The id of the flow.",
        examples=["47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"],
    ),
]
Given = Annotated[str, Query(max_length=2000, include_in_schema=False)]


@routes.get(
    "/oauth/callback/{flow}",
    "OAuth callback",
    errors=(
        RequestError("oauth_flow_invalid"),
        "OAUTH_PROVIDER_ACCESS_DENIED",
        "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE",
        "OUTER_OAUTH_TIMEOUT",
        "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED",
        KnownApiError.of(
            "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE", details={"would_work_if_email_was_verified": False}
        ),
        "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER",
        "SIGN_UP_NOT_ENABLED",
        "SIGN_UP_REJECTED",
        "INVALID_AUTHORIZATION_CODE",
        400,
    ),
    only="cookie",
    mfa_by_redirect=True,
)
@needs("project_id", "app_url")
async def oauth_callback(
    flow: FlowId,
    context: Context,
    code: Given = "",
    state: Given = "",
    error: Given = "",
    error_code: Annotated[str, Query(alias="errorCode", max_length=2000, include_in_schema=False)] = "",
) -> RedirectResponse:
    """Finish a sign-in with a provider. This works once, in the browser that started it, within ten minutes.

    The browser is redirected to the `return_to` of `authorize`. `?error=<code>` is added if the sign-in failed, and
    `?mfa=required` if a second factor must follow (`/mfa/sign-in`).

    Returns:
        The browser is redirected to the app.
    """
    begun = _recall(context, flow)
    context.transport.forget(FLOW + flow)
    return_to = allowed_redirect(begun.return_to, context.settings)
    try:
        if error or error_code:
            raise _read_error(error_code or error, begun, context)
        if not state or not code or not _is_same(state, begun.state):
            raise RequestError("oauth_flow_invalid")
        if begun.kind != "link":  # the account is linked now; using the code would only create another session
            redirect_uri = context.settings.require_app_url("OAuth") + context.request.scope["path"]
            call = exchange_code(context, code, redirect_uri, begun.verifier)
            await context.sign_in(call, account_key("oauth", begun.provider, begun.state))
    except SecondFactorRequired:
        return RedirectResponse(with_query(return_to or context.settings.after_sign_in, mfa="required"), 303)
    except StackAuthError as failure:
        return _redirect_error(failure, return_to, context)
    return RedirectResponse(return_to or context.settings.after_sign_in, 303)


class _Query(TypedDict):
    redirect_uri: str
    state: str
    code_challenge: str
    provider_scope: str | None
    bot_challenge: BotChallenge | None


async def _begin(
    context: RouteContext,
    client: StackAuthClient,
    provider: str,
    kind: str,
    return_to: str | None,
    scope: str | None,
    challenge: BotChallenge | None,
) -> str:
    """Start a flow, store it in the browser, and return the URL for the browser.

    Raises:
        UnexpectedResponse: The auth server returned something that is not a web address.
    """
    flow = Flow(secrets.token_urlsafe(32), secrets.token_urlsafe(48), provider, kind, return_to or "")
    query: _Query = {
        "redirect_uri": context.url(f"/oauth/callback/{flow.id}"),
        "state": flow.state,
        "code_challenge": _s256(flow.verifier),  # RFC 7636 §4.2
        "provider_scope": join_scopes(context, provider, scope),
        "bot_challenge": challenge,
    }
    try:
        location = (await client.oauth.authorize(provider, link=kind == "link", **query)).location
    except SchemaError:
        # Linking needs a token, and the result of a bot challenge may be wrong.
        if kind == "link" or challenge is not None:
            raise
        # The server may be too old to return the URL as JSON. Then the browser calls the server, without a token.
        location = client.oauth.authorize_url(provider, **query)
    try:
        to_origin(location)
    except ValueError:
        raise UnexpectedResponse from None
    transport = context.transport
    for left in transport.list_flows(FLOW)[: -OPEN_FLOWS + 1]:
        transport.forget(left)
    transport.remember(FLOW + flow.id, asdict(flow), FLOW_SECONDS)
    return location


def _recall(context: RouteContext, flow_id: str) -> Flow:
    """Return the flow that this browser started.

    Raises:
        RequestError: 400: It did not start a flow with this id, or the flow is over.
    """
    try:
        begun = Flow(**context.transport.recall(FLOW + flow_id))
    except TypeError:
        raise RequestError("oauth_flow_invalid") from None
    if not _is_same(begun.id, flow_id):
        raise RequestError("oauth_flow_invalid")
    return begun


def _read_error(code: str, begun: Flow, context: RouteContext) -> StackAuthError:
    """Return the error in the callback. It has the auth server's code and repeats nothing else of the request."""
    error = KnownApiError.of(code) if _ERROR_CODE.fullmatch(code) else RequestError("oauth_flow_invalid")
    if begun.kind != "link":
        context.services.events.emit(SIGN_IN_FAILED, method=routes.tag, code=get_error_code(error))
    return error


def _redirect_error(error: StackAuthError, return_to: str | None, context: RouteContext) -> RedirectResponse:
    """Redirect the browser back to the app with the error's code.

    Raises:
        StackAuthError: The error, if there is no return URL.
    """
    if isinstance(error, ConfigurationError) or not return_to:
        raise error
    shown = to_route_error(error)
    log_error_response(shown, context.services.events)
    return RedirectResponse(with_query(return_to, error=shown.code), 303)


def _check_return(return_to: str | None, where: str, context: RouteContext) -> None:
    if return_to is not None and allowed_redirect(return_to, context.settings) is None:
        raise RequestInvalid(((where, "Redirects to this URL are not allowed"),))


def _s256(value: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).rstrip(b"=").decode()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
