"""One function turns an answer into an error, whatever shape the answer has."""

import pytest

from fastapi_stackauth.client.response import LONGEST_PAUSE, ApiResponse, error_from_response
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerRateLimited,
    AuthServerUnavailable,
    EmailPasswordMismatch,
    KnownApiError,
    MfaRequired,
    OAuthTokenError,
    SessionEnded,
    SignInRequired,
    UnexpectedResponse,
)
from tests.support.rows import rows

OPERATION = "POST /auth/password/sign-in"


def error(status: int, body: str = "", **headers: str) -> AuthServerError | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = ApiResponse.from_http(status, named, body.encode())
    return None if response.is_success else error_from_response(response, OPERATION)


def test_a_code_in_the_header_decides_whatever_the_body_says():
    found = error(400, "<html>", x_stack_known_error="EMAIL_PASSWORD_MISMATCH")
    assert isinstance(found, EmailPasswordMismatch)
    assert (found.code, found.status_code) == ("EMAIL_PASSWORD_MISMATCH", 400)


def test_the_newer_headers_are_read_like_the_older_ones():
    """version_drift.md B: later servers send both, and may one day send the newer alone."""
    found = error(
        200,
        "{}",
        x_hexclave_known_error="EMAIL_PASSWORD_MISMATCH",
        x_hexclave_actual_status="400",
        x_hexclave_request_id="abc",
    )
    assert isinstance(found, EmailPasswordMismatch)
    assert found.request_id == "abc"


def test_a_code_in_the_body_alone_is_read():
    """The deprecated connected-accounts operation drops the header (corrections.md A7)."""
    assert isinstance(error(400, '{"code": "EMAIL_PASSWORD_MISMATCH"}'), EmailPasswordMismatch)


def test_the_actual_status_header_wins_over_the_status_line():
    found = error(200, "words", x_stack_actual_status="403")
    assert isinstance(found, UnexpectedResponse)
    assert found.status_code == 403


@rows("nonsense", ["", "0", "99999", "4o4", "-1"])
def test_a_meant_status_that_is_none_is_ignored(nonsense: str):
    assert error(200, "{}", x_stack_actual_status=nonsense) is None


def test_an_unknown_code_stays_a_known_error():
    """An unknown code stays a known error with its code and details."""
    found = error(418, '{"code": "BRAND_NEW", "details": {"a": 1}}', x_stack_known_error="BRAND_NEW")
    assert type(found) is KnownApiError
    assert (found.code, found.status_code, found.details) == ("BRAND_NEW", 418, {"a": 1})


@rows("details", ["[]", '"text"', "null", "7"])
def test_details_of_an_unforeseen_type_are_none(details: str):
    found = error(400, f'{{"code": "BRAND_NEW", "details": {details}}}')
    assert isinstance(found, KnownApiError)
    assert found.details == {}


@rows("code", ["lower", "HAS BLANK", "X" * 200, "LINE\nBREAK", "<B>"])
def test_what_cannot_be_a_code_is_none(code: str):
    assert isinstance(error(400, "words", x_stack_known_error=code), UnexpectedResponse)


def test_the_server_refusing_our_own_keys_is_a_misconfiguration():
    found = error(401, '{"code": "INVALID_SECRET_SERVER_KEY"}', x_stack_known_error="INVALID_SECRET_SERVER_KEY")
    assert isinstance(found, AuthServerMisconfigured)
    assert found.status_code == 502


def test_a_plain_text_rejection_keeps_status_not_text():
    """A refusal in plain text keeps its status and not its text."""
    found = error(404, "Session not found.")
    assert isinstance(found, UnexpectedResponse)
    assert found.status_code == 404
    assert "Session" not in str(found)


def test_oauth_errors_keep_their_code_only():
    """Oauth s own errors keep their code and not their description."""
    found = error(400, '{"error": "invalid_grant", "error_description": "words"}')
    assert isinstance(found, OAuthTokenError)
    assert (found.oauth_error, found.status_code) == ("invalid_grant", 400)
    assert "words" not in str(found)


@rows("body", ["<html>502</html>", "", '{"code": "TRUNC', "[" * 100_000, '"text"', "null", "\x00"])
def test_a_server_failure_is_unavailable_whatever_its_body(body: str):
    found = error(502, body)
    assert isinstance(found, AuthServerUnavailable)
    assert (found.status_code, found.response_status) == (503, 502)


@rows("status", [301, 302, 303, 307, 308, 304])
def test_a_redirect_is_an_unexpected_answer(status: int):
    found = error(status, location="https://elsewhere.example/")
    assert isinstance(found, UnexpectedResponse)
    assert found.status_code == 502


