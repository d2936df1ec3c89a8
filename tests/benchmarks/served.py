"""Over loopback, with uvicorn (uvloop, httptools) and wrk: a protected route beside a plain one of the same app.

wrk takes a core of its own. Where two workers share two cores with it, all three compete, so only the ratio means much.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.auth_server import Running, auth_server, wait_for
from tests.benchmarks.contenders import Tokens
from tests.support.forge import PROJECT, Signer
from tests.support.redis_server import free_port

SCRIPT = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32
ROUTES = ("plain", "bare", "protected")
DISTINCT = 10_000
FLAP_SECONDS = 0.5


def measure(rounds: int, seconds: int) -> dict[str, Any]:
    """Every measure with real servers.

    Args:
        rounds: how often the routes take turns.
        seconds: how long one turn of wrk lasts.

    Raises:
        RuntimeError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not on the path. On Debian and Ubuntu: apt-get install wrk")
    with auth_server() as server, tempfile.TemporaryDirectory() as folder:
        signer = Signer()
        server.control(keys=[signer.jwk])
        tokens = Tokens(signer, server.origin)
        one = _file(folder, "one", [next(tokens)])
        many = _file(folder, "many", list(islice(tokens, DISTINCT)))
        results: dict[str, Any] = {f"workers_{n}": _against_plain(server, n, one, rounds, seconds) for n in (1, 2)}
        results["distinct_tokens"] = _distinct(server, one, many, rounds, seconds)
        results["flapping"] = _flapping(server, folder, max(6, 2 * seconds))
    return results


@contextmanager
def run_app(server: Running, workers: int, **settings: str) -> Iterator[str]:
    """The address of the app, served by this many workers while the block runs."""
    port = free_port()
    environment = {"STACK_PROJECT_ID": PROJECT, "STACK_API_URL": server.origin, "STACK_PUBLISHABLE_CLIENT_KEY": "pck"}
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.worker:app", "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "error", "--workers", str(workers)]
    process = subprocess.Popen(command, env={**os.environ, **environment, **settings}, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/plain")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wrk(url: str, tokens: Path, seconds: int, connections: int = CONNECTIONS, *options: str) -> dict[str, Any]:
    """What wrk saw in this many seconds."""
    command = [
        "wrk",
        "-t1",
        "--timeout",
        "30s",
        f"-c{connections}",
        f"-d{seconds}s",
        "-s",
        str(SCRIPT),
        url,
        "--",
        str(tokens),
        *options,
    ]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seen: dict[str, Any] = json.loads(output.splitlines()[-1])
    return seen | {"per_second": seen["requests"] / seen["seconds"]}


def _against_plain(server: Running, workers: int, tokens: Path, rounds: int, seconds: int) -> dict[str, Any]:
    """The best turn of each route: disturbances slow a turn, and at times one of two workers gets all requests."""
    turns: list[dict[str, dict[str, Any]]] = []
    with run_app(server, workers) as url:
        for name in ROUTES:
            wrk(f"{url}/{name}", tokens, 1)
        turns += [{name: wrk(f"{url}/{name}", tokens, seconds) for name in ROUTES} for _ in range(rounds)]
    _all_well(seen for turn in turns for seen in turn.values())
    best = {name: max((turn[name] for turn in turns), key=lambda seen: seen["per_second"]) for name in ROUTES}
    results = {f"{name}_per_second": seen["per_second"] for name, seen in best.items()}
    results |= {f"{name}_p99_ms": seen["p99_ms"] for name, seen in best.items()}
    plain, bare, protected = (best[name]["per_second"] for name in ROUTES)
    return results | {"ratio": protected / plain, "bare_ratio": bare / plain, "of_bare": protected / bare}


def _distinct(server: Running, one: Path, many: Path, rounds: int, seconds: int) -> dict[str, Any]:
    """One worker: the same token again and again beside 10,000 in rotation, which is what the cache holds."""
    with run_app(server, 1) as url:
        first = wrk(f"{url}/protected", many, 2 * seconds)  # most of them never seen before
        turns = [[wrk(f"{url}/protected", tokens, seconds) for tokens in (one, many)] for _ in range(rounds)]
    _all_well([first, *(turn for pair in turns for turn in pair)])
    return {
        "tokens": DISTINCT,
        "first_pass_per_second": first["per_second"],
        "per_second": median(rotated["per_second"] for _, rotated in turns),
        "ratio": median(rotated["per_second"] / same["per_second"] for same, rotated in turns),
    }


def _flapping(server: Running, folder: str, seconds: int) -> dict[str, Any]:
    """Keys rotate and the auth server fails every other moment, while 64 connections use tokens of all those keys."""
    signers = [Signer(f"rotated-{number}") for number in range(6)]
    tokens = [list(islice(Tokens(signer, server.origin), 500)) for signer in signers]
    file = _file(folder, "rotated", [token for group in zip(*tokens, strict=True) for token in group])
    ended = threading.Event()

    def flap() -> None:
        for step in cycle(range(2 * len(signers))):
            first = step // 2
            published = [signers[(first + offset) % len(signers)].jwk for offset in range(2)]
            server.control(keys=published, failing=bool(step % 2))
            if ended.wait(FLAP_SECONDS):
                return

    flapping = threading.Thread(target=flap)
    with run_app(server, 2, STACK_JWKS_COOLDOWN="1", STACK_TOKEN_CACHE_SIZE="1000") as url:
        flapping.start()
        time.sleep(FLAP_SECONDS / 2)
        try:
            seen = wrk(f"{url}/protected", file, seconds, 64, "count")
        finally:
            ended.set()
            flapping.join()
    calls = server.control(failing=False)
    return {name: seen[name] for name in ("requests", "seconds", "statuses", "socket_errors", "p99_ms")} | {
        "connections": 64,
        "calls": calls,
    }


def _all_well(turns: Any) -> None:
    for turn in turns:
        if turn["bad_statuses"] or turn["socket_errors"]:
            raise RuntimeError(f"requests failed, so their number means nothing: {turn}")


def _file(folder: str, name: str, tokens: list[str]) -> Path:
    path = Path(folder, name)
    path.write_text("\n".join(tokens) + "\n", "ascii")
    return path
