"""The context of a request for its handler: the auth server's client, limits, links and the transport."""

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from pydantic import SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.dependencies import Require, resolve
from fastapi_stackauth.dependencies.account import RequireAccessToken
from fastapi_stackauth.errors import AuthError, MfaRequired, SecondFactorRequired, StackAuthError
from fastapi_stackauth.models import SignIn, User
from fastapi_stackauth.routers.plumbing.declaration import PAGE_PATHS, PREBUILT_PATHS, Declaration, Delivery
from fastapi_stackauth.routers.plumbing.forms import is_page_form
from fastapi_stackauth.routers.plumbing.transport import TRANSPORTS, SignInResponse, Tokens
from fastapi_stackauth.routers.teams.grants import Grants
from fastapi_stackauth.runtime.events import MFA_REQUESTED, SIGN_IN_FAILED, SIGN_IN_SUCCEEDED, get_error_code
from fastapi_stackauth.services import PrebuiltPages, Services
from fastapi_stackauth.sessions.context import CONTEXT_KEY

_PATH_SAFE = "/:@!$&'()*+,;=~-._"

ANY_USER = Require(allow_anonymous=True)
"""Any signed-in user, including anonymous and restricted ones. The auth server decides what they may do."""

SignedInUser = Annotated[User, Depends(ANY_USER)]


@dataclass(frozen=True)
class Mount:
    """The options with which a router was built.

    Attributes:
        delivery: How it delivers tokens.
        pages: URLs of the app's own pages, which replace those of the router.
        oauth_scopes: Additional scopes to request, by provider.
        requirements: The app's requirements for the callers of some routes (see `RouteOptions`).
        grants: The team permissions that members may grant.
        features: The mounted features. None means all.
        share_browser_session: Whether a terminal gets the session of the confirming browser.
    """

    delivery: Delivery
    pages: Mapping[Any, str]
    oauth_scopes: Mapping[str, str] = field(default_factory=dict)
    requirements: Mapping[str, Require] = field(default_factory=dict)
    grants: Grants | None = None
    features: frozenset[str] | None = None
    share_browser_session: bool = False

    def has(self, declaration: Declaration) -> bool:
        """Whether the router has a route, depending on its delivery and features."""
        features = declaration.features
        chosen = self.features is None or not features or not self.features.isdisjoint(features)
        return chosen and declaration.options.get("only", self.delivery) == self.delivery


