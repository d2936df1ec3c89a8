"""Whether a session still exists, and when it began, by the auth server's list of sessions.

A token is valid until it expires even if its session has ended, and a refresh needs no sign-in (contract/tokens.md
§1 and §3).
"""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from fastapi_stackauth.errors import AuthError, AuthServerError
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import AuthEvents
from fastapi_stackauth.runtime.loops import FreshSingleFlight
from fastapi_stackauth.runtime.storage import Storage, needing_storage
from fastapi_stackauth.verification.rejections import require_rejection

_SIZE = 10_000


class LiveSessions:
    """Fetches the sessions of users; concurrent checks share a call.

    Args:
        sessions: returns the current sessions of the user of an access token: their ids, and when each began.
        storage: knows which sessions belong to terminals.
        clock: unix time in seconds.
        events: count and log failures.
    """

    def __init__(
        self,
        sessions: Callable[[str], Awaitable[Mapping[str, datetime]]],
        storage: Storage,
        clock: Callable[[], float] = time.time,
        events: AuthEvents | None = None,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._clock = clock
        self._events = events or AuthEvents()
        self._flight: FreshSingleFlight[Mapping[str, datetime]] = FreshSingleFlight()
        self._began: Cache[str, float] = Cache(clock, size=_SIZE)

    async def check(self, token: str, user: User) -> None:
        """Return if the auth server lists the user's session now.

        Raises:
            AuthError: 401 `session_revoked`, or the auth server rejects the token.
            VerificationUnavailable: the auth server is unavailable.
            AuthServerMisconfigured: the auth server rejects this app.
        """
        await self._fetch_start(token, user)

    async def check_recent(self, token: str, user: User, within: timedelta) -> None:
        """Return if the user's session began within this time. The start never changes, so it is cached.

        A session whose tokens a terminal has is never recent: its user signed in elsewhere.

        Raises:
            AuthError: 401 `reauthentication_required` (RFC 9470), or as `check`.
            VerificationUnavailable, AuthServerMisconfigured: as `check`.
        """
        known = self._began.get(user.session_id or "")
        began = known.value if known else await self._fetch_start(token, user)
        if self._clock() - began > within.total_seconds() or await self._is_of_terminal(user.session_id or ""):
            raise AuthError("reauthentication_required", details={"max_age": int(within.total_seconds())})

    async def mark_of_terminal(self, session_id: str, seconds: float) -> None:
        """Note that a terminal has the tokens of a session, which no longer counts as a recent sign-in.

        Args:
            session_id: the session.
            seconds: how long it lives.

        Raises:
            VerificationUnavailable: Redis is unavailable.
        """
        with needing_storage():
            await self._storage.add(_terminal_key(session_id), seconds)

    async def _is_of_terminal(self, session_id: str) -> bool:
        with needing_storage():
            return await self._storage.get(_terminal_key(session_id), tolerant=False) is not None

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._flight.aclose()

    async def _fetch_start(self, token: str, user: User) -> float:
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


def _terminal_key(session_id: str) -> str:
    return f"terminal-session:{session_id}"
