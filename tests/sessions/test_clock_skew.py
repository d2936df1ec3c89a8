"""A host whose clock is wrong signs nobody out, and asks the auth server no oftener than one whose clock is right."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.client.tokens import TokenSource
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import AccessToken, TokenPair
from tests.sessions.helpers import (
    ACCESS,
    CREDENTIALS,
    REFRESH,
    browser,
    make_app,
    new_stack,
    record_calls,
    set_cookies,
    sign_up,
)
from tests.support.forge import Signer

AHEAD, BEHIND = 610.0, -610.0  # tokens live for 600 seconds, and 5 are forgiven
NEARLY_TOO_FAR = 582.0  # fresh tokens are taken yet, but seem to have less than 20 seconds left


@dataclass
class WrongClock:
    """A clock that is this many seconds off the auth server's."""

    off: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.off


@pytest.fixture
def clock() -> WrongClock:
    return WrongClock()


@pytest.fixture
async def stack(server: Emulator, clock: WrongClock) -> AsyncIterator[StackAuth]:
    stack = new_stack(server, clock=clock)
    yield stack
    await stack.aclose()


@pytest.fixture
async def page(stack: StackAuth) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(make_app(stack)) as client:
        yield client


@pytest.mark.parametrize("off", [AHEAD, BEHIND])
@pytest.mark.parametrize("path", ["/me", "/hello"])
async def test_a_refreshed_token_off_in_time_is_503_with_cookies(
    page: httpx.AsyncClient, clock: WrongClock, off: float, path: str
):
    """A just renewed token that is refused for its time is 503 and the cookies stay."""
    clock.off = off
    await sign_up(page)
    kept = dict(page.cookies)
    answer = await page.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "clock_skew")
    assert int(answer.headers["retry-after"]) >= 1
    assert set_cookies(answer) == {}
    assert dict(page.cookies) == kept
    assert set(kept) == {ACCESS, REFRESH}


@pytest.mark.parametrize("off", [AHEAD, BEHIND, NEARLY_TOO_FAR])
async def test_a_session_is_renewed_once_however_often_it_is_used(
    page: httpx.AsyncClient, stack: StackAuth, server: Emulator, clock: WrongClock, off: float,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    clock.off = off
    await sign_up(page)
    calls = record_calls(server, monkeypatch, stack)
    answers = [await page.get("/me") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200 if off == NEARLY_TOO_FAR else 503}
    assert len(calls) == 1


@pytest.mark.parametrize("off", [AHEAD, BEHIND])
async def test_everybody_is_still_signed_in_once_the_clock_is_right(
    page: httpx.AsyncClient, clock: WrongClock, off: float
):
    clock.off = off
    user_id = await sign_up(page)
    assert (await page.get("/me")).status_code == 503
    clock.off = 0.0
    assert (await page.get("/me")).json() == user_id


async def test_the_old_token_works_until_the_new_one_does(
    page: httpx.AsyncClient, stack: StackAuth, server: Emulator, clock: WrongClock
):
    """The clock of this host was set back while the old token was at its end."""
    user_id = await sign_up(page)
    server.clock.advance(590)
    clock.off = 580.5  # by this clock the old token has less than 20 seconds left, and the new one is 9 seconds early
    answer = await page.get("/me")
    assert (answer.status_code, answer.json()) == (200, user_id)
    assert set_cookies(answer) == {}, "a token that is refused here replaces none that is taken"


@pytest.mark.parametrize(("off", "code"), [(AHEAD, "token_expired"), (BEHIND, "token_not_yet_valid")])
async def test_a_bearer_token_gets_its_ordinary_401(page: httpx.AsyncClient, clock: WrongClock, off: float, code: str):
    clock.off = off
    await sign_up(page)
    token = page.cookies[ACCESS]
    page.cookies.clear()
    answer = await page.get("/me", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize("off", [AHEAD, BEHIND])
async def test_the_log_reports_the_clock_skew_once(
    page: httpx.AsyncClient, clock: WrongClock, off: float, caplog: pytest.LogCaptureFixture
):
    """The log says how far this clock is ahead and says it once."""
    clock.off = off
    await sign_up(page)
    for _ in range(5):
        await page.get("/me")
    (told,) = re.findall(r"clock_skew seconds=(-?\d+)", caplog.text)
    assert int(told) == pytest.approx(off, abs=15), "a Date header is exact to a second, and a busy machine slow"


async def test_where_the_auth_server_tells_no_time_the_log_names_none(
    page: httpx.AsyncClient, stack: StackAuth, clock: WrongClock, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    clock.off = AHEAD
    await sign_up(page)
    monkeypatch.setattr(type(stack.client), "server_time", None)  # servers always send a Date; proxies may drop it
    assert (await page.get("/me")).status_code == 503
    assert [record.getMessage() for record in caplog.records if "clock_skew" in record.message].count("clock_skew") == 1


@pytest.mark.parametrize("off", [AHEAD, BEHIND])
async def test_signing_in_renewing_on_demand_and_signing_out_go_on(
    page: httpx.AsyncClient, clock: WrongClock, off: float
):
    clock.off = off
    await sign_up(page)
    assert (await page.post("/auth/password/sign-in", json=CREDENTIALS)).status_code == 200
    assert (await page.post("/auth/session/refresh")).status_code == 204
    assert (await page.post("/auth/sign-out")).status_code == 204
    assert not page.cookies


def test_a_fresh_token_lasts_independent_of_this_clock():
    """How long a fresh token lives does not depend on this clock."""
    assert AccessToken(access_token=Signer().token(iat=5_000_000_000, exp=5_000_000_600)).lifetime == 600


@pytest.mark.parametrize("off", [AHEAD, -1.0])
async def test_concurrent_use_of_a_session_refreshes_it_once(off: float, clock: WrongClock):
    """A clients session is renewed once however often it is used."""
    asked: list[str] = []

    async def refresh(refresh_token: str) -> AccessToken:
        asked.append(refresh_token)
        now = int(time.time())
        return AccessToken(access_token=Signer().token(iat=now, exp=now + 600))

    clock.off = off
    keeper = TokenSource(TokenPair(access_token="none", refresh_token="r"), refresh, clock=clock)
    tokens = {await keeper.access_token() for _ in range(5)}
    assert (len(tokens), asked) == (1, ["r"])
    clock.off = off - 3600
    await keeper.access_token()
    assert len(asked) == 2, "a clock that was set back says nothing of a token's age"
