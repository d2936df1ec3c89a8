"""Sessions (contract/endpoints.json, area `auth/sessions`; tokens.md §3)."""

from datetime import timedelta

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, rights_over
from fastapi_stackauth.errors import (
    AuthServerUnavailable,
    KnownApiError,
    SessionGone,
    UnexpectedAnswer,
    UserGone,
)
from fastapi_stackauth.models import AccessToken, Session, TokenPair

_CURRENT = "/auth/sessions/current"
_ONE = "/auth/sessions/{session_id}"


class SessionsApi(Family):
    """Refresh, sign-out, the list of sessions."""

    async def refresh(self, refresh_token: str) -> AccessToken:
        """A new access token. The refresh token is not rotated, so repeating this does no harm.

        The access token that this client may be bound to stays behind: an expired one would be refused first.

        Raises:
            SessionGone: the session has ended.
            AuthServerError: any other failure.
        """
        call = Call(
            "POST",
            f"{_CURRENT}/refresh",
            json={},
            idempotent=True,
            rights="any",
            without_user=True,
            refresh_token=refresh_token,
        )
        return await self._client.call(call, AccessToken)

    async def sign_out(self) -> None:
        """End the session of the user this client is bound to; succeeds where it had ended before.

        The access token stays valid until it expires: the server does not look at sessions (tokens.md §1).

        Raises:
            AuthServerError: where the session may live on.
        """
        try:
            await self._client.call(Call("DELETE", _CURRENT, rights="any"), Done)
        except SessionGone:
            return
        except AuthServerUnavailable as error:
            if error.answer_status != 500 or not await self._has_ended():
                raise

    async def _has_ended(self) -> bool:
        """Whether the current session is gone. Signing out of one that is, answers 500 (corrections.md A1)."""
        try:
            return not any(session.is_current_session for session in await self.list())
        except UserGone:
            return True

    async def list(self, user_id: str = ME) -> tuple[Session, ...]:
        """The sessions of a user, newest first; expired ones may be among them, impersonations are not.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 403, somebody else's sessions.
            AuthServerError: any other failure.
        """
        call = Call("GET", "/auth/sessions", params={"user_id": user_id}, rights=rights_over(user_id))
        return await self._list(call, Page[Session])

    async def revoke(self, session_id: str, user_id: str = ME) -> None:
        """End a session by its id. Its access token stays valid until it expires.

        Raises:
            `CANNOT_DELETE_CURRENT_SESSION`: it is the one in use: sign out instead.
            UnexpectedAnswer: 404, there is no such session.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, session_id=session_id)
        if path[0] == _CURRENT:  # that path is the sign-out's
            raise KnownApiError.of("SCHEMA_ERROR", 400, operation=f"DELETE {_ONE}")
        if self._client.lends_server_access:
            await self._require_own(session_id)
        call = Call("DELETE", *path, params={"user_id": user_id}, rights=rights_over(user_id))
        await self._client.call(call, Done)

    async def _require_own(self, session_id: str) -> None:
        # With server access the server does not ask whose session it is.
        if not any(session.id == session_id for session in await self.list()):
            raise UnexpectedAnswer(404, operation=f"DELETE {_ONE}")

    async def create(
        self, user_id: str, *, expires_in: timedelta | None = None, is_impersonation: bool = False
    ) -> TokenPair:
        """Start a session for a user, as server; a second factor is not asked for.

        Args:
            user_id: whose session.
            expires_in: how long it lives, at most 367 days; a year by default.
            is_impersonation: mark it as somebody else's acting for the user.

        Raises:
            UserGone, UserNotFound: there is no such user.
            ValueError: for a lifetime that is not positive, which the server answers with 500.
            AuthServerError: any other failure.
        """
        body: dict[str, object] = {"user_id": user_id, "is_impersonation": is_impersonation}
        if expires_in is not None:
            if expires_in <= timedelta():
                raise ValueError("expires_in must be positive")
            body["expires_in_millis"] = expires_in // timedelta(milliseconds=1)
        return await self._client.call(Call("POST", "/auth/sessions", json=body, rights="server"), TokenPair)
