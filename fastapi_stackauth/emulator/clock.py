"""The clock and the source of randomness.

Law: no other code in this folder reads a clock or generates random numbers. Both are arguments.
"""

import secrets
import time
import uuid
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CODE_LENGTH = 45


class Clock:
    """A clock with Unix time that can be advanced.

    Args:
        source: Returns the Unix time in seconds. By default, the system's clock.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """The difference between this clock and its source, in seconds."""
        return self._offset

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self._source() + self._offset

    def millis(self) -> int:
        """Return the Unix time in milliseconds."""
        return int(self.now() * 1000)

    def advance(self, seconds: float) -> None:
        """Advance the clock. A negative number of seconds moves it back."""
        self._offset += seconds

    def reset(self) -> None:
        """Return to the source's time."""
        self._offset = 0.0


YEAR_3000 = 32_503_680_000  # Unix seconds


def checked_advance(clock: Clock, seconds: float, *, from_real_time: bool = False) -> None:
    """Check that the clock stays between the years 1970 and 3000.

    Raises:
        ValueError: It would not.
    """
    start = clock.now() - (clock.offset if from_real_time else 0)
    if not 0 <= start + seconds <= YEAR_3000:
        raise ValueError("the clock must stay between the years 1970 and 3000")


class Chance:
    """Random values in the formats that the API uses.

    Args:
        draw: Returns the given number of random bytes. With `random.Random(7).randbytes`, runs are repeatable.
    """

    def __init__(self, draw: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._draw = draw

    def code(self, length: int = CODE_LENGTH) -> str:
        """Return lower-case Crockford base 32. The 45 characters contain at least 224 bits."""
        return "".join(ALPHABET[byte & 31] for byte in self._draw(length))

    def uuid(self) -> str:
        """Return a version 4 UUID."""
        return str(uuid.UUID(bytes=self._draw(16), version=4))

    def hex(self, size: int) -> str:
        """Return this number of random bytes in hexadecimal."""
        return self._draw(size).hex()

    def challenge(self) -> bytes:
        """Return a challenge for a passkey to sign."""
        return self._draw(32)

    def bytes(self, size: int) -> bytes:
        """Return this number of random bytes."""
        return self._draw(size)
