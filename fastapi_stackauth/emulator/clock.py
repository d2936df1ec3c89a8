"""The clock and the source of randomness.

Law: nothing else in this folder reads a clock or draws a random number; both are arguments.
"""

import secrets
import time
import uuid
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CODE_LENGTH = 45


class Clock:
    """Unix time that can be moved.

    Args:
        source: returns the seconds since 1970; the system's clock by default.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """How far this clock is ahead of its source, in seconds."""
        return self._offset

    def now(self) -> float:
        """Return unix seconds."""
        return self._source() + self._offset

    def millis(self) -> int:
        """Return unix milliseconds."""
        return int(self.now() * 1000)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back with a negative number of seconds."""
        self._offset += seconds

    def reset(self) -> None:
        """Show the source's time again."""
        self._offset = 0.0


YEAR_3000 = 32_503_680_000  # unix seconds


def checked_advance(clock: Clock, seconds: float, *, from_real_time: bool = False) -> None:
    """Reject to move a clock out of the years 1970 to 3000.

    Raises:
        ValueError: it would be.
    """
    start = clock.now() - (clock.offset if from_real_time else 0)
    if not 0 <= start + seconds <= YEAR_3000:
        raise ValueError("the clock must stay between the years 1970 and 3000")


class Chance:
    """Random values in the formats that the API uses.

    Args:
        draw: returns the given number of random bytes; `random.Random(7).randbytes` makes a run repeatable.
    """

    def __init__(self, draw: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._draw = draw

    def code(self, length: int = CODE_LENGTH) -> str:
        """Return lower-case Crockford base 32; 45 characters hold 224 bits and more."""
        return "".join(ALPHABET[byte & 31] for byte in self._draw(length))

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        return str(uuid.UUID(bytes=self._draw(16), version=4))

    def hex(self, size: int) -> str:
        """Return so many random bytes in hexadecimal."""
        return self._draw(size).hex()

    def challenge(self) -> bytes:
        """Return what a passkey has to sign."""
        return self._draw(32)

    def bytes(self, size: int) -> bytes:
        """Return so many random bytes."""
        return self._draw(size)
