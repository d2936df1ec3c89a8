"""The emulator's dashboard over plain HTTP: what it shows and does, whom it refuses, what it never shows."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.calls import mask, masked_body, masked_path, masked_query
from fastapi_stackauth.emulator.dashboard.dashboard import ACTIONS, VIEWS, own_path
from fastapi_stackauth.emulator.dashboard.settings import SWITCHES
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.emulator.store.projects import DEFAULTS
from fastapi_stackauth.errors import ApiKeyNotValid
from tests.support.rows import rows

PASSWORD = "correct horse battery"
PAGES = [path for path, _, _ in VIEWS if "{" not in path] + ["/emulator/outbox"]
FORMS = [path for path, _ in ACTIONS] + ["/dashboard/sign-in-as", "/dashboard/api-keys/create"]


class Visitor:
    """A browser without scripts at the dashboard."""

    def __init__(self, server: Emulator, client: httpx.AsyncClient) -> None:
        self.server, self.client = server, client

    async def see(self, path: str, **options: Any) -> str:
        answer = await self.client.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def submit(self, path: str, **form: str) -> str:
        """Post a form and follow to where it leads."""
        answer = await self.client.post(path, data=form)
        assert answer.status_code == 303, answer.text
        return await self.see(answer.headers["location"])


@pytest.fixture
async def visitor(server: Emulator) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(base_url=server.url) as client:
        yield Visitor(server, client)


@pytest.fixture
async def stack(server: Emulator) -> AsyncIterator[StackAuth]:
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, publishable_client_key=server.publishable_client_key
    )
    yield stack
    await stack.aclose()


def find_user_id(page: str) -> str:
    found = re.search(r"Id <code>([0-9a-f-]{36})</code>", page)
    assert found
    return found.group(1)


# --- what it shows and does ---


@rows("path", PAGES)
async def test_each_page_is_there_without_scripts_and_with_its_guard(visitor: Visitor, path: str):
    answer = await visitor.client.get(path)
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert f'href="{path}" aria-current="page"' in answer.text


def test_every_setting_that_is_on_or_off_has_a_switch():
    assert set(SWITCHES) == {name for name, value in DEFAULTS.items() if isinstance(value, bool)}


async def test_the_start_page_has_what_an_app_needs(visitor: Visitor):
    page = await visitor.see("/")
    for name, value in visitor.server.environment().items():
        assert f"{name}={value}\n" in page


async def test_a_user_is_made_restricted_freed_and_deleted(visitor: Visitor, stack: StackAuth):
    page = await visitor.submit("/dashboard/users/create", primary_email="ada@example.com", password=PASSWORD)
    user_id = find_user_id(page)
    signed_in = await stack.client.password.sign_in(email="ada@example.com", password=PASSWORD)
    assert signed_in.user_id == user_id
    page = await visitor.submit("/dashboard/users/restrict", user_id=user_id, restrict="yes")
    assert "restricted_by_administrator" in page
    assert (await stack.verifier.verify((await fresh(stack)).access_token)).is_restricted
    page = await visitor.submit("/dashboard/users/restrict", user_id=user_id, restrict="no")
    assert "restricted_by_administrator" not in page
    page = await visitor.submit("/dashboard/users/delete", user_id=user_id)
    assert "ada@example.com" not in page
    assert (await visitor.client.get(f"/dashboard/users/{user_id}")).status_code == 404


async def fresh(stack: StackAuth) -> Any:
    return await stack.client.password.sign_in(email="ada@example.com", password=PASSWORD)


async def test_signing_in_as_somebody_gives_real_tokens(visitor: Visitor, stack: StackAuth):
    user_id = find_user_id(await visitor.submit("/dashboard/users/create", primary_email="ada@example.com"))
    answer = await visitor.client.post("/dashboard/sign-in-as", data={"user_id": user_id})
    token = re.search(r"readonly>(eyJ[^<]+)<", answer.text)
    assert answer.status_code == 200
    assert token
    assert (await stack.verifier.verify(token.group(1))).id == user_id
    unknown = await visitor.client.post("/dashboard/sign-in-as", data={"user_id": "nobody"})
    assert unknown.status_code == 404


async def test_a_revoked_session_cannot_be_renewed(visitor: Visitor, stack: StackAuth):
    tokens = await stack.client.password.sign_up(email="ada@example.com", password=PASSWORD)
    session_id = (await stack.verifier.verify(tokens.access_token)).session_id or ""
    assert session_id in await visitor.see("/dashboard/sessions")
    page = await visitor.submit("/dashboard/sessions/revoke", id=session_id, user_id=tokens.user_id)
    assert session_id not in page
    with pytest.raises(Exception, match="session"):
        await stack.client.refresh(tokens.refresh_token)


async def test_teams_members_and_permissions(visitor: Visitor):
    ada = find_user_id(await visitor.submit("/dashboard/users/create", primary_email="ada@example.com"))
    bob = find_user_id(await visitor.submit("/dashboard/users/create", primary_email="bob@example.com"))
    page = await visitor.submit(
        "/dashboard/permissions/define", id="posts:delete", scope="team", contained="$update_team"
    )
    assert "posts:delete" in page
    page = await visitor.submit("/dashboard/permissions/define", id="reports:see", scope="project")
    team = find_user_id(await visitor.submit("/dashboard/teams/create", display_name="Red", creator_user_id=ada))
    page = await visitor.submit("/dashboard/teams/member", team_id=team, user_id=bob)
    assert "Take bob@example.com out" in page
    page = await visitor.submit("/dashboard/teams/grant", team_id=team, user_id=bob, permission_id="posts:delete")
    assert "Take posts:delete away from bob@example.com" in page
    page = await visitor.submit(
        "/dashboard/teams/grant", team_id=team, user_id=bob, permission_id="posts:delete", revoke="y"
    )
    assert "Take posts:delete away from bob@example.com" not in page
    page = await visitor.submit("/dashboard/users/grant", user_id=bob, permission_id="reports:see")
    assert "Take reports:see away" in page
    page = await visitor.submit("/dashboard/users/grant", user_id=bob, permission_id="reports:see", revoke="yes")
    assert "Take reports:see away" not in page
    page = await visitor.submit("/dashboard/teams/member", team_id=team, user_id=bob, leave="yes")
    assert "Take bob@example.com out" not in page
    assert "Red" not in await visitor.submit("/dashboard/teams/delete", team_id=team)
    assert "<code>posts:delete" not in await visitor.submit("/dashboard/permissions/undefine", id="posts:delete")
    told = {message.type for message in visitor.server.server.webhooks.messages(visitor.server.project_id)}
    assert {"user.created", "team.created", "team_membership.created", "project_permission.deleted"} <= told


async def test_api_keys_are_created_listed_and_revoked(visitor: Visitor, stack: StackAuth):
    """Those of users and of teams; only the page after the creation shows the key."""
    owners = {"user": visitor.server.add_user(primary_email="ada@example.com"), "team": visitor.server.add_team("Red")}
    client = StackAuth(
        project_id=visitor.server.project_id,
        base_url=visitor.server.url,
        secret_server_key=visitor.server.secret_server_key,
    ).client.as_server()
    checks: dict[str, Any] = {"user": client.user_api_keys.check, "team": client.team_api_keys.check}
    for kind, owner_id in owners.items():
        form = {f"{kind}_id": owner_id, "description": "<i>backup</i>"}
        made = await visitor.client.post("/dashboard/api-keys/create", data=form)
        (value,) = re.findall("sk_[a-z0-9]+", made.text)
        key = await checks[kind](value)
        page = await visitor.see(f"/dashboard/{kind}s/{owner_id}")
        assert "&lt;i&gt;backup&lt;/i&gt;" in page
        assert value[-4:] in page
        assert value not in page
        page = await visitor.submit("/dashboard/api-keys/revoke", **{f"{kind}_id": owner_id, "id": key.id})
        assert "<td>revoked</td>" in page
        with pytest.raises(ApiKeyNotValid):
            await checks[kind](value)
    await client.aclose()


async def test_a_cli_login_is_completed_as_a_chosen_user(visitor: Visitor, stack: StackAuth):
    """The page lists sign-ins without their codes; the tool then gets a new session of the user."""
    ada = visitor.server.add_user(primary_email="ada@example.com")
    headers = {"x-stack-access-type": "client", "x-stack-project-id": visitor.server.project_id}
    started = await visitor.client.post("/api/v1/auth/cli", json={}, headers=headers)
    login = started.json()
    [row] = visitor.server.store.cli_logins.list_for_project(visitor.server.project_id, 2)
    pages = [await visitor.see("/dashboard/cli-logins")]
    assert "<td>waiting</td>" in pages[0]
    unknown = await visitor.submit("/dashboard/cli-logins/complete", id=row["id"], user_id="nobody")
    assert "note bad" in unknown
    bob = visitor.server.add_user(primary_email="bob@example.com", restricted_by_admin=True)
    restricted = await visitor.submit("/dashboard/cli-logins/complete", id=row["id"], user_id=bob)
    assert "Restricted users cannot do this." in restricted
    assert visitor.server.store.sessions.list_for_user(bob) == []
    pages.append(await visitor.submit("/dashboard/cli-logins/complete", id=row["id"], user_id=ada))
    assert "the tool has not polled yet" in pages[1]
    twice = await visitor.submit("/dashboard/cli-logins/complete", id=row["id"], user_id=ada)
    assert "unknown, completed or expired" in twice
    assert len(visitor.server.store.sessions.list_for_user(ada)) == 1
    polled = await visitor.client.post(
        "/api/v1/auth/cli/poll", json={"polling_code": login["polling_code"]}, headers=headers
    )
    refreshed = await stack.client.refresh(polled.json()["refresh_token"])
    assert (await stack.verifier.verify(refreshed.access_token)).id == ada
    pages.append(await visitor.see("/dashboard/cli-logins"))
    assert "the tool has the session" in pages[2]
    for page in pages:
        assert login["login_code"][-4:] in page
        assert login["login_code"] not in page
        assert login["polling_code"] not in page


async def test_a_waiting_cli_login_without_users_says_what_to_do(visitor: Visitor):
    visitor.server.store.cli_logins.create(visitor.server.project_id, 60_000, None)
    page = await visitor.see("/dashboard/cli-logins")
    assert "create a user" in page
    assert 'action="/dashboard/cli-logins/complete"' not in page


async def test_switches_providers_and_domains_are_set_as_the_form_says(visitor: Visitor, stack: StackAuth):
    page = await visitor.client.post(
        "/dashboard/settings/change",
        data={
            "on": ["sign_up_enabled", "passkey_enabled"],
            "providers": ["apple", "github"],
            "domains": "https://a.example",
        },
    )
    assert page.status_code == 303
    config = visitor.server.project.config
    assert {name for name in SWITCHES if config[name]} == {"sign_up_enabled", "passkey_enabled"}
    assert [provider["id"] for provider in config["oauth_providers"]] == ["apple", "github"]
    assert [domain["domain"] for domain in config["domains"]] == ["https://a.example"]
    with pytest.raises(Exception, match="PASSWORD_AUTHENTICATION_NOT_ENABLED"):
        await stack.client.password.sign_up(email="ada@example.com", password=PASSWORD)


async def test_rotated_keys_refuse_every_token_that_is_out(visitor: Visitor, stack: StackAuth):
    tokens = await stack.client.password.sign_up(email="ada@example.com", password=PASSWORD)
    before = re.findall(r"signed with <code>([\w-]+)</code>", await visitor.see("/dashboard/settings"))
    after = re.findall(r"signed with <code>([\w-]+)</code>", await visitor.submit("/dashboard/settings/rotate-keys"))
    assert before
    assert before != after
    with pytest.raises(Exception, match="access token"):
        await stack.client.as_user(tokens.access_token).users.me()


async def test_the_clock_moves(visitor: Visitor):
    await visitor.submit("/dashboard/settings/clock", minutes="-15")
    assert visitor.server.clock.offset == -900
    await visitor.submit("/dashboard/settings/clock", reset="yes", minutes="junk")
    assert visitor.server.clock.offset == 0
    for wrong in ("", "x", "1.5", "--1", "9999999", "٣"):
        page = await visitor.submit("/dashboard/settings/clock", minutes=wrong, back="/dashboard/settings")
        assert 'class="note bad"' in page
    assert visitor.server.clock.offset == 0


async def test_the_webhooks_are_listed_and_pointed_elsewhere(visitor: Visitor, stack: StackAuth):
    await stack.client.anonymous.sign_up()
    page = await visitor.see("/dashboard/webhooks")
    assert "user.created: not sent" in page
    assert visitor.server.webhook_secret in page
    message_id = re.search(r"<code>(msg_\w+)</code>", page)
    assert message_id
    page = await visitor.submit("/dashboard/webhooks/resend", id=message_id.group(1), back="/dashboard/webhooks")
    assert "no webhook address is set" in page
    page = await visitor.submit("/dashboard/webhooks/point", url="http://127.0.0.1:9/hooks")
    assert 'value="http://127.0.0.1:9/hooks"' in page
    page = await visitor.submit("/dashboard/webhooks/resend", id=message_id.group(1))
    assert "Done." in page, "it goes out, whatever becomes of it"
    await visitor.submit("/dashboard/webhooks/point", url="")
    assert visitor.server.server.webhooks.url(visitor.server.project_id) is None


async def test_the_outbox_shows_the_code_to_type(visitor: Visitor, stack: StackAuth):
    await stack.client.otp.send_sign_in_code(email="ada@example.com", callback_url="http://localhost:8000/x")
    mail = visitor.server.emails("ada@example.com")[0]
    assert f'class="otp">{mail["otp"]}<' in await visitor.see("/emulator/outbox")


async def test_what_the_form_does_not_show_of_a_setting_is_kept(visitor: Visitor):
    domain = {"domain": "https://a.example", "handler_path": "/auth"}
    visitor.server.configure(domains=[domain], oauth_providers=[{"id": "github", "type": "shared"}])
    form = {"domains": "https://a.example\nhttps://b.example", "providers": "github", "on": "sign_up_enabled"}
    await visitor.submit(
        "/dashboard/settings/change", **form, sign_up_rules="reject @evil.example\nrestrict @free.example"
    )
    config = visitor.server.project.config
    assert config["domains"] == [domain, {"domain": "https://b.example"}]
    assert config["oauth_providers"] == [{"id": "github", "type": "shared"}]
    assert [rule["action"] for rule in config["sign_up_rules"]] == ["reject", "restrict"]
    await visitor.submit("/dashboard/settings/change", **form, oauth_account_merge_strategy="raise_error")
    assert visitor.server.project.config["oauth_account_merge_strategy"] == "raise_error"
    page = await visitor.submit(
        "/dashboard/settings/change", **form, sign_up_rules="forbid x", back="/dashboard/settings"
    )
    assert 'class="note bad"' in page


async def test_a_team_shows_all_members_of_a_large_project(visitor: Visitor):
    """A team shows all its members however many users there are."""
    first = {"display_name": "The oldest", "signed_up_at": 1}
    old = visitor.server.store.users.create(visitor.server.project_id, first)
    team = find_user_id(await visitor.submit("/dashboard/teams/create", display_name="Red", creator_user_id=old["id"]))
    for _ in range(205):
        visitor.server.store.users.create(visitor.server.project_id, {})
    assert "The oldest" in await visitor.see(f"/dashboard/teams/{team}")
    assert "The newest 200 users can be chosen." in await visitor.see("/dashboard/teams")


async def test_the_clock_stays_in_the_calendar(visitor: Visitor):
    visitor.server.clock.advance(32_503_680_000 - visitor.server.clock.now() - 3600)
    assert "Done." in await visitor.submit("/dashboard/settings/clock", minutes="30", back="/dashboard/settings")
    page = await visitor.submit("/dashboard/settings/clock", minutes="60", back="/dashboard/settings")
    assert "between the years" in page


async def test_a_permission_that_is_not_there_is_said_so(visitor: Visitor):
    page = await visitor.submit("/dashboard/permissions/undefine", id="x:y", back="/dashboard/permissions")
    assert "no such permission" in page


async def test_without_a_team_admin_new_users_have_teams_all_the_same(visitor: Visitor, stack: StackAuth):
    visitor.server.configure(create_personal_team_on_sign_up=True)
    await visitor.submit("/dashboard/permissions/undefine", id="team_admin")
    await stack.client.password.sign_up(email="ada@example.com", password=PASSWORD)
    [team] = visitor.server.store.teams.list_for_project(visitor.server.project_id)
    assert team["display_name"] == "ada@example.com's Team"


# --- whom it refuses ---


@rows("path", PAGES)
@rows("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
async def test_pages_answer_on_this_machines_names_only(visitor: Visitor, path: str, host: str):
    """DNS rebinding: the browser believes that it talks to the attacker's own site."""
    assert (await visitor.client.get(path, headers={"host": host})).status_code == 403


