"""The API of Inbucket, a mail catcher: a reader of it, and a stand-in for one that serves an emulator's outbox.

`python -m tests.support.inbucket EMULATOR_URL PORT` runs the stand-in, to try `make test-real` against an emulator.
"""

import re
import sys
import time
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECONDS = 30.0
"""How long an email may take from the auth server to the mail catcher."""
_LINK = re.compile(r"https?://[^\s\"'<>]+")


@dataclass(frozen=True)
class Mailbox:
    """Reads what a mail catcher has. A mailbox has the name of an address before its ``@``, as in Inbucket."""

    url: str

    def newest(self, to: str, path: str) -> dict[str, str]:
        """Return `link` and `code` of the newest email to an address whose link has this in its path.

        Raises:
            AssertionError: none has come within `SECONDS`.
        """
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for text in self._texts(to):
                for link in map(unescape, _LINK.findall(text)):
                    parts = urlsplit(link)
                    if path in parts.path and (code := parse_qs(parts.query).get("code")):
                        return {"link": link, "code": code[0]}
            time.sleep(0.2)
        raise AssertionError(f"no email with a link to {path} has reached {to} within {SECONDS:.0f} s")

    def _texts(self, to: str) -> list[str]:
        name = to.partition("@")[0]
        with httpx.Client(base_url=self.url, timeout=10) as http:
            heads = http.get(f"/api/v1/mailbox/{name}").raise_for_status().json()
            newest = sorted(heads, key=lambda head: str(head["date"]), reverse=True)
            mails = [http.get(f"/api/v1/mailbox/{name}/{head['id']}").json() for head in newest]
        return [f"{mail['body'].get('text') or ''} {mail['body'].get('html') or ''}" for mail in mails]


def inbucket(emulator_url: str) -> Starlette:
    """Return a stand-in for Inbucket that serves the outbox of an emulator."""

    async def outbox(name: str) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=emulator_url) as http:
            items = (await http.get("/emulator/outbox.json")).json()["items"]
        mine = [mail for mail in items if mail["to"].partition("@")[0] == name]
        return [
            {
                "id": str(number),
                "mailbox": name,
                "to": [mail["to"]],
                "subject": mail["subject"],
                "date": f"{mail['sent_at_millis']:020.3f}-{number:06}",
                "body": {"text": mail["body"], "html": ""},
            }
            for number, mail in enumerate(reversed(mine))
        ]

    async def mailbox(request: Request) -> Response:
        mails = await outbox(request.path_params["name"])
        return JSONResponse([{**mail, "body": None} for mail in mails])

    async def message(request: Request) -> Response:
        for mail in await outbox(request.path_params["name"]):
            if mail["id"] == request.path_params["id"]:
                return JSONResponse(mail)
        return JSONResponse({"error": "no such message"}, 404)

    return Starlette(
        routes=[Route("/api/v1/mailbox/{name}", mailbox), Route("/api/v1/mailbox/{name}/{id}", message)],
    )


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(inbucket(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
