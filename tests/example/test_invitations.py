"""Invitations are emails to addresses that a user chooses: they are limited for each sender and recipient."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from example_app.samples import PASSWORD
from tests.example.visitors import Demo, new_address, running_demo

LIMIT = 3
SENT, LIMITED = "done=invited", "error=rate_limit_exceeded"


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """A demo of its own: all other tests use one without limits."""
    with running_demo(account_limit=f"{LIMIT}/hour") as demo:
        yield demo


class Host:
    """A user with a verified address and a team, who invites from a program."""

    def __init__(self, demo: Demo, browser: httpx.Client) -> None:
        self.browser = browser
        body = {"email": demo.new_person(verified=True), "password": PASSWORD}
        self.browser.post("/auth/password/sign-in", json=body).raise_for_status()
        team = self.browser.post("/auth/teams", json={"display_name": "Spammers"}).json()
        self.team = f"/teams/{team['id']}"

    def invite(self, email: str) -> str:
        """Return what the page says then."""
        form = {"on_success": f"{self.team}?done=invited", "on_error": self.team}
        answer = self.browser.post(f"/auth{self.team}/invitations", params=form, data={"email": email})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removeprefix(f"{self.team}?")


@pytest.fixture
def new_host(demo: Demo) -> Iterator[Callable[[], Host]]:
    with ExitStack() as browsers:
        yield lambda: Host(demo, browsers.enter_context(httpx.Client(base_url=demo.app, headers={"origin": demo.app})))


def emails(demo: Demo, to: str) -> int:
    query = {"to": to, "kind": "team_invitation"}
    return len(httpx.get(f"{demo.auth_server}/emulator/outbox.json", params=query).json()["items"])


def test_one_address_gets_limited_invitations(demo: Demo, new_host: Callable[[], Host]):
    """One address gets no more than the limit whoever invites it."""
    victim = new_address()
    one, other = new_host(), new_host()
    assert [one.invite(victim) for _ in range(LIMIT - 1)] == [SENT] * (LIMIT - 1)
    assert [other.invite(victim.upper()), other.invite(victim)] == [SENT, LIMITED]
    assert emails(demo, victim) + emails(demo, victim.upper()) == LIMIT
    assert one.invite(new_address()) == SENT, "another address"


def test_one_user_sends_limited_invitations(demo: Demo, new_host: Callable[[], Host]):
    """One user sends no more than the limit whomever they invite."""
    host, late = new_host(), new_address()
    assert [host.invite(new_address()) for _ in range(LIMIT)] == [SENT] * LIMIT
    assert host.invite(late) == LIMITED
    assert emails(demo, late) == 0
    assert new_host().invite(late) == SENT, "what was not sent does not count for the recipient"
