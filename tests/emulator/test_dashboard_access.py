"""Who may use the emulator's dashboard and control API: this machine, and other machines with the dashboard token."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.__main__ import arguments, choose_dashboard_token
from fastapi_stackauth.emulator.control import CONTROLS
from fastapi_stackauth.emulator.dashboard.dashboard import ACTIONS, VIEWS
from tests.support.rows import rows

TOKEN = "dashboard-token-of-this-test"
STRANGER = "192.0.2.7"
LOCAL = ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]
PAGES = [("GET", path) for path, _, _ in VIEWS] + [("POST", path) for path, _ in ACTIONS]
CONTROL = [(method, path) for method, path, _, _ in CONTROLS]
REST = [
    ("POST", "/dashboard/sign-in-as"),
    ("GET", "/emulator/outbox"),
    ("GET", "/unknown"),
    ("GET", "/emulator/oauth/x"),
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    emulator = Emulator(dashboard_token=TOKEN)
    yield emulator
    emulator.close()


def browser(emulator: Emulator, peer: str | None = STRANGER, **options: Any) -> httpx.AsyncClient:
    """A browser on a machine of this address."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await emulator.app({**scope, "client": None if peer is None else (peer, 4711)}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8102", **options)


@rows(("method", "path"), [*PAGES, *CONTROL, *REST])
async def test_a_stranger_is_rejected_everywhere_and_sees_no_key(emulator: Emulator, method: str, path: str):
    """Any peer may write `Host: localhost`; that alone opens nothing."""
    async with browser(emulator) as client:
        answer = await client.request(method, path)
    assert answer.status_code == 403
    assert "EMULATOR_DASHBOARD_TOKEN" in answer.text, "what to do"
    assert TOKEN not in answer.text + str(answer.headers)
    assert emulator.secret_server_key not in answer.text


@rows("peer", ["203.0.113.5", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "localhost", "", None])
async def test_only_loopback_addresses_are_this_machine(emulator: Emulator, peer: str | None):
    async with browser(emulator, peer) as client:
        assert (await client.get("/")).status_code == 403


