"""Design decision 15: with a secret key alone, a person neither writes nor reads what is the server's."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.models import (
    ApiModel,
    ContactChannelCreate,
    ContactChannelUpdate,
    CurrentUserUpdate,
    OAuthProviderUpdate,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
    TeamCreate,
    TeamUpdate,
)
from tests.support.rows import rows

from .fakes import FakeServer, json_response, make_client, settings
from .table import PERSONS, SERVER_WRITES, SERVERS, Act, contract, success

ALONE: dict[str, Any] = {"secret_server_key": "ssk_1"}
OF_THE_SERVER: dict[str, Act] = {**SERVERS, **SERVER_WRITES}
SERVER_ONLY = [
    (CurrentUserUpdate, sorted(set(ServerUserUpdate.model_fields) - set(CurrentUserUpdate.model_fields))),
    (ContactChannelCreate, ["is_verified"]),
    (ContactChannelUpdate, ["is_verified"]),
    (TeamCreate, ["client_read_only_metadata", "server_metadata"]),
    (TeamUpdate, ["client_read_only_metadata", "server_metadata"]),
    (OAuthProviderUpdate, ["account_id", "email"]),
]


@rows(("model", "fields"), SERVER_ONLY)
def test_what_persons_write_has_no_server_only_field(model: Any, fields: list[str]):
    for field in fields:
        with pytest.raises(ValidationError, match="Extra inputs"):
            model.model_validate({field: True})


@rows("name", OF_THE_SERVER)
@rows("keys", [ALONE, {**ALONE, "publishable_client_key": "pck_1"}])
async def test_what_only_the_app_may_do_needs_as_server(name: str, keys: dict[str, Any]):
    server = FakeServer([json_response({})])
    with pytest.raises(ConfigurationError, match="as_server"):
        await OF_THE_SERVER[name](make_client(server, **keys).as_user("a.b.c"))
    assert server.asked == []


async def test_a_server_only_change_of_me_is_rejected():
    """A server s change of oneself is refused though types are not checked."""
    server = FakeServer([json_response({"id": "u"})])
    change: Any = ServerUserUpdate(server_metadata={"plan": "pro"})
    with pytest.raises(ConfigurationError):
        await make_client(server, **ALONE).as_user("a.b.c").users.update_me(change)
    assert server.asked == []


@rows("name", PERSONS)
async def test_server_responses_for_users_keep_declared_fields(name: str):
    """Whatever a server answers beyond them is its own affair."""
    body = success(name)
    if not isinstance(body, dict):
        return
    planted = {"server_metadata": "pl4nt3d", "brand_new_private_field": "pl4nt3d", "risk_scores": "pl4nt3d"}
    server = FakeServer([json_response({**body, **planted})])
    client = make_client(server, **ALONE).as_user("a.b.c")
    if name in ("DELETE /users/me", "DELETE /auth/sessions/{id}"):
        return  # these ask first; their own tests say what
    result = await PERSONS[name](client)
    if server.last.headers.get("x-stack-access-type") == "server":
        shown = result if isinstance(result, tuple) else (result,)
        assert "pl4nt3d" not in json.dumps([each.to_json() for each in shown if isinstance(each, ApiModel)])
    else:
        assert contract()[name]["access_types"] == ["none"] or "x-stack-secret-server-key" not in server.last.headers


async def test_against_a_server_that_sends_all_of_it(server: Emulator):
    configured = settings(project_id=server.project_id, base_url=server.url, secret_server_key=server.secret_server_key)
    async with StackAuthClient(configured) as client:
        signed_in = await client.password.sign_up(email="ada@example.com", password="Correct-Horse-7")
        app = client.as_server()
        await app.users.update(signed_in.user_id, ServerUserUpdate(server_metadata={"plan": "pl4nt3d"}))
        me = client.as_user(signed_in.access_token)
        seen = [await me.users.me(), await me.users.update_me(CurrentUserUpdate(display_name="Ada"))]
        assert [profile.display_name for profile in seen] == [None, "Ada"]
        assert "pl4nt3d" not in json.dumps([profile.to_json() for profile in seen])
        known = await app.users.get(signed_in.user_id)
        assert known.server_metadata == {"plan": "pl4nt3d"}


def test_a_server_s_models_say_that_they_are():
    assert ServerUserCreate.server_only
    assert ServerUserUpdate.server_only
    assert not CurrentUserUpdate.server_only
    assert "server_metadata" in ServerUser.model_fields
