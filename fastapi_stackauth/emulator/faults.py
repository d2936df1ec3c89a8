"""Faults on order: an endpoint that fails, or is slow, for a while.

Law: a fault names a method and the beginning of a path; it ends after so many requests or so many seconds.
"""

from dataclasses import dataclass

from .clock import Clock


@dataclass
class Fault:
    """One fault: respond with `status` (or as usual if None) after `delay` seconds."""

    path: str
    method: str | None
    status: int | None
    delay: float
    retry_after: int | None
    times_left: int | None
    until: float | None


class Faults:
    """The faults that are switched on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Switch every fault off."""
        self._faults.clear()

    def is_pending(self, path: str) -> bool:
        """Return whether a fault of exactly this path has requests left to hit."""
        return any(fault.path == path and fault.times_left != 0 for fault in self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits a request, and count it."""
        now = self._clock.now()
        self._faults = [
            fault for fault in self._faults if fault.times_left != 0 and (fault.until is None or now < fault.until)
        ]
        for fault in self._faults:
            if path.startswith(fault.path) and fault.method in (None, method):
                if fault.times_left is not None:
                    fault.times_left -= 1
                return fault
        return None
