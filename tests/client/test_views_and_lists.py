"""Views of a client, lists in pages, and what methods make of several answers."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import ConfigurationError, SchemaError, UnexpectedResponse
from tests.support.rows import rows

from .fakes import Asked, FakeServer, json_response, make_client

PROJECT = {"id": "p", "display_name": "P", "config": {}}
PROXIES = ("10.0.0.0/8", "2001:db8::1")


@rows(
    ("peer", "forwarded_for", "told"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "6.6.6.6, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("::ffff:10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::7", "2001:db8::7"),
        ("10.1.1.1", "unknown", "10.1.1.1"),
        ("10.1.1.1", "x\r\nx-evil: 1", "10.1.1.1"),
        (None, "203.0.113.9", None),
        ("unix:/socket", "203.0.113.9", None),
        ("10.1.1.1", "203.0.113.9:52044", "203.0.113.9"),
        ("10.1.1.1", "6.6.6.6, 203.0.113.9:1, 10.2.2.2:443", "203.0.113.9"),
        ("10.1.1.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.1.1.1", "[2001:db8::7]", "2001:db8::7"),
        ("10.1.1.1", "203.0.113.9, [2001:db8::1]:443", "203.0.113.9"),
        ("10.1.1.1", "[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9:", "10.1.1.1"),
        ("10.1.1.1", "203.0.113.9:x", "10.1.1.1"),
        ("10.1.1.1", "203.0.113.9:123456", "10.1.1.1"),
        ("10.1.1.1", "[203.0.113.9]:443", "10.1.1.1"),
        ("10.1.1.1", "[2001:db8::7]443", "10.1.1.1"),
        ("10.1.1.1", "[2001:db8::7", "10.1.1.1"),
    ],
)
async def test_the_users_address_is_the_last_untrusted_one(
    peer: str | None, forwarded_for: str | None, told: str | None
):
    """The end user s address is the last one that no trusted proxy has."""
    server = FakeServer([json_response(PROJECT)])
    await make_client(server, trusted_proxies=PROXIES).for_address(peer, forwarded_for).project.current()
    assert server.last.headers.get("x-forwarded-for") == told


async def test_without_trusted_proxies_no_address_is_sent():
    """Without trusted proxies the auth server is told no address."""
    server = FakeServer([json_response(PROJECT)])
    await make_client(server).for_address("203.0.113.9", "203.0.113.8").project.current()
    assert "x-forwarded-for" not in server.last.headers


async def test_the_address_stays_with_views_of_a_view():
    server = FakeServer([json_response({"id": "u"})])
    view = make_client(server, trusted_proxies=PROXIES, secret_server_key="ssk_1").for_address("203.0.113.9")
    for each in (view.as_user("a.b.c"), view.as_server()):
        await each.users.me()
        assert server.last.headers["x-forwarded-for"] == "203.0.113.9"


async def test_a_view_leaves_the_client_it_was_made_from_as_it_was():
    server = FakeServer([json_response(PROJECT)])
    client = make_client(server, publishable_client_key="pck_1", secret_server_key="ssk_1")
    client.as_server()
    client.as_user("a.b.c")
    await client.project.current()
    assert server.last.headers["x-stack-access-type"] == "client"
    assert "x-stack-access-token" not in server.last.headers


async def test_another_user_takes_the_place_of_the_one_before():
    server = FakeServer([json_response({"id": "u"})])
    await make_client(server).as_user("a.b.c").as_user("d.e.f").users.me()
    assert server.last.headers["x-stack-access-token"] == "d.e.f"


def test_the_app_s_own_name_takes_a_secret_key():
    with pytest.raises(ConfigurationError, match="STACK_SECRET_SERVER_KEY"):
        make_client(FakeServer()).as_server()


ITEM: dict[str, Any] = dict.fromkeys(
    ("display_name", "user_id", "team_id", "provider", "provider_account_id", "description"), "x"
)
"""The required fields of every list's items."""
ITEM |= {"provider_config_id": "github", "created_at": "2026-01-01T00:00:00Z", "created_at_millis": 0, "type": "email"}
ITEM |= {"last_active_at_millis": 0, "user": {"id": "u"}, "value": "ada@example.com"}


def page(ids: list[str], next_cursor: str | None, **fields: object) -> Response:
    items = [{**ITEM, **fields, "id": each} for each in ids]
    return json_response({"items": items, "is_paginated": True, "pagination": {"next_cursor": next_cursor}})


def app(*answers) -> tuple[FakeServer, StackAuthClient]:
    server = FakeServer(list(answers))
    return server, make_client(server, secret_server_key="ssk_1").as_server()


async def test_a_listing_follows_the_cursor_to_its_end():
    server, client = app(page(["a", "b"], "c"), page(["c"], None))
    assert [user.id async for user in client.users.list()] == ["a", "b", "c"]
    assert [asked.query.get("cursor") for asked in server.asked] == [None, "c"]