@rows("path", FORMS)
@rows(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
)
async def test_forms_of_other_sites_are_refused_and_change_nothing(
    visitor: Visitor, path: str, headers: dict[str, str]
):
    before = read_state(visitor.server)
    form = {"primary_email": "eve@example.com", "display_name": "x", "id": "x:y", "scope": "team", "minutes": "5"}
    answer = await visitor.client.post(path, data={**form, "url": "http://evil.example"}, headers=headers)
    assert answer.status_code == 403
    assert read_state(visitor.server) == before


def read_state(server: Emulator) -> list[Any]:
    store, project = server.store, server.project
    secret = store.projects.server_secret()
    people = store.users.in_order(project.id)
    definitions = len(store.permissions.definitions(project.id))
    return [project, secret, people, definitions, server.clock.offset, server.server.webhooks.url(project.id)]


@rows("path", FORMS)
async def test_an_empty_form_is_answered_in_words(visitor: Visitor, path: str):
    answer = await visitor.client.post(path, data={})
    assert answer.status_code in (303, 404)
    if answer.status_code == 303:
        assert 'role="status"' in await visitor.see(answer.headers["location"])


FIELDS = (
    "user_id", "team_id", "permission_id", "id", "scope", "contained", "primary_email", "url", "on", "display_name",
    "minutes", "domains", "providers", "back", "restrict", "revoke", "leave",
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    path=st.sampled_from(FORMS),
    form=st.dictionaries(
        st.sampled_from(FIELDS),
        st.text(max_size=30),
    ),
)  # fmt: skip
async def test_no_form_breaks_it_or_leads_elsewhere(visitor: Visitor, path: str, form: dict[str, str]):
    body = "&".join(f"{name}={httpx.QueryParams({'v': value})!s}".replace("v=", "", 1) for name, value in form.items())
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await visitor.client.post(path, content=body, headers=headers)
    assert answer.status_code in (200, 303, 404), answer.text
    if answer.status_code == 303:
        assert re.fullmatch(r"/[!-~]*\?note=\w+", answer.headers["location"])
        assert not answer.headers["location"].startswith(("//", "/\\"))


