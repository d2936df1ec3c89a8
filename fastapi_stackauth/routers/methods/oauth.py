"""Sign-in at OAuth providers by the authorization code flow with PKCE (RFC 9700 §2.1; design decision 12).

Each flow has a state of 256 random bits. Its hash names a short-lived cookie, which holds the state, the PKCE verifier
and the address to return to; the same hash stands in the path that the browser comes back to, since the auth server's
errors bring no state. So only the browser that began a flow can end it, once, and tabs do not disturb each other.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from typing import Annotated, TypedDict

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
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
    UnexpectedAnswer,
)
from fastapi_stackauth.http.handlers import log_answer
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import BotChallenge
from fastapi_stackauth.routers.methods import oauth_app
from fastapi_stackauth.routers.methods.oauth_parts import (
    START_ERRORS,
    TAG,
    Location,
    Provider,
    Scope,
    scopes_of,
    sign_in_of,
)
from fastapi_stackauth.routers.plumbing import flows
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.bot_challenge import challenge_in_query
from fastapi_stackauth.routers.plumbing.caller import (
    SIGNED_OUT,
    PersonsClient,
    SignedInUser,
    client_of,
    count_account,
    count_address,
)
from fastapi_stackauth.routers.plumbing.delivery import deliver, signing_in
from fastapi_stackauth.routers.plumbing.operations import add
from fastapi_stackauth.routers.plumbing.pages import onward_page
from fastapi_stackauth.routers.plumbing.posted import Posted, posted_by_page
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack, address_of
from fastapi_stackauth.runtime.events import SIGN_IN_FAILED, code_of
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect, with_query
from fastapi_stackauth.settings import origin_of
from fastapi_stackauth.startup.configuration import needs
from fastapi_stackauth.verification.rejections import to_route_error

FLOW = "oauth-"
FLOW_SECONDS = 600  # as long as the auth server keeps its own half (contract/tokens.md §10)
OPEN_FLOWS = 8
"""Flows that a browser may have begun and not ended; the oldest are forgotten, since cookies are few."""

_ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")

ReturnTo = Annotated[
    str | None,
    Field(
        max_length=MAX_ADDRESS,
        description="Where the browser goes in the end: a path of the app, or an address that redirects may lead to. "
        "Errors arrive there as `?error=<code>`. `after_sign_in` where it is absent.",
        examples=["/notes"],
    ),
]


@dataclass(frozen=True)
class Flow:
    """What the browser keeps while it is at the provider."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    provider: str
    kind: str
    return_to: str

    @classmethod
    def begin(cls, provider: str, kind: str, return_to: str | None) -> "Flow":
        """A new flow; `kind` is ``authenticate`` or ``link``."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(48), provider, kind, return_to or "")

    @property
    def id(self) -> str:
        """The hash of the state: it names the cookie and the path to come back to, and tells neither."""
        return _s256(self.state)

    @property
    def challenge(self) -> str:
        """What stands for the verifier until the end (RFC 7636 §4.2)."""
        return _s256(self.verifier)


# --- in a browser ---


@needs("project_id", "app_url")
async def authorize(
    provider: Provider,
    request: Request,
    stack: RouteStack,
    challenge: Annotated[BotChallenge | None, Depends(challenge_in_query)],
    return_to: ReturnTo = None,
    scope: Scope = None,
) -> Response:
    """Send the browser to a provider to sign in there; it comes back signed in. A guest keeps their id.

    Open it as a page, not with a script: a link or a form leads here. What goes wrong on the way arrives at
    `return_to` as `?error=<code>`; without a `return_to`, as a problem document.
    """
    _check_return(return_to, "query.return_to", stack)
    try:
        await count_address(request, stack, "oauth_authorize")
        # A page of another site may open this address, and must not decide what becomes of an anonymous user.
        client = await client_of(request, stack, upgrade=request.headers.get("sec-fetch-site") != "cross-site")
        flow = Flow.begin(provider, "authenticate", return_to)
        location = await _location(request, stack, client, flow, scope, challenge)
    except StackAuthError as error:
        return _failed(error, return_to, stack)
    return RedirectResponse(location, 303)


class LinkRequest(Form):
    """What to do when the account is linked."""

    return_to: ReturnTo = None
    scope: Scope = None


_LINK_BODY = Posted(LinkRequest)


async def link(
    provider: Provider,
    body: Annotated[LinkRequest, Depends(_LINK_BODY)],
    request: Request,
    stack: RouteStack,
    user: SignedInUser,
    client: PersonsClient,
) -> Location | Response:
    """Begin to link an account at a provider to who is signed in. The person can sign in with either from then on.

    A script gets the address to send the browser to; a form gets a page that goes on there.
    """
    _check_return(body.return_to, "body.return_to", stack)
    await count_account(stack, "oauth_link", user.id)
    flow = Flow.begin(provider, "link", body.return_to)
    location = await _location(request, stack, client, flow, body.scope, None)
    return onward_page(location) if posted_by_page(request) else Location(location=location)


FlowId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{43}$",
        description="Which flow it is.",
        examples=["47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"],
    ),
]
Given = Annotated[str, Query(max_length=2000, include_in_schema=False)]


@needs("project_id", "app_url")
async def callback(
    flow: FlowId,
    request: Request,
    stack: RouteStack,
    code: Given = "",
    state: Given = "",
    error: Given = "",
    error_code: Annotated[str, Query(alias="errorCode", max_length=2000, include_in_schema=False)] = "",
) -> Response:
    """Where the browser comes back from a provider. It works once, in the browser that began, within ten minutes.

    It sends the browser on to where `authorize` was told: signed in; or with `?error=<code>`; or with `?mfa=required`
    where a second factor is to follow (`/mfa/sign-in`).
    """
    begun = _recall(request, stack, flow)
    flows.forget(request, stack, FLOW + flow)
    if error or error_code:
        return _refused(error_code or error, begun, stack)
    try:
        if not state or not code or not _same(state, begun.state):
            raise RequestError("oauth_flow_invalid")
        if begun.kind == "link":  # the account is linked by now; the code would only open a session more
            return _sent_on(begun, stack)
        await _finish(request, stack, begun, code)
    except SecondFactorRequired:
        return _sent_on(begun, stack, mfa="required")
    except StackAuthError as failure:
        return _failed(failure, allowed_redirect(begun.return_to, stack.settings), stack)
    return _sent_on(begun, stack)


class _Query(TypedDict):
    redirect_uri: str
    state: str
    code_challenge: str
    provider_scope: str | None
    bot_challenge: BotChallenge | None


async def _location(
    request: Request,
    stack: InstalledStack,
    client: StackAuthClient,
    flow: Flow,
    scope: str | None,
    challenge: BotChallenge | None,
) -> str:
    """Where to send the browser; the flow is remembered in it."""
    own = f"/oauth/{flow.provider}/" + ("link" if flow.kind == "link" else "authorize")
    query: _Query = {
        "redirect_uri": address_of(request, stack, own, f"/oauth/callback/{flow.id}"),
        "state": flow.state,
        "code_challenge": flow.challenge,
        "provider_scope": scopes_of(request, flow.provider, scope),
        "bot_challenge": challenge,
    }
    try:
        location = (await client.oauth.authorize(flow.provider, link=flow.kind == "link", **query)).location
    except SchemaError:
        if flow.kind == "link" or challenge is not None:  # linking needs a token; what a challenge says may be wrong
            raise
        # The server may be too old to say it in JSON. The browser asks it then, and no token goes that way.
        location = client.oauth.authorize_url(flow.provider, **query)
    _check_web_address(location)
    for left in flows.open_flows(request, stack, FLOW)[: -OPEN_FLOWS + 1]:
        flows.forget(request, stack, left)
    flows.remember(request, stack, FLOW + flow.id, asdict(flow), FLOW_SECONDS)
    return location


def _check_web_address(location: str) -> None:
    """Return where a browser can be sent to this address.

    Raises:
        UnexpectedAnswer: the server gave something else.
    """
    try:
        origin_of(location)
    except ValueError:
        raise UnexpectedAnswer from None


def _recall(request: Request, stack: InstalledStack, flow_id: str) -> Flow:
    """The flow that this browser began.

    Raises:
        RequestError: 400, it began none of this id, or it is over.
    """
    facts = flows.recall(request, stack, FLOW + flow_id)
    try:
        begun = Flow(**facts)
    except TypeError:
        raise RequestError("oauth_flow_invalid") from None
    if not _same(begun.id, flow_id):
        raise RequestError("oauth_flow_invalid")
    return begun


async def _finish(request: Request, stack: InstalledStack, begun: Flow, code: str) -> None:
    client = await client_of(request, stack)
    redirect_uri = stack.settings.require_app_url("OAuth") + request.scope["path"]
    async with signing_in(request, stack, TAG, account_key("oauth", begun.provider, begun.state)):
        tokens = await client.oauth.exchange_code(code=code, redirect_uri=redirect_uri, code_verifier=begun.verifier)
    deliver(request, stack, sign_in_of(tokens), TAG)


def _refused(code: str, begun: Flow, stack: InstalledStack) -> Response:
    """What came back instead of a code. Its code is the auth server's own, and nothing else of it is repeated."""
    refusal = KnownApiError.of(code) if _ERROR_CODE.fullmatch(code) else RequestError("oauth_flow_invalid")
    if begun.kind != "link":
        stack.events.emit(SIGN_IN_FAILED, method=TAG, code=code_of(refusal))
    return _failed(refusal, allowed_redirect(begun.return_to, stack.settings), stack)