def serve_pages(ids: list[str], *, names_last: bool) -> Callable[[Asked], Response]:
    """A server's pages: the cursor names the first item of the next page, or (newest) the last one of this page."""

    def answer(asked: Asked) -> Response:
        cursor, size = asked.query.get("cursor"), int(asked.query.get("limit", "2"))
        start = 0 if cursor is None else ids.index(cursor) + names_last
        end = start + size
        following = None if end >= len(ids) else ids[end - 1] if names_last else ids[end]
        fields = {"value": {"last_four": "1234"}} if asked.path.endswith("api-keys") else {}
        return page(ids[start:end], following, **fields)

    return answer


IDS = [str(number) for number in range(5)]


@pytest.mark.parametrize("names_last", [False, True], ids=["april-2026", "newest"])
async def test_each_item_comes_once_with_either_cursor(names_last: bool):
    """Each item comes once whatever the cursor of a server means."""
    server = FakeServer(answer=serve_pages(IDS, names_last=names_last))
    client = make_client(server, secret_server_key="ssk_1").as_server()
    assert [user.id async for user in client.users.list(limit=2)] == IDS
    first = await client.users.list(limit=2).page()
    rest = [each.id async for later in client.users.list(limit=2).pages(first.next_cursor) for each in later.items]
    assert rest == IDS[2:]


@rows("names_last", [False, True], ids=["april-2026", "newest"])
@rows(
    "read",
    [
        lambda client: client.teams.list(),
        lambda client: client.sessions.list("u"),
        lambda client: client.contact_channels.list("u"),
        lambda client: client.team_members.list(team_id="t"),
        lambda client: client.team_invitations.list("t"),
        lambda client: client.team_invitations.list_for_user("u"),
        lambda client: client.team_permissions.list(team_id="t", user_id="u"),
        lambda client: client.project_permissions.list(user_id="u"),
        lambda client: client.oauth_providers.list("u"),
        lambda client: client.connected_accounts.list("u"),
        lambda client: client.user_api_keys.list("u"),
        lambda client: client.team_api_keys.list("t"),
    ],
    ids=lambda read: "_".join(read.__code__.co_names[:1]),
)
async def test_a_list_that_a_server_begins_to_page_is_read_to_its_end(read: Any, names_last: bool):
    server = FakeServer(answer=serve_pages(IDS, names_last=names_last))
    items = await read(make_client(server, secret_server_key="ssk_1").as_server())
    assert len(items) == 5
    assert [asked.query.get("cursor") for asked in server.asked] == [None, *(["1", "3"] if names_last else ["2", "4"])]
    first, *others = [{**asked.query, "cursor": None} for asked in server.asked]
    assert all(other == first for other in others)


async def test_a_list_without_an_end_ends_in_an_error():
    numbers = itertools.count()
    server = FakeServer(answer=lambda _: page([], str(next(numbers))))
    with pytest.raises(UnexpectedResponse, match="too many pages"):
        await make_client(server).as_user("a.b.c").teams.list()


@pytest.mark.parametrize("limit", [1001, 0, -1])
async def test_a_too_large_limit_is_named_before_any_request(limit: int):
    """A limit that the newest server rejects is named before anything is sent."""
    server, client = app(page([], None))
    with pytest.raises(SchemaError, match=f"limit must be from 1 to 1000; got {limit}") as caught:
        client.users.list(limit=limit)
    assert caught.value.status_code == 400
    assert server.asked == []
    assert [user async for user in client.users.list(limit=1000)] == []


async def test_pages_that_lead_in_a_circle_end_in_an_error():
    _, client = app(page(["a"], "x"), page(["b"], "y"), page(["a"], "x"))
    with pytest.raises(UnexpectedResponse, match="never ends"):
        async for _user in client.users.list():
            pass


async def test_a_list_of_a_server_that_knows_no_pages_is_one_page():
    _, client = app(json_response({"items": [{"id": "a"}]}))
    assert [user.id async for user in client.users.list()] == ["a"]


@pytest.mark.parametrize(("items", "has"), [([{"id": "p", "user_id": "u", "team_id": "t"}], True), ([], False)])
async def test_a_permission_is_checked_by_reading_the_list(items: list[object], has: bool):
    server, client = app(json_response({"items": items, "is_paginated": False}))
    assert await client.team_permissions.check("p", team_id="t", user_id="u") is has
    assert server.last.query["recursive"] == "true"
    assert await client.project_permissions.check("p", user_id="u") is has


async def test_the_invitations_of_a_user_are_asked_for_by_user():
    server, client = app(json_response({"items": [], "is_paginated": False}))
    assert await client.team_invitations.list_for_user("u") == ()
    assert server.last.query == {"user_id": "u"}


@rows("odd", ["a/../b", "a?b=c", "a#b", "ä", "%2e%2e", "a\r\nb"])
async def test_an_id_never_leaves_its_segment_of_the_path(odd: str):
    server, client = app(json_response({"id": "u"}))
    await client.users.get(odd)
    assert server.last.raw_path.count("/") == 4
    assert server.last.query == {}


@rows("odd", ["", ".", "..", "\ud800"])
async def test_an_id_that_no_path_can_hold_is_refused_unsent(odd: str):
    server, client = app(json_response({"id": "u"}))
    with pytest.raises(SchemaError):
        await client.users.get(odd)
    assert server.asked == []
