"""State of an event loop, such as connection pools and running calls. Event loops share none of it."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each running event loop. It is created on first use and dropped with the loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self) -> T:
        """Return the running loop's value.

        Raises:
            RuntimeError: No event loop is running.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._values:
                self._drop_closed()
                self._values[loop] = self._make()
            return self._values[loop]

    def pop(self) -> T | None:
        """Remove and return the running loop's value, if there is one."""
        with self._lock:
            return self._values.pop(asyncio.get_running_loop(), None)

    def _drop_closed(self) -> None:
        # A pool refers to its loop, so a weak key is not enough to drop the entry of a closed loop.
        for loop in [loop for loop in self._values if loop.is_closed()]:
            del self._values[loop]


class SingleFlight(Generic[T]):
    """Concurrent callers with the same key share one fetch.

    The fetch runs in its own task, so canceling one caller does not affect the others.
    """

    def __init__(self) -> None:
        self._tasks: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)

    def running(self, key: Hashable) -> bool:
        """Whether a fetch for this key is running in this event loop."""
        return key in self._tasks.get()

    def count(self) -> int:
        """The number of running fetches in this event loop."""
        return len(self._tasks.get())

    def start(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return the running fetch for this key, or start one."""
        tasks = self._tasks.get()
        if key not in tasks:
            tasks[key] = asyncio.create_task(_run(fetch))
            tasks[key].add_done_callback(lambda task: self._forget_task(tasks, key, task))
        return tasks[key]

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the fetch for this key, or raise its exception."""
        return await asyncio.shield(self.start(key, fetch))

    async def aclose(self) -> None:
        """Cancel what is under way in this loop."""
        tasks = list((self._tasks.pop() or {}).values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _forget_task(tasks: dict[Hashable, asyncio.Task[T]], key: Hashable, task: asyncio.Task[T]) -> None:
        tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # marks the exception as retrieved, because every caller may be gone by now


async def _run(fetch: Callable[[], Awaitable[T]]) -> T:
    return await fetch()


class FreshSingleFlight(Generic[T]):
    """Concurrent callers share a call that started after each of them arrived.

    A running call may have started too early for a new caller. So new callers share the next call, which starts after
    the running one. There are never more than two calls for a key.
    """

    def __init__(self) -> None:
        self._running: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)
        self._queued: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)

    def count(self) -> int:
        """The number of running and queued calls in this event loop."""
        return len(self._running.get()) + len(self._queued.get())

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call that starts after this one, or raise its exception."""
        queued = self._queued.get()
        if key not in queued:
            queued[key] = asyncio.create_task(self._follow(key, fetch))
            queued[key].add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(queued[key])

    async def aclose(self) -> None:
        """Cancel what is under way in this loop."""
        tasks = [*(self._running.pop() or {}).values(), *(self._queued.pop() or {}).values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        running, queued = self._running.get(), self._queued.get()
        if previous := running.get(key):
            await asyncio.wait([previous])
        task = running[key] = queued.pop(key)
        try:
            return await fetch()
        finally:
            if running.get(key) is task:
                del running[key]
