"""Whether a session still exists, and when it began, asked of the auth server.

A token stays genuine until it expires, whatever became of its session, and is made anew without anybody signing in
(contract/tokens.md §1 and §3); the list of sessions alone tells.
"""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from fastapi_stackauth.errors import AuthError, AuthServerError
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import Events
from fastapi_stackauth.runtime.loops import NextFlight
from fastapi_stackauth.verification.rejections import require_rejection

_REMEMBERED = 10_000


class LiveSessions:
    """Asks for the sessions of a user, once for all who ask at a time.

    Args:
        sessions: from an access token to the sessions that its user has now, by id, with the time each began.
        clock: unix time in seconds.
        events: where it is told that it could not be asked.
    """

    def __init__(
        self,
        sessions: Callable[[str], Awaitable[Mapping[str, datetime]]],
        clock: Callable[[], float] = time.time,
        events: Events | None = None,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._events = events or Events()
        self._flight: NextFlight[Mapping[str, datetime]] = NextFlight()
        self._began: Cache[str, float] = Cache(clock, size=_REMEMBERED)

    async def check(self, token: str, user: User) -> None:
        """Return where the user's session is in the auth server's list now.

        Raises:
            AuthError: 401 `session_revoked`, or what the auth server holds against the token.
            VerificationUnavailable: the auth server cannot be asked.
            AuthServerMisconfigured: the auth server refuses this app.
        """
        await self._ask(token, user)

    async def check_recent(self, token: str, user: User, within: timedelta) -> None:
        """Return where the user's session began no longer than this ago. When it began never changes, so it is kept.

        Raises:
            AuthError: 401 `reauthentication_required` (RFC 9470), `session_revoked`, or what the auth server holds
                against the token.
            VerificationUnavailable, AuthServerMisconfigured: as `check` does.
        """
        known = self._began.get(user.session_id or "")
        began = known.value if known else await self._ask(token, user)
        if self._clock() - began > within.total_seconds():
            raise AuthError("reauthentication_required", details={"max_age": int(within.total_seconds())})

    async def _ask(self, token: str, user: User) -> float:
        """When the user's session began, in unix seconds."""
        digest = hashlib.sha256(token.encode()).digest()
        try:
            sessions = await self._flight.run(digest, lambda: self._sessions(token))
        except AuthServerError as error:
            raise require_rejection(error, self._events, "session") from None
        if user.session_id is None or user.session_id not in sessions:
            raise AuthError("session_revoked")
        began = sessions[user.session_id].timestamp()
        self._began.put(user.session_id, began, math.inf)
        return began

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._flight.aclose()