def _failed(error: StackAuthError, return_to: str | None, stack: InstalledStack) -> Response:
    """Send the browser back with the error's code; without a place to go, the error is the answer."""
    if isinstance(error, ConfigurationError) or not return_to:
        raise error
    told = to_route_error(error)
    log_answer(told, stack.events)
    return RedirectResponse(with_query(return_to, error=told.code), 303)


def _sent_on(begun: Flow, stack: InstalledStack, **query: str) -> Response:
    address = allowed_redirect(begun.return_to, stack.settings) or stack.settings.after_sign_in
    return RedirectResponse(with_query(address, **query), 303)


def _check_return(return_to: str | None, where: str, stack: InstalledStack) -> None:
    if return_to is not None and allowed_redirect(return_to, stack.settings) is None:
        raise RequestInvalid(((where, "Redirects may not lead there"),))


def _s256(value: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


# --- on a router ---

_CALLBACK_ERRORS = (
    RequestError("oauth_flow_invalid"),
    KnownApiError.of("OAUTH_PROVIDER_ACCESS_DENIED"),
    KnownApiError.of("OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE"),
    KnownApiError.of("OUTER_OAUTH_TIMEOUT"),
    KnownApiError.of("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
    KnownApiError.of(
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE", details={"would_work_if_email_was_verified": False}
    ),
    KnownApiError.of("OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER"),
    KnownApiError.of("SIGN_UP_NOT_ENABLED"),
    KnownApiError.of("SIGN_UP_REJECTED"),
    KnownApiError.of("INVALID_AUTHORIZATION_CODE"),
    UnexpectedAnswer(400),
)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's routes on a router."""
    if delivery == "body":
        oauth_app.add_routes(router, delivery)
        return
    add(router, delivery, "/oauth/{provider}/authorize", authorize, method="GET", operation="oauth_authorize",
        summary="Sign in at a provider", response_description="Sent to the provider.", tag=TAG, redirects=True,
        errors=START_ERRORS, attempt="oauth_authorize")  # fmt: skip
    add(router, delivery, "/oauth/{provider}/link", link, operation="oauth_link", summary="Link an account",
        response_model=Location, response_description="Where to send the browser.", tag=TAG,
        errors=(*SIGNED_OUT, *START_ERRORS), attempt="oauth_link", openapi_extra=_LINK_BODY.documented,
        page_for_forms=True)  # fmt: skip
    add(router, delivery, "/oauth/callback/{flow}", callback, method="GET", operation="oauth_callback",
        summary="Come back from a provider", response_description="Signed in, and sent on.", tag=TAG,
        redirects=True, errors=_CALLBACK_ERRORS)  # fmt: skip
