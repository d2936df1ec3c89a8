"""Revocation: sessions and users whose tokens the verifier rejects before they expire.

A token is valid until it expires, even if its session has ended (contract/tokens.md §1). This app's own routes and
webhooks add the ids of sessions and users to a list, which keeps them until all their tokens have expired. Every worker
has the whole list in memory, so that a check costs two lookups. With Redis the workers share it, and a worker that was
disconnected reads the entries that it missed.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
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
from fastapi_stackauth.runtime.storage import Phase, Storage, StorageUnavailable
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.entries import Entries, in_slices

NAME = "revoked"
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0)
_PUBLISH_SECONDS = 0.7
"""How many seconds a revocation waits until the other workers have received it."""
_COMPARE_SECONDS = 60.0
"""Seconds after which a worker checks that Redis still has all its entries."""
_FIRST_READ_SECONDS = 1.0
"""How many seconds a worker's first requests wait for the other workers' entries."""
_FORGET_SECONDS = 600.0
"""How many seconds workers remember that a cached value is outdated. No cache keeps a value longer than this."""
_SWEEP_EVERY = 16
_SLICE = 1_000
"""The number of entries that the worker handles before it lets other tasks of the event loop run."""

LinkState = Literal["memory", "idle", "connected", "degraded"]


class _Follower:
    """The connection of one event loop to the other workers."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.tried = asyncio.Event()
        self.connected = False
        self.attempts = 0


