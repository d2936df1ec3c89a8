"""Drives contenders without a server: proves them, then times them in turns."""

import asyncio
import gc
import random
import time
from collections.abc import Callable
from itertools import islice
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.contenders import Contender, Headers

PASSED = (200, "websocket.accept")
"""How a request with a good credential ends."""
PLAIN, PLAIN_SOCKET, BARE = "plain route", "plain WebSocket", "bare dependency"


async def prove(contender: Contender) -> None:
    """See that a good credential passes and a bad one does not, which also warms its caches.

    Raises:
        AssertionError: where the set-up is broken, so that its time would mean nothing.
    """
    for headers in islice(contender.headers, 3):
        passed = await answer(contender, headers)
        assert passed in PASSED, f"{contender.name} refuses a good credential: {passed}"
    if contender.refused is not None:
        refused = await answer(contender, contender.refused)
        assert refused in (401, 403, "websocket.close"), f"{contender.name} lets a bad credential pass: {refused}"


async def answer(contender: Contender, headers: Headers) -> Any:
    """The status of an answer, or the type of a WebSocket's first message."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await contender.app(build_scope(contender, headers), receiving(contender), send)
    return messages[0].get("status", messages[0]["type"])


def build_scope(contender: Contender, headers: Headers) -> dict[str, Any]:
    """The connection, as a server would describe it."""
    socket = contender.websocket
    return {
        "type": "websocket" if socket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "wss" if socket else "https",
        "server": ("app.test", 443),
        "client": ("127.0.0.1", 4711),
        "root_path": "",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "method": "GET",
    }


def receiving(contender: Contender) -> Any:
    """What a client sends: an empty body, or a handshake."""
    message = {"type": "websocket.connect"} if contender.websocket else {"type": "http.request", "body": b""}

    async def receive() -> Any:
        return message

    return receive


async def _send(message: Any) -> None:
    """Take no notice."""


async def measure_rounds(
    contenders: list[Contender], rounds: int, requests: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of one request, by contender, for every round.

    Args:
        contenders: who takes turns; the order changes from round to round.
        rounds: how often each has its turn.
        requests: how many requests one turn has.
        clock: what to time with, in seconds.
    """
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    gc.collect()
    gc.freeze()  # what was made by now is no contender's to walk through
    for _ in range(rounds):
        for contender in random.sample(contenders, len(contenders)):
            times[contender.name].append(await _turn(contender, requests, clock))
    gc.unfreeze()
    return times


async def _turn(contender: Contender, requests: int, clock: Callable[[], float]) -> float:
    app, receive = contender.app, receiving(contender)
    scopes = [build_scope(contender, headers) for headers in islice(contender.headers, requests)]
    await asyncio.sleep(0)
    started = clock()
    while scopes:
        await app(scopes.pop(), receive, _send)  # nothing of a request outlives it, as in a server
    return (clock() - started) / requests


def costs(contenders: list[Contender], times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """What authentication costs each of them, by the medians of the rounds."""
    unit = median(times[BARE]) - median(times[PLAIN])
    return [_cost(contender, times, unit) for contender in contenders]


def _cost(contender: Contender, times: dict[str, list[float]], unit: float) -> dict[str, Any]:
    plain = median(times[PLAIN_SOCKET if contender.websocket else PLAIN])
    own = times[contender.name]
    low, _, high = quantiles(own, n=4)
    return {
        "name": contender.name,
        "by": contender.by,
        "note": contender.note,
        "microseconds": (median(own) - plain) * 1e6,
        "ratio": (median(own) - plain) / unit,
        "ratio_low": (low - plain) / unit,
        "ratio_high": (high - plain) / unit,
        "request_microseconds": median(own) * 1e6,
    }
