"""As whom calls are made: never with more rights than were meant (design decision 15), never with a broken header."""

from typing import Any

import pytest

from fastapi_stackauth.errors import (
    AccessTokenRejected,
    ConfigurationError,
    SessionEnded,
    UnexpectedResponse,
)
from fastapi_stackauth.models import ApiModel, ApiRequestBody, CurrentUserUpdate
from tests.support.rows import rows

from .fakes import Asked, FakeServer, json_response, make_client
from .table import PERSONS, SERVER_WRITES, SERVERS, contract, success

SECRET_ONLY: dict[str, Any] = {"secret_server_key": "ssk_1"}
NO_KEY: dict[str, Any] = {}
PUBLISHABLE: dict[str, Any] = {"publishable_client_key": "pck_1"}
BOTH = {**PUBLISHABLE, **SECRET_ONLY}

SERVER_ONLY_OF_USERS = {
    "server_metadata", "last_active_at_millis", "primary_email_auth_enabled", "country_code", "risk_scores",
    "restricted_by_admin_private_details",
}  # fmt: skip
LENT = {
    # operations that a person's client may do with the secret key, since both access types come to the same there
    name for name in PERSONS
    if name.startswith(("POST /auth/", "GET /auth/sessions", "DELETE /auth/sessions", "GET /users/me"))
} | {
    "PATCH /users/me", "DELETE /users/me", "GET /projects/current", "GET /contact-channels", "POST /contact-channels",
    "GET /contact-channels/{user_id}/{contact_channel_id}", "PATCH /contact-channels/{user_id}/{contact_channel_id}",
    "DELETE /contact-channels/{user_id}/{contact_channel_id}",
    "POST /contact-channels/{user_id}/{contact_channel_id}/send-verification-code",
    "POST /contact-channels/send-verification-code", "POST /contact-channels/verify",
    "POST /contact-channels/verify/check-code", "POST /team-invitations/accept/check-code", "GET /team-permissions",
    "GET /project-permissions", "GET /connected-accounts/{user_id}",
    "POST /connected-accounts/{user_id}/{provider_id}/access-token",
    "POST /connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token", "GET /oauth-providers",
    "GET /oauth-providers/{user_id}/{provider_id}", "PATCH /oauth-providers/{user_id}/{provider_id}",
    "DELETE /oauth-providers/{user_id}/{provider_id}",
}  # fmt: skip


def answering_all(**answers: object) -> FakeServer:
    """A server that answers each operation as recorded for servers: with all that it would show them."""

    def answer(asked: Asked) -> Any:
        if asked.operation == "GET /api/v1/auth/sessions":
            return json_response({"items": [{"id": "s", "user_id": "u", "created_at": 1}]})
        if asked.operation == "GET /api/v1/projects/current":
            project = success("GET /projects/current")
            return json_response({**project, "config": {**project["config"], "client_user_deletion_enabled": True}})
        return json_response(answers["last"])

    return FakeServer(answer=answer)


@rows("keys", [NO_KEY, PUBLISHABLE, BOTH])
@rows("name", PERSONS)
async def test_persons_calls_are_made_as_client(name: str, keys: dict[str, Any]):
    server = answering_all(last=success(name, "client"))
    await PERSONS[name](make_client(server, **keys).as_user("a.b.c"))
    for asked in server.asked:
        assert asked.headers.get("x-stack-access-type") in ("client", None)
        assert "x-stack-secret-server-key" not in asked.headers


@rows("name", PERSONS)
async def test_with_a_secret_key_users_get_harmless_rights_only(name: str):
    """With a secret key alone persons get its rights only where they change nothing."""
    server = answering_all(last=success(name, "server"))
    await PERSONS[name](make_client(server, **SECRET_ONLY).as_user("a.b.c"))
    if contract()[name]["access_types"] != ["none"]:
        assert (server.last.headers["x-stack-access-type"] == "server") == (name in LENT)
        assert ("x-stack-secret-server-key" in server.last.headers) == (name in LENT)


