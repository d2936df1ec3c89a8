"""Webhooks: send events to a URL, signed like the vendor's, and store them for the dashboard and for resending.

Law: the server responds to the caller before it sends a message. A message has the same id in every attempt
(contract/webhooks.md). Changes by a seed or by the control API send no webhooks.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import re
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .clock import Chance, Clock

logger = logging.getLogger("fastapi_stackauth.emulator")

BACK_OFF = (0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds of the server's clock between an attempt and the previous one."""
PATIENCE_SECONDS = 15.0
HOST = re.compile(r"[\w.:-]+")
KEPT = 500
"""The maximum number of messages in memory, for the dashboard."""
_LOOK_SECONDS = 0.2  # the server's clock may be changed at any time


@dataclass(frozen=True)
class Attempt:
    """An attempt: its time and the status of the response, or None without a response."""

    at: float
    status: int | None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver accepted the message."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(eq=False)
class Message:
    """A message. Its body never changes."""

    id: str
    project_id: str
    type: str
    body: bytes = field(repr=False)
    made_at: float
    attempts: list[Attempt] = field(default_factory=list)
    next_at: float | None = None
    pending: bool = False
    dropped: bool = False

    @property
    def state(self) -> str:
        """The state: delivered, waiting for the next attempt, failed, or not sent because there is no URL."""
        if any(attempt.is_delivered for attempt in self.attempts):
            return "delivered"
        if self.pending:
            return "waiting"
        return "failed" if self.attempts else "not sent"


def signature(secret: str, message_id: str, seconds: int, body: bytes) -> str:
    """Return the value of the signature header."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def checked_url(url: str) -> str:
    """Check a URL for messages and return it.

    Raises:
        ValueError: The URL is malformed.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("the webhook address cannot be read") from None
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.host):
        raise ValueError("the webhook address must begin with http:// or https://, and name a host")
    if parts.port is not None and not 0 < parts.port < 65536:
        raise ValueError("the webhook address has no port between 1 and 65535")
    return url


class Webhooks:
    """The webhooks of a server.

    Args:
        clock: The server's clock.
        chance: The source of randomness for ids.
        secret: Returns the secret that signs a project's messages, by the project's id.
    """

    def __init__(self, clock: Clock, chance: Chance, secret: Callable[[str], str]) -> None:
        self._clock, self._chance = clock, chance
        self.secret = secret
        self._urls: dict[str, str] = {}
        self._messages: deque[Message] = deque(maxlen=KEPT)
        self._tasks: set[asyncio.Task[object]] = set()
        self._client: httpx.AsyncClient | None = None

    # --- the endpoint ---

    def url(self, project_id: str) -> str | None:
        """Return the URL for a project's messages, or None."""
        return self._urls.get(project_id)

    def point(self, project_id: str, url: str | None) -> None:
        """Set the URL for a project's messages.

        Raises:
            ValueError: It is not a valid URL.
        """
        if url is None:
            self._urls.pop(project_id, None)
        else:
            self._urls[project_id] = checked_url(url)

    # --- messages ---

    def messages(self, project_id: str) -> list[Message]:
        """Return the latest messages of a project, newest first."""
        return [message for message in reversed(self._messages) if message.project_id == project_id]

    def tell(self, project_id: str, type_: str, data: Mapping[str, Any]) -> None:
        """Queue an event, which is sent after the response."""
        body = json.dumps({"type": type_, "data": data}, separators=(",", ":"), ensure_ascii=False).encode()
        message = Message("msg_" + self._chance.code(27), project_id, type_, body, self._clock.now())
        self._messages.append(message)
        if project_id in self._urls:
            self._start(self._deliver(message))

    def resend(self, project_id: str, message_id: str) -> None:
        """Send a message again now.

        Raises:
            ValueError: There is no such message, or no URL.
        """
        message = next((each for each in self.messages(project_id) if each.id == message_id), None)
        if message is None:
            raise ValueError("there is no such message")
        if project_id not in self._urls:
            raise ValueError("no webhook address is set")
        self._start(self._attempt(message))

    def clear(self, project_id: str) -> None:
        """Delete a project's messages, including those that wait for an attempt."""
        for message in self.messages(project_id):
            message.dropped = True
        kept = [message for message in self._messages if message.project_id != project_id]
        self._messages.clear()
        self._messages.extend(kept)

    def close(self) -> None:
        """Stop sending."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stop sending, and close the connections."""
        tasks = list(self._tasks)
        self.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # --- sending ---

    def _start(self, sending: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, message: Message) -> None:
        message.pending = True
        try:
            for wait in BACK_OFF:
                message.next_at = self._clock.now() + wait
                while self._clock.now() < message.next_at:  # noqa: ASYNC110 - the clock may be changed at any time
                    await asyncio.sleep(_LOOK_SECONDS)
                if message.dropped or message.state == "delivered" or await self._attempt(message):
                    return
        finally:
            message.pending, message.next_at = False, None

    async def _attempt(self, message: Message) -> bool:
        url = self._urls.get(message.project_id)
        if url is None:
            return True
        at = self._clock.now()
        status: int | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                headers = self._headers(message)
                status = (await self._http().post(url, content=message.body, headers=headers)).status_code
        except Exception as error:  # noqa: BLE001 - after any error, the message was not delivered
            logger.debug("a webhook was not taken: %s", type(error).__name__)
        message.attempts.append(Attempt(at, status))
        return message.attempts[-1].is_delivered

    def _http(self) -> httpx.AsyncClient:
        """Return one client for all messages. It does not use the environment's proxies to reach this machine."""
        if self._client is None:
            limits = httpx.Limits(max_connections=10, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False, limits=limits)
        return self._client

    def _headers(self, message: Message) -> dict[str, str]:
        seconds = int(self._clock.now() - self._clock.offset)  # receivers use the real time
        return {
            "content-type": "application/json",
            "user-agent": "stackauth-emulator",
            "svix-id": message.id,
            "svix-timestamp": str(seconds),
            "svix-signature": signature(self.secret(message.project_id), message.id, seconds, message.body),
        }
