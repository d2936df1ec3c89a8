"""A session refreshes itself: in time, once, without the old token, and says so."""

import asyncio
import base64
import json
from typing import Any

import pytest
from starlette.responses import Response

from fastapi_stackauth.client.tokens import TokenSource
from fastapi_stackauth.errors import AccessTokenRejected, AuthServerUnavailable, SessionEnded
from fastapi_stackauth.models import AccessToken, TokenPair

from .fakes import Asked, FakeServer, json_response, known_error, make_client, text_answer
from .table import success

NOW = 1_800_000_000.0
ME = success("GET /users/me")


def token(expires_at: float, name: str = "x") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires_at, "n": name}).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


def pair(expires_at: float) -> TokenPair:
    return TokenPair(access_token=token(expires_at, "old"), refresh_token="r1")


class Refresher:
    """Hands out new access tokens, when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, refresh_token: str) -> AccessToken:
        self.asked.append(refresh_token)
        await self.open.wait()
        return AccessToken(access_token=token(NOW + 600, f"new{len(self.asked)}"))


def keeper(tokens: TokenPair, refresh: Any, listener: Any = None) -> TokenSource:
    return TokenSource(tokens, refresh, listener, clock=lambda: NOW)


@pytest.mark.parametrize(("left", "refreshes"), [(600, 0), (20.5, 0), (20, 1), (5, 1), (0, 1), (-600, 1)])
async def test_a_token_with_20_seconds_left_is_refreshed(left: float, refreshes: int):
    """A token with 20 seconds or less is refreshed before it is used."""
    refresh = Refresher()
    await keeper(pair(NOW + left), refresh).access_token()
    assert len(refresh.asked) == refreshes


@pytest.mark.parametrize(
    "broken", ["", "x", "a.b.c", "a.!!.c", "e30.e30.x", "e30.bnVsbA.x", "e30." + "W" * 5000 + ".x"]
)
async def test_a_token_that_cannot_be_read_is_refreshed(broken: str):
    refresh = Refresher()
    await keeper(TokenPair(access_token=broken, refresh_token="r1"), refresh).access_token()
    assert refresh.asked == ["r1"]


async def test_many_calls_at_once_cause_one_refresh():
    refresh = Refresher()
    refresh.open.clear()
    kept = keeper(pair(NOW), refresh)
    waiting = [asyncio.create_task(kept.access_token()) for _ in range(30)]
    await asyncio.sleep(0)
    refresh.open.set()
    assert len(set(await asyncio.gather(*waiting))) == 1
    assert len(refresh.asked) == 1


async def test_a_cancelled_call_leaves_the_refresh_to_the_others():
    refresh = Refresher()
    refresh.open.clear()
    kept = keeper(pair(NOW), refresh)
    first, second = (asyncio.create_task(kept.access_token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    refresh.open.set()
    assert AccessToken(access_token=await second).expires_at is not None
    assert len(refresh.asked) == 1


async def test_the_refresh_token_is_kept():
    """It is not rotated, and a refresh's answer does not bring one (tokens.md §3)."""
    kept = keeper(pair(NOW), Refresher())
    await kept.access_token()
    assert kept.tokens.refresh_token == "r1"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_listener_hears_of_new_tokens_before_they_are_used(asynchronous: bool):
    heard: list[TokenPair] = []

    async def listen(tokens: TokenPair) -> None:
        await asyncio.sleep(0)
        heard.append(tokens)

    fresh = await keeper(pair(NOW), Refresher(), listen if asynchronous else heard.append).access_token()
    assert [each.access_token for each in heard] == [fresh]
    assert heard[0].refresh_token == "r1"


async def test_a_late_caller_does_not_replace_a_replaced_token():
    refresh = Refresher()
    kept = keeper(pair(NOW + 600), refresh)
    refused = kept.tokens.access_token
    first = await kept.replace(refused)
    assert await kept.replace(refused) == first
    assert len(refresh.asked) == 1


# --- the client around it ---


def refreshing(me: Response, *, fresh: str = "new") -> FakeServer:
    """A server that refreshes, and answers everything else with `me`."""

    def answer(asked: Asked) -> Response:
        if asked.path.endswith("/refresh"):
            return json_response({"access_token": token(4_000_000_000, fresh)})
        return me

    return FakeServer(answer=answer)


async def test_a_refresh_never_sends_the_old_access_token():
    """An expired one would be refused before the refresh token is looked at (tokens.md §3)."""
    server = refreshing(json_response(ME))
    await make_client(server).session(pair(1.0)).users.me()
    refresh, me = server.asked
    assert refresh.headers["x-stack-refresh-token"] == "r1"
    assert "x-stack-access-token" not in refresh.headers
    assert me.headers["x-stack-access-token"] == token(4_000_000_000, "new")


async def test_a_plain_refresh_leaves_the_client_s_token_behind():
    server = refreshing(json_response(ME))
    await make_client(server).as_user("a.b.c").refresh("r1")
    assert "x-stack-access-token" not in server.last.headers


async def test_a_session_takes_a_sign_in_s_answer():
    server = FakeServer([json_response({"access_token": token(4_000_000_000), "refresh_token": "r", "user_id": "u"})])
    client = make_client(server)
    signed_in = await client.password.sign_in(email="ada@example.com", password="Correct-Horse-7")
    server.answers = [json_response(ME)]
    await client.session(signed_in).users.me()
    assert server.last.headers["x-stack-access-token"] == signed_in.access_token


