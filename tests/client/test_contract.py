"""What the client relies on, at the emulator or (`make test-real`) at the auth server of an env file.

Each test makes users of its own, so that it may run again and again at a server that keeps them.
"""

import asyncio
import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator import emulator
from fastapi_stackauth.emulator.serving import bind, run_servers
from fastapi_stackauth.errors import (
    AccessTokenRejected,
    EmailAlreadyExists,
    EmailPasswordMismatch,
    KnownApiError,
    SessionEnded,
    SignInRequired,
    UserNotFound,
)
from fastapi_stackauth.models import CurrentUserUpdate, ServerUserCreate, SignIn, TeamCreate, TeamUpdate, TokenPair
from tests.support import real
from tests.support.inbucket import Mailbox, inbucket

PASSWORD, BACK = "Correct-Horse-7", "http://localhost:3000/back"
needs = pytest.mark.needs


@dataclass
class Scene:
    """An auth server, and what a test needs beside it."""

    stack: StackAuth
    mailbox: Mailbox | None
    provider: str | None

    @property
    def client(self) -> StackAuthClient:
        return self.stack.client

    async def sign_up(self, email: str | None = None) -> SignIn:
        return await self.client.password.sign_up(email=email or address(), password=PASSWORD)

    async def mail(self, to: str) -> dict[str, str]:
        assert self.mailbox
        return await asyncio.to_thread(self.mailbox.newest, to, "/back")


def address() -> str:
    return f"contract-{secrets.token_hex(6)}@example.org"


@pytest.fixture
async def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    if (chosen := request.config.stash.get(real.KEY, None)) is not None:
        for name, value in chosen.environment.items():
            monkeypatch.setenv(name, value)
        stack = StackAuth()
        yield Scene(stack, chosen.mailbox, chosen.provider)
        await stack.aclose()
        return
    for name in [name for name in os.environ if name.startswith(("STACK_", "HEXCLAVE_"))]:
        monkeypatch.delenv(name)
    listener = bind("127.0.0.1", 0)
    async with emulator() as server, run_servers([(inbucket(server.url), listener)]):
        stack = StackAuth(
            project_id=server.project_id,
            base_url=server.url,
            publishable_client_key=server.publishable_client_key,
            secret_server_key=server.secret_server_key,
        )
        yield Scene(stack, Mailbox(f"http://127.0.0.1:{listener.getsockname()[1]}"), "github")
        await stack.aclose()
    listener.close()


@needs("password")
async def test_sign_up_sign_in_refresh_and_sign_out(scene: Scene):
    email = address()
    signed_up = await scene.sign_up(email)
    signed_in = await scene.client.password.sign_in(email=email, password=PASSWORD)
    assert signed_in.user_id == signed_up.user_id
    user = scene.client.as_user(signed_in.access_token)
    assert (await user.users.me()).primary_email == email
    assert (await scene.client.refresh(signed_in.refresh_token)).expires_at is not None
    assert [session.is_current_session for session in await user.sessions.list()].count(True) == 1
    await user.sessions.sign_out()
    await user.sessions.sign_out()
    with pytest.raises(SessionEnded):
        await scene.client.refresh(signed_in.refresh_token)


@needs("password")
async def test_published_keys_verify_a_token(scene: Scene):
    """A token is verified with the keys that the server publishes."""
    signed_up = await scene.sign_up()
    user = await scene.stack.verifier.verify(signed_up.access_token)
    assert user.id == signed_up.user_id
    assert scene.stack.verifier.stats.fetches == 1


@needs("password")
async def test_refusals_are_typed(scene: Scene):
    email = address()
    await scene.sign_up(email)
    with pytest.raises(EmailAlreadyExists):
        await scene.sign_up(email)
    with pytest.raises(EmailPasswordMismatch):
        await scene.client.password.sign_in(email=email, password="wrong-horse-battery")
    with pytest.raises(KnownApiError, match=r"^PASSWORD_TOO_SHORT"):
        await scene.client.password.sign_up(email=address(), password="short")
    with pytest.raises(AccessTokenRejected):
        await scene.client.as_user("a.b.c").users.me()
    with pytest.raises(SignInRequired):
        await scene.client.users.me()


@needs("password")
async def test_a_profile_keeps_what_is_written(scene: Scene):
    signed_up = await scene.sign_up()
    user = scene.client.as_user(signed_up.access_token)
    changed = await user.users.update_me(CurrentUserUpdate(display_name="Ada", client_metadata={"theme": "dark"}))
    assert (changed.display_name, changed.client_metadata) == ("Ada", {"theme": "dark"})
    assert (await user.users.me()).display_name == "Ada"


@needs("password")
async def test_a_session_that_is_revoked_is_gone(scene: Scene):
    email = address()
    first = await scene.sign_up(email)
    second = await scene.client.password.sign_in(email=email, password=PASSWORD)
    user = scene.client.as_user(second.access_token)
    (other,) = [session for session in await user.sessions.list() if not session.is_current_session]
    await user.sessions.revoke(other.id)
    with pytest.raises(SessionEnded):
        await scene.client.refresh(first.refresh_token)