@example("//[x")
@example("/\\evil.example")
@example("//evil.example")
@example("/dashboard/users?note=x#y")
@given(st.text(max_size=40))
def test_a_way_back_never_leads_to_another_host(path: str):
    back = own_path(path)
    assert back.startswith("/")
    assert not back.startswith(("//", "/\\"))
    assert "?" not in back


async def test_what_people_type_reaches_pages_as_text(visitor: Visitor):
    evil = "<script>alert(1)</script>\"'"
    page = await visitor.submit("/dashboard/users/create", primary_email="ada@example.com", display_name=evil)
    team = await visitor.submit("/dashboard/teams/create", display_name=evil)
    refused = await visitor.submit("/dashboard/permissions/define", id=evil, scope=evil, back="/dashboard/permissions")
    for shown in (page, team, refused, await visitor.see("/dashboard/users"), await visitor.see("/dashboard/teams")):
        assert "<script" not in shown
    assert "alert(1)" not in await visitor.see("/?note=<script>alert(1)</script>")


# --- what it never shows ---


async def test_the_list_of_calls_shows_no_credentials(visitor: Visitor, stack: StackAuth):
    """The list of calls shows what happened and nothing that signs in."""
    client = stack.client
    tokens = await client.password.sign_up(email="ada@example.com", password=PASSWORD)
    await client.otp.send_sign_in_code(email="new@example.com", callback_url="http://localhost:8000/landing")
    mail = visitor.server.emails("new@example.com")[0]
    signed_in = await client.otp.sign_in(code=mail["code"])
    await client.refresh(tokens.refresh_token)
    with pytest.raises(Exception, match="password"):
        await client.password.sign_in(email="ada@example.com", password="wrong horse battery")
    page = await visitor.see("/dashboard/calls")
    assert "POST /api/v1/auth/password/sign-up" in page
    assert "EMAIL_PASSWORD_MISMATCH" in page
    assert "ada@example.com" in page
    secrets = [PASSWORD, "wrong horse battery", mail["code"], mail["otp"], visitor.server.secret_server_key]
    secrets += [t for pair in (tokens, signed_in) for t in (pair.access_token, pair.refresh_token)]
    for secret in secrets:
        assert secret not in page
        assert secret[:20] not in page or len(secret) < 8


