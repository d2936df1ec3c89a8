"""Run the lifespan of an app (ASGI lifespan protocol 2.0) while a client needs it."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Lifespan:
    """Starts an app for its first client and stops it after its last one, in a separate task, like a server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._clients = 0
        self._state: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stop: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection with the state of the lifespan."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    async def enter(self) -> None:
        """Start the app for another client, or raise the app's exception at start-up."""
        self._clients += 1
        if self._clients == 1:
            self._started, self._stop = asyncio.get_running_loop().create_future(), asyncio.Event()
            self._task = asyncio.create_task(self._run(self._started, self._stop))
        assert self._started is not None  # noqa: S101 - the first client has set it
        try:
            await asyncio.shield(self._started)
        except BaseException:
            self._clients -= 1
            raise

    async def leave(self) -> None:
        """Release the app. The last client waits until the app has stopped, or raises its exception at shutdown."""
        self._clients -= 1
        if self._clients == 0 and self._task is not None and self._stop is not None:
            self._stop.set()
            await self._task
            self._task = None

    async def _run(self, started: "asyncio.Future[None]", stop: asyncio.Event) -> None:
        started_up = False
        self._state = {}

        async def receive() -> Message:
            nonlocal started_up
            if not started_up:
                started_up = True
                return {"type": "lifespan.startup"}
            await stop.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set_result(None)

        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)
        if not started.done():
            started.set_exception(RuntimeError("the app's lifespan ended before the app had started"))
