"""Whatever the auth server answers, and whatever a browser brings along, every route of the router answers in form."""

import asyncio
import base64
import json
import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth import StackAuth
from tests.client.table import PERSONS, SERVERS, success
from tests.fuzz.server import ANSWERS, Answer, RawServer
from tests.fuzz.strategies import EDITS, NASTY, SIGNER, STRINGS, edit, to_bytes
from tests.routers.callers import GRANTS, ORIGIN, PREFIXES
from tests.routers.operations import Route, operations
from tests.support.forge import BASE, NOW, PROJECT, SUBJECT, key_set

COOKIE = re.compile(
    rb"stackauth-[\w-]+=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*(; Max-Age=\d+)?; Path=/; HttpOnly; SameSite=Lax"
)
"""One cookie of ours: its value is made of cookie octets (RFC 6265 §4.1.1), and its attributes are those we set."""


class House:
    """An app with both routers, before an auth server that answers as it is told."""

    def __init__(self) -> None:
        self.server = RawServer((200, [], b"{}"))
        self.stack = StackAuth(
            project_id=PROJECT,
            base_url=BASE,
            publishable_client_key="pck",
            secret_server_key="ssk",
            app_url=ORIGIN,
            insecure_cookies=True,
            rate_limit_address=None,
            rate_limit_account=None,
            jwks=key_set(SIGNER),
            transport=self.server.transport,
            clock=lambda: NOW + 1,
            timeout=20,
        )
        self.stack.client._transport._sleep = lambda _seconds: asyncio.sleep(0)
        self.app = FastAPI()
        self.stack.install(self.app)
        for delivery, prefix in PREFIXES.items():
            self.app.include_router(self.stack.router(delivery=delivery), prefix=prefix)  # type: ignore[arg-type]
            teams = self.stack.teams_router(delivery=delivery, manage_permissions=GRANTS)  # type: ignore[arg-type]
            self.app.include_router(teams, prefix=prefix)
            self.app.include_router(self.stack.api_keys_router(delivery=delivery), prefix=prefix)  # type: ignore[arg-type]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, as a page of the app itself would make it."""
        headers = [("origin", ORIGIN), *options.pop("headers", ())]

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
                answer = await client.request(method, path, **options)
            await self.stack.aclose()
            return answer

        return asyncio.run(go())


@cache
def house() -> House:
    """One app for all examples: nothing that one leaves behind may change another."""
    return House()


@cache
def routes() -> list[tuple[str, Route]]:
    return [(prefix, route) for prefix in PREFIXES.values() for route in operations(house().app, prefix)]


ROUTES = st.integers(0, 500).map(lambda number: routes()[number % len(routes())])
BEARER = ("authorization", f"Bearer {SIGNER.token()}")


def flow_cookie(name: str, facts: object) -> tuple[str, str]:
    """What a browser keeps of a flow, as somebody might forge it."""
    value = base64.urlsafe_b64encode(json.dumps(facts).encode()).rstrip(b"=").decode()
    return "cookie", f"stackauth-{name}={value}"


KEPT = [
    flow_cookie("mfa", {"attempt": "a"}),
    flow_cookie("passkey", {"code": "c"}),
    flow_cookie("passkey-new", {"code": "c"}),
]


@cache
def paths() -> list[tuple[str, re.Pattern[str], str]]:
    """Each operation of the auth server, and what its address looks like."""
    found = []
    for operation in {**PERSONS, **SERVERS}:
        method, path = operation.split(" ")
        found.append((method, re.compile("/api/v1" + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), operation))
    return found


def real_answer(method: str, path: str) -> Any:
    """What a real server answered to this; with a token that is one."""
    body: Any = next(
        (success(name) for verb, form, name in paths() if verb == method and form.fullmatch(path)), {"success": True}
    )
    if isinstance(body, dict) and "access_token" in body:
        body = {**body, "access_token": SIGNER.token(), "user_id": SUBJECT}
    return body


def check(answer: httpx.Response, *, sent_away: bool) -> None:
    """An answer in form: no crash, a problem where it refuses, our own cookies, and no redirect to a stranger's."""
    assert answer.status_code != 500 or "code" in answer.json()
    html = answer.headers.get("content-type", "").startswith("text/html")
    if answer.status_code >= 400 and not html:
        assert answer.headers["content-type"] == "application/problem+json"
        document = json.loads(answer.content, parse_constant=lambda name: 1 / 0)
        assert document["status"] == answer.status_code
    for name, value in answer.headers.raw:
        assert not set(value) & set(b"\r\n\x00"), name
        assert name.lower() != b"set-cookie" or COOKIE.fullmatch(value), value
    if 300 <= answer.status_code < 400:
        target = urlsplit(urljoin(f"{ORIGIN}/auth/x", as_browsers_read(answer.headers["location"])))
        assert target.scheme in ("http", "https")
        assert sent_away or f"{target.scheme}://{target.netloc}" == ORIGIN


