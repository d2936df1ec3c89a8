"""`StackAuthClient`: the families of the API under one roof, and as whom its calls are made."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from fastapi_stackauth.client.answers import Answer
from fastapi_stackauth.client.caller import Caller, access_type, headers_of
from fastapi_stackauth.client.calls import Call, Method, checked_path
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.client.http import Http
from fastapi_stackauth.client.resources.all import Families
from fastapi_stackauth.client.tokens import Listener, TokenSource
from fastapi_stackauth.errors import AccessTokenRefused, AuthServerError, ConfigurationError, UnexpectedAnswer
from fastapi_stackauth.models import AccessToken, TokenPair
from fastapi_stackauth.runtime.events import Events
from fastapi_stackauth.runtime.redaction import install_redaction
from fastapi_stackauth.settings import Settings

M = TypeVar("M", bound=BaseModel)


class StackAuthClient(Families):
    """The auth server's API, typed. An async context manager; `aclose` serves as well.

    Calls are made as the app's own front end would make them, as access type ``client``. Where only a secret key is
    configured, those that come to the same with either access type are made as ``server``, and answers are then
    narrowed to what a client may read. `as_user`, `session` and `as_server` give views of the same client with another
    caller. What has no method is one `request` away.

    Example:
        >>> async with StackAuthClient(Settings(project_id="...")) as client:
        ...     signed_in = await client.password.sign_in(email="ada@example.com", password="...")
        ...     me = await client.as_user(signed_in.access_token).users.me()
    """

    def __init__(
        self,
        settings: Settings,
        *,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        events: Events | None = None,
    ) -> None:
        """A client.

        Args:
            settings: whom to call, with which keys.
            http_client: an own pool, which stays yours to close; it belongs to one event loop.
            transport: an own httpx transport for the pools that this client opens and closes.
            events: where its calls are counted and told; its own by default.
        """
        install_redaction(("client_secret",))  # httpx logs URLs, and OAuth's hold keys and tokens
        self.settings = settings
        self.events = events or Events()
        self._http = Http(
            settings.base_url,
            settings.timeout,
            client=http_client,
            transport=transport,
            events=self.events,
            keepalive_expiry=settings.keepalive_expiry,
        )
        self._caller = Caller()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the running event loop's connections. The client may be used again afterwards."""
        await self._http.aclose()

    # --- as whom ---

    def as_user(self, access_token: str) -> Self:
        """This client on behalf of the person whose access token this is, whoever the client spoke for before."""
        return self._as(replace(self._caller, in_own_name=False, access_token=access_token, token_source=None))

    def session(self, tokens: TokenPair, *, on_tokens: Listener | None = None) -> Self:
        """This client on behalf of the person whose session this is; it refreshes the access token by itself.

        Args:
            tokens: both tokens, such as a sign-in's answer.
            on_tokens: called, and awaited where it is async, with each new pair, before the call that needs it is sent.
        """
        renew = self._as(Caller(address=self._caller.address)).sessions.refresh
        source = TokenSource(tokens, renew, on_tokens)
        return self._as(replace(self._caller, in_own_name=False, access_token=None, token_source=source))

    def as_server(self) -> Self:
        """This client with the project's secret key, in the app's own name.

        Raises:
            ConfigurationError: where no secret key is configured.
        """
        if not self.settings.secret_server_key:
            raise ConfigurationError(
                "secret_server_key is not set: pass StackAuth(secret_server_key=...) or set STACK_SECRET_SERVER_KEY.",
                setting="secret_server_key",
            )
        return self._as(Caller(in_own_name=True, address=self._caller.address))

    def for_address(self, peer: str | None, forwarded_for: str | None = None) -> Self:
        """This client telling the auth server the end user's address; without `trusted_proxies`, it tells nothing.

        Args:
            peer: who connected to this app.
            forwarded_for: the request's `X-Forwarded-For` header. Join several lines with commas:
                ``",".join(request.headers.getlist("x-forwarded-for"))``.
        """
        proxies = self.settings.trusted_proxies
        return self._as(
            replace(self._caller, address=end_user_address(peer, forwarded_for, proxies) if proxies else None)
        )

    def _as(self, caller: Caller) -> Self:
        view = copy(self)
        view._caller = caller  # noqa: SLF001 - a view is of this very class
        return view

    @property
    def server_time(self) -> float | None:
        """Unix time at the auth server, as its last answer said, to about a second; None before any answer."""
        return self._http.server_time

    @property
    def lends_server_access(self) -> bool:
        """Whether persons' calls are made with the secret key, for want of a publishable one."""
        return not self._caller.in_own_name and self.settings.user_access_type == "server"

    async def access_token(self) -> str | None:
        """The access token of the user this client is bound to, refreshed where it is a session's.

        Raises:
            SessionGone: the session has ended.
            AuthServerError: where it could not be refreshed for another reason.
        """
        source = self._caller.token_source
        return await source.access_token() if source else self._caller.access_token

    async def refresh(self, refresh_token: str) -> AccessToken:
        """A new access token for a refresh token; short for `sessions.refresh`.

        Raises:
            SessionGone: the session has ended.
            AuthServerError: any other failure.
        """
        return await self.sessions.refresh(refresh_token)

    # --- any call ---

    async def request(
        self,
        method: Method,
        path: str,
        *,
        model: type[M],
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> M:
        """Any operation below ``/api/v1``, with this client's headers, errors and retries.

        A person's request is always made as access type ``client``: what it may do is for the server to judge.

        Args:
            method: the HTTP method; GET, PUT and DELETE are repeated after failures that may pass.
            path: the path below ``/api/v1``, without a query; quote what you put into it
                (`urllib.parse.quote(value, safe="")`).
            model: what the answer is read into.
            json: the body; operations that want one take ``{}`` for nothing.
            params: the query.

        Raises:
            AuthServerError: for every outcome but a readable success.
        """
        return await self.call(Call(method, checked_path(path), json=json, params=params, foreign=True), model)

    async def call(self, call: Call, model: type[M]) -> M:
        """Send a call and read its answer into a model.

        Raises:
            AuthServerError: for every outcome but a readable success.
        """
        answer = await self.exchange(call)
        lent = not call.public and self._lent(call)
        try:
            # Fields the model does not declare are a server's to read: nobody gets them through the secret key.
            return model.model_validate_json(answer.body, extra="ignore" if lent else None)
        except ValidationError:
            raise UnexpectedAnswer(operation=call.operation, request_id=answer.request_id) from None

    async def exchange(self, call: Call) -> Answer:
        """Send a call with this client's headers, unless it is public; the answer as it came.

        Raises:
            AuthServerError: for every outcome but a success.
        """
        try:
            return await self._send(call)
        except AuthServerError as error:
            if call.translate is None or (meant := call.translate(error)) is error:
                raise
        raise meant

    async def _send(self, call: Call) -> Answer:
        if call.public:
            return await self._http.send(call)
        token = None if call.without_user else await self.access_token()
        try:
            return await self._http.send(self._dressed(call, token))
        except AccessTokenRefused as error:
            if error.code != "ACCESS_TOKEN_EXPIRED" or token is None or self._caller.token_source is None:
                raise
        # The clocks disagree. The server refused before it did anything, so any call may be sent again.
        return await self._http.send(self._dressed(call, await self._caller.token_source.replace(token)))

    def _dressed(self, call: Call, token: str | None) -> Call:
        return replace(call, headers=headers_of(self._caller, call, self.settings, token))

    def _lent(self, call: Call) -> bool:
        return not self._caller.in_own_name and access_type(self._caller, call, self.settings) == "server"
