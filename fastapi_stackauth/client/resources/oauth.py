"""Sign-in with OAuth providers (contract/endpoints.json, area `auth/oauth`; tokens.md §3 and §10).

The endpoints of OAuth itself ignore ``x-stack-*`` headers. The server identifies the app by its project id, and by the
publishable key or, without one, a fixed word. These endpoints do not accept the secret key.
"""

from urllib.parse import urlencode

from fastapi_stackauth.client.request import ApiRequest, encode_path
from fastapi_stackauth.client.resources.base import Resource, build_query
from fastapi_stackauth.models import Authorization, BotChallenge, Handoff, OAuthRefresh, OAuthTokens, SignIn

NO_PUBLISHABLE_KEY = "__stack_public_client__"
_AUTHORIZE, _TOKEN = "/auth/oauth/authorize/{provider_id}", "/auth/oauth/token"


class OAuthApi(Resource):
    """Sign-in with OAuth providers."""

    async def authorize(
        self,
        provider_id: str,
        *,
        redirect_uri: str,
        state: str,
        code_challenge: str,
        link: bool = False,
        provider_scope: str | None = None,
        error_redirect_uri: str | None = None,
        after_callback_redirect_url: str | None = None,
        bot_challenge: BotChallenge | None = None,
    ) -> Authorization:
        """Return the URL that starts a sign-in. If the client's user is anonymous, the user keeps their id.

        Args:
            provider_id: The provider, such as `github`. Custom providers have ids of their own.
            redirect_uri: The URL to which the browser returns with a code. The project must trust its domain.
            state: Returned with the code (RFC 6749 §10.12).
            code_challenge: The S256 challenge for the PKCE verifier (RFC 7636 §4.2).
            link: Add the provider's account to the client's user.
            provider_scope: Additional scopes to request from the provider. Not available with shared keys.
            error_redirect_uri: The URL for errors if `redirect_uri` is not trusted.
            after_callback_redirect_url: Returned with the tokens.
            bot_challenge: The result of a bot challenge in the browser, if the server requires one.

        Raises:
            MethodNotEnabled: The project does not have this provider, or has disabled it.
            OAuthConnectionError: The user's account at the provider does not allow this.
            AuthServerMisconfigured: The server rejects the app's keys.
            KnownApiError: `BOT_CHALLENGE_REQUIRED` or `BOT_CHALLENGE_FAILED`.
        """
        query = self._build_query(
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            stack_response_mode="json",
            type="link" if link else "authenticate",
            token=await self._client.access_token(),
            provider_scope=provider_scope,
            error_redirect_uri=error_redirect_uri,
            after_callback_redirect_url=after_callback_redirect_url,
            bot_challenge=bot_challenge,
        )
        # Each request opens a new flow at the server, so it is sent only once although it is a GET.
        request = ApiRequest("GET", _AUTHORIZE, (provider_id,), params=query, rights="none", idempotent=False)
        return await self._client.fetch(request, Authorization)

    def authorize_url(
        self,
        provider_id: str,
        *,
        redirect_uri: str,
        state: str,
        code_challenge: str,
        provider_scope: str | None = None,
        bot_challenge: BotChallenge | None = None,
    ) -> str:
        """Return the URL where a browser starts a sign-in, for servers on which `authorize` raises `SchemaError`.

        The URL contains the project's id and publishable key, which are not secret. It never contains a token, so an
        anonymous user does not keep their id. The arguments are those of `authorize`.
        """
        query = self._build_query(
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            type="authenticate",
            provider_scope=provider_scope,
            bot_challenge=bot_challenge,
        )
        path = encode_path(_AUTHORIZE, (provider_id,))
        return f"{self._client.settings.browser_url}/api/v1{path}?{urlencode(query)}"

    def _build_query(self, *, bot_challenge: BotChallenge | None, **fields: str | None) -> dict[str, str]:
        query = build_query(
            **self._client_credentials(),
            code_challenge_method="S256",
            response_type="code",
            grant_type="authorization_code",
            scope="legacy",
            **fields,
        )
        return query | {name: str(value) for name, value in (bot_challenge.to_json() if bot_challenge else {}).items()}

    async def exchange_code(self, *, code: str, redirect_uri: str, code_verifier: str) -> OAuthTokens:
        """Exchange a code for tokens. If `redirect_uri` is wrong, the code is used up (corrections.md C).

        Args:
            code: The code from the query of the redirect, valid for 5 minutes.
            redirect_uri: The same value as for `authorize`.
            code_verifier: The PKCE verifier for the challenge that you passed to `authorize`.

        Raises:
            MfaRequired: The sign-in needs a TOTP code to finish.
            AuthServerMisconfigured: The server rejects the app's keys.
            OAuthTokenError: The token endpoint returned an OAuth error.
            KnownApiError: `INVALID_AUTHORIZATION_CODE`.
        """
        body = {
            "grant_type": "authorization_code",
            **self._client_credentials(),
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        return await self._client.fetch(ApiRequest("POST", _TOKEN, json=body, rights="none"), OAuthTokens)

    async def refresh(self, refresh_token: str) -> OAuthRefresh:
        """Return a new access token from OAuth's token endpoint. `sessions.refresh` needs no publishable key for this.

        Raises:
            SessionEnded: The session has ended.
            AuthServerMisconfigured: The project requires a publishable key, and none is configured.
        """
        body = {"grant_type": "refresh_token", **self._client_credentials(), "refresh_token": refresh_token}
        request = ApiRequest("POST", _TOKEN, json=body, rights="none", idempotent=True)
        return await self._client.fetch(request, OAuthRefresh)

    async def apple_sign_in(self, *, id_token: str) -> SignIn:
        """Sign in with the identity token that a native app received from Apple.

        Raises:
            MethodNotEnabled: The project has not enabled this method.
            EmailAlreadyExists: Another account has this email address.
            SignUpNotEnabled: The project does not allow sign-up.
            KnownApiError: `SIGN_UP_REJECTED`, `INVALID_APPLE_CREDENTIALS`, `APPLE_BUNDLE_ID_NOT_CONFIGURED`.
        """
        return await self._post("/auth/oauth/callback/apple/native", SignIn, id_token=id_token)

    async def cross_domain_authorize(
        self,
        *,
        refresh_token: str,
        redirect_uri: str,
        state: str,
        code_challenge: str,
        after_callback_redirect_url: str | None = None,
    ) -> Handoff:
        """Create a one-time code that moves the session of the client's user to another domain.

        Args:
            refresh_token: The refresh token of the session that the access token belongs to.
            redirect_uri: The URL on the other domain. The project must trust it.
            state: Returned with the code; at most 512 characters.
            code_challenge: The S256 challenge for the PKCE verifier.
            after_callback_redirect_url: Returned with the tokens.

        Raises:
            SignInRequired: No user is signed in.
            RedirectUrlNotAllowed: The project does not trust the URL.
            AuthServerMisconfigured: The server rejects the app's keys.
            UnexpectedResponse: Status 400 or 401: the two tokens do not belong to the same session.
        """
        body = build_query(
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            code_challenge_method="S256",
            after_callback_redirect_url=after_callback_redirect_url,
        )
        path = "/auth/oauth/cross-domain/authorize"
        request = ApiRequest("POST", path, json=body, rights="any", refresh_token=refresh_token)
        return await self._client.fetch(request, Handoff)

    def _client_credentials(self) -> dict[str, str]:
        settings = self._client.settings
        branch = "" if settings.branch_id == "main" else f"#{settings.branch_id}"
        key = settings.publishable_client_key
        return {
            "client_id": settings.require_project_id() + branch,
            "client_secret": key.get_secret_value() if key else NO_PUBLISHABLE_KEY,
        }
