"""Password hashes: argon2id for passwords set here, and bcrypt for hashes that a server sends.

Law: hashing runs in separate threads, never on the event loop.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from .errors import KnownError

Result = TypeVar("Result")
SHORTEST, LONGEST = 8, 70
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="emulator-password")


def check_length(password: str) -> None:
    """Reject a password that is too short or too long."""
    if len(password) < SHORTEST:
        raise KnownError("PASSWORD_TOO_SHORT", min_length=SHORTEST)
    if len(password) > LONGEST:
        raise KnownError("PASSWORD_TOO_LONG", maxLength=LONGEST)


async def on_a_thread(work: Callable[..., Result], *arguments: object) -> Result:
    """Run a slow function in a thread, without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, work, *arguments)


class Passwords:
    """Hash and verify passwords.

    Args:
        fast_hashes: Use the cheapest hashes, for tests with many users.
    """

    def __init__(self, *, fast_hashes: bool = False) -> None:
        time_cost, memory_cost = (1, 8) if fast_hashes else (2, 19456)  # 19456 KiB: OWASP's smallest recommended cost
        self._hasher = PasswordHasher(time_cost, memory_cost, parallelism=1)
        self._hash_without_user: str | None = None

    def hash_now(self, password: str) -> str:
        """Return a new hash of a password. This blocks the thread."""
        return self._hasher.hash(password)

    async def hash(self, password: str) -> str:
        """Return a new hash of a password."""
        return await on_a_thread(self.hash_now, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether a password matches a hash. Without a hash, this takes just as long."""
        return await on_a_thread(self._verify_now, password, stored)

    def _verify_now(self, password: str, stored: str | None) -> bool:
        if stored is not None and BCRYPT.fullmatch(stored):
            return bcrypt.checkpw(password.encode()[:72], stored.encode())  # bcrypt only reads 72 bytes
        if self._hash_without_user is None:
            self._hash_without_user = self.hash_now("the password of no user")
        try:
            return self._hasher.verify(stored or self._hash_without_user, password) and stored is not None
        except (Argon2Error, InvalidHashError):
            return False
