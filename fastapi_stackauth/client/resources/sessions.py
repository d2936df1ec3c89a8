"""Sessions (contract/endpoints.json, area `auth/sessions`; tokens.md §3)."""

from datetime import timedelta

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, rights_over
from fastapi_stackauth.errors import (
    AuthServerUnavailable,
    KnownApiError,
    SessionEnded,
    SignInRequired,
    UnexpectedResponse,
)
from fastapi_stackauth.models import AccessToken, Session, TokenPair

_CURRENT = "/auth/sessions/current"
_ONE = "/auth/sessions/{session_id}"


class SessionsApi(Resource):
    """Token refresh, sign-out, the list of sessions."""

    async def refresh(self, refresh_token: str) -> AccessToken:
        """Return a new access token. The refresh token is not rotated, so repeating this does no harm.

        The access token that this client may be bound to is not sent: the server would reject an expired one first.

        Raises:
            SessionEnded: the session has ended.
        """
        request = ApiRequest(
            "POST",
            f"{_CURRENT}/refresh",
            json={},
            idempotent=True,
            rights="any",
            without_user=True,
            refresh_token=refresh_token,
        )
        return await self._client.fetch(request, AccessToken)

    async def sign_out(self) -> None:
        """End the session of the user this client is bound to; succeeds if it has ended already.

        The access token stays valid until it expires: the server does not look at sessions (tokens.md §1).

        Raises:
            AuthServerError: the session may live on.
        """
        try:
            await self._client.fetch(ApiRequest("DELETE", _CURRENT, rights="any"), Done)
        except SessionEnded:
            return
        except AuthServerUnavailable as error:
            if error.response_status != 500 or not await self._has_ended():
                raise

    async def _has_ended(self) -> bool:
        """Whether the current session has ended. The server returns 500 to a second sign-out (corrections.md A1)."""
        try:
            return not any(session.is_current_session for session in await self.list())
        except SignInRequired:
            return True

    async def list(self, user_id: str = ME) -> tuple[Session, ...]:
        """List a user's sessions, newest first. Expired ones may be among them, impersonations are not.

        Raises:
            SignInRequired: no user is signed in.
            UnexpectedResponse: 403, another user's sessions.
        """
        request = ApiRequest("GET", "/auth/sessions", params={"user_id": user_id}, rights=rights_over(user_id))
        return await self._list(request, Page[Session])

    async def revoke(self, session_id: str, user_id: str = ME) -> None:
        """End a session by its id. Its access token stays valid until it expires.

        Raises:
            KnownApiError: `CANNOT_DELETE_CURRENT_SESSION`, it is the session in use: sign out instead.
            SignInRequired: no user is signed in.
            UnexpectedResponse: 404, there is no such session.
        """
        if session_id == "current":  # that path is the sign-out's
            raise KnownApiError.of("SCHEMA_ERROR", 400, operation=f"DELETE {_ONE}")
        if self._client.uses_secret_key_for_users and all(each.id != session_id for each in await self.list()):
            # With server access the server does not check the owner of the session.
            raise UnexpectedResponse(404, operation=f"DELETE {_ONE}")
        rights = rights_over(user_id)
        request = ApiRequest("DELETE", _ONE, (session_id,), params={"user_id": user_id}, rights=rights)
        await self._client.fetch(request, Done)

    async def create(
        self, user_id: str, *, expires_in: timedelta | None = None, is_impersonation: bool = False
    ) -> TokenPair:
        """Start a session for a user, as server; no second factor is required.

        Args:
            user_id: the user's id.
            expires_in: how long the session lives, at most 367 days; a year by default.
            is_impersonation: mark it as a session of an administrator who acts as the user.

        Raises:
            UserNotFound: there is no such user.
            ValueError: the lifetime is not positive; the server would return 500.
        """
        body: dict[str, object] = {"user_id": user_id, "is_impersonation": is_impersonation}
        if expires_in is not None:
            if expires_in <= timedelta():
                raise ValueError("expires_in must be positive")
            body["expires_in_millis"] = expires_in // timedelta(milliseconds=1)
        return await self._client.fetch(ApiRequest("POST", "/auth/sessions", json=body, rights="server"), TokenPair)