@rows("body", [b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": 1e999}', b"[" * 3000])
async def test_no_body_breaks_the_list_of_calls(visitor: Visitor, body: bytes):
    """Anybody may call the API; a body that no page could show must not hide the calls from who looks for them."""
    headers = {"content-type": "application/json"}
    answer = await visitor.client.post("/api/v1/auth/password/sign-in", content=body, headers=headers)
    assert answer.status_code == 400
    page = await visitor.see("/dashboard/calls")
    assert "POST /api/v1/auth/password/sign-in" in page
    assert f"({len(body)} bytes)" in page


async def test_dashboard_calls_are_not_listed_or_faulted(visitor: Visitor):
    """The faces own calls are not listed and no fault hits them."""
    visitor.server.server.faults.add(
        Fault(path="/api", method=None, status=500, delay=0, retry_after=None, times_left=None, until=None)
    )
    page = await visitor.submit("/dashboard/users/create", primary_email="ada@example.com")
    assert "Done." in page
    assert "None yet." in await visitor.see("/dashboard/calls")


KINDS = ["application/json", "text/plain", "", "application/x-www-form-urlencoded"]
NAMES = ["password", "access_token", "refresh_token", "code", "otp", "secret", "client_secret", "nonce", "api_key",
         "value", "attempt_code", "totp_secret_base64", "challenge", "verifier", "state"]  # fmt: skip


@given(
    st.sampled_from(NAMES),
    st.text(min_size=8, max_size=50, alphabet="abcdefghijkmnpqrstuvwxyz0123456789")
    | st.integers(min_value=10_000_000).map(str),
)
def test_whatever_is_named_like_a_secret_is_masked_however_deep(name: str, value: str):
    number = int(value) if value.isdigit() else value
    shown = json.dumps(mask({"a": [{"b": {name: value}}, {name: [number]}, {name: {"v": [{"w": number}]}}]}))
    assert value not in shown
    assert value not in masked_query(f"x=1&{name}={value}")
    assert value not in masked_body(json.dumps({name: value}).encode(), "application/json; charset=utf-8")
    assert value not in masked_body(f"{name}={value}".encode(), "application/x-www-form-urlencoded")


@given(
    st.binary(max_size=200),
    st.sampled_from(KINDS),
)
def test_a_body_of_any_form_is_shown_or_counted(body: bytes, kind: str):
    assert isinstance(masked_body(body, kind), str)


def test_tokens_are_masked_and_error_codes_shown():
    """A token is masked whatever its name and error codes are shown."""
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
    assert mask({"note": f"see {token}"}) == {"note": "…"}
    assert mask({token: 1}) == {"…": 1}
    assert masked_query(f"{token}=1") == "…=1"
    assert masked_path(f"/api/v1/{token}/x") == "/api/v1/…/x"
    assert mask({"code": "SCHEMA_ERROR"}, answered=True) == {"code": "SCHEMA_ERROR"}
    assert mask({"code": "SCHEMA_ERROR"}) == {"code": "…"}, "what was asked may be a code of any form"
    assert mask({"code": "ABC123"}, answered=True) == {"code": "…"}
    assert mask({"id": "f7383500-3cc7-45ea-b3c1-50d16bdbdf35", "ok": True}) == {
        "id": "f7383500-3cc7-45ea-b3c1-50d16bdbdf35",
        "ok": True,
    }
