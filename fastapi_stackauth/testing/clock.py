"""The time, as the emulator and the app under test both see it."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # needs an extra, which a TokenFactory alone does without


class Clock:
    """The real time, moved on as a test likes. Only authentication follows: not `time.time()`, nor timers."""

    def __init__(self, emulator: "Emulator") -> None:
        self._clock = emulator.clock

    def now(self) -> float:
        """Unix time in seconds."""
        return self._clock.now()

    def advance(self, by: float | timedelta) -> None:
        """Move on by seconds, or by a timedelta; back where it is negative. Access tokens live 600 seconds."""
        self._clock.advance(by.total_seconds() if isinstance(by, timedelta) else by)

    def reset(self) -> None:
        """Show the real time again."""
        self._clock.reset()
