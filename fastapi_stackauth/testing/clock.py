"""The clock that the emulator and the app under test share."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # needs an extra, which a TokenFactory alone does without


class Clock:
    """The real time plus an offset that the test sets. Only authentication uses it, not `time.time()` or timers."""

    def __init__(self, emulator: "Emulator") -> None:
        self._clock = emulator.clock

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self._clock.now()

    def advance(self, by: float | timedelta) -> None:
        """Advance by seconds or a timedelta; a negative value goes back.

        Access tokens live 600 seconds, and apps accept them for `leeway` (5 seconds) longer.
        """
        self._clock.advance(by.total_seconds() if isinstance(by, timedelta) else by)

    def reset(self) -> None:
        """Return to the real time."""
        self._clock.reset()
