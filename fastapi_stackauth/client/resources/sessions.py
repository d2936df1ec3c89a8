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
    """Token refresh, sign-out and the list of sessions."""

    async def refresh(self, refresh_token: str) -> AccessToken:
        """Return a new access token. The server does not rotate the refresh token, so it is safe to repeat this.

        The client does not send its access token, because the server would reject an expired one.

        Raises:
            SessionEnded: The session has ended.
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
        """End the session of the client's user. This succeeds even if the session has already ended.

        The access token stays valid until it expires, because the server does not check its session (tokens.md §1).

        Raises:
            AuthServerError: The request failed, and the session may still be valid.
        """
        try:
            await self._client.fetch(ApiRequest("DELETE", _CURRENT, rights="any"), Done)
        except SessionEnded:
            return
        except AuthServerUnavailable as error:
            if error.response_status != 500 or not await self._has_ended():
                raise

    async def _has_ended(self) -> bool:
        """Whether the current session has ended. The server returns 500 for a second sign-out (corrections.md A1)."""
        try:
            return not any(session.is_current_session for session in await self.list())
        except SignInRequired:
            return True

    async def list(self, user_id: str = ME) -> tuple[Session, ...]:
        """List a user's sessions, newest first. The list may include expired sessions, but no impersonations.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 403: the sessions belong to another user.
        """
        request = ApiRequest("GET", "/auth/sessions", params={"user_id": user_id}, rights=rights_over(user_id))
        return await self._list(request, Page[Session])

    async def revoke(self, session_id: str, user_id: str = ME) -> None:
        """End a session by its id. Its access token stays valid until it expires.

        Raises:
            KnownApiError: `CANNOT_DELETE_CURRENT_SESSION`: this is the current session; sign out instead.
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 404: there is no such session.
        """
        if session_id == "current":  # this path is the one of sign-out
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
        """Start a session for a user, as server. No second factor is required.

        Args:
            user_id: The id of the user.
            expires_in: The lifetime of the session, at most 367 days. The default is a year.
            is_impersonation: Mark the session as one in which an administrator acts as the user.

        Raises:
            UserNotFound: There is no such user.
            ValueError: The lifetime is not positive, for which the server would return 500.
        """
        body: dict[str, object] = {"user_id": user_id, "is_impersonation": is_impersonation}
        if expires_in is not None:
            if expires_in <= timedelta():
                raise ValueError("expires_in must be positive")
            body["expires_in_millis"] = expires_in // timedelta(milliseconds=1)
        return await self._client.fetch(ApiRequest("POST", "/auth/sessions", json=body, rights="server"), TokenPair)
