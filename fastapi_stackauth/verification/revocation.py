"""Sessions and users whose tokens are refused although they have not expired: what every verification looks at.

A token stays genuine until it expires, whatever became of its session (contract/tokens.md §1). What this app's own
routes end, and what webhooks tell, is put on a list of ids, kept until no such token can be alive. Every worker has the
whole list in its process, so that looking costs nothing; with Redis they tell each other, and a worker that was cut off
reads what it missed.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Literal

from fastapi_stackauth.errors import AuthError, VerificationUnavailable
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.events import (
    REVOCATION_ADDED,
    REVOCATIONS_CONNECT_FAILED,
    REVOCATIONS_CONNECTED,
    REVOCATIONS_DISCONNECTED,
    REVOCATIONS_PUBLISHED,
    REVOCATIONS_UNPUBLISHED,
    AuthEvents,
)
from fastapi_stackauth.runtime.loops import PerLoop, SingleFlight
from fastapi_stackauth.runtime.storage import Storage, StorageUnavailable
from fastapi_stackauth.settings import Settings

NAME = "revoked"
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0)
_TELL_SECONDS = 0.7
"""How long who revokes waits for the other workers to be told."""
_COMPARE_SECONDS = 60.0
"""How often a worker looks whether Redis still has all that it knows."""
_FIRST_READ_SECONDS = 1.0
"""How long a worker's first requests wait for what the others know already."""
_FORGET_SECONDS = 600.0
"""How long a worker that was cut off may hear late that something is out of date; longer than that is remembered."""
_SWEEP_EVERY = 1_000

LinkState = Literal["memory", "idle", "connected", "degraded"]


