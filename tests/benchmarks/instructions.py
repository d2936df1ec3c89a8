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
from itertools import islice
from typing import Any

from tests.benchmarks.contenders import Contender, Tokens, app_with, bearer, floor, make_stack
from tests.benchmarks.driver import BARE, PLAIN, answer, prove
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
    each = {name: (more - few) / requests for name, (few, more) in totals.items()}
    unit = each[BARE] - each[PLAIN]
    over = {name: count - each[PLAIN] for name, count in each.items() if name != PLAIN}
    return {name: {"instructions": count, "ratio": count / unit} for name, count in over.items()}


def contenders() -> list[Contender]:
    """Those that need no network."""
    signer = Signer()
    tokens = Tokens(signer, BASE)
    token = next(tokens)
    stack = make_stack(BASE, jwks=key_set(signer))
    app, refused = app_with(stack, stack.current_user), bearer("a.b.c")
    seen = (bearer(token) for _ in iter(int, 1))
    ours = [
        Contender("token seen before", app, seen, refused),
        Contender("token never seen", app, map(bearer, tokens), refused),
    ]
    return [one for one in floor(signer, token) if not one.websocket] + ours


def _serve(contender: Contender, headers: list[Any]) -> None:
    async def all_of_them() -> None:
        await prove(contender)
        for each in headers:
            await answer(contender, each)

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
