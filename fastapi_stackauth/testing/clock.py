"""The clock that the emulator and the app under test share."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # this needs an extra, but a TokenFactory does not


class Clock:
    """The real time plus an offset that the test sets. Only authentication uses it, not `time.time()` or timers."""

    def __init__(self, emulator: "Emulator") -> None:
        self._clock = emulator.clock

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self._clock.now()

    def advance(self, by: float | timedelta) -> None:
        """Advance by seconds or a timedelta. A negative value moves the clock back.

        Access tokens are valid for 600 seconds, and apps accept them for another `leeway` (5 seconds).
        """
        self._clock.advance(by.total_seconds() if isinstance(by, timedelta) else by)

    def reset(self) -> None:
        """Return to the real time."""
        self._clock.reset()
