"""The keys that verify tokens: one fetch for all waiting requests, kept while the server is down (design decision 5).

Nothing waits on a lock and nothing sleeps. A known key is used at once, with one exception: an expired key set is
refreshed first, unless the last attempt failed. What a caller can cause is bounded: an unknown key id causes one fetch
per cool-down, and so does a server that fails.
"""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from fastapi_stackauth.client.resources.keys import FetchedKeys
from fastapi_stackauth.errors import AuthError, AuthServerError, ConfigurationError
from fastapi_stackauth.runtime.events import KEYS_FETCH_FAILED, KEYS_FETCHED, KEYS_SERVED_STALE, AuthEvents
from fastapi_stackauth.runtime.loops import PerLoop, SingleFlight
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.keys import KeySet, VerificationKey, read_key_set

MIN_MAX_AGE = 60.0
"""Seconds that keys are kept even if the server sends `no-store`, as servers before September 2025 do."""
KeyState = Literal["fresh", "stale", "fixed", "none"]
_PATIENCE = 0.5  # seconds that a request waits for the refresh of an expired key set before it uses a known key
_REFRESH_AHEAD = 0.8  # of a set's lifetime: a busy app refreshes in the background and never waits


class KeysUnavailable(Exception):
    """There is no usable key, so the token can be neither accepted nor rejected. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = max(1.0, retry_after)
        super().__init__("the signing keys are unavailable")


class _Cooldown:
    """When an unknown key id may cause the next fetch. There is one per event loop, as for fetches."""

    until = -math.inf


class KeyStore:
    """The project's keys by their id.

    Args:
        fetch: fetches the keys from the server.
        settings: max age, cool-down and stale limit, in seconds; fixed keys, which are then the only ones.
        clock: a monotonic clock, in seconds.
        events: count and log the fetches.

    Attributes:
        generation: the number of key sets fetched so far.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[FetchedKeys]],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        events: AuthEvents | None = None,
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._clock = clock
        self._events = events or AuthEvents()
        self._keys: KeySet = {}
        self._flight: SingleFlight[bool] = SingleFlight()
        self._cooldown: PerLoop[_Cooldown] = PerLoop(_Cooldown)
        self._fetched_at = self._expires_at = self._retry_at = -math.inf
        self.refresh_at = -math.inf
        self.failing = False
        self.last_error: str | None = None
        self.last_failure: AuthServerError | ValueError | None = None
        self._served_stale = self._events.tally(KEYS_SERVED_STALE)
        self.generation = 0
        if settings.jwks is not None:
            self._keys = _read_fixed_keys(settings.jwks)
            self._fetched_at = self._expires_at = self.refresh_at = math.inf

    @property
    def state(self) -> KeyState:
        """Whether the keys are fresh, expired but in use, fixed by the settings, or missing."""
        if self._fetched_at == math.inf:
            return "fixed"
        if not self._usable():
            return "none"
        return "fresh" if self._clock() < self._expires_at else "stale"

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the keys were fetched; None if they were not."""
        return self._clock() - self._fetched_at if math.isfinite(self._fetched_at) else None

    @property
    def may_try(self) -> bool:
        """Whether the cool-down after a failed fetch is over."""
        return self._clock() >= self._retry_at

    def is_current(self, key: VerificationKey) -> bool:
        """Whether tokens of this key are still valid: the key is in the current set, which is fresh enough."""
        return self._keys.get(key.key_id) is key and (self._clock() < self.refresh_at or self._is_settled())

    async def find(self, key_id: str) -> VerificationKey:
        """Return the key of this id.

        Raises:
            AuthError: `token_key_unknown`: the server has no such key, by a recent fetch.
            KeysUnavailable: the server is unavailable.
        """
        if self._clock() < self.refresh_at and (key := self._keys.get(key_id)):
            return key
        if self._usable() and key_id in self._keys:
            await self._keep_fresh()
            if key := self._keys.get(key_id):
                return key
        return await self._find_missing(key_id)

    async def warm_up(self) -> None:
        """Fetch the keys now, so that the first request does not wait.

        Raises:
            KeysUnavailable: the fetch failed.
        """
        if math.isinf(self._fetched_at) and self._fetched_at > 0:
            return
        if not await self._flight.run("keys", self._refresh):
            raise KeysUnavailable(self._retry_at - self._clock()) from self.last_failure

    async def aclose(self) -> None:
        """Cancel the fetch of the running loop."""
        await self._flight.aclose()

    # --- refresh ---

    def _usable(self) -> bool:
        limit = max(self._expires_at, self._fetched_at + self._settings.jwks_stale_limit)
        return self._clock() < limit

    def _is_settled(self) -> bool:
        """Whether the current set may be used at once; starts a refresh in the background if one is due."""
        now = self._clock()
        if now < self.refresh_at:
            return True
        expired = now >= self._expires_at
        if now >= self._retry_at and (self.failing or not expired):
            self._flight.start("keys", self._refresh)
        if expired and not self.failing:
            return False
        usable = self._usable()
        if expired and usable:
            self._served_stale.add()
        return usable

    async def _keep_fresh(self) -> None:
        if self._is_settled():
            return
        refresh = self._flight.start("keys", self._refresh)
        await asyncio.wait([refresh], timeout=_PATIENCE)
        if self._clock() >= self._expires_at:
            self._served_stale.add()

    async def _find_missing(self, key_id: str) -> VerificationKey:
        for _ in range(2):  # a fetch that began before this call may have missed the key, so fetch once more
            joined = self._flight.running("keys")
            if not joined and not self._may_fetch():
                break
            await self._flight.run("keys", self._refresh)
            if self._usable() and (key := self._keys.get(key_id)):
                if not joined:
                    self._cooldown.get().until = -math.inf  # a real rotation: the next one does not have to wait
                return key
            if not joined:
                break
        if self.failing or not self._usable():
            raise KeysUnavailable(self._cooldown.get().until - self._clock())
        raise AuthError("token_key_unknown", reason=f"kid {key_id!r}")

    def _may_fetch(self) -> bool:
        """Whether an unknown key id may cause a fetch now; if so, start the cool-down."""
        now, cooldown = self._clock(), self._cooldown.get()
        if self._fetched_at == math.inf or now < cooldown.until:
            return False
        cooldown.until = now + self._settings.jwks_cooldown
        return True

    async def _refresh(self) -> bool:
        with self._events.span("stackauth.fetch_keys") as span:
            code = await self._load()
            if code is not None:
                span.fail(code)
        return code is None

    async def _load(self) -> str | None:
        """Fetch the keys; return the code of the failure, or None."""
        begun = self._clock()
        try:
            fetched = await self._fetch()
            keys = read_key_set(fetched.document, self._keys)
        except (AuthServerError, ValueError) as error:
            self.failing = True
            code = error.code if isinstance(error, AuthServerError) else "key_set_unreadable"
            self.last_error = code
            self.last_failure = error.with_traceback(None)  # its frames would keep the response alive
            self._retry_at = self._clock() + self._settings.jwks_cooldown
            duration = self._clock() - begun
            self._events.emit(KEYS_FETCH_FAILED, reason=code, duration=duration, detail=str(error))
            return code
        self._take(keys, fetched.max_age)
        self._events.emit(KEYS_FETCHED, duration=self._clock() - begun, keys=len(keys))
        return None

    def _take(self, keys: KeySet, max_age: float | None) -> None:
        limit = self._settings.jwks_max_age
        lifetime = min(max(MIN_MAX_AGE, limit if max_age is None else max_age), limit)
        self._keys, self.failing, self.last_error, self.last_failure = keys, False, None, None
        self.generation += 1
        self._fetched_at = self._clock()
        self._expires_at = self._fetched_at + lifetime
        self.refresh_at = self._fetched_at + lifetime * _REFRESH_AHEAD
        self._retry_at = -math.inf


def _read_fixed_keys(source: dict[str, Any] | Path) -> KeySet:
    try:
        document = json.loads(source.read_text("utf-8")) if isinstance(source, Path) else source
        return read_key_set(document)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"jwks: {error}") from None
