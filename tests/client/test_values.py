"""The client's pure parts: times, paths, pages, forwarded addresses, request bodies."""

import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.client.request import ApiRequest, encode_path
from fastapi_stackauth.errors import (
    AuthServerUnavailable,
    PasskeyFailed,
    SchemaError,
    SignInRequired,
    UnexpectedResponse,
)
from fastapi_stackauth.models import (
    ApiKeyCreate,
    ApiModel,
    BotChallenge,
    ContactChannelUpdate,
    CurrentUserUpdate,
    Millis,
    SignIn,
    TokenPair,
)
from tests.support.rows import rows

from .fakes import Asked, FakeServer, json_response, known_error, make_client, settings, text_answer
from .table import PERSONS, success

# --- times ---


class Stamped(ApiModel):
    at_millis: Millis


def there_and_back(wire: str) -> object:
    return Stamped.model_validate_json(f'{{"at_millis": {wire}}}').to_json()["at_millis"]


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_millisecond_of_the_calendar_comes_back_as_it_went(millis: int):
    back = there_and_back(str(millis))
    assert back == millis
    assert isinstance(back, int)


@given(st.integers(0, 4_000_000_000_000_000))
def test_microseconds_come_back_as_the_fraction_they_were(micros: int):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    wire = json.dumps(Stamped(at_millis=moment).to_json()["at_millis"])
    assert Stamped.model_validate_json(f'{{"at_millis": {wire}}}').at_millis == moment


@pytest.mark.parametrize("wire", ["1795434371617.5", "0.25", "-1.5"])
def test_fractions_of_a_millisecond_are_kept(wire: str):
    assert there_and_back(wire) == float(wire)


@rows("wire", ["8640000000000000", "-8640000000000000", "1e300", "9" * 400])
def test_times_beyond_the_calendar_become_its_end(wire: str):
    """JavaScript's calendar reaches further, and an API key may be made to expire there."""
    moment = Stamped.model_validate_json(f'{{"at_millis": {wire}}}').at_millis
    assert moment.year in (1, 9999)
    assert moment.tzinfo is not None
    assert moment == Stamped.model_validate(Stamped(at_millis=moment).to_json()).at_millis


@rows("wire", ["NaN", "true", '"soon"', "null", "[]"])
def test_what_is_no_time_is_refused(wire: str):
    with pytest.raises(ValidationError):
        there_and_back(wire)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError):
        Stamped(at_millis=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is tested


def test_a_time_in_another_zone_travels_as_the_same_moment():
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert Stamped(at_millis=moment).to_json() == {"at_millis": 1767225600000}


# --- paths ---

ROOT = "http://auth.test/api/v1"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_id_can_change_the_path(first: str, second: str):
    """It stays one segment, and the server reads the very id; or the call is refused before it is sent."""
    try:
        path = encode_path("/teams/{team_id}/x/{user_id}", (first, second))
    except SchemaError:
        assert {first, second} & {"", ".", ".."}
        return
    sent = httpx.Request("GET", ROOT + path).url.raw_path.decode()
    assert [unquote(part) for part in sent.split("/")] == ["", "api", "v1", "teams", first, "x", second]
    assert sent.count("/") == 6
    assert "?" not in sent


@rows("nasty", ["..", ".", "", "\ud800"])
async def test_an_unencodable_id_is_rejected_as_by_the_server(nasty: str):
    """An id that no encoding saves is refused as the server would."""
    server = FakeServer([json_response({})])
    with pytest.raises(SchemaError) as caught:
        await make_client(server).as_user("a.b.c").teams.delete(nasty)
    assert caught.value.status_code == 400
    assert server.asked == []


@rows("nasty", ["../users", "a/b", "a?b=c", "a#b", "%2e%2e", "%2F", "a\r\nb", "ä\u2028", "a;b", "a\\b"])
async def test_nasty_ids_arrive_as_one_segment(nasty: str):
    server = FakeServer([json_response({"success": True})])
    await make_client(server).as_user("a.b.c").teams.delete(nasty)
    assert server.last.raw_path == f"/api/v1/teams/{quote(nasty, safe='')}"


async def test_no_session_s_id_turns_revoking_into_signing_out():
    server = FakeServer([json_response({"success": True})])
    with pytest.raises(SchemaError):
        await make_client(server).as_user("a.b.c").sessions.revoke("current")
    assert server.asked == []


# --- bodies ---


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_json_value_travels(value: object):
    content = ApiRequest("POST", "/x", json={"value": value}).content
    assert content is not None
    assert json.loads(content) == {"value": value}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float):
    with pytest.raises(SchemaError):
        _ = ApiRequest("POST", "/x", json={"value": number}).content