@rows(
    ("headers", "seconds"),
    [
        ({}, 1.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "soon"}, 1.0),
        ({"retry-after": "9" * 400}, LONGEST_PAUSE),
        ({"retry-after": "Tue, 24 Nov 2026 00:00:30 GMT", "date": "Tue, 24 Nov 2026 00:00:00 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 00:00:30 GMT", "date": "Tue, 24 Nov 2026 00:01:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 24 Nov 2026 00:00:30 GMT"}, 1.0),
    ],
)
def test_a_429_says_after_how_many_seconds(headers: dict[str, str], seconds: float):
    """Both forms of RFC 9110 §10.2.3; a second where the server does not say, and never a number beyond reason."""
    found = error_from_response(ApiResponse.from_http(429, headers, b"slow down"), OPERATION)
    assert isinstance(found, AuthServerRateLimited)
    assert found.retry_after == seconds


def test_a_429_is_a_pause_even_with_a_code():
    assert isinstance(error(429, "{}", x_stack_known_error="BRAND_NEW"), AuthServerRateLimited)


@pytest.mark.parametrize("code", ["CANNOT_GET_OWN_USER_WITHOUT_USER", "USER_AUTHENTICATION_REQUIRED"])
def test_the_codes_for_no_user_are_one_error(code: str):
    assert isinstance(error(400, f'{{"code": "{code}"}}'), SignInRequired)


def test_a_schema_that_lacks_the_user_is_that_error_too():
    """Some operations have no code for it, and say it by the field's path alone (corrections.md A8)."""
    body = '{"code": "SCHEMA_ERROR", "details": {"message": "...\\n  - auth.user must be defined"}}'
    found = error(400, body)
    assert isinstance(found, SignInRequired)
    assert found.status_code == 401


def test_every_error_names_operation_and_request():
    for status, body in [(400, '{"code": "BRAND_NEW"}'), (404, "x"), (500, "x"), (429, "x"), (400, '{"error": "a_b"}')]:
        found = error(status, body, x_stack_request_id="req-7")
        assert found is not None
        assert found.operation == OPERATION
        assert found.request_id == "req-7"
        assert OPERATION in str(found)
        assert "req-7" in str(found)


SECRET = "s3cr3t-v4lu3"
SHAPES = {
    "known": (400, f'{{"code": "BRAND_NEW", "error": "{SECRET}", "details": {{"attempt_code": "{SECRET}"}}}}'),
    "mfa": (400, f'{{"code": "MULTI_FACTOR_AUTHENTICATION_REQUIRED", "details": {{"attempt_code": "{SECRET}"}}}}'),
    "ours": (401, f'{{"code": "INVALID_SECRET_SERVER_KEY", "error": "{SECRET}"}}'),
    "schema": (400, f'{{"code": "SCHEMA_ERROR", "error": "{SECRET}", "details": {{"message": "{SECRET}"}}}}'),
    "user": (400, f'{{"code": "SCHEMA_ERROR", "details": {{"message": "auth.user {SECRET}"}}}}'),
    "text": (400, SECRET),
    "oauth": (400, f'{{"error": "invalid_grant", "error_description": "{SECRET}"}}'),
    "oauth code": (400, f'{{"error": "{SECRET}"}}'),
    "html": (502, f"<html>{SECRET}</html>"),
    "redirect": (302, SECRET),
    "limit": (429, SECRET),
    "crash": (500, SECRET),
}


@rows("shape", SHAPES)
def test_no_error_shows_what_the_answer_says(shape: str):
    """An echo of a password or code must not reach a log through an error's text or repr."""
    status, body = SHAPES[shape]
    found = error(status, body, location=f"https://x/?code={SECRET}", x_stack_request_id=f"{SECRET} with blank")
    assert found is not None
    assert SECRET not in f"{found} {found!r} {found.args} {found.message} {found.code} {found.request_id}"
    if isinstance(found, MfaRequired):
        assert found.attempt_code == SECRET  # it is there for who asks for it


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@rows(
    ("headers", "date"),
    [
        ({"date": DATE}, 784_111_777.0),
        ({"date": DATE, "age": "30"}, None),
        ({}, None),
        ({"date": ""}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Sun, 06 Nov 99999 08:49:37 GMT"}, None),
    ],
)
def test_the_servers_time_comes_from_uncached_responses(headers: dict[str, str], date: float | None):
    """The servers time is read from answers that come from no cache."""
    assert ApiResponse.from_http(200, headers, b"").date == date


@rows("status", [400, 401, 403, 404, 410])
@rows("kind", ["text/html", "text/html; charset=utf-8", "Text/HTML"])
def test_an_html_error_page_is_no_error_of_the_api(status: int, kind: str):
    """A 401 of a gateway's page must sign nobody out."""
    found = error_from_response(ApiResponse.from_http(status, {"content-type": kind}, b"<h1>Sorry</h1>"), OPERATION)
    assert isinstance(found, UnexpectedResponse)
    assert (found.status_code, found.code) == (502, "auth_server_unexpected_response")


def test_a_code_counts_whatever_the_body_is():
    headers = {"content-type": "text/html", "x-stack-known-error": "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"}
    assert isinstance(
        error_from_response(ApiResponse.from_http(401, headers, b"<h1>Sorry</h1>"), OPERATION), SessionEnded
    )