@rows("peer", LOCAL)
async def test_this_machine_needs_no_token(peer: str):
    emulator = Emulator()
    async with browser(emulator, peer) as client:
        assert emulator.secret_server_key in (await client.get("/")).text
        assert (await client.get("/emulator/project")).status_code == 200
    emulator.close()


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
async def test_what_a_proxy_on_this_machine_forwards_needs_the_token(emulator: Emulator, header: str):
    async with browser(emulator, "127.0.0.1", headers={header: "127.0.0.1"}) as client:
        assert (await client.get("/")).status_code == 403
        assert (await client.get("/", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200


async def test_the_link_opens_the_dashboard_once(emulator: Emulator):
    """The link opens the dashboard once and a cookie from then on."""
    async with browser(emulator) as client:
        entered = await client.get(emulator.dashboard_url)
        assert (entered.status_code, entered.headers["location"]) == (303, "/"), "the address no longer shows it"
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/emulator/project")).status_code == 200
        made = await client.post("/dashboard/users/create", data={"primary_email": "ada@example.com"})
        assert made.status_code == 303
        assert TOKEN not in (await client.get("/dashboard/users")).text


async def test_behind_https_the_cookie_is_secure():
    emulator = Emulator("https://auth.example.com", dashboard_token=TOKEN)
    async with browser(emulator) as client:
        assert "secure" in (await client.get(f"/?token={TOKEN}")).headers["set-cookie"].lower()
    emulator.close()


async def test_a_link_leads_to_no_other_place(emulator: Emulator):
    async with browser(emulator) as client:
        answer = await client.get(f"http://localhost:8102//evil.example/?token={TOKEN}&next=//evil.example")
    assert answer.headers["location"] == "/"


async def test_the_token_counts_under_any_host_name_and_as_a_bearer(emulator: Emulator):
    """Another machine knows this one by a name of its own; a page that rebinds DNS does not have the token."""
    token = {"authorization": f"Bearer {TOKEN}"}
    async with browser(emulator) as client:
        assert (await client.get("http://build-box:8102/emulator/clock", headers=token)).status_code == 200
    async with browser(emulator, "127.0.0.1") as client:
        assert (await client.get("http://evil.example/emulator/clock")).status_code == 403


async def test_another_site_cannot_post_with_the_cookie(emulator: Emulator):
    async with browser(emulator) as client:
        await client.get(emulator.dashboard_url)
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
            answer = await client.post("/emulator/reset", headers=headers)
            assert answer.status_code == 403


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Emulator]:
    """One for all examples: to make one takes longer than to ask it."""
    emulator = Emulator(dashboard_token=TOKEN)
    yield emulator
    emulator.close()


@given(st.text().filter(lambda text: text != TOKEN) | st.just(TOKEN[:-1]) | st.just(TOKEN + "x"))
@example("")
@example("\ud800")
async def test_any_other_token_opens_nothing(shared_server: Emulator, token: str):
    async with browser(shared_server) as client:
        encoded = token.encode("utf-8", "surrogatepass")
        query = await client.get("/", params={"token": encoded.decode("latin-1")})
        bearer = await client.get("/", headers=[(b"authorization", b"Bearer " + _header(encoded))])
        cookie = await client.get("/", headers=[(b"cookie", b"emulator_dashboard=" + _header(encoded))])
    assert {answer.status_code for answer in (query, bearer, cookie)} == {403}
    assert "set-cookie" not in query.headers


def _header(value: bytes) -> bytes:
    return bytes(byte for byte in value if byte >= 32 and byte != 127)


async def test_without_a_token_no_text_stands_for_one():
    emulator = Emulator()
    async with browser(emulator) as client:
        for token in ("", "None"):
            headers = {"authorization": f"Bearer {token}", "cookie": f"emulator_dashboard={token}"}
            assert (await client.get("/", params={"token": token}, headers=headers)).status_code == 403
    emulator.close()


async def test_the_api_and_the_mock_providers_page_stay_open(emulator: Emulator):
    async with browser(emulator) as client:
        keys = await client.get(f"/api/v1/projects/{emulator.project_id}/.well-known/jwks.json")
        assert keys.status_code == 200
        page = await client.get("/emulator/oauth/google/authorize?state=unknown")
        assert (page.status_code, "Start it again" in page.text) == (400, True)
        decided = await client.post("/emulator/oauth/google/authorize", data={"state": "unknown"})
        assert decided.status_code == 400


async def test_what_a_stranger_posts_to_the_mock_provider_is_bounded(emulator: Emulator):
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 10_000_000:
            taken += 4096
            yield b" " * 4096

    messages: list[Any] = []
    chunks = endless()

    async def receive() -> Any:
        return {"type": "http.request", "body": await anext(chunks, b""), "more_body": taken < 10_000_000}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "POST", "path": "/emulator/oauth/github/authorize", "query_string": b"",
             "headers": [(b"host", b"localhost")], "client": (STRANGER, 4711), "asgi": {"version": "3.0"}}  # fmt: skip
    await emulator.app(scope, receive, send)
    assert messages[0]["status"] == 413
    assert taken < 100_000


@rows("token", ["", "short", "a" * 201, "with space in the middle", "semi;colon-semi;colon", "é" * 20])
def test_a_malformed_token_error_does_not_repeat_it(token: str):
    """A token of the wrong form is an error that does not repeat it."""
    with pytest.raises(ValueError, match="16 to 200") as error:
        Emulator(dashboard_token=token)
    assert not token or token not in str(error.value)


@rows("host", ["0.0.0.0", "::", "", "192.168.1.5", "box.example"])
def test_a_token_is_made_if_other_machines_can_reach_it(host: str):
    one, other = (choose_dashboard_token(arguments().parse_args(["--host", host])) for _ in range(2))
    assert one
    assert other
    assert one != other
    Emulator(dashboard_token=one).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_no_token_is_made_on_loopback(host: str):
    assert choose_dashboard_token(arguments().parse_args(["--host", host])) is None


def test_a_given_token_counts_and_the_option_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMULATOR_DASHBOARD_TOKEN", TOKEN)
    assert choose_dashboard_token(arguments().parse_args(["--host", "0.0.0.0"])) == TOKEN
    assert choose_dashboard_token(arguments().parse_args(["--dashboard-token", "another-token-of-this"])) == (
        "another-token-of-this"
    )