@rows("name", SERVERS)
@rows("keys", [SECRET_ONLY, BOTH])
async def test_what_only_a_server_may_do_takes_as_server(name: str, keys: dict[str, Any]):
    server = FakeServer([json_response({})])
    for client in (make_client(server, **keys), make_client(server, **keys).as_user("a.b.c")):
        with pytest.raises(ConfigurationError, match="as_server"):
            await SERVERS[name](client)
    assert server.asked == []


@rows("name", SERVER_WRITES)
async def test_fields_that_only_a_server_may_write_take_as_server(name: str):
    server = FakeServer([json_response({})])
    with pytest.raises(ConfigurationError, match="as_server"):
        await SERVER_WRITES[name](make_client(server, **SECRET_ONLY).as_user("a.b.c"))
    assert server.asked == []


@rows("field", sorted(SERVER_ONLY_OF_USERS | {"client_read_only_metadata", "password", "is_anonymous"}))
def test_a_person_s_own_update_has_no_server_field(field: str):
    with pytest.raises(ValueError, match="Extra inputs"):
        CurrentUserUpdate.model_validate({field: None})


def test_requests_refuse_fields_they_do_not_know():
    def all_subclasses(kind: type[ApiRequestBody]) -> set[type[ApiRequestBody]]:
        return {kind}.union(*(all_subclasses(below) for below in kind.__subclasses__()))

    assert all(kind.model_config["extra"] == "forbid" for kind in all_subclasses(ApiRequestBody))


async def test_with_a_secret_key_profiles_have_client_fields():
    """With a secret key alone the profile holds what a client may read."""
    body = success("GET /users/me", "server")
    team = {"id": "t", "display_name": "T", "server_metadata": {"plan": 1}, "created_at_millis": 5}
    body = {**body, "server_metadata": {"notes": "secret"}, "selected_team": team, "added_later": "secret"}
    assert set(body) >= SERVER_ONLY_OF_USERS
    server = FakeServer([json_response(body)])
    profile = await make_client(server, **SECRET_ONLY).as_user("a.b.c").users.me()
    assert server.last.headers["x-stack-access-type"] == "server"
    shown = profile.to_json()
    assert set(shown) == set(success("GET /users/me", "client"))
    assert shown["selected_team"] == {"id": "t", "display_name": "T"}
    assert "secret" not in profile.model_dump_json()


async def test_as_client_fields_that_later_servers_add_are_kept():
    body = {**success("GET /users/me", "client"), "added_later": {"a": 1}}
    profile = await make_client(FakeServer([json_response(body)]), **BOTH).as_user("a.b.c").users.me()
    assert profile.to_json() == body


async def test_with_a_secret_key_foreign_sessions_are_safe():
    """With server access the server does not compare owners (contract/endpoints.json, notes)."""
    server = answering_all(last={"success": True})
    client = make_client(server, **SECRET_ONLY).as_user("a.b.c")
    with pytest.raises(UnexpectedResponse) as caught:
        await client.sessions.revoke("somebody-else-s")
    assert caught.value.status_code == 404
    assert [asked.method for asked in server.asked] == ["GET"]
    await client.sessions.revoke("s")
    assert server.last.operation == "DELETE /api/v1/auth/sessions/s"


async def test_with_a_secret_key_deletion_can_be_forbidden():
    """With a secret key alone users cannot delete themselves where the project forbids it."""
    project = success("GET /projects/current")
    project = {**project, "config": {**project["config"], "client_user_deletion_enabled": False}}
    server = FakeServer([json_response(project)])
    with pytest.raises(UnexpectedResponse) as caught:
        await make_client(server, **SECRET_ONLY).as_user("a.b.c").users.delete_me()
    assert caught.value.status_code == 400
    assert [asked.method for asked in server.asked] == ["GET"]


