"""What the real server does against its own contract (corrections.md): one clear outcome for the caller."""

from typing import Any

import pytest

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.errors import (
    AccessTokenRejected,
    AuthServerError,
    AuthServerUnavailable,
    PasskeyFailed,
    SessionEnded,
    SignInRequired,
)
from tests.support.rows import rows

from .fakes import FakeServer, json_response, known_error, make_client, text_answer
from .table import PERSONS

CRASH = "Internal Server Error"
CURRENT = {"id": "s", "user_id": "u", "created_at": 0, "is_current_session": True, "is_impersonation": False}


async def sign_out(*answers) -> FakeServer:
    server = FakeServer(list(answers))
    await make_client(server).as_user("a.b.c").sessions.sign_out()
    return server


async def test_a_second_sign_out_succeeds_though_the_server_crashes():
    server = await sign_out(text_answer(CRASH, 500), json_response({"items": [], "is_paginated": False}))
    assert [asked.operation for asked in server.asked] == [
        "DELETE /api/v1/auth/sessions/current", "GET /api/v1/auth/sessions",
    ]  # fmt: skip


async def test_a_sign_out_as_a_deleted_user_succeeds():
    await sign_out(text_answer(CRASH, 500), known_error("CANNOT_GET_OWN_USER_WITHOUT_USER"))


async def test_a_sign_out_that_really_failed_is_an_error():
    with pytest.raises(AuthServerUnavailable):
        await sign_out(text_answer(CRASH, 500), json_response({"items": [CURRENT], "is_paginated": False}))


async def test_a_sign_out_that_never_got_an_answer_is_an_error():
    with pytest.raises(AuthServerUnavailable):
        await sign_out(text_answer(CRASH, 503))


async def test_a_sign_out_of_an_ended_session_succeeds():
    await sign_out(known_error("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", 401))


PASSKEYS = ["POST /auth/passkey/register", "POST /auth/passkey/sign-in"]


@pytest.mark.parametrize("name", PASSKEYS)
async def test_a_passkey_that_fails_the_server_is_rejected(name: str):
    """A passkey that makes the server crash is one that was not accepted."""
    server = FakeServer([text_answer(CRASH, 500)])
    with pytest.raises(PasskeyFailed):
        await PERSONS[name](make_client(server).as_user("a.b.c"))
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", PASSKEYS)
async def test_an_outage_at_a_passkey_stays_an_outage(name: str):
    with pytest.raises(AuthServerUnavailable):
        await PERSONS[name](make_client(FakeServer([text_answer(CRASH, 503)])).as_user("a.b.c"))


NO_USER = {
    "me": known_error("CANNOT_GET_OWN_USER_WITHOUT_USER"),
    "id": known_error("USER_AUTHENTICATION_REQUIRED", 401),
    "schema": known_error(
        "SCHEMA_ERROR", 400, {"message": "Request validation failed:\n  - auth.user must be defined"}
    ),
    "gone": known_error("USER_NOT_FOUND", 404),
}


@rows("shape", NO_USER)
async def test_every_way_to_say_that_there_is_no_user_is_one_error(shape: str):
    with pytest.raises(SignInRequired) as caught:
        await make_client(FakeServer([NO_USER[shape]])).as_user("a.b.c").users.me()
    assert caught.value.operation == "GET /users/me"


UNSENDABLE = ["ä", "\u20ac", "a\r\nx-evil: 1", "a b", "a\x00", "\ud800", "\x7f", "a\tb"]


@rows("token", UNSENDABLE)
async def test_an_access_token_unfit_for_headers_is_not_sent(token: str):
    """An access token that no header can carry is refused unsent."""
    server = FakeServer([json_response({"id": "u"})])
    with pytest.raises(AccessTokenRejected) as caught:
        await make_client(server).as_user(token).users.me()
    assert caught.value.status_code == 401
    assert server.asked == []


@rows("token", [*UNSENDABLE, ""])
async def test_a_refresh_token_no_header_can_carry_is_invalid(token: str):
    """A refresh token that no header can carry is of no session."""
    server = FakeServer([json_response({"access_token": "a.b.c"})])
    with pytest.raises(SessionEnded):
        await make_client(server).refresh(token)
    assert server.asked == []


@rows("name", PERSONS)
async def test_any_text_gives_a_response_or_a_typed_error(name: str):
    """Ids and codes come from strangers."""
    odd = "\ud800/../\r\n\x00ä"
    server = FakeServer([known_error("SCHEMA_ERROR")])
    client = make_client(server).as_user("a.b.c")
    method, template = name.split(" ")
    with pytest.raises(AuthServerError):
        await client.send_with_auth(ApiRequest(method, template, json={"value": odd}), "client")  # type: ignore[arg-type]  # read from a table
    assert odd not in server.last.path


PLANTED = "pl4nt3d"


@rows(
    "answer",
    [
        known_error("BRAND_NEW", 400, {"attempt_code": PLANTED}),
        known_error("MULTI_FACTOR_AUTHENTICATION_REQUIRED", 400, {"attempt_code": PLANTED}),
        known_error("INVALID_SECRET_SERVER_KEY", 401),
        text_answer(PLANTED, 404),
        text_answer(f"<html>{PLANTED}", 502),
        text_answer(PLANTED, 429),
        text_answer(PLANTED, 302, location=f"https://x.example/?code={PLANTED}"),
        json_response({"error": "invalid_grant", "error_description": PLANTED}, 400),
        json_response({"unreadable": PLANTED}),
    ],
    ids=["known", "mfa", "keys", "text", "html", "limit", "redirect", "oauth", "unreadable"],
)
async def test_no_error_of_a_call_shows_what_was_sent_or_answered(answer):
    """Nor does what stands behind it in a traceback."""
    keys: dict[str, Any] = {"publishable_client_key": f"pck_{PLANTED}", "secret_server_key": f"ssk_{PLANTED}"}
    client = make_client(FakeServer([answer]), **keys)
    with pytest.raises(AuthServerError) as caught:
        await client.as_user(f"a.{PLANTED}.c").password.sign_in(email=f"{PLANTED}@example.com", password=PLANTED)
    error: BaseException | None = caught.value
    while error is not None:
        assert PLANTED not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_no_client_or_call_shows_a_key_or_token():
    keys: dict[str, Any] = {"publishable_client_key": f"pck_{PLANTED}", "secret_server_key": f"ssk_{PLANTED}"}
    client = make_client(FakeServer(), **keys).as_user(PLANTED)
    call = ApiRequest("POST", "/x", json={"password": PLANTED}, params={"code": PLANTED}, refresh_token=PLANTED)
    assert PLANTED not in f"{client!r} {vars(client)!r} {client.settings!r} {call!r}"