class Revocations:
    """The list of revoked sessions and users.

    Args:
        settings: `revocation_ttl` and `revocation_outage`.
        storage: Publishes entries to the other workers and receives theirs.
        clock: Unix time in seconds.
        events: Counts and logs entries, and the state of the connection.

    Attributes:
        is_shared: Whether the workers share the list.
        entries: The expiry of each entry. Only this class changes it.
        on_forget: Called when cached values are outdated, with a user's id and a team's id. Either may be empty.
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
        self.entries = Entries()
        self._unpublished = Entries()
        self._added = 0
        self._listeners: dict[str, list[Callable[[AuthError], object]]] = {}
        self.on_forget: Callable[[str, str], None] = lambda _user_id, _team_id: None
        self._followers: PerLoop[_Follower] = PerLoop(_Follower)
        self._publishing: SingleFlight[None] = SingleFlight()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def state(self) -> LinkState:
        """The connection to the other workers: ``memory`` without Redis, ``idle`` before the first use."""
        if not self._storage.is_shared:
            return "memory"
        follower = self._followers.get()
        if follower.task is None:
            return "idle"
        return "connected" if follower.connected else "degraded"

    @property
    def unpublished_count(self) -> int:
        """The number of this worker's revocations that the other workers have not received yet."""
        return len(self._unpublished)

    async def check(self, user: User) -> None:
        """Reject a revoked user, or the user of a revoked session.

        Raises:
            AuthError: 401 `session_revoked` or `user_deleted`.
            VerificationUnavailable: Redis is unavailable, and `revocation_outage` is ``error``.
        """
        if self.is_shared:
            await self.follow()
        self.check_here(user)

    def check_here(self, user: User) -> None:
        """Like `check`, but look up only this worker's entries.

        Raises:
            AuthError: 401 `session_revoked` or `user_deleted`.
        """
        for entry in (_session(user.session_id), _user(user.id)):
            if self._has(entry):
                raise _to_error(entry)

    async def revoke_sessions(self, session_ids: Iterable[str]) -> None:
        """Reject all tokens of these sessions: now in this worker, and in the others when they receive the entry."""
        await self._revoke([_session(session_id) for session_id in session_ids if _is_id(session_id)])

    async def revoke_user(self, user_id: str) -> None:
        """Reject all tokens of this user: now in this worker, and in the others when they receive the entry."""
        await self._revoke([_user(user_id)] if _is_id(user_id) else [])

    async def forget(self, *, user_id: str = "", team_id: str = "") -> None:
        """Make all workers drop cached values about a user, a team, or a user in a team."""
        if all(_is_id(value) for value in (user_id, team_id) if value):
            await self._add([f"f:{user_id}:{team_id}:{secrets.token_hex(8)}"], _FORGET_SECONDS)

    @contextmanager
    def notify(self, user: User, listener: Callable[[AuthError], object]) -> Iterator[None]:
        """Within the block, call `listener` if this session or user is revoked. The call may come from any thread."""
        entries = (_session(user.session_id), _user(user.id))
        for entry in entries:
            self._listeners.setdefault(entry, []).append(listener)
            if self._has(entry):
                listener(_to_error(entry))
        try:
            yield
        finally:
            for entry in entries:
                self._listeners[entry].remove(listener)
                if not self._listeners[entry]:
                    del self._listeners[entry]

    async def follow(self) -> None:
        """Receive the entries of the other workers from now on. The first call waits for the existing entries.

        Raises:
            VerificationUnavailable: Redis is unavailable, and `revocation_outage` is ``error``.
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
        """Close the connection of this event loop, after a last attempt to publish to the other workers."""
        await self._publishing.aclose()
        if len(self._unpublished):
            try:
                await self._publish()
            except StorageUnavailable:
                self._events.emit(REVOCATIONS_UNPUBLISHED, count=len(self._unpublished))
        follower = self._followers.pop()
        while follower is not None and follower.task is not None and not follower.task.done():
            follower.task.cancel()  # repeated, because the client library may mistake it for its own timeout
            await asyncio.wait([follower.task], timeout=_RETRY_SECONDS[0])

    # --- the list ---

    def _has(self, entry: str) -> bool:
        until = self.entries.get(entry)
        return until is not None and until > self._clock()

    def learn(self, news: Mapping[str, float]) -> None:
        """Add a few entries with their expiry in this worker only. An earlier expiry never replaces a later one."""
        for entry, until in news.items():
            new = not self._has(entry)
            self.entries.put(entry, until)
            if new:
                self._apply(entry)
        self._added += len(news)
        if self._added >= _SWEEP_EVERY:
            self.entries.sweep(self._clock(), self._added)
            self._added = 0

    async def _learn(self, news: Mapping[str, float]) -> None:
        """Add any number of entries, and let other tasks run in between."""
        for piece in in_slices(news.items(), _SLICE):
            self.learn(piece)
            if len(news) > _SLICE:
                await asyncio.sleep(0)

    def _apply(self, entry: str) -> None:
        if entry.startswith("f:"):
            _, user_id, team_id, *_ = (*entry.split(":"), "", "")
            self.on_forget(user_id, team_id)
        for listener in list(self._listeners.get(entry, ())):
            listener(_to_error(entry))

    async def _revoke(self, entries: list[str]) -> None:
        for entry in entries:
            self._events.emit(REVOCATION_ADDED, kind="session" if entry.startswith("s:") else "user")
        await self._add(entries, self._ttl)

    async def _add(self, entries: list[str], seconds: float) -> None:
        """Add entries and publish them. After `_PUBLISH_SECONDS`, publishing continues in the background."""
        if not entries:
            return
        news = dict.fromkeys(entries, self._clock() + seconds)
        await self._learn(news)
        if not self._storage.is_shared:
            return
        for entry, until in news.items():
            self._unpublished.put(entry, until)
        await asyncio.wait([self._publishing.start(NAME, self._keep_publishing)], timeout=_PUBLISH_SECONDS)

    # --- the other workers ---

    async def _publish(self) -> None:
        for entries in self._unpublished.pieces():
            for piece in in_slices(entries, _SLICE):
                await self._storage.publish(NAME, piece, self._ttl)
                for entry, until in piece.items():
                    self._unpublished.discard(entry, until)

    async def _keep_publishing(self) -> None:
        """Publish the pending entries, and retry until the other workers have all of them."""
        attempt = 0
        while len(self._unpublished):
            try:
                await self._publish()
            except StorageUnavailable:
                if attempt == 0:
                    self._events.emit(REVOCATIONS_UNPUBLISHED, count=len(self._unpublished))
                await asyncio.sleep(_pause(attempt))
                attempt += 1
        if attempt:
            self._events.emit(REVOCATIONS_PUBLISHED, attempts=attempt)

    async def _follow(self, follower: _Follower) -> None:
        while True:
            try:
                async with aclosing(self._storage.follow(NAME)) as stream:
                    await self._receive(stream, follower)
            except StorageUnavailable as error:
                self._events.emit(REVOCATIONS_CONNECT_FAILED, reason=type(error.__cause__).__name__)
            except Exception as error:  # noqa: BLE001 - after any error the worker must connect again
                reason = type(error).__name__
                self._events.emit(REVOCATIONS_CONNECT_FAILED, level=logging.ERROR, exc_info=error, reason=reason)
            self._on_link_change(follower, connected=False)
            await asyncio.sleep(_pause(follower.attempts))
            follower.attempts += 1

    async def _receive(self, stream: AsyncIterable[tuple[Mapping[str, float], Phase]], follower: _Follower) -> None:
        """Add the entries of the other workers, and publish entries that are missing in Redis."""
        missing, compare_at = Entries(), 0.0
        async for entries, phase in stream:
            await self._learn(entries)
            if phase == "start":
                missing = await self._copy_live()
            elif phase == "part":
                missing.discard_all(entries)
                await asyncio.sleep(0)
            elif phase == "whole":
                await self._publish_again(missing)
                follower.attempts, compare_at = 0, self._clock() + _COMPARE_SECONDS
                self._on_link_change(follower, connected=True)
            elif self._clock() >= compare_at:
                compare_at = self._clock() + _COMPARE_SECONDS
                await self._compare()

    async def _compare(self) -> None:
        """Publish all entries again if Redis has fewer."""
        live = await self._copy_live()
        if await self._storage.count(NAME) < len(live):
            await self._publish_again(live)

    async def _publish_again(self, missing: Entries) -> None:
        """Publish entries that Redis may have lost by a restart, a flush or eviction."""
        for piece in missing.pieces():
            for entry, until in piece:
                self._unpublished.put(entry, until)
            await asyncio.sleep(0)
        if len(missing):
            self._publishing.start(NAME, self._keep_publishing)

    async def _copy_live(self) -> Entries:
        """Return the entries that have not expired, and let other tasks run in between."""
        copied, now = Entries(), self._clock()
        for piece in self.entries.pieces():
            for entry, until in piece:
                if until > now:
                    copied.put(entry, until)
            await asyncio.sleep(0)
        return copied

    def _on_link_change(self, follower: _Follower, *, connected: bool) -> None:
        if connected != follower.connected or not follower.tried.is_set():
            follower.connected = connected
            self._events.emit(REVOCATIONS_CONNECTED if connected else REVOCATIONS_DISCONNECTED)
        follower.tried.set()


def _session(session_id: str | None) -> str:
    return f"s:{session_id}"


def _user(user_id: str) -> str:
    return f"u:{user_id}"


def _to_error(entry: str) -> AuthError:
    return AuthError("session_revoked" if entry.startswith("s:") else "user_deleted")


def _pause(attempt: int) -> float:
    return _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]


def _is_id(value: str) -> bool:
    """Whether this can be an id: visible ASCII without spaces and colons."""
    return 0 < len(value) <= 100 and value.isascii() and value.isprintable() and not set(value) & {" ", ":"}
