"""Memory, import time, and whether the cost grows with how much is known. Each in a process of its own."""

import asyncio
import gc
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, repeat
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.contenders import Contender, Tokens, app_with, bearer, floor, make_stack
from tests.benchmarks.driver import costs, measure_rounds
from tests.support.forge import BASE, Signer, key_set

MANY = 100_000
FEW = 10
MEGABYTE = 2**20


def in_own_process(name: str, *arguments: object) -> Any:
    """What a function of this file returns, called in a new process with these numbers."""
    command = [sys.executable, "-m", "tests.benchmarks.footprint", name, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# --- memory ----------------------------------------------------------------------------------------------


def memory(tokens: int) -> dict[str, Any]:
    """Megabytes that the cache of verified tokens takes at its default size, while this many distinct ones pass."""
    signer = Signer()
    made = Tokens(signer, BASE)
    verifier = make_stack(BASE, jwks=key_set(signer)).verifier

    async def pass_through(count: int) -> None:
        for token in islice(made, count):
            await verifier.verify(token)

    size = make_stack(BASE).settings.token_cache_size
    asyncio.run(pass_through(100))  # what is made once is no part of the cache
    gc.collect()
    before = _resident()
    asyncio.run(pass_through(size))
    gc.collect()
    full = _resident()
    asyncio.run(pass_through(tokens - size))
    gc.collect()
    return {
        "cache_size": size,
        "tokens": tokens,
        "remembered": len(verifier),
        "full_mb": (full - before) / MEGABYTE,
        "after_mb": (_resident() - before) / MEGABYTE,
        "kilobytes_per_token": (full - before) / 1024 / size,
    }


def _resident() -> int:
    """Bytes of memory that this process has (Linux: proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- how much is known -----------------------------------------------------------------------------------


async def measure_known(rounds: int, requests: int) -> dict[str, Any]:
    """The cost of a token seen before, with few and with many users known and sessions revoked."""
    signer = Signer()
    tokens = Tokens(signer, BASE)
    token = next(tokens)
    contenders = floor(signer, token)
    for count in (FEW, MANY):
        stack = make_stack(BASE, jwks=key_set(signer), token_cache_size=2 * MANY)
        app = app_with(stack, stack.current_user)
        await stack.verifier.verify(token)
        entry = next(iter(stack.verifier._cache._entries.values()))
        for number in range(count):  # verifying so many would take a minute, and find the same entries
            stack.verifier._cache.put(hashlib.sha256(str(number).encode()).digest(), entry.value, entry.until)
        await stack.revocations.revoke_sessions(f"{number:08}" for number in range(count))
        contenders.append(Contender(f"{count} known", app, repeat(bearer(token))))
    results = {cost["name"]: cost for cost in costs(contenders, await measure_rounds(contenders, rounds, requests))}
    few, many = (results[f"{count} known"]["request_microseconds"] for count in (FEW, MANY))
    return {"few": FEW, "many": MANY, "few_microseconds": few, "many_microseconds": many, "ratio": many / few}


def growth(rounds: int, requests: int) -> dict[str, Any]:
    """`known`, for a process of its own."""
    return asyncio.run(measure_known(rounds, requests))


# --- imports ---------------------------------------------------------------------------------------------

_DEPENDENCIES = (
    "fastapi, fastapi.security, starlette.middleware, httpx, pydantic_settings, uvicorn, limits, limits.aio.storage, "
    "limits.aio.strategies, pyotp, python_multipart, jose.backends.cryptography_backend, html, urllib.request, "
    "cryptography.hazmat.primitives.asymmetric.ec"
)


def imports(runs: int) -> dict[str, Any]:
    """Milliseconds of processor time to import this package over its dependencies, and to import them."""
    program = (
        "from time import process_time; began = process_time()\n"
        f"import {_DEPENDENCIES}\n"
        "theirs = process_time()\nimport fastapi_stackauth\nours = process_time()\n"
        "print((theirs - began) * 1000, (ours - theirs) * 1000)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(runs + 1):
        command = [sys.executable, "-c", program]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        times.append([float(number) for number in output.split()])
    theirs, ours = zip(*times[1:], strict=True)  # the first one compiles what pip would have compiled
    return {"runs": runs, "dependencies_ms": median(theirs), "package_ms": median(ours)}


if __name__ == "__main__":
    functions: dict[str, Callable[..., Any]] = {"memory": memory, "growth": growth, "imports": imports}
    print(json.dumps(functions[sys.argv[1]](*map(int, sys.argv[2:]))))
