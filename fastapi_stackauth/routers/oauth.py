"""Sign-in at OAuth providers by the authorization code flow with PKCE (RFC 9700 §2.1; design decision 12).

Each flow has a state of 256 random bits. Its hash names a short-lived cookie, which holds the state, the PKCE verifier
and the address to return to; the same hash stands in the path that the browser comes back to, since the auth server's
errors bring no state. So only the browser that began a flow can end it, once, and tabs do not disturb each other.
"""

import hashlib
import hmac
import logging
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, TypedDict
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import (
    AuthorizationCodeInvalid,
    BotChallengeFailed,
    BotChallengeRequired,
    ConfigurationError,
    EmailAlreadyExists,
    KnownApiError,
    MethodNotEnabled,
    OAuthConnectionError,
    OAuthFlowInvalid,
    OAuthProviderFailed,
    RequestInvalid,
    SchemaError,
    SecondFactorRequired,
    SignUpNotEnabled,
    SignUpRejected,
    StackAuthError,
    UnexpectedAnswer,
)
from fastapi_stackauth.handlers import log_answer
from fastapi_stackauth.installed import InstalledStack
from fastapi_stackauth.models import BotChallenge, OAuthTokens, SignIn
from fastapi_stackauth.redirects import MAX_ADDRESS, allowed_redirect, is_loopback
from fastapi_stackauth.routers import flows
from fastapi_stackauth.routers.bot_challenge import Challenged, challenge_in_query
from fastapi_stackauth.routers.caller import SIGNED_OUT, PersonsClient, SignedInUser, client_of, count_attempt
from fastapi_stackauth.routers.delivery import SignedIn, Tokens, claims_of, deliver, first_factor
from fastapi_stackauth.routers.operations import add, add_sign_in
from fastapi_stackauth.routers.posted import Posted, posted_by_page
from fastapi_stackauth.routers.route import Delivery, Form, RouteStack, address_of, meaning_of, mount_of

logger = logging.getLogger("fastapi_stackauth.routers")

TAG = "oauth"
FLOW = "oauth-"
FLOW_SECONDS = 600  # as long as the auth server keeps its own half (contract/tokens.md §10)
OPEN_FLOWS = 8
"""Flows that a browser may have begun and not ended; the oldest are forgotten, since cookies are few."""

_ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")

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
ReturnTo = Annotated[
    str | None,
    Field(
        max_length=MAX_ADDRESS,
        description="Where the browser goes in the end: a path of the app, or an address that redirects may lead to. "
        "Errors arrive there as `?error=<code>`. `after_sign_in` where it is absent.",
        examples=["/notes"],
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


@dataclass(frozen=True)
class Flow:
    """What the browser keeps while it is at the provider."""

    state: str
    verifier: str
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


async def authorize(
    provider: Provider,
    request: Request,
    stack: RouteStack,
    challenge: Annotated[BotChallenge | None, Depends(challenge_in_query)],
    return_to: Annotated[ReturnTo, Query()] = None,
    scope: Annotated[Scope, Query()] = None,
) -> Response:
    """Send the browser to a provider to sign in there; it comes back signed in. A guest keeps their id.

    Open it as a page, not with a script: a link or a form leads here. What goes wrong on the way arrives at
    `return_to` as `?error=<code>`; without a `return_to`, as a problem document.
    """
    _check_return(return_to, "query.return_to", stack)
    try:
        await count_attempt(request, stack, "oauth_authorize")
        client = await client_of(request, stack, upgrade=True)
        flow = Flow.begin(provider, "authenticate", return_to)
        location = await _location(request, stack, client, flow, scope, challenge)
    except StackAuthError as error:
        return _failed(error, return_to)
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

    A script gets the address to send the browser to; a form is answered with a redirect there.
    """
    _check_return(body.return_to, "body.return_to", stack)
    await count_attempt(request, stack, "oauth_link", user.id)
    flow = Flow.begin(provider, "link", body.return_to)
    location = await _location(request, stack, client, flow, body.scope, None)
    return RedirectResponse(location, 303) if posted_by_page(request) else Location(location=location)


FlowId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{43}$",
        description="Which flow it is.",
        examples=["47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"],
    ),
]
Given = Annotated[str, Query(max_length=2000, include_in_schema=False)]


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
            raise OAuthFlowInvalid
        if begun.kind == "link":  # the account is linked by now; the code would only open a session more
            return _sent_on(begun, stack)
        await _finish(request, stack, begun, code)
    except SecondFactorRequired:
        return _sent_on(begun, stack, mfa="required")
    except StackAuthError as failure:
        return _failed(failure, allowed_redirect(begun.return_to, stack.settings))
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
        "provider_scope": _scopes(request, flow.provider, scope),
        "bot_challenge": challenge,
    }
    try:
        location = (await client.oauth.authorize(flow.provider, link=flow.kind == "link", **query)).location
    except SchemaError:
        if flow.kind == "link":
            raise
        # The server may be too old to say it in JSON. The browser asks it then, and no token goes that way.
        location = client.oauth.authorize_url(flow.provider, **query)
    if urlsplit(location).scheme not in ("http", "https"):
        raise UnexpectedAnswer
    for left in flows.open_flows(request, stack, FLOW)[: -OPEN_FLOWS + 1]:
        flows.forget(request, stack, left)
    flows.remember(request, stack, FLOW + flow.id, asdict(flow), FLOW_SECONDS)
    return location


def _recall(request: Request, stack: InstalledStack, flow_id: str) -> Flow:
    """The flow that this browser began.

    Raises:
        OAuthFlowInvalid: it began none of this id, or it is over.
    """
    facts = flows.recall(request, stack, FLOW + flow_id)
    try:
        begun = Flow(**facts)
    except TypeError:
        raise OAuthFlowInvalid from None
    if not _same(begun.id, flow_id):
        raise OAuthFlowInvalid
    return begun


async def _finish(request: Request, stack: InstalledStack, begun: Flow, code: str) -> None:
    client = await client_of(request, stack)
    redirect_uri = stack.settings.require_app_url("OAuth") + request.scope["path"]
    with first_factor(request, stack):
        tokens = await client.oauth.exchange_code(code=code, redirect_uri=redirect_uri, code_verifier=begun.verifier)
    deliver(request, stack, _sign_in_of(tokens), is_new_user=False)


def _refused(code: str, begun: Flow, stack: InstalledStack) -> Response:
    """What came back instead of a code. Its code is the auth server's own, and nothing else of it is repeated."""
    logger.info("a sign-in at %s ended: %s", begun.provider, code if _ERROR_CODE.fullmatch(code) else "?")
    refusal = KnownApiError.of(code) if _ERROR_CODE.fullmatch(code) else OAuthFlowInvalid()
    return _failed(refusal, allowed_redirect(begun.return_to, stack.settings))


def _failed(error: StackAuthError, return_to: str | None) -> Response:
    """Send the browser back with the error's code; without a place to go, the error is the answer."""
    if isinstance(error, ConfigurationError) or not return_to:
        raise error
    told = meaning_of(error)
    log_answer(told)
    return RedirectResponse(with_query(return_to, error=told.code), 303)


def _sent_on(begun: Flow, stack: InstalledStack, **query: str) -> Response:
    address = allowed_redirect(begun.return_to, stack.settings) or stack.settings.after_sign_in
    return RedirectResponse(with_query(address, **query), 303)


def with_query(address: str, **more: str) -> str:
    """An address with more in its query, which wins over what was there."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in more]
    return urlunsplit(parts._replace(query=urlencode([*kept, *more.items()]))) if more else address


# --- in an app that keeps its own verifier ---

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
    await count_attempt(request, stack, "oauth_authorize")
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
    await count_attempt(request, stack, "oauth_link", user.id)
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
        provider_scope=_scopes(request, provider, body.scope),
        bot_challenge=body.bot_challenge,
        link=linking,
    )
    return Location(location=authorization.location)


async def finish(body: OAuthFinish, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Trade the code that came back for tokens. It works once, within five minutes."""
    await count_attempt(request, stack, "oauth_finish")
    client = await client_of(request, stack)
    with first_factor(request, stack):
        tokens = await client.oauth.exchange_code(
            code=body.code.get_secret_value(),
            redirect_uri=body.redirect_uri,
            code_verifier=body.code_verifier.get_secret_value(),
        )
    return deliver(request, stack, _sign_in_of(tokens), is_new_user=False)


# --- both ---


def _check_return(return_to: str | None, where: str, stack: InstalledStack) -> None:
    if return_to is not None and allowed_redirect(return_to, stack.settings) is None:
        raise RequestInvalid(((where, "Redirects may not lead there"),))


def _scopes(request: Request, provider: str, more: str | None) -> str | None:
    configured: Mapping[str, str] = mount_of(request).oauth_scopes
    return " ".join(scope for scope in (configured.get(provider), more) if scope) or None


def _sign_in_of(tokens: OAuthTokens) -> SignIn:
    """The token endpoint's answer as that of any other sign-in; who it is, the token says."""
    return SignIn(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        user_id=str(claims_of(tokens.access_token).get("sub", "")),
        is_new_user=tokens.is_new_user,
    )


def _s256(value: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


# --- on a router ---

_START_ERRORS = (
    MethodNotEnabled("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
    OAuthConnectionError("OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS"),
    BotChallengeRequired("BOT_CHALLENGE_REQUIRED"),
    BotChallengeFailed("BOT_CHALLENGE_FAILED"),
    SchemaError("SCHEMA_ERROR"),
    UnexpectedAnswer(400),
)
_CALLBACK_ERRORS = (
    OAuthFlowInvalid(),
    OAuthProviderFailed("OAUTH_PROVIDER_ACCESS_DENIED"),
    OAuthProviderFailed("OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE"),
    OAuthProviderFailed("OUTER_OAUTH_TIMEOUT"),
    MethodNotEnabled("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
    EmailAlreadyExists(
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE", details={"would_work_if_email_was_verified": False}
    ),
    OAuthConnectionError("OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER"),
    SignUpNotEnabled("SIGN_UP_NOT_ENABLED"),
    SignUpRejected("SIGN_UP_REJECTED"),
    AuthorizationCodeInvalid("INVALID_AUTHORIZATION_CODE"),
    UnexpectedAnswer(400),
)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's routes on a router."""
    if delivery == "cookie":
        add(router, delivery, "/oauth/{provider}/authorize", authorize, method="GET", operation="oauth_authorize",
            summary="Sign in at a provider", response_description="Sent to the provider.", tag=TAG, redirects=True,
            errors=_START_ERRORS, limited=True)  # fmt: skip
        add(router, delivery, "/oauth/{provider}/link", link, operation="oauth_link", summary="Link an account",
            response_model=Location, response_description="Where to send the browser.", tag=TAG,
            errors=(*SIGNED_OUT, *_START_ERRORS), limited=True, openapi_extra=_LINK_BODY.documented,
            also={303: "Sent to the provider, where a form was posted."})  # fmt: skip
        add(router, delivery, "/oauth/callback/{flow}", callback, method="GET", operation="oauth_callback",
            summary="Come back from a provider", response_description="Signed in, and sent on.", tag=TAG,
            redirects=True, errors=_CALLBACK_ERRORS)  # fmt: skip
        return
    add(router, delivery, "/oauth/{provider}/start", start, operation="oauth_start",
        summary="Begin a sign-in at a provider", response_model=Location,
        response_description="Where to send the browser.", tag=TAG, errors=_START_ERRORS, limited=True)  # fmt: skip
    add(router, delivery, "/oauth/{provider}/link", link_from_app, operation="oauth_link", summary="Link an account",
        response_model=Location, response_description="Where to send the browser.", tag=TAG,
        errors=(*SIGNED_OUT, *_START_ERRORS), limited=True)  # fmt: skip
    add_sign_in(router, delivery, "/oauth/finish", finish, operation="oauth_finish",
                summary="Finish a sign-in at a provider", tag=TAG,
                errors=(AuthorizationCodeInvalid("INVALID_AUTHORIZATION_CODE"), SchemaError("SCHEMA_ERROR"),
                        UnexpectedAnswer(400)))  # fmt: skip
