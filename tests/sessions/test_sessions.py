"""Cookie sessions: cookies that scripts and other sites cannot use, renewed without anybody noticing."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse

from fastapi_stackauth import (
    ConfigurationError,
    CurrentUser,
    CurrentUserProfile,
    OptionalUser,
    StackAuth,
    User,
    current_profile,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import SessionEnded
from fastapi_stackauth.models import TokenPair
from tests.sessions.helpers import (
    ACCESS,
    CREDENTIALS,
    EMAIL,
    ORIGIN,
    PASSWORD,
    REFRESH,
    browser,
    make_app,
    new_stack,
    record_calls,
    set_cookies,
    sign_up,
)
from tests.support.rows import rows

HTTPS = "https://app.example.com"


@pytest.fixture
async def stack(server: Emulator) -> AsyncIterator[StackAuth]:
    stack = new_stack(server)
    yield stack
    await stack.aclose()


@pytest.fixture
async def page(stack: StackAuth) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(make_app(stack)) as client:
        yield client


# --- what the browser gets ---


async def test_a_sign_in_sets_two_cookies_and_shows_no_token(page: httpx.AsyncClient):
    answer = await page.post("/auth/password/sign-up", json=CREDENTIALS)
    cookies = set_cookies(answer)
    assert set(cookies) == {ACCESS, REFRESH}
    for header in cookies.values():
        assert header.endswith("; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax")
    for value in page.cookies.values():
        assert value not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (await page.get("/me")).json() == answer.json()["user_id"]


@pytest.mark.parametrize(
    ("options", "name", "attributes"),
    [
        ({"app_url": HTTPS}, f"__Host-{ACCESS}", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
        (
            {"app_url": HTTPS, "cookie_domain": "example.com"},
            f"__Secure-{ACCESS}",
            "; Path=/; Domain=example.com; HttpOnly; SameSite=Lax; Secure",
        ),
        ({"app_url": "http://localhost:8000"}, f"__Host-{ACCESS}", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ({"app_url": HTTPS, "cookie_name": "other"}, "__Host-other-access", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
    ],
)
async def test_names_and_attributes_follow_the_apps_public_origin(
    server: Emulator, options: dict[str, str], name: str, attributes: str
):
    server.configure(domains=[{"domain": options["app_url"], "handler_path": "/handler"}])
    stack = new_stack(server, insecure_cookies=False, **options)
    async with browser(make_app(stack), options["app_url"]) as client:
        answer = await client.post("/auth/password/sign-up", json=CREDENTIALS)
        assert set_cookies(answer)[name].endswith(attributes)
        if options["app_url"] == HTTPS and "cookie_domain" not in options:
            assert (await client.get("/me")).status_code == 200
    await stack.aclose()


async def test_a_session_may_last_as_long_as_the_browser_runs(server: Emulator):
    stack = new_stack(server, session_max_age=None)
    async with browser(make_app(stack)) as client:
        answer = await client.post("/auth/password/sign-up", json=CREDENTIALS)
    await stack.aclose()
    assert all("Max-Age" not in header for header in set_cookies(answer).values())


def test_plain_http_beyond_loopback_gets_no_cookies_and_says_why():
    stack = StackAuth(project_id="p", app_url="http://app.example.com")
    with pytest.raises(ConfigurationError, match=r"http://app\.example\.com"):
        _ = stack.sessions.policy
    with pytest.raises(ConfigurationError, match="loopback"):
        StackAuth(app_url="http://app.example.com", insecure_cookies=True)
    with pytest.raises(ConfigurationError, match="app_url"):
        _ = StackAuth(project_id="p").sessions.policy


@pytest.mark.parametrize("path", ["/stream", "/file", "/away"])
async def test_cookies_go_out_on_every_response_unstored(page: httpx.AsyncClient, server: Emulator, path: str):
    """Cookies go out on every kind of response and none is stored."""
    await sign_up(page)
    server.clock.advance(590)
    answer = await page.get(path)
    assert set(set_cookies(answer)) == {ACCESS}
    assert answer.headers.get_list("cache-control") == ["no-store"]


async def test_session_responses_are_not_stored_unless_private(
    page: httpx.AsyncClient,
):
    """An answer that depends on the session is not stored unless the app keeps it private."""
    await sign_up(page)
    assert (await page.get("/me")).headers["cache-control"] == "no-store"
    assert (await page.get("/file")).headers["cache-control"] == "no-store"
    assert (await page.get("/private")).headers["cache-control"] == "private, max-age=60"
    assert "cache-control" not in (await page.post("/untouched")).headers


async def test_a_token_too_large_for_a_cookie_is_rejected(stack: StackAuth):
    """A token that no browser would keep is refused where it is delivered."""
    app = make_app(stack)

    @app.post("/start")
    async def start(request: Request) -> None:
        stack.sessions.start(request, TokenPair(access_token="a" * 5_000, refresh_token="r"))

    async with browser(app) as client:
        answer = await client.post("/start")
    assert (answer.status_code, answer.json()["code"]) == (500, "session_too_large")
    assert set_cookies(answer) == {}


async def test_an_apps_own_form_handler_can_start_and_end_a_session(stack: StackAuth):
    app = make_app(stack)

    @app.post("/login")
    async def login(request: Request) -> RedirectResponse:
        stack.sessions.start(request, await stack.client.password.sign_up(email=EMAIL, password=PASSWORD))
        return RedirectResponse("/", 303)

    @app.post("/logout")
    async def logout(request: Request) -> RedirectResponse:
        await stack.sessions.end(request)
        return RedirectResponse("/", 303)

    async with browser(app) as client:
        assert (await client.post("/login")).status_code == 303
        assert (await client.get("/me")).status_code == 200
        refresh_token = client.cookies[REFRESH]
        assert (await client.post("/logout")).status_code == 303
        assert not client.cookies
        assert (await client.get("/me")).status_code == 401
        with pytest.raises(Exception, match="REFRESH_TOKEN_NOT_FOUND"):
            await stack.client.refresh(refresh_token)


# --- renewal ---


async def test_a_token_near_its_end_rewrites_the_access_cookie(page: httpx.AsyncClient, server: Emulator):
    """A token near its end is renewed and only the access cookie is written."""
    user_id = await sign_up(page)
    before = page.cookies[ACCESS]
    server.clock.advance(540)
    assert set_cookies(await page.get("/me")) == {}
    server.clock.advance(50)
    answer = await page.get("/me")
    assert (answer.status_code, answer.json()) == (200, user_id)
    assert set(set_cookies(answer)) == {ACCESS}
    assert page.cookies[ACCESS] != before


async def test_concurrent_requests_and_stragglers_share_one_refresh(
    stack: StackAuth, server: Emulator, monkeypatch: pytest.MonkeyPatch
):
    """200 requests and 50 stragglers cause one refresh and all are answered."""
    async with browser(make_app(stack)) as client:
        user_id = await sign_up(client)
        jar = {ACCESS: client.cookies[ACCESS], REFRESH: client.cookies[REFRESH]}
        server.clock.advance(590)
        calls = record_calls(server, monkeypatch, stack)

        async def request() -> httpx.Response:
            header = "; ".join(f"{name}={value}" for name, value in jar.items())
            return await client.get("/me", headers={"cookie": header})

        client.cookies.clear()
        first = await asyncio.gather(*(request() for _ in range(200)))
        late = await asyncio.gather(*(request() for _ in range(50)))
    assert len(calls) == 1
    assert {(answer.status_code, answer.json()) for answer in first + late} == {(200, user_id)}
    assert all(set(set_cookies(answer)) == {ACCESS} for answer in first + late)


async def test_a_dead_session_clears_cookies_and_is_signed_out(
    page: httpx.AsyncClient, stack: StackAuth, server: Emulator
):
    """A dead session clears the cookies and counts as signed out."""
    await sign_up(page)
    await stack.client.as_user(page.cookies[ACCESS]).sessions.sign_out()
    server.clock.advance(590)
    answer = await page.get("/hello")
    assert answer.json() == "nobody"
    assert all("Max-Age=0" in header for header in set_cookies(answer).values())
    assert not page.cookies
    assert (await page.get("/me")).json()["code"] == "authentication_required"


async def test_an_auth_server_that_is_down_signs_nobody_out(
    page: httpx.AsyncClient, stack: StackAuth, server: Emulator
):
    from fastapi_stackauth.errors import AuthServerUnreachable

    user_id = await sign_up(page)
    assert (await page.get("/me")).status_code == 200

    async def down(_token: str) -> Any:
        raise AuthServerUnreachable

    stack.client.refresh = down  # type: ignore[method-assign,assignment]  # an outage, at the stack's own seam
    server.clock.advance(590)
    answer = await page.get("/me")
    assert (answer.json(), set_cookies(answer)) == (user_id, {}), "the old token serves until it expires"
    server.clock.advance(20)
    for path in ("/me", "/hello"):
        answer = await page.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert set_cookies(answer) == {}
    assert {ACCESS, REFRESH} <= set(page.cookies)
    del stack.client.refresh
    assert (await page.get("/me")).json() == user_id


@pytest.mark.parametrize("path", ["/profile", "/auth/me", "/auth/sessions"])
async def test_a_token_that_expires_during_a_call_signs_none_out(server: Emulator, stack: StackAuth, path: str):
    """The old token serves while renewals fail; the auth server, which forgives no seconds, then refuses it."""
    from fastapi_stackauth.errors import AuthServerUnreachable

    app = make_app(stack)

    @app.get("/profile")
    async def profile(profile: Annotated[CurrentUserProfile, Depends(current_profile)]) -> str:
        return profile.id

    async def down(_token: str) -> Any:
        raise AuthServerUnreachable

    async with browser(app) as client:
        await sign_up(client)
        await client.get("/me")
        stack.client.refresh = down  # type: ignore[method-assign,assignment]  # an outage, at the stack's own seam
        server.clock.advance(602)
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert set_cookies(answer) == {}
        bearer = {"authorization": f"Bearer {client.cookies[ACCESS]}"}
        assert (await client.get(path, headers=bearer)).json()["code"] == "token_expired"
        del stack.client.refresh
        assert (await client.get(path)).status_code == 200


async def test_a_token_rejected_for_its_key_is_refreshed(page: httpx.AsyncClient, server: Emulator, stack: StackAuth):
    """This worker has the old keys yet, and accepts what they signed."""
    user_id = await sign_up(page)
    assert (await page.get("/me")).json() == user_id
    server.store.projects.rotate_keys()
    old = {"cookie": "; ".join(f"{name}={value}" for name, value in page.cookies.items())}
    answer = await page.get("/auth/me")
    assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert set(set_cookies(answer)) == {ACCESS}
    late = await page.get("/auth/me", headers=old)
    assert set_cookies(late) == set_cookies(answer), "who still holds the old token is given the same new one"
    assert stack.events.counts()[("session_refreshed", (("delivery", "cookie"),))] == 1
    assert (await page.get("/auth/me")).json()["id"] == user_id


async def test_an_ended_session_is_401_after_a_key_rotation_too(
    page: httpx.AsyncClient, server: Emulator, stack: StackAuth
):
    """A session that has ended is 401 also where its key was rotated away."""
    await sign_up(page)
    assert (await page.get("/me")).status_code == 200
    await stack.client.as_user(page.cookies[ACCESS]).sessions.sign_out()
    server.store.projects.rotate_keys()
    answer = await page.get("/auth/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
    assert not page.cookies


async def test_a_token_with_a_new_key_signs_no_user_out(page: httpx.AsyncClient, server: Emulator, stack: StackAuth):
    """Anybody can make a worker ask for an unknown key, which it then does not do again for half a minute."""
    user_id = await sign_up(page)
    assert (await page.get("/me")).json() == user_id
    header = urlsafe_b64encode(b'{"alg":"ES256","kid":"no-such-key"}').rstrip(b"=").decode()
    stranger = {"authorization": f"Bearer {header}.{page.cookies[ACCESS].partition('.')[2]}"}
    assert (await page.get("/me", headers=stranger)).json()["code"] == "token_key_unknown"
    server.store.projects.rotate_keys()
    server.clock.advance(590)
    answer = await page.get("/me")
    assert (answer.json(), set_cookies(answer)) == (user_id, {}), "the old token serves until it expires"
    server.clock.advance(20)
    for path in ("/me", "/hello") * 3:
        answer = await page.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
    renewals = stack.events.counts()[("session_refreshed", (("delivery", "cookie"),))]
    assert renewals == 1, "another token would fare no better"
    await stack.warm_up()
    assert (await page.get("/me")).json() == user_id


async def test_a_session_survives_the_rotation_of_signing_keys(page: httpx.AsyncClient, server: Emulator):
    user_id = await sign_up(page)
    assert (await page.get("/me")).status_code == 200
    server.store.projects.rotate_keys()
    server.clock.advance(590)
    assert (await page.get("/me")).json() == user_id


async def test_a_refreshed_session_survives_a_key_rotation(page: httpx.AsyncClient, server: Emulator, stack: StackAuth):
    """The token that this worker remembers from the renewal is signed by a key that is gone."""
    user_id = await sign_up(page)
    refresh_token = page.cookies[REFRESH]
    server.clock.advance(590)
    assert (await page.get("/me")).json() == user_id
    server.store.projects.rotate_keys()
    await stack.warm_up()
    answers = await asyncio.gather(*(page.get("/me") for _ in range(5)))
    assert [answer.json() for answer in answers] == [user_id] * 5
    server.store.projects.rotate_keys()
    assert (await page.post("/auth/sign-out")).status_code == 204
    with pytest.raises(SessionEnded):
        await stack.client.refresh(refresh_token)


@pytest.mark.parametrize("missing", [ACCESS, REFRESH])
async def test_one_cookie_without_the_other_is_no_session(page: httpx.AsyncClient, missing: str):
    await sign_up(page)
    page.cookies.delete(missing)
    assert (await page.get("/me")).json()["code"] == "authentication_required"


async def test_a_straggler_cannot_revive_a_session_that_was_signed_out(page: httpx.AsyncClient, server: Emulator):
    await sign_up(page)
    header = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    assert (await page.post("/auth/sign-out")).status_code == 204
    assert not page.cookies
    server.clock.advance(590)
    straggler = await page.get("/hello", headers={"cookie": header})
    assert straggler.json() == "nobody"
    assert (await page.get("/me")).status_code == 401


@pytest.mark.parametrize("value", ["junk", "a.b.c", "ünïcode", "x" * 20_000, '"quoted"', "%00"])
async def test_a_junk_access_cookie_is_refreshed_or_rejected(page: httpx.AsyncClient, value: str):
    """A cookie of nonsense is renewed by the refresh cookie or refused and never a server error."""
    await sign_up(page)
    good = page.cookies[REFRESH]
    page.cookies.clear()
    for refresh in (good, value):
        cookie = f"{ACCESS}={value}; {REFRESH}={refresh}".encode()
        answer = await page.get("/me", headers={"cookie": cookie})  # type: ignore[arg-type]  # raw bytes on purpose
        assert answer.status_code in (200, 401), answer.text


async def test_sign_out_clears_cookies_during_an_outage(page: httpx.AsyncClient, stack: StackAuth):
    """Signing out clears the cookies even when the auth server is down."""
    from fastapi_stackauth.errors import AuthServerUnreachable

    await sign_up(page)
    token = page.cookies[ACCESS]

    async def down(_token: str) -> Any:
        raise AuthServerUnreachable

    stack.client.refresh = down  # type: ignore[method-assign,assignment]  # an outage, at the stack's own seam
    assert (await page.post("/auth/sign-out")).status_code == 204
    assert not page.cookies
    answer = await page.get("/me", headers={"authorization": f"Bearer {token}"})
    assert answer.json()["code"] == "session_revoked", "the access token is out, and refused here at once"


async def test_the_access_cookie_can_be_renewed_on_demand(page: httpx.AsyncClient, stack: StackAuth):
    user_id = await sign_up(page)
    await stack.client.as_user(page.cookies[ACCESS]).users.update_me(_find_named("Ada"))
    server_side = (await page.post("/auth/session/refresh")).status_code
    user: User = await stack.verifier.verify(page.cookies[ACCESS])
    assert (server_side, user.id, user.display_name) == (204, user_id, "Ada")
    page.cookies.clear()
    assert (await page.post("/auth/session/refresh")).json()["code"] == "authentication_required"


def _find_named(name: str) -> Any:
    from fastapi_stackauth.models import CurrentUserUpdate

    return CurrentUserUpdate(display_name=name)


# --- other sites (decision 11) ---

ALLOWED, REFUSED = 200, 403


@pytest.mark.parametrize(
    ("origin", "fetch_site", "status"),
    [
        (ORIGIN, "same-origin", ALLOWED),
        (ORIGIN, None, ALLOWED),
        (None, "same-origin", ALLOWED),
        (None, "none", ALLOWED),
        ("https://trusted.example.com", "same-site", ALLOWED),
        ("https://trusted.example.com", None, ALLOWED),
        (None, None, REFUSED),
        ("null", None, REFUSED),
        ("null", "cross-site", REFUSED),
        ("https://evil.example.org", "cross-site", REFUSED),
        ("https://evil.example.org", None, REFUSED),
        ("https://sub.localhost:8000", "same-site", REFUSED),
        (ORIGIN, "cross-site", REFUSED),
        ("http://localhost:8001", "same-site", REFUSED),
    ],
)
@pytest.mark.parametrize("path", ["/me", "/auth/password/sign-in", "/auth/sign-out", "/auth/session/refresh"])
async def test_other_sites_cannot_use_or_plant_a_session(
    server: Emulator, origin: str | None, fetch_site: str | None, status: int, path: str
):
    stack = new_stack(server, trusted_origins=["https://trusted.example.com"])
    app = make_app(stack)
    async with browser(app) as client:
        await sign_up(client)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"cookie": cookie}
    headers |= {"origin": origin} if origin else {}
    headers |= {"sec-fetch-site": fetch_site} if fetch_site else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        answer = await client.post(path, headers=headers, json=CREDENTIALS if "sign-in" in path else None)
        safe = await client.get("/me", headers=headers)
        untouched = await client.post("/untouched", headers=headers)
    await stack.aclose()
    if status == REFUSED:
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
        assert set_cookies(answer) == {}
    else:
        assert answer.status_code in (200, 204)
    signed_out = status != REFUSED and path == "/auth/sign-out"
    assert safe.status_code == (401 if signed_out else 200), "a safe method changes nothing"
    assert untouched.status_code == 200, "an app's own route that uses none of ours is its own affair"


async def test_a_header_beats_an_unchecked_cookie(page: httpx.AsyncClient):
    """A header beats the cookie which is then neither read nor checked."""
    user_id = await sign_up(page)
    headers = {"authorization": f"Bearer {page.cookies[ACCESS]}", "origin": "https://evil.example.org"}
    headers["sec-fetch-site"] = "cross-site"
    answer = await page.post("/me", headers=headers)
    assert (answer.status_code, answer.json()) == (200, user_id)
    bad = await page.get("/me", headers={"authorization": "Bearer junk"})
    assert bad.json()["code"] == "token_malformed"


@pytest.mark.parametrize(("origin", "accepted"), [(ORIGIN, True), ("https://evil.example.org", False), (None, False)])
async def test_a_websocket_uses_the_cookie_only_from_the_apps_pages(
    stack: StackAuth, server: Emulator, origin: str | None, accepted: bool
):
    app = make_app(stack)

    @app.websocket("/feed")
    async def feed(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        await websocket.send_text(user.id)
        await websocket.close()

    async with browser(app) as client:
        await sign_up(client)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()
    server.clock.advance(590)
    messages = await _websocket(
        app, "/feed", [(b"cookie", cookie), *([(b"origin", origin.encode())] if origin else [])]
    )
    if accepted:
        assert messages[0]["type"] == "websocket.accept"
        assert [name for name, _ in messages[0]["headers"]] == [b"cache-control", b"set-cookie"]
    else:
        assert messages[0]["type"] == "websocket.http.response.start"
        assert messages[0]["status"] == 403


async def _websocket(app: FastAPI, path: str, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    sent: list[Any] = []
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "scheme": "ws",
        "server": ("localhost", 8000),
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


# --- several ---


async def test_two_stacks_in_one_app_keep_their_sessions_apart(server: Emulator):
    first, second = new_stack(server), new_stack(server, cookie_name="admin")
    app = FastAPI()
    first.install(app)
    second.install(app, default=False)
    app.include_router(first.router(), prefix="/auth")
    app.include_router(second.router(), prefix="/admin/auth")

    @app.get("/who")
    async def who(user: OptionalUser, admin: Annotated[User | None, Depends(second.optional_user)]) -> list[str | None]:
        return [user.id if user else None, admin.id if admin else None]

    async with browser(app) as client:
        answer = await client.post("/admin/auth/password/sign-up", json=CREDENTIALS)
        assert set(set_cookies(answer)) == {"admin-access", "admin-refresh"}
        assert (await client.get("/who")).json() == [None, answer.json()["user_id"]]
    for stack in (first, second):
        await stack.aclose()


async def test_a_protected_page_redirects_to_sign_in(server: Emulator):
    """A page that needs a user sends a browser to the sign in page."""
    stack = new_stack(server, sign_in_url="/welcome?from=app")
    async with browser(make_app(stack)) as client:
        html = {"accept": "text/html,application/xhtml+xml"}
        answer = await client.get("/me?tab=2&x=a%20b", headers=html)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/welcome?from=app&return_to=%2Fme%3Ftab%3D2%26x%3Da%2520b"
        assert (await client.get("/me")).status_code == 401, "a script gets its answer"
        assert (await client.post("/me", headers=html)).status_code == 401
        assert (await client.get("/auth/me", headers=html)).status_code == 401, (
            "the router's own routes are for scripts"
        )
    await stack.aclose()


@rows("exp", ["1" + "0" * 400, "-1" + "0" * 400, "1e400", "true", '"soon"', "null", "[]"])
async def test_no_expiry_in_an_access_cookie_breaks_the_refresh(page: httpx.AsyncClient, exp: str):
    """Any client can write a cookie: an `exp` that no float holds means a refresh, and no 500."""
    parts = ('{"alg":"ES256","kid":"k"}', f'{{"sub":"a","iat":1,"exp":{exp}}}', "0" * 64)
    token = ".".join(urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    answer = await page.get("/me", headers={"cookie": f"{ACCESS}={token}; {REFRESH}=unknown"})
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")


async def test_an_own_route_that_starts_a_session_checks_the_origin(stack: StackAuth):
    """`sessions.start` rejects other sites by itself: only a request that has passed the check is not checked again."""
    app = make_app(stack)

    @app.post("/own", include_in_schema=False)  # the library documents no 403 of a call in a handler
    async def own(request: Request) -> str:
        stack.sessions.start(request, TokenPair(access_token="a", refresh_token="b"))
        return "started"

    async with browser(app) as page:
        foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        answer = await page.post("/own", headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
        assert not set_cookies(answer)
        assert set(set_cookies(await page.post("/own"))) == {ACCESS, REFRESH}
