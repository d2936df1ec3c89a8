"""Instructions of one request, counted by Valgrind: the same to a thousandth on every run, however busy the machine.

Valgrind's processor has no instructions for SHA-2 and for long multiplication, so digests and signatures count for more
than they take. It slows Python fifty times, which is why the tests count function calls instead.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from itertools import islice, repeat
from typing import Any

from tests.benchmarks import calls
from tests.benchmarks.calls import PAIRS
from tests.benchmarks.contenders import (
    APP_URL,
    Contender,
    Tokens,
    app_with,
    bearer,
    cookies,
    floor,
    make_stack,
    socket_app,
)
from tests.benchmarks.driver import BARE, PASSED, PLAIN, PLAIN_SOCKET, answer, prove
from tests.support.forge import BASE, Signer, key_set

_WARM = 20


def measure(requests: int) -> dict[str, Any]:
    """Instructions by contender; nothing where Valgrind is not installed."""
    if shutil.which("valgrind") is None:
        return {}
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "tests.benchmarks.instructions", str(requests)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    counts = dict(zip(re.findall(r"^child (\d+)", done.stdout, re.MULTILINE), done.stdout.splitlines(), strict=True))
    totals: dict[str, list[int]] = {}
    for child, line in counts.items():
        name = line.split(" ", 2)[2]
        seen = re.search(rf"^=={child}== I\s+refs:\s+([\d,]+)", done.stderr, re.MULTILINE)
        assert seen is not None, f"Valgrind says nothing of {name}"
        totals.setdefault(name, []).append(int(seen[1].replace(",", "")))
    return compare({name: (more - few) / requests for name, (few, more) in totals.items()})


def compare(each: dict[str, float]) -> dict[str, Any]:
    """Return the instructions of authentication over a plain route, and of calls beside their plain counterparts.

    Args:
        each: the instructions of one request, by contender.
    """
    unit = each[BARE] - each[PLAIN]
    rows = {}
    for name, count in each.items():
        if name in PAIRS:
            rows[name] = {"instructions": count, "ratio": count / each[PAIRS[name]], "of": "calls"}
        elif name not in (PLAIN, PLAIN_SOCKET, *PAIRS.values()):
            over = count - each[PLAIN_SOCKET if name == "WebSocket" else PLAIN]
            rows[name] = {"instructions": over, "ratio": over / unit, "of": "requests"}
    return rows


def contenders() -> list[Contender]:
    """Those that need no network."""
    signer = Signer()
    tokens = Tokens(signer, BASE)
    token = next(tokens)
    stack = make_stack(BASE, jwks=key_set(signer))
    web = make_stack(BASE, jwks=key_set(signer), app_url=APP_URL)
    app, refused = app_with(stack, stack.current_user), bearer("a.b.c")
    seen = (bearer(token) for _ in iter(int, 1))
    ours = [
        Contender("token seen before", app, seen, refused),
        Contender("token never seen", app, map(bearer, tokens), refused),
        Contender("optional user", app_with(stack, stack.optional_user), repeat(bearer(token))),
        Contender("cookie session", app_with(web, web.current_user), repeat(cookies(web, token))),
        Contender("WebSocket", socket_app(stack), repeat(bearer(token)), refused, websocket=True),
    ]
    return [*floor(signer, token), *ours, *calls.make(key_set(signer), token, refused)]


def _serve(contender: Contender, headers: list[Any]) -> None:
    async def all_of_them() -> None:
        await prove(contender)
        for each in headers:
            assert await answer(contender, each) in PASSED, f"{contender.name} rejects a good credential"

    asyncio.run(all_of_them())


def main(requests: int) -> None:
    """Serve each contender in processes of its own, for a few requests and for more: the difference counts."""
    for contender in contenders():
        headers = list(islice(contender.headers, _WARM + requests))
        for count in (_WARM, _WARM + requests):
            child = os.fork()
            if child == 0:
                _serve(contender, headers[:count])
                os._exit(0)
            os.waitpid(child, 0)
            sys.stdout.write(f"child {child} {contender.name}\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
