"""State of one event loop: HTTP pools and running calls. Nothing here is shared between loops."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each running event loop, made on first use, forgotten with its loop."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self) -> T:
        """The running loop's value.

        Raises:
            RuntimeError: outside a running event loop.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._values:
                self._drop_closed()
                self._values[loop] = self._make()
            return self._values[loop]

    def pop(self) -> T | None:
        """Forget and return the running loop's value, if there is one."""
        with self._lock:
            return self._values.pop(asyncio.get_running_loop(), None)

    def _drop_closed(self) -> None:
        # A pool refers to its loop, so the weak key alone would keep a closed loop's entry alive.
        for loop in [loop for loop in self._values if loop.is_closed()]:
            del self._values[loop]


class SingleFlight(Generic[T]):
    """Callers that ask for the same thing while it is being fetched share one fetch.

    The fetch is a task of its own: a canceled caller stops waiting and affects no other caller.
    """

    def __init__(self) -> None:
        self._tasks: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)

    def running(self, key: Hashable) -> bool:
        """Whether a fetch of this key is running in this loop."""
        return key in self._tasks.get()

    def count(self) -> int:
        """The number of fetches that are running in this loop."""
        return len(self._tasks.get())

    def start(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The fetch of this key that is under way, or a new one."""
        tasks = self._tasks.get()
        if key not in tasks:
            tasks[key] = asyncio.create_task(_run(fetch))
            tasks[key].add_done_callback(lambda task: self._forget_task(tasks, key, task))
        return tasks[key]

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Wait for the fetch of this key; raises what it raises."""
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
            task.exception()  # marks it as seen: every waiter may be gone by now


async def _run(fetch: Callable[[], Awaitable[T]]) -> T:
    return await fetch()


class FreshSingleFlight(Generic[T]):
    """Concurrent callers share a call that started after each of them arrived.

    A running call may have started too early for a new caller, so the caller does not join it: callers meanwhile share
    the one that follows. At most two calls for each question exist at a time.
    """

    def __init__(self) -> None:
        self._running: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)
        self._queued: PerLoop[dict[Hashable, asyncio.Task[T]]] = PerLoop(dict)

    def count(self) -> int:
        """The number of calls that are running or queued in this loop."""
        return len(self._running.get()) + len(self._queued.get())

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a call that starts from now on, or raise its error."""
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
