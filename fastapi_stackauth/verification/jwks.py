"""The keys that verify tokens: fetched once for all who wait, kept while the server is down (design decision 5).

Nothing waits on a lock and nothing sleeps. A key that is known is served at once, but for one case: a set that has
outlived its time is renewed first, unless the last try failed. What a caller may cause is bounded: an unknown key id
leads to one fetch in each cool-down, and so does a server that fails.
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
"""Seconds that keys are kept even where the server says `no-store`, as servers before September 2025 do."""
KeyState = Literal["fresh", "stale", "fixed", "none"]
_PATIENCE = 0.5  # seconds that a request waits for a set that has outlived its time; known keys serve after that
_REFRESH_AHEAD = 0.8  # of a set's lifetime: a busy app renews in the background and never waits


class KeysUnavailable(Exception):
    """No key can be had now, so the token can be neither accepted nor refused here. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = max(1.0, retry_after)
        super().__init__("signing keys are out of reach")


class _Cooldown:
    """When an unknown key id may next cause a fetch. One for each event loop, as fetches are."""

    until = -math.inf


class KeyStore:
    """The project's keys by their id.

    Args:
        fetch: asks the server for its keys.
        settings: max age, cool-down and stale limit, in seconds; seeded keys, which are then the only ones.
        clock: a monotonic clock, in seconds.
        events: where fetches are counted and told.

    Attributes:
        generation: how many key sets have been fetched, so that a caller sees whether there was a newer one.
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
        """How the keys at hand are: within their time, past it and still serving, fixed by the settings, or none."""
        if self._fetched_at == math.inf:
            return "fixed"
        if not self._usable():
            return "none"
        return "fresh" if self._clock() < self._expires_at else "stale"

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the keys at hand were fetched; None where they were not."""
        return self._clock() - self._fetched_at if math.isfinite(self._fetched_at) else None

    @property
    def may_try(self) -> bool:
        """Whether a fetch may be tried now, the last failed one being long enough ago."""
        return self._clock() >= self._retry_at

    def peek(self, key_id: str) -> VerificationKey | None:
        """The key of this id in the present set, whatever its age."""
        return self._keys.get(key_id)

    def is_current(self, key: VerificationKey) -> bool:
        """Whether what this key verified still stands: it is in the present set, and no newer one need be awaited."""
        return self._keys.get(key.key_id) is key and (self._clock() < self.refresh_at or self._is_settled())

    async def find(self, key_id: str) -> VerificationKey:
        """The key of this id.

        Raises:
            AuthError: `token_key_unknown`: the server was asked lately and has no such key.
            KeysUnavailable: the server cannot be asked.
        """
        if self._clock() < self.refresh_at and (key := self._keys.get(key_id)):
            return key
        if self._usable() and key_id in self._keys:
            await self._keep_fresh()
            if key := self._keys.get(key_id):
                return key
        return await self._find_missing(key_id)

    async def warm_up(self) -> None:
        """Fetch the keys now, so that the first request need not wait.

        Raises:
            KeysUnavailable: where that failed.
        """
        if math.isinf(self._fetched_at) and self._fetched_at > 0:
            return
        if not await self._flight.run("keys", self._refresh):
            raise KeysUnavailable(self._retry_at - self._clock()) from self.last_failure

    async def aclose(self) -> None:
        """Cancel a fetch under way in the running loop."""
        await self._flight.aclose()

    # --- renewal ---

    def _usable(self) -> bool:
        limit = max(self._expires_at, self._fetched_at + self._settings.jwks_stale_limit)
        return self._clock() < limit

    def _is_settled(self) -> bool:
        """Whether the present set may serve at once; starts a renewal in the background where one is due."""
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
        renewal = self._flight.start("keys", self._refresh)
        await asyncio.wait([renewal], timeout=_PATIENCE)
        if self._clock() >= self._expires_at:
            self._served_stale.add()

    async def _find_missing(self, key_id: str) -> VerificationKey:
        for _ in range(2):  # a fetch that began before this key was asked for may have missed it: once more then
            joined = self._flight.running("keys")
            if not joined and not self._may_fetch():
                break
            await self._flight.run("keys", self._refresh)
            if self._usable() and (key := self._keys.get(key_id)):
                if not joined:
                    self._cooldown.get().until = -math.inf  # a true rotation; the next one need not wait
                return key
            if not joined:
                break
        if self.failing or not self._usable():
            raise KeysUnavailable(self._cooldown.get().until - self._clock())
        raise AuthError("token_key_unknown", reason=f"kid {key_id!r}")

    def _may_fetch(self) -> bool:
        """Whether an unknown key id may cause a fetch now; if so, the cool-down begins."""
        now, cooldown = self._clock(), self._cooldown.get()
        if self._fetched_at == math.inf or now < cooldown.until:
            return False
        cooldown.until = now + self._settings.jwks_cooldown
        return True

    async def _refresh(self) -> bool:
        begun = self._clock()
        try:
            fetched = await self._fetch()
            keys = read_key_set(fetched.document, self._keys)
        except (AuthServerError, ValueError) as error:
            self.failing = True
            self.last_error = error.code if isinstance(error, AuthServerError) else "key_set_unreadable"
            self.last_failure = error.with_traceback(None)  # its frames would keep the response alive
            self._retry_at = self._clock() + self._settings.jwks_cooldown
            duration = self._clock() - begun
            self._events.emit(KEYS_FETCH_FAILED, reason=self.last_error, duration=duration, detail=str(error))
            return False
        self._take(keys, fetched.max_age)
        self._events.emit(KEYS_FETCHED, duration=self._clock() - begun, keys=len(keys))
        return True

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
