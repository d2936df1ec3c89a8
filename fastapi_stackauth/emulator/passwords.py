"""Password hashes: argon2id for what is set here, bcrypt for hashes that a server brings along.

Law: hashing runs on its own threads, never on the event loop.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from .errors import KnownError

Result = TypeVar("Result")
SHORTEST, LONGEST = 8, 70
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
# OWASP's smallest recommended cost: this server holds no real people's passwords, and tests sign up often.
HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="emulator-password")


def check_length(password: str) -> None:
    """Refuse a password that is too short or too long."""
    if len(password) < SHORTEST:
        raise KnownError("PASSWORD_TOO_SHORT", min_length=SHORTEST)
    if len(password) > LONGEST:
        raise KnownError("PASSWORD_TOO_LONG", maxLength=LONGEST)


async def on_a_thread(work: Callable[..., Result], *arguments: object) -> Result:
    """Return what a slow function returns, without holding up the event loop."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, work, *arguments)


async def hashed(password: str) -> str:
    """Return a new hash of a password."""
    return await on_a_thread(HASHER.hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Return whether a password belongs to a hash; without a hash as much time goes by."""
    return await on_a_thread(compare, password, stored)


def compare(password: str, stored: str | None) -> bool:
    """Return whether a password belongs to a hash."""
    if stored is not None and BCRYPT.fullmatch(stored):
        return bcrypt.checkpw(password.encode()[:72], stored.encode())  # bcrypt reads no more than 72 bytes
    try:
        return HASHER.verify(stored if stored is not None else nobodys(), password) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


@cache
def nobodys() -> str:
    """Return the hash that a password is compared with where there is no user."""
    return HASHER.hash("nobody's password")
