"""Whether a session still exists, asked of the auth server: for what must not outlive a revocation.

A token stays genuine until it expires, whatever became of its session (contract/tokens.md §1); the list of
sessions alone tells.
"""

import hashlib
from collections.abc import Awaitable, Callable

from fastapi_stackauth.errors import AuthError, AuthServerError
from fastapi_stackauth.loops import NextFlight
from fastapi_stackauth.models import User
from fastapi_stackauth.verification.fallback import verdict_of


class LiveSessions:
    """Asks for the sessions of a user, once for all who ask at a time.

    Args:
        session_ids: from an access token to the ids of the sessions that its user has now.
    """

    def __init__(self, session_ids: Callable[[str], Awaitable[frozenset[str]]]) -> None:
        self._session_ids = session_ids
        self._flight: NextFlight[frozenset[str]] = NextFlight()

    async def check(self, token: str, user: User) -> None:
        """Return where the user's session is in the auth server's list now.

        Raises:
            AuthError: 401 `session_revoked`, or what the auth server holds against the token.
            VerificationUnavailable: the auth server cannot be asked.
            AuthServerMisconfigured: the auth server refuses this app.
        """
        digest = hashlib.sha256(token.encode()).digest()
        try:
            session_ids = await self._flight.run(digest, lambda: self._session_ids(token))
        except AuthServerError as error:
            raise verdict_of(error) from None
        if user.session_id not in session_ids:
            raise AuthError("session_revoked")

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._flight.aclose()