def test_what_is_absent_stays_absent_and_none_clears():
    assert CurrentUserUpdate().to_json() == {}
    assert CurrentUserUpdate(display_name=None).to_json() == {"display_name": None}
    assert ApiKeyCreate(description="d", expires_at_millis=None).to_json() == {
        "description": "d",
        "expires_at_millis": None,
    }


def test_a_contact_channel_s_new_value_brings_its_type():
    """Without it the server stores what is no address, and fails at every reading from then on (corrections.md A9)."""
    assert ContactChannelUpdate(value="ada@example.com").to_json() == {"value": "ada@example.com", "type": "email"}
    assert ContactChannelUpdate(is_primary=True).to_json() == {"is_primary": True}


async def test_a_bot_challenge_travels_beside_the_other_fields():
    server = FakeServer([json_response({"nonce": "n"})])
    challenge = BotChallenge(bot_challenge_token="t", bot_challenge_phase="visible")
    await make_client(server).otp.send_sign_in_code(email="a@b.c", callback_url="http://x", bot_challenge=challenge)
    assert server.last.json["bot_challenge_token"] == "t"
    assert "bot_challenge_unavailable" not in server.last.json


# --- models ---


def test_no_repr_of_a_model_shows_a_token():
    """No model s repr shows a token not even one of later servers."""
    signed_in = SignIn.model_validate(
        {"access_token": "hidden1", "refresh_token": "hidden2", "user_id": "u", "session_token": "hidden3"}
    )
    assert "hidden" not in f"{signed_in!r} {signed_in}"
    assert signed_in.to_json()["session_token"] == "hidden3"


def test_a_model_that_cannot_be_read_does_not_say_what_it_held():
    with pytest.raises(ValidationError) as caught:
        TokenPair.model_validate({"access_token": ["hidden"]})
    assert "hidden" not in str(caught.value)


# --- pages ---

USER = success("GET /users/{user_id}")


def users(*pages: list[str]) -> FakeServer:
    """A server with pages of users; a page's cursor is its first id."""
    cursors = [page[0] for page in pages]

    def answer(asked: Asked):
        index = cursors.index(asked.query.get("cursor", cursors[0]))
        following = cursors[index + 1] if index + 1 < len(cursors) else None
        items = [{**USER, "id": name} for name in pages[index]]
        return json_response({"items": items, "is_paginated": True, "pagination": {"next_cursor": following}})

    return FakeServer(answer=answer)


def listing(server: FakeServer):
    return make_client(server, secret_server_key="ssk_1").as_server().users.list(limit=2, query="ada")


async def test_a_listing_is_read_user_after_user_over_all_pages():
    server = users(["a", "b"], ["c", "d"], ["e"])
    assert [user.id async for user in listing(server)] == ["a", "b", "c", "d", "e"]
    assert [asked.query.get("cursor") for asked in server.asked] == [None, "c", "e"]
    assert all(asked.query["limit"] == "2" and asked.query["query"] == "ada" for asked in server.asked)


async def test_a_listing_is_read_page_after_page_and_from_any_page_on():
    server = users(["a", "b"], ["c"])
    assert [len(page.items) async for page in listing(server).pages()] == [2, 1]
    page = await listing(server).page("c")
    assert ([user.id for user in page.items], page.next_cursor) == (["c"], None)


async def test_no_page_is_fetched_before_it_is_read():
    server = users(["a", "b"], ["c"])
    async for _ in listing(server):
        break
    assert len(server.asked) == 1


async def test_an_older_server_s_list_without_pagination_is_one_page():
    server = FakeServer([json_response({"items": [USER]})])
    assert len([user async for user in listing(server)]) == 1


