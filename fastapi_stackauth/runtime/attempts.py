"""Count attempts in one process: exact sliding windows, constant work for each attempt, bounded memory.

Law: what an attacker can add is evicted before what they attack. Counters stand in levels by how many attempts they
hold. If there is no room, the oldest counter of the lowest level goes first, and a full counter goes last.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST_COUNTERS = 100_000
MOST_ATTEMPTS = 1_000_000
"""Attempts that are remembered at most, over all counters: about 32 MB."""
_FEWEST_COUNTERS = 100


class AttemptCounters:
    """Counters of attempts by key, all with the same limit.

    Args:
        amount: attempts that are allowed within a window.
        window: seconds.
        most: how many counters are kept; by default as many as the bounds of this module allow.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self, amount: int, window: float, most: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._amount = amount
        self._window = window
        self._most = most or max(_FEWEST_COUNTERS, min(MOST_COUNTERS, MOST_ATTEMPTS // amount))
        self._clock = clock
        self._times: dict[str, deque[float]] = {}
        self._levels: tuple[OrderedDict[str, None], ...] = tuple(OrderedDict() for _ in range(amount.bit_length() + 1))

    def __len__(self) -> int:
        return len(self._times)

    def hit(self, key: str) -> float:
        """Count one attempt, if it is allowed.

        Returns:
            Seconds to wait until the next attempt is allowed; zero if this one was counted.
        """
        now = self._clock()
        self._drop_expired(now)
        times = self._times.get(key)
        if times is not None and len(times) == self._amount and times[0] > now - self._window:
            self._levels[-1].move_to_end(key)
            return times[0] + self._window - now
        if times is None:
            self._make_room()
            times = self._times[key] = deque(maxlen=self._amount)
        else:
            del self._level(times)[key]
        self._add(times, now)
        self._level(times)[key] = None
        return 0.0

    def _add(self, times: deque[float], now: float) -> None:
        """Add an attempt and forget at most two: so a counter never keeps more than a window, for constant work."""
        for _ in range(2):
            if times and times[0] <= now - self._window:
                times.popleft()
        times.append(now)

    def _level(self, times: deque[float]) -> OrderedDict[str, None]:
        return self._levels[-1 if len(times) == self._amount else len(times).bit_length() - 1]

    def _drop_expired(self, now: float) -> None:
        """Drop the counter that was touched longest ago in each level, if its window is over."""
        for level in self._levels:
            if level:
                key = next(iter(level))
                if self._times[key][-1] <= now - self._window:
                    del level[key], self._times[key]

    def _make_room(self) -> None:
        if len(self._times) >= self._most:
            level = next(level for level in self._levels if level)
            key, _ = level.popitem(last=False)
            del self._times[key]
