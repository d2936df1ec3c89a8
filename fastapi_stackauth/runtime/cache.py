"""The cache of this library. It is bounded, each entry has an expiry, and concurrent callers share a fetch.

Law: the cache never returns an expired entry, and never stores a value that was fetched before a call to `forget`.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from fastapi_stackauth.runtime.loops import SingleFlight

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Entry(NamedTuple, Generic[V]):
    """A cached value and its expiry, in seconds of the cache's clock."""

    value: V
    until: float


class Cache(Generic[K, V]):
    """Values by key. It is thread-safe; callers in the same event loop share fetches.

    Args:
        clock: Returns the time in seconds, Unix or monotonic.
        size: The maximum number of entries. The least recently used one is evicted first.
        concurrency: The maximum number of concurrent fetches in an event loop; None for no limit.
    """

    def __init__(self, clock: Callable[[], float], *, size: int, concurrency: int | None = None) -> None:
        self._clock = clock
        self._size = size
        self._concurrency = concurrency
        self._entries: OrderedDict[K, Entry[V]] = OrderedDict()
        self._flight: SingleFlight[V] = SingleFlight()
        self._generation = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> Entry[V] | None:
        """Return the entry for a key, or None if there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.until:
            return None
        try:  # noqa: SIM105 - this runs on every request, and `suppress` takes longer than the rest of the function
            self._entries.move_to_end(key)
        except KeyError:  # another thread may have just dropped the entry; the value is still correct
            pass
        return entry

    def put(self, key: K, value: V, until: float) -> None:
        """Store a value until this time."""
        self._entries[key] = Entry(value, until)
        while len(self._entries) > self._size:
            self._drop_oldest()

    def pop(self, key: K) -> None:
        """Drop the entry for a key, if there is one."""
        self._entries.pop(key, None)

    def forget(self, predicate: Callable[[K, V], bool]) -> None:
        """Drop every entry that the predicate selects, and do not store the result of any running fetch."""
        self._generation += 1
        for key, entry in list(self._entries.items()):
            if predicate(key, entry.value):
                self.pop(key)

    def has_room(self, key: K) -> bool:
        """Return whether a fetch for this key may start or join a running one."""
        return self._concurrency is None or self._flight.running(key) or self._flight.count() < self._concurrency

    async def fetch(self, key: K, load: Callable[[], Awaitable[Entry[V]]]) -> V:
        """Return the result of `load`, and cache it. Concurrent callers share the call.

        Args:
            key: The key of the entry.
            load: Fetches the value and its expiry.

        Raises:
            Exception: Any exception that `load` raises. In that case, nothing is cached.
        """
        return await self._flight.run(key, lambda: self._load(key, load))

    async def aclose(self) -> None:
        """Cancel the fetches that run in this event loop."""
        await self._flight.aclose()

    async def _load(self, key: K, load: Callable[[], Awaitable[Entry[V]]]) -> V:
        generation = self._generation
        entry = await load()
        if generation == self._generation:  # otherwise the value may be older than the last `forget`
            self.put(key, entry.value, entry.until)
        return entry.value

    def _drop_oldest(self) -> None:
        try:  # noqa: SIM105 - as in `get`
            self._entries.popitem(last=False)
        except KeyError:  # another thread is evicting too
            pass