def as_browsers_read(address: str) -> str:
    """Backslashes are slashes; tabs and line breaks are dropped (URL Standard §4.4)."""
    return re.sub(r"[\t\r\n]", "", address).replace("\\", "/").strip()


def real_server(method: str, path: str) -> Answer:
    return 200, [], to_bytes(real_answer(method, path))


def ask(route: tuple[str, Route], answer: Answer | Callable[[str, str], Answer]) -> None:
    prefix, operation = route
    house().server.answer = answer
    headers = [BEARER, *KEPT] if operation.secured else KEPT
    path = prefix + operation.concrete
    check(
        house().call(operation.method, path, json=operation.body, headers=headers),
        sent_away=operation.operation_id.endswith("oauth_authorize"),
    )


@given(ROUTES, ANSWERS)
def test_every_route_survives_any_server_response(route: Any, answer: Answer):
    """Whatever the auth server answers every route answers in form."""
    ask(route, answer)


@given(ROUTES, EDITS)
def test_an_answer_that_is_almost_right_does_no_harm(route: Any, edits: Any):
    ask(route, lambda method, path: (200, [], to_bytes(edit(real_answer(method, path), edits))))


# --- what a browser brings back ---

RETURN_TO = st.lists(
    st.sampled_from(["/", "//", "\\", "https:", "evil.example", "localhost:8000", "@", ":", "%2f", "\t", "?", "#", "["])
    | NASTY,
    max_size=6,
).map("".join)
FLOW_FACTS = st.fixed_dictionaries(
    {},
    optional={
        "state": STRINGS,
        "verifier": STRINGS,
        "provider": STRINGS,
        "kind": st.sampled_from(["authenticate", "link"]) | STRINGS,
        "return_to": RETURN_TO,
    },
)
FORGED = {"state": "s", "verifier": "v", "provider": "p", "kind": "authenticate", "return_to": "https://evil.example/"}
CLAIMED_HOSTS = st.lists(
    st.tuples(
        st.sampled_from(["host", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-forwarded-prefix"]),
        st.sampled_from(["evil.example", "[", "a b", "https", "host=evil.example;proto=https", "//evil.example"]),
    ),
    max_size=2,
)
QUERIES = st.dictionaries(
    st.sampled_from(["code", "state", "error", "errorCode", "return_to"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["SIGN_UP_REJECTED", "a", "b"]),
)


@given(FLOW_FACTS, QUERIES, st.booleans(), CLAIMED_HOSTS)
@example({"state": "\ud800", "verifier": "v", "provider": "p", "kind": "link", "return_to": ""}, {}, False, [])
@example({**FORGED, "kind": "link"}, {}, True, [])
@example(FORGED, {"error": "access_denied"}, False, [])
def test_no_return_from_a_provider_leads_off_this_site(facts: Any, query: Any, right_state: bool, hosts: Any):
    """Not even where the browser's own cookie was forged."""
    house().server.answer = real_server
    state = facts.get("state", "").encode("utf-8", "replace")
    flow = base64.urlsafe_b64encode(sha256(state).digest()).rstrip(b"=").decode()
    query = {**query, "code": "c", "state": state.decode()} if right_state else query
    headers = [*hosts, flow_cookie(f"oauth-{flow}", facts)]
    check(house().call("GET", f"/auth/oauth/callback/{flow}", params=query, headers=headers), sent_away=False)


@given(RETURN_TO, CLAIMED_HOSTS)
def test_return_to_and_host_never_change_the_redirect(return_to: str, hosts: Any):
    """No return to and no claimed host changes where a browser is sent."""
    house().server.answer = real_server
    query = {"return_to": return_to.encode("utf-8", "replace").decode()}
    answer = house().call("GET", "/auth/oauth/github/authorize", params=query, headers=hosts)
    check(answer, sent_away=True)
    assert "evil" not in answer.headers.get("location", "")


# --- what was found once ---


@pytest.mark.parametrize("token", ["a\r\nset-cookie: b=c", "a; Domain=example.com", "a, b", "é", "\x00"])
@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
def test_no_token_of_the_auth_server_writes_into_a_header(member: str, token: str):
    signed_in = {**real_answer("POST", "/api/v1/auth/password/sign-in"), member: token}
    house().server.answer = (200, [], to_bytes(signed_in))
    body = {"email": "ada@example.com", "password": "correct horse"}
    answer = house().call("POST", "/auth/password/sign-in", json=body)
    assert (answer.status_code, answer.json()["code"]) == (502, "auth_server_unexpected_response")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("location", ["http://[", "javascript:alert(1)", "//["])
def test_an_address_that_is_none_is_an_unexpected_answer(location: str):
    house().server.answer = (200, [], to_bytes({"location": location}))
    answer = house().call("GET", "/auth/oauth/github/authorize")
    assert (answer.status_code, answer.json()["code"]) == (502, "auth_server_unexpected_response")
