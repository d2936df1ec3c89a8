"""How far one attempt of a call got before it failed: what may be sent again depends on it."""

from collections.abc import Mapping
from typing import Any


class Progress:
    """Follow one attempt through the trace events of httpcore, httpx's transport.

    Another transport reports nothing. Its requests count as written, on a connection that was not used before.

    Attributes:
        is_reused: the connection has carried another request before, so the server may have closed it as idle.
        may_have_arrived: the request may have reached the server as a whole.
    """

    def __init__(self) -> None:
        self.is_reused = False
        self.may_have_arrived = True
        self._connected = False

    async def __call__(self, event: str, _info: Mapping[str, Any]) -> None:
        """Take one event, such as ``http11.send_request_headers.started``."""
        step, _, state = event.partition(".")[2].rpartition(".")
        if step.startswith("connect_"):
            self._connected, self.may_have_arrived = True, False
        elif step == "send_request_headers":
            self.is_reused = not self._connected
            self.may_have_arrived = state != "failed"
        elif step == "send_request_body" and state == "failed":
            # A body of ours is one piece. A server that has the head without it has no request to execute.
            self.may_have_arrived = False