@rows(
    "act",
    [
        lambda client: client.sessions.list("somebody"),
        lambda client: client.contact_channels.list("somebody"),
        lambda client: client.contact_channels.list(None),
        lambda client: client.contact_channels.delete("c", "somebody"),
        lambda client: client.team_permissions.list(user_id=None),
        lambda client: client.project_permissions.list(user_id="somebody"),
        lambda client: client.oauth_providers.list(None),
        lambda client: client.connected_accounts.list("somebody"),
        lambda client: client.request("PATCH", "/users/me", json={"server_metadata": 1}, model=ApiModel),
    ],
)
async def test_with_a_secret_key_other_users_are_read_as_client(act: Any):
    """With a secret key alone other people s things are asked for as client."""
    server = FakeServer([json_response({"items": [], "success": True})])
    await act(make_client(server, **SECRET_ONLY).as_user("a.b.c"))
    assert server.last.headers["x-stack-access-type"] == "client"
    assert "x-stack-secret-server-key" not in server.last.headers


async def test_a_person_s_view_of_a_server_s_client_is_a_person_s():
    server = FakeServer([json_response(success("GET /users/me"))])
    await make_client(server, **BOTH).as_server().as_user("a.b.c").users.me()
    assert server.last.headers["x-stack-access-type"] == "client"


async def test_a_server_s_view_of_a_person_s_client_holds_no_token():
    server = FakeServer([json_response(success("GET /users/{user_id}"))])
    await make_client(server, **BOTH).as_user("a.b.c").as_server().users.get("u")
    assert "x-stack-access-token" not in server.last.headers


def test_as_server_without_a_secret_key_names_the_setting():
    with pytest.raises(ConfigurationError, match="secret_server_key"):
        make_client(FakeServer()).as_server()


async def test_views_leave_the_client_as_it_was():
    server = FakeServer([json_response(success("GET /projects/current"))])
    client = make_client(server, **BOTH)
    client.as_user("a.b.c")
    client.as_server()
    await client.project.current()
    assert "x-stack-access-token" not in server.last.headers
    assert server.last.headers["x-stack-access-type"] == "client"


async def test_kinds_of_users_are_checked_by_the_library():
    """Guests and restricted users are let through to the library s own gate."""
    server = FakeServer([json_response(success("GET /users/me"))])
    await make_client(server).as_user("a.b.c").users.me()
    assert server.last.headers["x-stack-allow-anonymous-user"] == "true"


@pytest.mark.parametrize(("branch", "header"), [("main", None), ("preview", "preview")])
async def test_another_branch_is_named(branch: str, header: str | None):
    server = FakeServer([json_response(success("GET /projects/current"))])
    await make_client(server, branch_id=branch).project.current()
    assert server.last.headers.get("x-stack-branch-id") == header


async def test_without_a_project_id_the_first_call_names_the_setting():
    with pytest.raises(ConfigurationError, match="project_id"):
        await make_client(FakeServer(), project_id=None).project.current()


BROKEN = ["line\r\nx-injected: 1", "blank here", "naïve", "", "\x00", "\ud800"]


@rows("token", [token for token in BROKEN if token])
async def test_a_token_unfit_for_headers_is_rejected(token: str):
    """A token that is no header is refused like any other bad token."""
    server = FakeServer([json_response({})])
    with pytest.raises(AccessTokenRejected):
        await make_client(server).as_user(token).users.me()
    assert server.asked == []


@rows("token", BROKEN)
async def test_a_refresh_token_unfit_for_headers_has_no_session(token: str):
    """A refresh token that is no header is a session that is gone."""
    server = FakeServer([json_response({})])
    with pytest.raises(SessionEnded) as caught:
        await make_client(server).refresh(token)
    assert server.asked == []
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(("setting", "prefix"), [("secret_server_key", "ssk"), ("publishable_client_key", "pck")])
async def test_a_key_with_a_line_break_is_named_and_not_shown(setting: str, prefix: str):
    """It comes of a secret file that ends in one."""
    with pytest.raises(ConfigurationError, match=setting) as caught:
        await make_client(FakeServer(), **dict[str, Any]({setting: f"{prefix}_hidden\n"})).project.current()
    assert "hidden" not in f"{caught.value} {caught.value!r}"


async def test_no_repr_shows_a_token_or_a_key():
    client = make_client(FakeServer(), publishable_client_key="pck_hidden", secret_server_key="ssk_hidden")
    for view in (client, client.as_user("tok_hidden"), client.as_server()):
        assert "hidden" not in f"{view!r} {view.settings!r} {vars(view)!r}"
