"""Sign-in at OAuth providers (contract/endpoints.json, area `auth/oauth`; tokens.md §3 and §10).

The endpoints of OAuth itself take no ``x-stack-*`` headers: the app is known by its project id, and by the publishable
key or the word that stands for none. The secret key is of no use there.
"""

from urllib.parse import urlencode

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.resources.base import Family, given
from fastapi_stackauth.models import Authorization, BotChallenge, Handoff, OAuthRefresh, OAuthTokens, SignIn

NO_PUBLISHABLE_KEY = "__stack_public_client__"


class OAuthApi(Family):
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
        """Where to send the browser for a sign-in. On a client bound to a guest, the guest keeps their id.

        Args:
            provider_id: such as `github`; custom providers have ids of their own.
            redirect_uri: where the browser comes back with a code; on a domain that the project trusts.
            state: comes back beside the code (RFC 6749 §10.12).
            code_challenge: of the PKCE verifier, by S256 (RFC 7636 §4.2).
            link: add the provider's account to the user this client is bound to.
            provider_scope: more scopes to ask the provider for; not with shared keys.
            error_redirect_uri: where the browser goes with an error, should `redirect_uri` not be trusted.
            after_callback_redirect_url: comes back with the tokens.
            bot_challenge: what a browser's bot challenge yielded, where the server wants one.

        Raises:
            MethodNotEnabled: the project has no such provider, or it is switched off.
            OAuthConnectionError, `BOT_CHALLENGE_REQUIRED`, `BOT_CHALLENGE_FAILED`, AuthServerMisconfigured,
            AuthServerError.
        """
        query = self._query(
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
        path = path_of("/auth/oauth/authorize/{provider_id}", provider_id=provider_id)
        # A repeated call would leave a second flow open at the server, so it is made once for all that it is a GET.
        return await self._client.call(Call("GET", *path, params=query, public=True, idempotent=False), Authorization)

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
        """Where a browser may ask for the same by itself, of servers that do not say it to an app (`SchemaError`).

        It holds the project's id and publishable key, which are no secrets, and never a token: guests do not keep
        their id this way. Arguments are those of `authorize`.
        """
        query = self._query(
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            type="authenticate",
            provider_scope=provider_scope,
            bot_challenge=bot_challenge,
        )
        path, _ = path_of("/auth/oauth/authorize/{provider_id}", provider_id=provider_id)
        return f"{self._client.settings.browser_url}/api/v1{path}?{urlencode(query)}"

    def _query(self, *, bot_challenge: BotChallenge | None, **fields: str | None) -> dict[str, str]:
        query = given(
            **self._client_credentials(),
            code_challenge_method="S256",
            response_type="code",
            grant_type="authorization_code",
            scope="legacy",
            **fields,
        )
        return query | {name: str(value) for name, value in (bot_challenge.to_json() if bot_challenge else {}).items()}

    async def exchange_code(self, *, code: str, redirect_uri: str, code_verifier: str) -> OAuthTokens:
        """The tokens for the code that came back. A wrong `redirect_uri` burns the code (corrections.md C).

        Args:
            code: from the query of the redirect; valid for 5 minutes.
            redirect_uri: the very one that `authorize` was given.
            code_verifier: whose S256 hash `authorize` was given.

        Raises:
            `INVALID_AUTHORIZATION_CODE`, MfaRequired, AuthServerMisconfigured.
            OAuthRefused: in OAuth's own words.
            AuthServerError: any other failure.
        """
        body = {
            "grant_type": "authorization_code",
            **self._client_credentials(),
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        return await self._client.call(Call("POST", "/auth/oauth/token", json=body, public=True), OAuthTokens)

    async def refresh(self, refresh_token: str) -> OAuthRefresh:
        """A new access token by way of OAuth. `sessions.refresh` does the same and needs no publishable key.

        Raises:
            SessionGone: the session has ended.
            AuthServerMisconfigured: the project demands a publishable key, and there is none.
            AuthServerError: any other failure.
        """
        body = {"grant_type": "refresh_token", **self._client_credentials(), "refresh_token": refresh_token}
        call = Call("POST", "/auth/oauth/token", json=body, public=True, idempotent=True)
        return await self._client.call(call, OAuthRefresh)

    async def apple_sign_in(self, *, id_token: str) -> SignIn:
        """Sign in with the identity token that Apple gave a native app.

        Raises:
            MethodNotEnabled, EmailAlreadyExists, SignUpNotEnabled, `SIGN_UP_REJECTED`.
            KnownApiError: `INVALID_APPLE_CREDENTIALS`, `APPLE_BUNDLE_ID_NOT_CONFIGURED`.
            AuthServerError: any other failure.
        """
        call = Call("POST", "/auth/oauth/callback/apple/native", json={"id_token": id_token}, rights="any")
        return await self._client.call(call, SignIn)

    async def cross_domain_authorize(
        self,
        *,
        refresh_token: str,
        redirect_uri: str,
        state: str,
        code_challenge: str,
        after_callback_redirect_url: str | None = None,
    ) -> Handoff:
        """A one-time code that carries the session of the user this client is bound to, to another domain.

        Args:
            refresh_token: of the same session as the access token.
            redirect_uri: on a domain that the project trusts.
            state: comes back beside the code; at most 512 characters.
            code_challenge: of the PKCE verifier, by S256.
            after_callback_redirect_url: comes back with the tokens.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            RedirectUrlNotAllowed, AuthServerMisconfigured.
            UnexpectedAnswer: 400 or 401, the two tokens are not of one session.
            AuthServerError: any other failure.
        """
        body = given(
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            code_challenge_method="S256",
            after_callback_redirect_url=after_callback_redirect_url,
        )
        path = "/auth/oauth/cross-domain/authorize"
        return await self._client.call(
            Call("POST", path, json=body, rights="any", refresh_token=refresh_token), Handoff
        )

    def _client_credentials(self) -> dict[str, str]:
        settings = self._client.settings
        branch = "" if settings.branch_id == "main" else f"#{settings.branch_id}"
        key = settings.publishable_client_key
        return {
            "client_id": settings.require_project_id() + branch,
            "client_secret": key.get_secret_value() if key else NO_PUBLISHABLE_KEY,
        }