class _Follower:
    """What one event loop knows of its link to the other workers."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.tried = asyncio.Event()
        self.connected = False


class Revocations:
    """The list of revoked sessions and users.

    Args:
        settings: `revocation_ttl`, and what a lost link to Redis means.
        storage: tells the other workers, and hears from them.
        clock: unix time in seconds.
        events: where it is told what is added, and how the link fares.

    Attributes:
        shared: whether there are other workers to hear from.
        on_forget: is called with a user's and a team's id, either may be empty, when what is known of them is out of
            date.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        events: AuthEvents | None = None,
    ) -> None:
        self._ttl = settings.revocation_ttl
        self._strict = settings.revocation_outage == "error"
        self._storage = storage
        self.is_shared = storage.is_shared
        self._clock = clock
        self._events = events or AuthEvents()
        self._until: dict[str, float] = {}
        self._unpublished: dict[str, float] = {}
        self._added = 0
        self._waking: dict[str, list[Callable[[AuthError], object]]] = {}
        self.on_forget: Callable[[str, str], None] = lambda _user_id, _team_id: None
        self._followers: PerLoop[_Follower] = PerLoop(_Follower)
        self._telling: SingleFlight[None] = SingleFlight()

    def __len__(self) -> int:
        return len(self._until)

    @property
    def state(self) -> LinkState:
        """The running loop's link to the other workers: ``memory`` without Redis, ``idle`` before its first use."""
        if not self._storage.is_shared:
            return "memory"
        follower = self._followers.get()
        if follower.task is None:
            return "idle"
        return "connected" if follower.connected else "degraded"

    @property
    def untold(self) -> int:
        """How many revocations of this worker the others have not been told of yet."""
        return len(self._unpublished)

    async def check(self, user: User) -> None:
        """Refuse the user of a revoked session, or a revoked user, by what all workers know.

        Raises:
            AuthError: 401 `session_revoked` or `user_deleted`.
            VerificationUnavailable: the link to the other workers is lost and the settings say to refuse then.
        """
        if self.is_shared:
            await self.follow()
        self.check_here(user)

    def check_here(self, user: User) -> None:
        """Refuse the user of a revoked session, or a revoked user, by what this worker knows: two look-ups, no more.

        Raises:
            AuthError: 401 `session_revoked` or `user_deleted`.
        """
        if self._until:
            for fact in (_session(user.session_id), _user(user.id)):
                if self._holds(fact):
                    raise _refusal(fact)

    async def revoke_sessions(self, session_ids: Iterable[str]) -> None:
        """Refuse all tokens of these sessions from now on, in this worker at once, and in all that can be told."""
        await self._revoke([_session(session_id) for session_id in session_ids if _is_id(session_id)])

    async def revoke_user(self, user_id: str) -> None:
        """Refuse all tokens of this user from now on, in this worker at once, and in all that can be told."""
        await self._revoke([_user(user_id)] if _is_id(user_id) else [])

    async def forget(self, *, user_id: str = "", team_id: str = "") -> None:
        """Have all workers forget what they remember of a user, of a team, or of a user in a team."""
        if all(_is_id(value) for value in (user_id, team_id) if value):
            await self._add([f"f:{user_id}:{team_id}:{secrets.token_hex(8)}"], _FORGET_SECONDS)

    @contextmanager
    def waking(self, user: User, wake: Callable[[AuthError], object]) -> Iterator[None]:
        """Within the block, call `wake` once this session or user is revoked; from whatever thread learns of it."""
        facts = (_session(user.session_id), _user(user.id))
        for fact in facts:
            self._waking.setdefault(fact, []).append(wake)
            if self._holds(fact):
                wake(_refusal(fact))
        try:
            yield
        finally:
            for fact in facts:
                self._waking[fact].remove(wake)
                if not self._waking[fact]:
                    del self._waking[fact]

    async def follow(self) -> None:
        """Hear from the other workers from now on; the first time, wait a moment for what they know already.

        Raises:
            VerificationUnavailable: the link is lost and the settings say to refuse then.
        """
        follower = self._followers.get()
        if follower.connected or not self._storage.is_shared:
            return
        if follower.task is None:
            follower.task = asyncio.create_task(self._follow(follower))
        if not follower.tried.is_set():
            waiting = asyncio.ensure_future(follower.tried.wait())
            await asyncio.wait([waiting], timeout=_FIRST_READ_SECONDS)
            waiting.cancel()
        if self._strict and not follower.connected:
            raise VerificationUnavailable(retry_after=1.0)

    async def aclose(self) -> None:
        """End the running loop's link to the other workers; what they could not be told is tried once more."""
        await self._telling.aclose()
        if self._unpublished:
            try:
                await self._tell()
            except StorageUnavailable:
                self._events.emit(REVOCATIONS_UNPUBLISHED, count=len(self._unpublished))
        follower = self._followers.pop()
        while follower is not None and follower.task is not None and not follower.task.done():
            follower.task.cancel()  # once is not enough: the client library may take it for its own time-out
            await asyncio.wait([follower.task], timeout=_RETRY_SECONDS[0])

    # --- the list ---

    def _holds(self, fact: str) -> bool:
        until = self._until.get(fact)
        return until is not None and until > self._clock()

    def _learn(self, news: Mapping[str, float]) -> None:
        for fact, until in news.items():
            new = not self._holds(fact)
            self._until[fact] = max(until, self._until.get(fact, 0.0))
            if new:
                self._apply(fact)
        self._added += len(news)
        if self._added >= max(_SWEEP_EVERY, len(self._until) // 2):
            self._added, now = 0, self._clock()
            for fact in [fact for fact, until in list(self._until.items()) if until <= now]:
                self._until.pop(fact, None)

    def _apply(self, fact: str) -> None:
        if fact.startswith("f:"):
            _, user_id, team_id, *_ = (*fact.split(":"), "", "")
            self.on_forget(user_id, team_id)
        for wake in list(self._waking.get(fact, ())):
            wake(_refusal(fact))

    async def _revoke(self, facts: list[str]) -> None:
        for fact in facts:
            self._events.emit(REVOCATION_ADDED, kind="session" if fact.startswith("s:") else "user")
        await self._add(facts, self._ttl)

    async def _add(self, facts: list[str], seconds: float) -> None:
        """Put facts on the list, and wait a moment for the others to be told; it goes on if that takes longer."""
        if not facts:
            return
        news = dict.fromkeys(facts, self._clock() + seconds)
        self._learn(news)
        if not self._storage.is_shared:
            return
        self._unpublished.update(news)
        await asyncio.wait([self._telling.start(NAME, self._keep_telling)], timeout=_TELL_SECONDS)

    # --- the other workers ---

    async def _tell(self) -> None:
        news = dict(self._unpublished)
        await self._storage.publish(NAME, news, self._ttl)
        for fact, until in news.items():
            if self._unpublished.get(fact) == until:
                del self._unpublished[fact]

    async def _keep_telling(self) -> None:
        """Try until the others are told, however long that takes."""
        attempt = 0
        while self._unpublished:
            try:
                await self._tell()
            except StorageUnavailable:
                if attempt == 0:
                    self._events.emit(REVOCATIONS_UNPUBLISHED, count=len(self._unpublished))
                await asyncio.sleep(_pause(attempt))
                attempt += 1
        if attempt:
            self._events.emit(REVOCATIONS_PUBLISHED, attempts=attempt)

    async def _follow(self, follower: _Follower) -> None:
        attempt, compare_at = 0, 0.0
        while True:
            try:
                async with aclosing(self._storage.follow(NAME)) as stream:
                    async for facts, whole in stream:
                        self._learn(facts)
                        if whole:
                            self._give_back(set(facts))
                            attempt, compare_at = 0, self._clock() + _COMPARE_SECONDS
                            self._on_link_change(follower, connected=True)
                        elif self._clock() >= compare_at:
                            compare_at = self._clock() + _COMPARE_SECONDS
                            if await self._storage.count(NAME) < len(self._live()):
                                self._give_back(set())
            except StorageUnavailable as error:
                self._events.emit(REVOCATIONS_CONNECT_FAILED, reason=type(error.__cause__).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it is, the link must be tried again
                reason = type(error).__name__
                self._events.emit(REVOCATIONS_CONNECT_FAILED, level=logging.ERROR, exc_info=error, reason=reason)
            self._on_link_change(follower, connected=False)
            await asyncio.sleep(_pause(attempt))
            attempt += 1

    def _give_back(self, known: set[str]) -> None:
        """Tell again what Redis has forgotten: restarted, emptied, or out of room."""
        lacking = {fact: until for fact, until in self._live().items() if fact not in known}
        if lacking:
            self._unpublished.update(lacking)
            self._telling.start(NAME, self._keep_telling)

    def _live(self) -> dict[str, float]:
        now = self._clock()
        return {fact: until for fact, until in list(self._until.items()) if until > now}

    def _on_link_change(self, follower: _Follower, *, connected: bool) -> None:
        if connected != follower.connected or not follower.tried.is_set():
            follower.connected = connected
            self._events.emit(REVOCATIONS_CONNECTED if connected else REVOCATIONS_DISCONNECTED)
        follower.tried.set()


def _session(session_id: str | None) -> str:
    return f"s:{session_id}"


def _user(user_id: str) -> str:
    return f"u:{user_id}"


def _refusal(fact: str) -> AuthError:
    return AuthError("session_revoked" if fact.startswith("s:") else "user_deleted")


def _pause(attempt: int) -> float:
    return _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]


def _is_id(value: str) -> bool:
    """Whether this can be an id: visible ASCII without blanks and colons."""
    return 0 < len(value) <= 100 and value.isascii() and value.isprintable() and not set(value) & {" ", ":"}
