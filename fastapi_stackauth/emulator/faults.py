"""Injected faults: an endpoint that fails or is slow for a while.

Law: a fault applies to a method and the beginning of a path, and ends after a number of requests or seconds.
"""

from dataclasses import dataclass

from .clock import Clock


@dataclass
class Fault:
    """A fault: respond with `status` (or normally if None) after `delay` seconds."""

    path: str
    method: str | None
    status: int | None
    delay: float
    retry_after: int | None
    times_left: int | None
    until: float | None


class Faults:
    """The active faults."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def is_pending(self, path: str) -> bool:
        """Return whether a fault for exactly this path still applies to further requests."""
        return any(fault.path == path and fault.times_left != 0 for fault in self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for a request, and count the request."""
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
