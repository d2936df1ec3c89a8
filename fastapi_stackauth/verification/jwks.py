"""The keys that verify tokens. Waiting requests share a fetch; keys stay in use while the server is down (decision 5).

No request waits for a lock or sleeps. The store returns a known key immediately, with one exception: it refreshes an
expired key set first, unless the last attempt failed. Callers can only cause a limited number of fetches: one per
cool-down for unknown key ids, and one per cool-down while the server fails.
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
"""How many seconds keys are kept even if the server sends `no-store`, as servers before September 2025 do."""
KeyState = Literal["fresh", "stale", "fixed", "none"]
_PATIENCE = 0.5  # seconds that a request waits for the refresh of an expired key set before it uses the old key
_REFRESH_AHEAD = 0.8  # the part of a key set's lifetime after which a busy app refreshes it in the background


class KeysUnavailable(Exception):
    """There is no usable key, so no token can be verified. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = max(1.0, retry_after)
        super().__init__("the signing keys are unavailable")


class _Cooldown:
    """When an unknown key id may cause the next fetch. Each event loop has its own cool-down and its own fetches."""

    until = -math.inf


class KeyStore:
    """The project's keys by their id.

    Args:
        fetch: Fetches the keys from the server.
        settings: Max age, cool-down and stale limit, in seconds. If they contain fixed keys, only those are used.
        clock: A monotonic clock, in seconds.
        events: Counts and logs the fetches.

    Attributes:
        generation: The number of key sets fetched so far.
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
        """Seconds since the last successful fetch; None if there was none."""
        return self._clock() - self._fetched_at if math.isfinite(self._fetched_at) else None

    @property
    def may_try(self) -> bool:
        """Whether the cool-down after a failed fetch is over."""
        return self._clock() >= self._retry_at

    def is_current(self, key: VerificationKey) -> bool:
        """Whether tokens signed with this key are still valid, because the current key set is fresh and contains it."""
        return self._keys.get(key.key_id) is key and (self._clock() < self.refresh_at or self._is_settled())

    async def find(self, key_id: str) -> VerificationKey:
        """Return the key with this id.

        Raises:
            AuthError: `token_key_unknown`: a recently fetched key set does not contain this key.
            KeysUnavailable: The server is unavailable.
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
            KeysUnavailable: The fetch failed.
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
        """Whether the current key set may be used immediately. Starts a background refresh if one is due."""
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
                    self._cooldown.get().until = -math.inf  # a real rotation, so the cool-down ends here
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
        """Fetch the keys. Return the error code if this fails, or None."""
        begun = self._clock()
        try:
            fetched = await self._fetch()
            keys = read_key_set(fetched.document, self._keys)
        except (AuthServerError, ValueError) as error:
            self.failing = True
            code = error.code if isinstance(error, AuthServerError) else "key_set_unreadable"
            self.last_error = code
            self.last_failure = error.with_traceback(None)  # its frames would keep the response in memory
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
