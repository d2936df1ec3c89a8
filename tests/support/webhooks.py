"""An app that receives webhooks, and webhooks signed by the vendor's scheme's own library."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI
from standardwebhooks import Webhook

from fastapi_stackauth import StackAuth, WebhookEvent

SECRET = "whsec_" + base64.b64encode(b"of the endpoint, thirty-two byte").decode()
NOW = 1_800_000_000.0
PATH = "/webhooks/stack-auth"


class Receiver:
    """An app that takes webhooks, and what its handlers heard."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        chosen: dict[str, Any] = {"project_id": "p", "webhook_secrets": [SECRET], "clock": lambda: self.now, **options}
        self.stack = StackAuth(**chosen)
        self.app = FastAPI()
        self.stack.install(self.app)
        self.webhooks = self.stack.webhooks(PATH)
        self.heard: list[WebhookEvent] = []
        self.webhooks.on()(self.heard.append)
        self.app.include_router(self.webhooks)

    async def deliver(
        self, body: object, *, secret: str = SECRET, message_id: str = "msg_1", prefix: str = "svix", **more: Any
    ) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = sign(raw, secret, message_id, more.pop("at", self.now), prefix)
        return await self.post(more.pop("sent", raw), {**headers, **more.pop("headers", {})})

    async def post(self, raw: bytes, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.post(PATH, content=raw, headers={"content-type": "application/json", **headers})


def sign(raw: bytes, secret: str, message_id: str, at: float, prefix: str = "svix") -> dict[str, str]:
    """Headers made by the vendor's scheme's own library, not by ours."""
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(at, UTC), raw.decode("utf-8", "replace"))
    return {f"{prefix}-id": message_id, f"{prefix}-timestamp": str(int(at)), f"{prefix}-signature": signature}


JOINED = {"type": "team_membership.created", "data": {"team_id": "t", "user_id": "u"}}