async def test_pages_that_lead_in_a_circle_end():
    server = FakeServer([json_response({"items": [USER], "pagination": {"next_cursor": "a"}})])
    with pytest.raises(UnexpectedResponse, match="never ends"):
        _ = [user async for user in listing(server)]
    assert len(server.asked) == 2


async def test_anonymous_only_sends_the_required_flag():
    """Only guests brings the flag that the server demands with it."""
    server = FakeServer([json_response({"items": []})])
    client = make_client(server, secret_server_key="ssk_1").as_server()
    await client.users.list(only_anonymous=True).page()
    assert (server.last.query["include_anonymous"], server.last.query["only_anonymous"]) == ("true", "true")


# --- the end user's address ---


@rows(
    ("peer", "header", "found"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "6.6.6.6, junk", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        (None, "6.6.6.6", None),
        ("a socket", "6.6.6.6", None),
        ("10.0.0.1", "203.0.113.9\r\nx-injected: 1", "10.0.0.1"),
    ],
)
def test_a_forwarded_address_needs_trusted_proxies(peer: str | None, header: str | None, found: str | None):
    """A forwarded address counts as far as trusted proxies vouch for it."""
    assert end_user_address(peer, header, ["10.0.0.0/8"]) == found


async def test_the_address_is_forwarded_only_where_proxies_are_named():
    server = FakeServer([json_response(success("GET /projects/current"))])
    await make_client(server).for_address("203.0.113.9", "6.6.6.6").project.current()
    assert "x-forwarded-for" not in server.last.headers
    trusting = make_client(server, trusted_proxies="10.0.0.0/8, 192.0.2.1")
    await trusting.for_address("10.0.0.1", "203.0.113.9").as_user("a.b.c").project.current()
    assert server.last.headers["x-forwarded-for"] == "203.0.113.9"
    await trusting.project.current()
    assert "x-forwarded-for" not in server.last.headers


def test_proxies_that_are_no_networks_are_refused():
    with pytest.raises(ValidationError):
        settings(trusted_proxies="my-proxy")


# --- what the real server does ---


@pytest.mark.parametrize("name", ["POST /auth/passkey/register", "POST /auth/passkey/sign-in"])
async def test_a_passkey_that_crashes_the_server_is_a_failed_passkey(name: str):
    """Most that cannot be verified make it answer 500 (corrections.md B)."""
    client = make_client(FakeServer([text_answer("words", 500)])).as_user("a.b.c")
    with pytest.raises(PasskeyFailed) as caught:
        await PERSONS[name](client)
    assert caught.value.status_code == 400


@pytest.mark.parametrize("name", ["POST /auth/passkey/register", "POST /auth/passkey/sign-in"])
async def test_a_server_that_is_down_is_no_failed_passkey(name: str):
    client = make_client(FakeServer([text_answer("words", 503)])).as_user("a.b.c")
    with pytest.raises(AuthServerUnavailable):
        await PERSONS[name](client)


async def test_a_user_who_is_gone_while_they_delete_themselves_is_gone():
    with pytest.raises(SignInRequired):
        await make_client(FakeServer([known_error("USER_NOT_FOUND", 404)])).as_user("a.b.c").users.delete_me()


async def test_a_lifetime_that_crashes_the_server_is_not_sent():
    client = make_client(FakeServer(), secret_server_key="ssk_1").as_server()
    with pytest.raises(ValueError, match="positive"):
        await client.sessions.create("u", expires_in=timedelta(0))


@pytest.mark.parametrize(("held", "answer"), [([], False), ([{"id": "p", "user_id": "u", "team_id": "t"}], True)])
async def test_checking_a_permission_looks_into_those_that_contain_it(held: list[object], answer: bool):
    server = FakeServer([json_response({"items": held})])
    client = make_client(server).as_user("a.b.c")
    assert await client.team_permissions.check("p", team_id="t") is answer
    assert server.last.query == {"team_id": "t", "user_id": "me", "permission_id": "p", "recursive": "true"}
    assert await client.project_permissions.check("p") is answer


async def test_an_invitation_list_is_by_team_or_by_user():
    """An invitation list is by team or by user as the server demands."""
    server = FakeServer([json_response({"items": []})])
    client = make_client(server).as_user("a.b.c")
    await client.team_invitations.list_for_user()
    assert server.last.query == {"user_id": "me"}
