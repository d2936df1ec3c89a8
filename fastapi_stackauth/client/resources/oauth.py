"""Sign-in at OAuth providers (contract/endpoints.json, area `auth/oauth`; tokens.md §3 and §10).

The endpoints of OAuth itself take no ``x-stack-*`` headers: the server knows the app by its project id, and by the
publishable key, or a fixed word if there is none. They do not accept the secret key.
"""

from urllib.parse import urlencode

from fastapi_stackauth.client.request import ApiRequest, encode_path
from fastapi_stackauth.client.resources.base import Resource, build_query
from fastapi_stackauth.models import Authorization, BotChallenge, Handoff, OAuthRefresh, OAuthTokens, SignIn

NO_PUBLISHABLE_KEY = "__stack_public_client__"
_AUTHORIZE, _TOKEN = "/auth/oauth/authorize/{provider_id}", "/auth/oauth/token"


class OAuthApi(Resource):
    """Sign-in at OAuth providers."""

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
        """Return the URL that starts a sign-in. If the client is bound to an anonymous user, they keep their id.

        Args:
            provider_id: such as `github`; custom providers have ids of their own.
            redirect_uri: where the browser returns with a code; on a domain that the project trusts.
            state: returned beside the code (RFC 6749 §10.12).
            code_challenge: of the PKCE verifier, by S256 (RFC 7636 §4.2).
            link: add the provider's account to the user this client is bound to.
            provider_scope: more scopes to ask the provider for; not with shared keys.
            error_redirect_uri: where the browser goes with an error if `redirect_uri` is not trusted.
            after_callback_redirect_url: returned with the tokens.
            bot_challenge: the result of a browser's bot challenge, if the server asks for one.

        Raises:
            MethodNotEnabled: the project has no such provider, or has disabled it.
            OAuthConnectionError: the account at the provider cannot do this.
            AuthServerMisconfigured: the server rejects the app's keys.
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
        # A repeated request would leave a second flow open at the server, so it is made once although it is a GET.
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
        """Return the URL where a browser starts the sign-in itself, for servers without `authorize` (`SchemaError`).

        It contains the project's id and publishable key, which are not secret, and never a token: anonymous users do
        not keep their id this way. Arguments are those of `authorize`.
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
        """Return the tokens for a code. A wrong `redirect_uri` uses up the code (corrections.md C).

        Args:
            code: from the query of the redirect; valid for 5 minutes.
            redirect_uri: exactly as passed to `authorize`.
            code_verifier: the value whose S256 hash was passed to `authorize`.

        Raises:
            MfaRequired: the sign-in needs a TOTP code to finish.
            AuthServerMisconfigured: the server rejects the app's keys.
            OAuthTokenError: an error code of OAuth itself.
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
        """Return a new access token by way of OAuth. `sessions.refresh` does the same and needs no publishable key.

        Raises:
            SessionEnded: the session has ended.
            AuthServerMisconfigured: the project requires a publishable key, and none is configured.
        """
        body = {"grant_type": "refresh_token", **self._client_credentials(), "refresh_token": refresh_token}
        request = ApiRequest("POST", _TOKEN, json=body, rights="none", idempotent=True)
        return await self._client.fetch(request, OAuthRefresh)

    async def apple_sign_in(self, *, id_token: str) -> SignIn:
        """Sign in with the identity token that Apple gave a native app.

        Raises:
            MethodNotEnabled: the project has not enabled this method.
            EmailAlreadyExists: another account has this email address.
            SignUpNotEnabled: the project takes no new accounts.
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
        """Return a one-time code that moves the session of this client's user to another domain.

        Args:
            refresh_token: the one from the same session as the access token.
            redirect_uri: on a domain that the project trusts.
            state: returned beside the code; at most 512 characters.
            code_challenge: the S256 challenge for the PKCE verifier.
            after_callback_redirect_url: returned with the tokens.

        Raises:
            SignInRequired: no user is signed in.
            RedirectUrlNotAllowed: the project does not trust the URL.
            AuthServerMisconfigured: the server rejects the app's keys.
            UnexpectedResponse: 400 or 401, the two tokens do not belong to the same session.
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
