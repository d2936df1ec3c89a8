"""What the emulator tells by webhook: when, signed how, and how often it tries; taken by this library's receiver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from standardwebhooks import Webhook
from starlette.responses import Response

from fastapi_stackauth import StackAuth, WebhookEvent
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator import Emulator, emulator
from fastapi_stackauth.emulator.serving import bind, run_servers
from fastapi_stackauth.emulator.webhooks import BACK_OFF
from fastapi_stackauth.models import (
    CurrentUserUpdate,
    ServerContactChannelCreate,
    ServerTeamCreate,
    ServerTeamUpdate,
    ServerUserCreate,
    ServerUserUpdate,
    TeamCreate,
)

PASSWORD = "correct horse battery"


class Scene:
    """A server whose webhooks go to an app, and what that app heard."""

    def __init__(self, server: Emulator, url: str) -> None:
        self.server, self.url = server, url
        options: dict[str, Any] = {"project_id": server.project_id, "base_url": server.url}
        self.stack = StackAuth(**options, webhook_secrets=[server.webhook_secret])  # on real time, as apps are
        self.admin_stack = StackAuth(**options, secret_server_key=server.secret_server_key)
        self.client, self.admin = self.stack.client, self.admin_stack.client.as_server()
        self.heard: list[WebhookEvent] = []
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.app = FastAPI()
        self.stack.install(self.app)
        webhooks = self.stack.webhooks("/hooks")
        webhooks.on()(self.heard.append)
        self.app.include_router(webhooks)
        self.app.middleware("http")(self._keep)

    async def _keep(self, request: Any, call_next: Any) -> Any:
        self.raw.append((dict(request.headers), await request.body()))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return Response(status_code=status)
        return await call_next(request)

    async def types(self, number: int) -> list[str]:
        """The types of what was heard, once so many have come and no message waits; order is not promised."""
        await until(lambda: len(self.heard) >= number and not self.is_sending())
        return sorted(event.type for event in self.heard)

    def is_sending(self) -> bool:
        """Return whether a message is still to be sent."""
        webhooks = self.server.server.webhooks
        return any(message.pending for message in webhooks.messages(self.server.project_id))

    async def control(self, method: str, path: str, body: object = None) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.request(method, f"{self.server.url}/emulator{path}", json=body)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - a server of its own gives no event to wait for
            await asyncio.sleep(0.02)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/hooks"
    async with emulator(webhook_url=url) as server:
        scene = Scene(server, url)
        async with run_servers([(scene.app, listener)]):
            yield scene
        await scene.stack.aclose()
        await scene.admin_stack.aclose()
    listener.close()


async def a_user(scene: Scene, email: str = "ada@example.com") -> str:
    made = await scene.admin.users.create(
        ServerUserCreate(primary_email=email, primary_email_verified=True, primary_email_auth_enabled=True)
    )
    return made.id


async def test_every_creation_of_a_user_is_told(scene: Scene):
    await a_user(scene)
    await scene.client.password.sign_up(email="bob@example.com", password=PASSWORD)
    await scene.client.anonymous.sign_up()
    assert await scene.types(3) == ["user.created"] * 3
    emails = {event.data.primary_email for event in scene.heard}
    assert emails == {"ada@example.com", "bob@example.com", None}


async def test_a_personal_team_comes_after_its_user(scene: Scene):
    """A team of ones own comes after the user who has none selected yet."""
    scene.server.configure(create_personal_team_on_sign_up=True)
    await scene.client.password.sign_up(email="bob@example.com", password=PASSWORD)
    assert await scene.types(2) == ["team.created", "user.created"], "and neither membership nor permission"
    [user] = [event.data for event in scene.heard if event.type == "user.created"]
    assert user.selected_team_id is None


async def test_changes_through_the_users_routes_are_told_and_no_others(scene: Scene):
    user_id = await a_user(scene)
    signed_up = await scene.client.password.sign_up(email="bob@example.com", password=PASSWORD)
    bob = scene.client.as_user(signed_up.access_token)
    guest = await scene.client.anonymous.sign_up()
    await scene.types(3)
    scene.heard.clear()
    await scene.admin.users.update(user_id, ServerUserUpdate(display_name="Ada"))
    await bob.users.update_me(CurrentUserUpdate(display_name="Bob"))
    await scene.client.as_user(guest.access_token).password.sign_up(email="guest@example.com", password=PASSWORD)
    assert await scene.types(3) == ["user.updated"] * 3
    scene.heard.clear()
    await bob.password.update(old_password=PASSWORD, new_password="another horse battery")
    await scene.admin.contact_channels.create(
        ServerContactChannelCreate(value="more@example.com", type="email", used_for_auth=False), user_id=user_id
    )
    assert await scene.types(0) == [], "changed passwords and addresses are told to nobody"


async def test_a_password_that_was_reset_is_told(scene: Scene):
    await scene.client.password.sign_up(email="bob@example.com", password=PASSWORD)
    await scene.client.password.send_reset_code(email="bob@example.com", callback_url="http://localhost:8000/reset")
    code = scene.server.emails("bob@example.com", "password_reset")[0]["code"]
    await scene.client.password.reset(code=code, password="another horse battery")
    assert await scene.types(2) == ["user.created", "user.updated"]


async def test_teams_and_what_people_may_do_there(scene: Scene):
    ada, bob = await a_user(scene), await a_user(scene, "bob@example.com")
    await scene.types(2)
    scene.heard.clear()
    team = await scene.admin.teams.create(ServerTeamCreate(display_name="Red", creator_user_id=ada))
    assert await scene.types(1) == ["team.created"], "whoever makes it joins without further words"
    await scene.admin.team_members.add(team.id, bob)
    assert await scene.types(3) == ["team.created", "team_membership.created", "team_permission.created"]
    scene.heard.clear()
    await scene.admin.team_permissions.grant("$update_team", team_id=team.id, user_id=bob)
    await scene.admin.team_permissions.revoke("$update_team", team_id=team.id, user_id=bob)
    assert await scene.types(2) == ["team_permission.created", "team_permission.deleted"]
    scene.heard.clear()
    await scene.admin.teams.update(team.id, ServerTeamUpdate(display_name="Blue"))
    await scene.admin.team_members.remove(team.id, bob)
    await scene.admin.teams.delete(team.id)
    assert await scene.types(3) == ["team.deleted", "team.updated", "team_membership.deleted"]


async def test_permissions_in_the_project(scene: Scene):
    scene.server.seed({"permissions": [{"id": "reports:see", "scope": "project"}]})
    ada = await a_user(scene)
    await scene.admin.project_permissions.grant("reports:see", user_id=ada)
    await scene.admin.project_permissions.revoke("reports:see", user_id=ada)
    assert await scene.types(3) == ["project_permission.created", "project_permission.deleted", "user.created"]


async def test_who_is_deleted_leaves_their_teams_first(scene: Scene):
    ada = await a_user(scene)
    teams = [await scene.admin.teams.create(ServerTeamCreate(display_name=n, creator_user_id=ada)) for n in "ab"]
    await scene.types(3)
    scene.heard.clear()
    await scene.admin.users.delete(ada)
    assert await scene.types(3) == ["team_membership.deleted", "team_membership.deleted", "user.deleted"]
    [gone] = [event.data for event in scene.heard if event.type == "user.deleted"]
    assert {team.id for team in gone.teams} == {team.id for team in teams}


async def test_what_is_planted_or_refused_is_told_to_nobody(scene: Scene):
    scene.server.seed({"users": [{"primary_email": "seed@example.com"}], "teams": [{"display_name": "Red"}]})
    for _ in range(2):
        with pytest.raises(Exception, match="exists"):
            await scene.client.password.sign_up(email="seed@example.com", password=PASSWORD)
    scene.server.issue_token()
    assert await scene.types(0) == []
    assert scene.server.server.webhooks.messages(scene.server.project_id) == []


async def test_the_signature_is_what_the_vendors_scheme_says(scene: Scene):
    await a_user(scene)
    await until(lambda: len(scene.raw) == 1)
    headers, body = scene.raw[0]
    assert headers["content-type"] == "application/json"
    named = {name.replace("svix-", "webhook-"): value for name, value in headers.items()}
    event: Any = Webhook(scene.server.webhook_secret).verify(body, named)
    assert set(event) == {"type", "data"}


async def test_a_rejected_message_is_resent_with_its_id(scene: Scene):
    """A message that was not taken comes again with the same id and the standard back off."""
    scene.statuses += [500, 404, 200]
    await a_user(scene)
    messages = scene.server.server.webhooks.messages(scene.server.project_id)
    for number, wait in enumerate(BACK_OFF[1:3], 1):

        def was_tried(number: int = number) -> bool:
            return len(messages[0].attempts) == number and messages[0].next_at is not None

        await until(was_tried)
        assert messages[0].state == "waiting"
        left = (messages[0].next_at or 0) - scene.server.clock.now()
        assert wait - 5 < left <= wait
        scene.server.clock.advance(wait)
    await until(lambda: messages[0].state == "delivered")
    assert len({headers["svix-id"] for headers, _ in scene.raw}) == 1
    assert len(scene.heard) == 1, "though the server's clock was moved: the receiver's was not"


async def test_it_gives_up_after_the_last_attempt_and_says_so(scene: Scene):
    await scene.control("PUT", "/webhooks.json", {"url": "http://127.0.0.1:9/nobody"})
    await a_user(scene)
    [message] = scene.server.server.webhooks.messages(scene.server.project_id)

    def over() -> bool:
        scene.server.clock.advance(36_000)
        return message.state == "failed"

    await until(over)
    assert [attempt.status for attempt in message.attempts] == [None] * len(BACK_OFF)


async def test_after_it_was_sent_again_by_hand_it_comes_no_more(scene: Scene):
    scene.statuses += [500]
    await a_user(scene)
    [message] = scene.server.server.webhooks.messages(scene.server.project_id)
    await until(lambda: len(message.attempts) == 1 and message.next_at is not None)
    await scene.control("POST", "/webhooks/resend", {"id": message.id})
    await until(lambda: message.state == "delivered")
    scene.server.clock.advance(100_000)
    await until(lambda: not message.pending)
    assert len(message.attempts) == 2


async def test_no_proxy_of_the_environment_hears_of_it(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", scene.url)
    told = scene.server.server.webhooks
    told.point(scene.server.project_id, "http://127.0.0.1:9/nobody")
    told.tell(scene.server.project_id, "user.created", {"id": "x"})
    [message] = told.messages(scene.server.project_id)
    await until(lambda: len(message.attempts) == 1)
    assert message.attempts[0].status is None
    assert scene.raw == []


async def test_messages_that_are_forgotten_are_sent_no_more(scene: Scene):
    scene.statuses += [500]
    await a_user(scene)
    [message] = scene.server.server.webhooks.messages(scene.server.project_id)
    await until(lambda: len(message.attempts) == 1 and message.next_at is not None)
    await scene.control("POST", "/reset")
    scene.server.clock.advance(100_000)
    await until(lambda: not message.pending)
    assert len(message.attempts) == 1


async def test_closing_the_server_ends_the_sending():
    server = Emulator(webhook_url="http://127.0.0.1:9/nobody")
    before = asyncio.all_tasks()
    server.server.webhooks.tell(server.project_id, "user.created", {"id": "x"})
    tasks = asyncio.all_tasks() - before
    server.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True]


async def test_webhooks_for_sign_up_and_upgrade_by_code(scene: Scene):
    """A code signs up and a guest who signs up by code is changed."""
    for token in (None, (await scene.client.anonymous.sign_up()).access_token):
        client = scene.client.as_user(token) if token else scene.client
        email = "guest@example.com" if token else "new@example.com"
        await client.otp.send_sign_in_code(email=email, callback_url="http://localhost:8000/landing")
        await client.otp.sign_in(code=scene.server.emails(email)[0]["code"])
    assert await scene.types(3) == ["user.created", "user.created", "user.updated"]


async def test_accepting_an_invitation_sends_two_webhooks(scene: Scene):
    """An accepted invitation tells of membership and permission."""
    boss = await scene.client.password.sign_up(email="boss@example.com", password=PASSWORD)
    user_id = await a_user(scene, "invited@example.com")
    tokens = scene.server.issue_token(user_id=user_id)
    team = await scene.client.as_user(boss.access_token).teams.create(TeamCreate(display_name="Red"))
    await scene.types(3)
    scene.heard.clear()
    await scene.admin.team_invitations.send(
        team.id, email="invited@example.com", callback_url="http://localhost:8000/join"
    )
    code = scene.server.emails("invited@example.com")[0]["code"]
    await scene.client.as_user(tokens["access_token"]).team_invitations.accept(code=code)
    assert await scene.types(2) == ["team_membership.created", "team_permission.created"]


async def test_what_the_real_server_keeps_quiet_about_is_not_told(scene: Scene):
    """Verified addresses, definitions of permissions, and what goes with a team that is deleted."""
    boss = await scene.client.password.sign_up(email="boss@example.com", password=PASSWORD)
    client = scene.client.as_user(boss.access_token)
    team = await client.teams.create(TeamCreate(display_name="Red"))
    [channel] = await client.contact_channels.list()
    await scene.types(2)
    scene.heard.clear()
    await client.contact_channels.send_verification_code(channel.id, callback_url="http://localhost:8000/verify")
    code = scene.server.emails("boss@example.com")[0]["code"]
    await scene.client.contact_channels.verify(code=code)
    await scene.control("POST", "/permissions", {"id": "a:b", "scope": "team"})
    await scene.admin.team_permissions.grant("a:b", team_id=team.id, user_id=boss.user_id)
    assert await scene.types(1) == ["team_permission.created"]
    await scene.control("DELETE", "/permissions", {"id": "a:b"})
    await scene.admin.teams.delete(team.id)
    assert await scene.types(2) == ["team.deleted", "team_permission.created"]


async def test_the_list_shows_each_message_and_one_can_be_sent_again(scene: Scene):
    await a_user(scene)
    await scene.types(1)
    listed = (await scene.control("GET", "/webhooks.json")).json()
    assert (listed["url"], listed["secret"]) == (scene.url, scene.server.webhook_secret)
    [item] = listed["items"]
    assert (item["type"], item["state"], len(item["attempts"])) == ("user.created", "delivered", 1)
    assert (await scene.control("POST", "/webhooks/resend", {"id": item["id"]})).status_code == 200
    await until(lambda: len(scene.raw) == 2)
    assert scene.raw[0][0]["svix-id"] == scene.raw[1][0]["svix-id"]
    assert len(scene.heard) == 1, "the receiver knows the message"


@pytest.mark.parametrize(
    "url",
    ["", "nowhere", "ftp://example.com", "http://", "http://a b/", "http://h:abc/", "http://h:99999/", "http://h:0/"],
)
async def test_what_is_no_address_is_refused(scene: Scene, url: str):
    answer = await scene.control("PUT", "/webhooks.json", {"url": url})
    assert (answer.status_code, "error" in answer.json()) == (400, True)
    with pytest.raises(ValueError, match="address"):
        Emulator(webhook_url=url)
    unknown = await scene.control("POST", "/webhooks/resend", {"id": "msg_unknown"})
    assert unknown.status_code == 400


async def test_without_an_address_messages_are_kept_and_not_sent(server: Emulator):
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, publishable_client_key=server.publishable_client_key
    )
    client: StackAuthClient = stack.client
    await client.anonymous.sign_up()
    [message] = server.server.webhooks.messages(server.project_id)
    assert (message.type, message.state) == ("user.created", "not sent")
    async with httpx.AsyncClient() as http:
        await http.post(f"{server.url}/emulator/reset")
    assert server.server.webhooks.messages(server.project_id) == []
    await stack.aclose()


def test_the_secret_stays_the_same_with_the_data_file(tmp_path: Any):
    secrets = []
    for rotate in (False, True):
        server = Emulator(data=tmp_path / "data.sqlite", rotate_keys=rotate)
        secrets.append(server.webhook_secret)
        server.close()
    assert len(set(secrets)) == 1


async def test_each_message_has_a_connection_of_its_own():
    """An idle connection could be closed by the receiver just as the next message is written."""
    connections: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()  # it stays open as long as the sender wants
        writer.close()

    receiver = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/hooks"
    async with receiver, emulator(webhook_url=url) as server:
        stack = StackAuth(project_id=server.project_id, base_url=server.url)
        for name in ("ada", "bob"):
            await stack.client.password.sign_up(email=f"{name}@example.com", password=PASSWORD)
        await until(lambda: len(connections) == 2)
        await stack.aclose()