@needs("password")
async def test_a_session_refreshes_itself(scene: Scene):
    signed_up = await scene.sign_up()
    stale = TokenPair(access_token="a.b.c", refresh_token=signed_up.refresh_token)
    session = scene.client.session(stale)
    assert {profile.id for profile in await asyncio.gather(*(session.users.me() for _ in range(5)))} == {
        signed_up.user_id
    }


@needs("password", "client_teams")
async def test_a_team_is_made_changed_and_deleted_by_its_first_member(scene: Scene):
    user = scene.client.as_user((await scene.sign_up()).access_token)
    team = await user.teams.create(TeamCreate(display_name="Night shift"))
    assert team.id in [each.id for each in await user.teams.list()]
    assert (await user.teams.update(team.id, TeamUpdate(display_name="Day shift"))).display_name == "Day shift"
    await user.teams.delete(team.id)
    assert team.id not in [each.id for each in await user.teams.list()]


@needs("secret_key")
async def test_a_list_of_users_is_read_over_its_pages(scene: Scene):
    """Whatever a cursor means at this server: each user comes once."""
    server, mark = scene.client.as_server(), secrets.token_hex(6)
    made = {
        (await server.users.create(ServerUserCreate(primary_email=f"{mark}-{number}@example.org"))).id
        for number in range(3)
    }
    listed = [user.id async for user in server.users.list(query=mark, limit=1)]
    assert sorted(listed) == sorted(made)
    for user_id in made:
        await server.users.delete(user_id)
    with pytest.raises(UserNotFound):
        await server.users.get(listed[0])


@needs("mail", "magic_link")
async def test_a_code_by_email_signs_in_once(scene: Scene):
    email = address()
    sent = await scene.client.otp.send_sign_in_code(email=email, callback_url=BACK)
    code = (await scene.mail(email))["code"]
    assert code.endswith(sent.nonce)
    assert (await scene.client.otp.sign_in(code=code)).is_new_user
    with pytest.raises(KnownApiError, match=r"^VERIFICATION_CODE_ALREADY_USED"):
        await scene.client.otp.sign_in(code=code)
    with pytest.raises(KnownApiError, match=r"^VERIFICATION_CODE_NOT_FOUND"):
        await scene.client.otp.check_code(code="x" * 45)


@needs("mail", "password")
async def test_a_forgotten_password_is_replaced_by_a_link(scene: Scene):
    email = address()
    await scene.sign_up(email)
    await scene.client.password.send_reset_code(email=email, callback_url=BACK)
    await scene.client.password.reset(code=(await scene.mail(email))["code"], password="A-New-Horse-9")
    await scene.client.password.sign_in(email=email, password="A-New-Horse-9")


@needs("provider")
async def test_a_sign_in_at_a_provider_ends_in_a_session(scene: Scene):
    email, verifier, state = address(), secrets.token_urlsafe(48), secrets.token_urlsafe(32)
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert scene.provider
    async with httpx.AsyncClient(follow_redirects=False, timeout=30) as browser:
        flow = await scene.client.oauth.authorize(
            scene.provider, redirect_uri=BACK, state=state, code_challenge=challenge
        )
        back = await through_the_mock(browser, flow.location, email)
    query = parse_qs(urlsplit(back).query)
    assert query["state"] == [state]
    tokens = await scene.client.oauth.exchange_code(code=query["code"][0], redirect_uri=BACK, code_verifier=verifier)
    assert (await scene.client.as_user(tokens.access_token).users.me()).primary_email == email


async def through_the_mock(browser: httpx.AsyncClient, location: str, email: str) -> str:
    """Sign in at a mock provider as a browser would, and return the address that it leads back to."""
    response = await browser.get(location)
    for _ in range(20):
        if response.has_redirect_location:
            location = urljoin(str(response.url), response.headers["location"])
            if location.startswith(BACK):
                return location
            response = await browser.get(location)
        else:
            response.raise_for_status()
            form = Form(response.text)
            response = await browser.post(urljoin(str(response.url), form.action), data=form.filled_in(email))
    raise AssertionError("the provider leads in a circle")


class Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.fields = "", list[dict[str, str]]()
        self._inside: bool | None = None
        self.feed(html)
        assert self._inside is not None, "a page of the provider has no form"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self._inside is None:
            self._inside, self.action = True, given.get("action", "")
        elif self._inside and tag in ("input", "button") and "name" in given:
            self.fields.append({"type": "submit" if tag == "button" else "text", **given})

    def handle_endtag(self, tag: str) -> None:
        self._inside = False if tag == "form" else self._inside

    def filled_in(self, email: str) -> dict[str, str]:
        """Return what is posted: the address in the first visible field, and the first button."""
        kept = {each["name"]: each.get("value", "") for each in self.fields if each["type"] == "hidden"}
        for kinds in (("email", "text"), ("submit",)):
            for each in [each for each in self.fields if each["type"] in kinds][:1]:
                kept[each["name"]] = each.get("value", "") if kinds == ("submit",) else email
        return kept
