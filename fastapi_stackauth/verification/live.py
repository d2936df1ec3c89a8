"""Check in the auth server's list of sessions whether a session still exists, and when it began.

A token alone does not show this: it is valid until it expires even if its session has ended, and a refresh needs no
sign-in (contract/tokens.md §1 and §3).
"""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from fastapi_stackauth.errors import AuthError, AuthServerError
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import AuthEvents
from fastapi_stackauth.runtime.loops import FreshSingleFlight, PerLoop
from fastapi_stackauth.runtime.storage import Storage, needing_storage
from fastapi_stackauth.verification.rejections import require_rejection

_SIZE = 10_000


class SharedCheck:
    """The repeated check of one session, which all its watches in an event loop share.

    The auth server gets one question in each interval, however many connections the session has. The first one comes at
    a random moment of the interval, so that connections that open together do not ask together.

    Args:
        every: The interval, in seconds.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due = asyncio.get_running_loop().time() + every * random.random()  # noqa: S311 - it spreads load
        self._asking = asyncio.Lock()
        self._revoked = False

    def seconds_left(self) -> float:
        """Return the time until the next check is due."""
        return self._due - asyncio.get_running_loop().time()

    async def run(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Check that the session still exists, unless another watch has just checked it.

        Raises:
            AuthError: 401 `session_revoked`, or `ask` raises another one.
            AuthServerError: The error of `ask`. The other watches wait for the next interval.
        """
        async with self._asking:
            if self._revoked:
                raise AuthError("session_revoked")
            if self.seconds_left() > 0:
                return
            try:
                await ask()
            except AuthError as error:
                self._revoked = error.code == "session_revoked"
                raise
            except AuthServerError:
                self._postpone()
                raise
            self._postpone()

    def _postpone(self) -> None:
        self._due = asyncio.get_running_loop().time() + self._every


class LiveSessions:
    """Fetches the sessions of users. Concurrent checks share a call.

    Args:
        sessions: Returns the ids and the start times of the current sessions of an access token's user.
        storage: Stores which sessions belong to terminals.
        clock: Unix time in seconds.
        events: Counts and logs failures.
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
        self._shared: PerLoop[WeakValueDictionary[Hashable, SharedCheck]] = PerLoop(WeakValueDictionary)

    def share(self, check: object, session_id: str | None, every: float) -> SharedCheck:
        """Return the check that all watches of a session share. It exists as long as one of them.

        Args:
            check: The function that calls the auth server.
            session_id: The id of the session. Without one, the check is not shared.
            every: The interval, in seconds.
        """
        shared, key = self._shared.get(), (id(check), session_id, every)
        found = shared.get(key) if session_id else None
        if found is None:
            found = SharedCheck(every)
            if session_id:
                shared[key] = found
        return found

    async def check(self, token: str, user: User) -> None:
        """Check that the auth server's list currently contains the user's session.

        Raises:
            AuthError: 401 `session_revoked`, or the error for a token that the auth server rejects.
            VerificationUnavailable: The auth server is unavailable.
            AuthServerMisconfigured: The auth server rejects this app.
        """
        await self._fetch_start(token, user)

    async def check_recent(self, token: str, user: User, within: timedelta) -> None:
        """Check that the user's session began within this time. The start never changes, so it is cached.

        The session of a terminal never counts as recent, because its user signed in elsewhere.

        Raises:
            AuthError: 401 `reauthentication_required` (RFC 9470), or an error of `check`.
            VerificationUnavailable, AuthServerMisconfigured: The same as for `check`.
        """
        known = self._began.get(user.session_id or "")
        began = known.value if known else await self._fetch_start(token, user)
        if self._clock() - began > within.total_seconds() or await self._is_of_terminal(user.session_id or ""):
            raise AuthError("reauthentication_required", details={"max_age": int(within.total_seconds())})

    async def mark_of_terminal(self, session_id: str, seconds: float) -> None:
        """Record that a terminal has the tokens of a session, which then never counts as a recent sign-in.

        Args:
            session_id: The id of the session.
            seconds: The lifetime of the session.

        Raises:
            VerificationUnavailable: Redis is unavailable.
        """
        with needing_storage():
            await self._storage.add(_terminal_key(session_id), seconds)

    async def _is_of_terminal(self, session_id: str) -> bool:
        with needing_storage():
            return await self._storage.get(_terminal_key(session_id), tolerant=False) is not None

    async def aclose(self) -> None:
        """Cancel the calls that are running in this event loop."""
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