async def test_where_clocks_disagree_a_refused_token_is_replaced_once():
    tokens = TokenPair(access_token=token(4_000_000_000, "old"), refresh_token="r1")

    def answer(asked: Asked) -> Response:
        if asked.path.endswith("/refresh"):
            return json_response({"access_token": token(4_000_000_000, "new")})
        fresh = asked.headers["x-stack-access-token"] == token(4_000_000_000, "new")
        return json_response(ME) if fresh else known_error("ACCESS_TOKEN_EXPIRED", 401)

    server = FakeServer(answer=answer)
    assert (await make_client(server).session(tokens).users.me()).id == ME["id"]
    assert [asked.method for asked in server.asked] == ["GET", "POST", "GET"]


async def test_a_server_that_refuses_every_token_is_not_asked_for_ever():
    server = refreshing(known_error("ACCESS_TOKEN_EXPIRED", 401))
    with pytest.raises(AccessTokenRejected):
        await make_client(server).session(pair(4_000_000_000)).users.me()
    assert len(server.asked) == 3


async def test_another_rejection_does_not_refresh_a_token():
    """A token that is refused for another reason is not refreshed."""
    server = refreshing(known_error("UNPARSABLE_ACCESS_TOKEN", 401))
    with pytest.raises(AccessTokenRejected):
        await make_client(server).session(pair(4_000_000_000)).users.me()
    assert len(server.asked) == 1


async def test_a_session_that_has_ended_says_so():
    server = FakeServer([known_error("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", 401)])
    with pytest.raises(SessionEnded):
        await make_client(server).session(pair(1.0)).users.me()


async def test_oauth_s_lifetime_is_not_believed():
    """Refresh B says 3599 s whatever the token's lifetime is (tokens.md §3)."""
    body = {"access_token": token(NOW + 600), "token_type": "Bearer", "expires_in": 3599, "scope": "legacy"}
    server = FakeServer([json_response(body)])
    fresh = await make_client(server, publishable_client_key="pck_1").oauth.refresh("r1")
    assert fresh.expires_at is not None
    assert fresh.expires_at.timestamp() == NOW + 600
    assert server.last.json["client_secret"] == "pck_1"


async def test_oauth_without_publishable_key_sends_no_secret():
    """Oauth without a publishable key takes the word for none and never the secret key."""
    server = FakeServer([json_response({"access_token": "a.b.c"})])
    await make_client(server, secret_server_key="ssk_1", branch_id="preview").oauth.refresh("r1")
    assert server.last.json["client_secret"] == "__stack_public_client__"
    assert server.last.json["client_id"].endswith("#preview")
    assert b"ssk_1" not in server.last.body
    assert not [header for header in server.last.headers if header.startswith("x-stack")]


async def test_authorize_on_a_session_s_client_brings_its_fresh_token():
    server = refreshing(json_response({"location": "https://provider.example/"}))
    session = make_client(server).session(pair(1.0))
    await session.oauth.authorize("github", redirect_uri="r", state="s", code_challenge="c", link=True)
    assert server.last.query["token"] == token(4_000_000_000, "new")
    assert (server.last.query["type"], server.last.query["stack_response_mode"]) == ("link", "json")


# --- signing out ---

SESSION = {"id": "s", "user_id": "u", "created_at": 1}
CRASH = text_answer("Internal Server Error", 500)


async def sign_out(first: Response, listed: Response = CRASH) -> FakeServer:
    server = FakeServer(answer=lambda asked: first if asked.method == "DELETE" else listed)
    await make_client(server).as_user("a.b.c").sessions.sign_out()
    return server


async def test_signing_out_ends_the_session():
    assert len((await sign_out(json_response({"success": True}))).asked) == 1


@pytest.mark.parametrize(
    ("first", "listed"),
    [
        (CRASH, json_response({"items": [SESSION]})),
        (CRASH, json_response({"items": []})),
        (CRASH, known_error("CANNOT_GET_OWN_USER_WITHOUT_USER")),
        (known_error("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", 401), CRASH),
    ],
)
async def test_signing_out_of_a_session_that_has_ended_succeeds(first: Response, listed: Response):
    """The real server answers 500 to it (corrections.md A1)."""
    await sign_out(first, listed)


@pytest.mark.parametrize(
    ("first", "listed"),
    [
        (CRASH, json_response({"items": [{**SESSION, "is_current_session": True}]})),
        (CRASH, CRASH),
        (text_answer("", 503), json_response({"items": []})),
    ],
)
async def test_a_failed_sign_out_is_never_called_a_success(first: Response, listed: Response):
    with pytest.raises(AuthServerUnavailable):
        await sign_out(first, listed)


async def test_the_log_of_an_authorization_shows_neither_key_nor_token(caplog: pytest.LogCaptureFixture):
    """The log of httpx holds whole URLs, and OAuth's are full of them."""
    caplog.set_level("DEBUG")
    server = FakeServer([json_response({"location": "https://provider.example/"})])
    client = make_client(server, publishable_client_key="pck_hidden").as_user("tok-hidden")
    await client.oauth.authorize("github", redirect_uri="r", state="st-hidden", code_challenge="c")
    assert "/auth/oauth/authorize/github" in caplog.text
    assert "hidden" not in caplog.text
