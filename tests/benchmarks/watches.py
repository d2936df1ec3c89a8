"""Ten thousand open WebSockets under `WatchSession`: memory for each, and questions to the auth server.

The connections are ASGI connections in this process, so that the figures are those of the library and not of sockets.
"""

import asyncio
import gc
import resource
import tracemalloc
from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from fastapi_stackauth import SessionWatch, StackAuth, User, WatchSession
from tests.benchmarks.contenders import Headers, Tokens, bearer, make_stack
from tests.support.forge import BASE, Signer, key_set

CONNECTIONS = 10_000
SHARING = 4
"""Every fourth session has this many connections."""
EVERY = 10.0
INTERVALS = 3


class _Questions:
    """Counts the questions, by the second in which they are asked."""

    def __init__(self) -> None:
        self.by_second: Counter[int] = Counter()
        self.sessions: set[str] = set()

    async def check(self, token: str, user: User) -> None:
        self.by_second[int(asyncio.get_running_loop().time())] += 1
        self.sessions.add(user.session_id or "")


async def measure(connections: int = CONNECTIONS) -> dict[str, Any]:
    """Open the connections, and watch them for some intervals."""
    signer = Signer()
    stack, questions = make_stack(BASE, jwks=key_set(signer)), _Questions()
    app = _app(stack, questions)
    headers = _headers(Tokens(signer, BASE), connections)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    opened = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(_connect(app, each, opened)) for each in headers]
    for _ in tasks:
        await opened.acquire()
    gc.collect()
    memory = (tracemalloc.get_traced_memory()[0] - before) / connections
    tracemalloc.stop()
    questions.by_second.clear()
    await asyncio.sleep(EVERY * INTERVALS)
    asked = questions.by_second
    busiest = max(asked.values())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await stack.aclose()
    return {
        "connections": connections,
        "sessions": len(questions.sessions),
        "every": EVERY,
        "kilobytes": memory / 1000,
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "per_interval": sum(asked.values()) / INTERVALS,
        "busiest_second": busiest,
    }


def _app(stack: StackAuth, questions: _Questions) -> FastAPI:
    app = FastAPI()
    stack.install(app)
    watched = WatchSession(every=EVERY, check=questions)

    @app.websocket("/")
    async def feed(websocket: WebSocket, watch: Annotated[SessionWatch, Depends(watched)]) -> None:
        await websocket.accept()
        async with watch:
            await websocket.receive()

    return app


def _headers(tokens: Tokens, connections: int) -> list[Headers]:
    """Return the headers of each connection: three sessions of one connection, then one of several."""
    headers: list[Headers] = []
    for number, token in enumerate(tokens):
        headers += [bearer(token)] * (SHARING if number % 4 == 3 else 1)
        if len(headers) >= connections:
            break
    return headers[:connections]


async def _connect(app: FastAPI, headers: Headers, opened: asyncio.Semaphore) -> None:
    messages = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        if (message := next(messages, None)) is None:
            opened.release()
            await asyncio.Event().wait()  # the client sends nothing
        return message

    async def send(_message: Any) -> None:
        """Take no notice."""

    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "wss", "path": "/",
        "raw_path": b"/", "root_path": "", "query_string": b"", "headers": headers, "subprotocols": [],
        "server": ("app.test", 443), "client": ("127.0.0.1", 4711),
    }  # fmt: skip
    await app(scope, receive, send)