class RouteContext:
    """The context of one request to a route of a router.

    Args:
        request: The original request.
        services: The services of the router's stack.
        mount: The options of the router.
        declaration: The declaration of the route.
        pages: The prebuilt pages, if the stack has them.

    Attributes:
        settings: The settings of the stack.
        in_browser: Whether tokens and flows are in cookies.
        transport: Delivers tokens and flows.
        next_page: The next pages that a form requests.
        form: The fields of the submitted form. They may contain a password.
        error: The error of a form, for the page that shows the form again.
        claim: The storage key that makes a form have its effect only once. Empty if there is none.
    """

    def __init__(
        self,
        request: Request,
        services: Services,
        mount: Mount,
        declaration: Declaration,
        pages: PrebuiltPages | None = None,
    ) -> None:
        self.request = request
        self.services = services
        self.settings = services.settings
        self.mount = mount
        self.declaration = declaration
        self.in_browser = mount.delivery == "cookie"
        self.transport = TRANSPORTS[mount.delivery](request, services)
        self.pages = pages
        self.next_page: str | None = None
        self.form: Mapping[str, str] = {}
        self.error: StackAuthError | None = None
        self.claim = ""

    @cached_property
    def is_page_form(self) -> bool:
        """Whether a form of a page sent the request, so that a user reads the response."""
        return is_page_form(self.request)

    # --- the caller ---

    @cached_property
    def address(self) -> str | None:
        """The caller's address; None if it is not known, as behind a Unix socket."""
        peer = self.request.client.host if self.request.client else None
        # A proxy may add its own header line (RFC 9110 §5.3), and the last hop decides.
        forwarded_for = ",".join(self.request.headers.getlist("x-forwarded-for"))
        return end_user_address(peer, forwarded_for, self.settings.trusted_proxies)

    async def count_address(self) -> None:
        """Count one attempt for the caller's address. Unsafe routes do this before they read the body.

        Raises:
            RateLimitExceeded: 429.
        """
        await self.services.limiter.count(self.declaration.attempt or "", address=self.address)

    async def count_account(self, account: str, *, in_total: bool = False) -> None:
        """Count one attempt for an account, given by an email address, user id or code; optionally, also in total.

        Raises:
            RateLimitExceeded: 429.
        """
        action = self.declaration.attempt or ""
        await self.services.limiter.count(action, address=None, account=account, in_total=in_total)

    async def count_in_total(self) -> None:
        """Count one attempt for all callers together, because each attempt adds data to the storage.

        Raises:
            RateLimitExceeded: 429.
        """
        await self.services.limiter.count(self.declaration.attempt or "", address=None, in_total=True)

    # --- the auth server ---

    @cached_property
    def client(self) -> StackAuthClient:
        """The client. It sends the caller's address to the auth server if `trusted_proxies` is set."""
        return self.services.client.for_address(self.address)

    async def find_client(self, *, upgrade: bool) -> StackAuthClient:
        """Return the client, or for an `upgrade` the client of the anonymous caller, who keeps their id."""
        if upgrade:
            resolution = await resolve(self.request, self.services)
            if resolution.user and resolution.user.is_anonymous and resolution.credential:
                return self.client.as_user(resolution.credential.token)
        return self.client

    async def sign_in(
        self, call: Awaitable[SignIn], account: str, *, is_new_user: bool = False
    ) -> SignInResponse | Tokens:
        """Await a sign-in and deliver its tokens. If it needs a second factor, store the attempt.

        Args:
            call: The call to the auth server.
            account: The key of the account (`account_key`), for which attempts at the second factor are counted.
            is_new_user: Whether the call created the account, if the auth server does not report it.

        Raises:
            SecondFactorRequired: 403, instead of the auth server's `MfaRequired`.
        """
        events, method = self.services.events, self.declaration.tag
        try:
            result = await call
        except MfaRequired as error:
            events.emit(MFA_REQUESTED, method=method)
            raise SecondFactorRequired(await self.transport.keep_attempt(error.attempt_code, account)) from None
        except StackAuthError as error:
            events.emit(SIGN_IN_FAILED, method=method, code=get_error_code(error))
            raise
        new = is_new_user if result.is_new_user is None else result.is_new_user
        delivered = self.transport.deliver(result, is_new_user=new)
        events.emit(SIGN_IN_SUCCEEDED, method=method, new_user=new)
        return delivered

    # --- addresses of the router ---

    def url(self, path: str) -> str:
        """Return the public address of another route of this router.

        It consists of `app_url`, the router's prefix and the path. It never depends on the Host header or `url_for`,
        because a caller must not be able to change URLs in emails.

        Raises:
            ConfigurationError: `app_url` is missing.
        """
        own = self.declaration.path.format(**self.request.path_params)
        prefix: str = self.request.scope["path"].removesuffix(own)
        # The path of a request is already decoded, and a prefix may have parameters.
        return self.settings.require_app_url("links in emails") + quote(prefix, safe=_PATH_SAFE) + path

    def page_url(self, page: str) -> str:
        """Return the URL for a link in an email: the app's own page, a prebuilt page, or a page of this router.

        A magic link for a client without cookies does not open a prebuilt page, which would sign in the browser.

        Raises:
            ConfigurationError: `app_url` is missing.
        """
        chosen = self.mount.pages.get(page)
        prebuilt = PREBUILT_PATHS.get(page) if self.in_browser or page != "magic_link" else None
        if chosen is None and prebuilt and self.pages is not None:
            chosen = self.pages.prefix + prebuilt
        if chosen is None:
            return self.url(PAGE_PATHS[page])
        return self.settings.require_app_url("links in emails") + chosen if chosen.startswith("/") else chosen


async def read_context(request: Request) -> RouteContext:
    """Return the context of the request, which its route has created."""
    context: RouteContext = request.scope[CONTEXT_KEY].route
    return context


Context = Annotated[RouteContext, Depends(read_context)]


async def build_user_client(
    context: Context, token: Annotated[SecretStr, Depends(RequireAccessToken(require=ANY_USER))]
) -> StackAuthClient:
    """Return the client for the signed-in user."""
    return context.client.as_user(token.get_secret_value())


async def check_full_user(client: StackAuthClient) -> None:
    """Check at the auth server that the user is neither anonymous nor restricted, because the token may be minutes old.

    Raises:
        AuthError: 403: The user is anonymous or restricted.
    """
    account = await client.users.me()
    if account.is_anonymous:
        raise AuthError("anonymous_not_allowed")
    if account.is_restricted:
        reason = account.restricted_reason
        raise AuthError("restricted_not_allowed", details={"restricted_reason": reason.type if reason else None})


UserClient = Annotated[StackAuthClient, Depends(build_user_client)]


def account_key(kind: str, *values: str) -> str:
    """Return the hash of an account, such as ``account_key("email", "ada@example.com")``."""
    named = "\n".join((kind, *(value.strip().lower() for value in values)))
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()
