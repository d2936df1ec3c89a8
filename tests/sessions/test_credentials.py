"""Step 1: which credential counts, what is absent, what is refused, and which site may send a cookie."""

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth import AuthError, Credential, HeaderCredentials, OriginPolicy, QueryToken, SdkCookies
from fastapi_stackauth.sessions.credentials import MAX_SIZE, read_credential
from tests.support.forge import PROJECT
from tests.support.rows import rows

APP = "https://app.example.com"
TRUSTED = "https://admin.example.com"
SOURCES = (HeaderCredentials(), SdkCookies(OriginPolicy(APP, (TRUSTED,)), PROJECT), QueryToken())
Header = tuple[bytes, bytes]


def scope(*headers: Header, kind: str = "http", method: str = "GET", query: bytes = b"") -> dict[str, Any]:
    return {"type": kind, "method": method, "headers": list(headers), "query_string": query}


def read(*headers: Header, **changes: Any) -> Credential | None:
    return read_credential(scope(*headers, **changes), SOURCES)


def read_token(*headers: Header, **changes: Any) -> str | None:
    credential = read(*headers, **changes)
    return credential.token if credential else None


def get_error_code(*headers: Header, **changes: Any) -> str:
    with pytest.raises(AuthError) as caught:
        read(*headers, **changes)
    return caught.value.code


def bundle(value: object, prefix: str = "stackauth", *, alphabet: str = "standard", pad: bool = True) -> Header:
    raw = json.dumps(value).encode()
    text = base64.b64encode(raw) if alphabet == "standard" else base64.urlsafe_b64encode(raw)
    text = text if pad else text.rstrip(b"=")
    return b"authorization", b"Bearer " + prefix.encode() + b"_" + text


def sdk_cookie(value: object, name: str = "stack-access") -> Header:
    return b"cookie", f"{name}={quote(json.dumps(value))}; {refresh_cookie('r')}".encode()


def refresh_cookie(token: str, date: float | None = None, name: str = f"stack-refresh-{PROJECT}") -> str:
    """A refresh cookie of the SDK, in the plain form of older releases or in the dated form of newer ones."""
    dated = {"refresh_token": token, "updated_at_millis": date}
    return f"{name}={token if date is None else quote(json.dumps(dated))}"


BEARER = (b"authorization", b"Bearer tok")
STACK = (b"x-stack-access-token", b"tok")
HEXCLAVE = (b"x-hexclave-access-token", b"tok")
LEGACY = (b"x-stack-auth", b'{"accessToken":"tok","refreshToken":"r"}')
COOKIE = sdk_cookie(["r", "from-cookie"])


# --- headers ---------------------------------------------------------------------------------------------


@rows(
    ("header", "source"),
    [
        (BEARER, "authorization"),
        ((b"authorization", b"bearer tok"), "authorization"),
        ((b"authorization", b"BEARER   tok "), "authorization"),
        (bundle({"accessToken": "tok", "refreshToken": "r"}), "authorization"),
        (bundle({"accessToken": "tok"}, "hexclave"), "authorization"),
        (bundle({"accessToken": "tok", "x": "????>>>>"}, alphabet="url", pad=False), "authorization"),
        (bundle({"accessToken": "tok", "x": "????>>>>"}, pad=False), "authorization"),
        (STACK, "x-stack-access-token"),
        (HEXCLAVE, "x-hexclave-access-token"),
        (LEGACY, "x-stack-auth"),
    ],
)
def test_every_header_form_gives_the_token_and_source(header: Header, source: str):
    """Every header form gives the token and says where it came from."""
    credential = read(header)
    assert credential == Credential("tok", source)
    assert "tok'" not in repr(credential)


@rows(
    "header",
    [
        (b"authorization", b"Basic dXNlcjpwYXNz"),
        (b"authorization", b"Digest username=x"),
        (b"authorization", b"Basic " + b"\xff" * 100),
        (b"authorization", b"Basic " + b"x" * 100_000),
        (b"authorization", b"tok"),
        (b"authorization", b"BearerX tok"),
        (b"authorization", b""),
        (b"x-stack-access-token", b""),
        (b"x-stack-access-token", b"   "),
        (b"x-hexclave-access-token", b""),
        (b"x-stack-auth", b""),
        (b"x-stack-auth", b"{}"),
        (b"x-stack-auth", b'{"accessToken":null,"refreshToken":null}'),
        (b"x-stack-auth", b'{"accessToken":"","refreshToken":""}'),
        bundle({"accessToken": None, "refreshToken": None}),
        bundle({"accessToken": "", "refreshToken": ""}, "hexclave"),
        bundle({}),
    ],
)
def test_what_is_foreign_empty_or_signed_out_is_absent(header: Header):
    """Absent means that the next source is asked."""
    assert read(header) is None
    assert read_token(header, COOKIE) == "from-cookie"


@rows(
    "header",
    [
        (b"authorization", b"Bearer"),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Bearer \xc3\xa4"),
        (b"authorization", b"Bearer stackauth_"),
        (b"authorization", b"Bearer stackauth_!!!"),
        (b"authorization", b"Bearer stackauth_A"),
        (b"authorization", b"Bearer stackauth_" + base64.b64encode(b"\xff\xfe")),
        (b"authorization", b"Bearer hexclave_" + base64.b64encode(b"[" * 10_000)),
        bundle([]),
        bundle("tok"),
        bundle(7),
        bundle(None),
        bundle({"accessToken": 7}),
        bundle({"accessToken": ["tok"]}),
        bundle({"accessToken": False}),
        bundle({"accessToken": "tök"}),
        bundle({"accessToken": "\ud800"}),
        (b"x-stack-access-token", b"\x80"),
        (b"x-hexclave-access-token", b"t\xff"),
        (b"x-stack-auth", b"tok"),
        (b"x-stack-auth", b"[]"),
        (b"x-stack-auth", b'{"accessToken":'),
        (b"x-stack-auth", b'{"accessToken":' + b"9" * 5_000 + b"}"),
        (b"x-stack-auth", "{'ä'}".encode()),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_falls_through(header: Header):
    assert get_error_code(header) == "credentials_malformed"
    assert get_error_code(header, COOKIE) == "credentials_malformed"
    assert get_error_code(header, STACK) == get_error_code(STACK, header) == "credentials_malformed"


@rows("name", [b"authorization", b"x-stack-access-token", b"x-hexclave-access-token", b"x-stack-auth"])
def test_a_header_over_16_kib_is_too_large(name: bytes):
    prefix = b"Bearer " if name == b"authorization" else b""
    assert get_error_code((name, prefix + b"x" * (MAX_SIZE + 1))) == "credentials_too_large"


def test_a_header_of_16_kib_is_read():
    assert read_token((b"x-stack-access-token", b"x" * MAX_SIZE)) == "x" * MAX_SIZE


@rows("pair", [(a, b) for a in (BEARER, STACK, HEXCLAVE, LEGACY) for b in (BEARER, STACK, LEGACY)])
def test_two_headers_with_the_same_token_are_one_credential(pair: tuple[Header, Header]):
    assert read_token(*pair) == "tok"


@rows("first", [BEARER, STACK, HEXCLAVE, LEGACY])
@rows(
    "second",
    [
        (b"authorization", b"Bearer other"),
        (b"x-stack-access-token", b"other"),
        (b"x-hexclave-access-token", b"other"),
        (b"x-stack-auth", b'{"accessToken":"other"}'),
    ],
)
def test_two_headers_with_different_tokens_are_a_conflict(first: Header, second: Header):
    assert get_error_code(first, second) == get_error_code(second, first) == "credentials_conflict"


@rows("header", [BEARER, STACK, HEXCLAVE, LEGACY])
def test_a_header_beats_a_cookie_which_is_then_not_even_read(header: Header):
    broken = (b"cookie", b"stack-access=broken")
    assert read_token(broken, header) == "tok"
    assert read_token(header, broken, method="POST") == "tok"


# --- the JavaScript SDK's cookies ------------------------------------------------------------------------


@rows(
    ("header", "token"),
    [
        (sdk_cookie(["r", "a"]), "a"),
        (sdk_cookie(["r", "a"], "hexclave-access"), "a"),
        ((b"cookie", b'stack-access=["r","a"]; stack-refresh=r'), "a"),
        ((b"cookie", b'x=1; stack-access=["r","a"]; y; stack-refresh=r'), "a"),
        (sdk_cookie(["r", None]), None),
        (sdk_cookie(["r", ""]), None),
        ((b"cookie", b"stack-access="), None),
        ((b"cookie", b"stack-access"), None),
        ((b"cookie", b"other=1"), None),
        ((b"cookie", b""), None),
        (sdk_cookie(["r", "a"], "stack-access-other"), None),
        (sdk_cookie(["r", "a"], "Stack-Access"), None),
    ],
)
def test_the_sdks_cookie_is_read(header: Header, token: str | None):
    assert read_token(header) == token


def test_the_newer_cookie_name_wins_and_is_ambient():
    """The newer name of the cookie goes first and its credential is ambient."""
    credential = read(sdk_cookie(["r", "old"]), sdk_cookie(["r", "new"], "hexclave-access"))
    assert credential == Credential("new", "cookie:hexclave-access", ambient=True)


HEXCLAVE_REFRESH, STACK_REFRESH = f"hexclave-refresh-{PROJECT}--", f"stack-refresh-{PROJECT}--"


@rows(
    ("refresh_cookies", "accepted"),
    [
        ([], False),
        ([refresh_cookie("r")], True),
        ([refresh_cookie("other")], False),
        ([refresh_cookie("r", name="stack-refresh")], True),
        ([refresh_cookie("other"), refresh_cookie("r", name="stack-refresh")], False),
        ([refresh_cookie("r", 1, f"{HEXCLAVE_REFRESH}default")], True),
        ([refresh_cookie("r", 1, f"__Host-{HEXCLAVE_REFRESH}default")], True),
        ([refresh_cookie("r", 1, f"{HEXCLAVE_REFRESH}custom-MV4GC")], True),
        ([refresh_cookie("r", 1, "hexclave-refresh-another-project--default")], False),
        ([refresh_cookie("r", 1, f"{HEXCLAVE_REFRESH}default"), refresh_cookie("other")], True),
        ([refresh_cookie("r"), refresh_cookie("other", 1, f"{HEXCLAVE_REFRESH}default")], False),
        ([refresh_cookie("r", 2, f"{HEXCLAVE_REFRESH}a"), refresh_cookie("o", 1, f"{HEXCLAVE_REFRESH}b")], True),
        ([refresh_cookie("r", 1, f"{HEXCLAVE_REFRESH}a"), refresh_cookie("o", 2, f"{HEXCLAVE_REFRESH}b")], False),
        ([refresh_cookie("r", 1, f"{STACK_REFRESH}default")], True),
        ([refresh_cookie("r", 2, f"{STACK_REFRESH}default"), refresh_cookie("other")], False),
        ([f"{HEXCLAVE_REFRESH}default=%7Bbroken", refresh_cookie("r")], True),
        ([f"{HEXCLAVE_REFRESH}default=" + "[" * 10_000, f'{HEXCLAVE_REFRESH}b={{"refresh_token":7}}'], False),
    ],
)
@rows("name", SdkCookies.NAMES)
def test_the_pair_must_match_the_newest_refresh_cookie(refresh_cookies: list[str], accepted: bool, name: str):
    """Else a signed-out session, or that of another project on the same host, would be let in."""
    access = f"{name}={quote(json.dumps(['r', 'a']))}"
    assert read_token((b"cookie", "; ".join([access, *refresh_cookies]).encode())) == ("a" if accepted else None)


def test_a_stale_pair_under_the_older_name_is_not_read():
    """The SDK never deletes `stack-access`: it stays in the browser after sign-out, and after the next sign-in."""
    stale, current = quote(json.dumps(["old", "stale"])), quote(json.dumps(["r", "a"]))
    refresh = refresh_cookie("r", 1, f"{HEXCLAVE_REFRESH}default")
    assert read_token((b"cookie", f"stack-access={stale}".encode())) is None
    assert read_token((b"cookie", f"stack-access={stale}; {refresh}".encode())) is None
    assert read_token((b"cookie", f"stack-access={stale}; hexclave-access={current}; {refresh}".encode())) == "a"


@given(st.lists(st.tuples(st.sampled_from([HEXCLAVE_REFRESH, STACK_REFRESH, "stack-refresh"]), st.text(max_size=40))))
@example([(HEXCLAVE_REFRESH, '{"refresh_token":"r","updated_at_millis":1' + "0" * 400 + "}")] * 2)
@example([(HEXCLAVE_REFRESH, '{"refresh_token":"r","updated_at_millis":NaN}')] * 2)
def test_any_refresh_cookies_give_the_token_or_none(cookies: list[tuple[str, str]]):
    others = "; ".join(f"{name}x={quote(value)}" for name, value in cookies)
    assert read_token((b"cookie", f'stack-access=["r","a"]; {others}'.encode())) in ("a", None)


@rows(
    "value",
    [b"tok", b"%ff", b"{}", b"[]", b'["a"]', b'["r","a","x"]', b'["r",7]', b'["r","\xe4"]', b"[" * 10_000, b"%5B%22"],
)
def test_a_broken_cookie_is_refused(value: bytes):
    assert get_error_code((b"cookie", b"stack-access=" + value)) == "credentials_malformed"


def test_a_cookie_over_16_kib_is_too_large():
    assert get_error_code((b"cookie", b"stack-access=" + b"x" * (MAX_SIZE + 1))) == "credentials_too_large"


ORIGINS: Sequence[str | None] = (
    None,
    APP,
    TRUSTED,
    "https://evil.example",
    "null",
    "http://app.example.com",
    f"{APP}:8443",
)
FETCH_SITES: Sequence[str | None] = (None, "same-origin", "none", "same-site", "cross-site", "odd")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "PROPFIND")


def is_allowed(origin: str | None, fetch_site: str | None) -> bool:
    """Design decision 11, written as a table and not as the code has it."""
    table: set[tuple[str | None, str | None]] = {
        (APP, None),
        *((TRUSTED, site) for site in FETCH_SITES),
        *((any_origin, "same-origin") for any_origin in ORIGINS),
        *((any_origin, "none") for any_origin in ORIGINS),
    }
    return (origin, fetch_site) in table


@rows("kind", [*UNSAFE, "websocket"])
@rows("fetch_site", FETCH_SITES)
@rows("origin", ORIGINS)
def test_unsafe_requests_need_the_cookies_own_site(origin: str | None, fetch_site: str | None, kind: str):
    """A cookie counts for unsafe requests of our own site alone."""
    headers = [COOKIE]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if fetch_site is not None:
        headers.append((b"sec-fetch-site", fetch_site.encode()))
    # A handshake is a GET, but what follows may change anything.
    changes = {"kind": "websocket", "method": "GET"} if kind == "websocket" else {"method": kind}
    if is_allowed(origin, fetch_site):
        assert read_token(*headers, **changes) == "from-cookie"
    else:
        assert get_error_code(*headers, **changes) == "cross_site_request"


@rows("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
@rows("origin", ORIGINS)
def test_a_cookie_counts_for_safe_methods_from_everywhere(origin: str | None, method: str):
    """What is safe changes nothing, and the answer is out of another site's reach without CORS."""
    headers = [COOKIE, (b"sec-fetch-site", b"cross-site"), *([(b"origin", origin.encode())] if origin else [])]
    assert read_token(*headers, method=method) == "from-cookie"


def test_the_cross_site_rule_is_for_cookies_alone():
    evil = [(b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site")]
    assert read_token(BEARER, *evil, method="POST") == "tok"
    assert read_token(*evil, method="POST") is None


def test_a_null_origin_is_never_trusted():
    """An origin of null is never trusted even when it is listed."""
    with pytest.raises(AuthError):
        OriginPolicy("null", ("null",)).check(scope((b"origin", b"null"), method="POST"))


# --- query and sources of one's own ----------------------------------------------------------------------


@rows(
    ("query", "token"),
    [
        (b"access_token=tok", "tok"),
        (b"a=1&access_token=tok&b=2", "tok"),
        (b"access_token=tok&access_token=tok", "tok"),
        (b"x=1&" * 3_000 + b"access_token=tok", "tok"),
        (b"access_token=", None),
        (b"my_access_token=tok", None),
        (b"", None),
    ],
)
def test_a_token_in_the_query_is_read_where_the_app_asked_for_it(query: bytes, token: str | None):
    assert read_token(query=query) == token
    assert read_credential(scope(query=query), (HeaderCredentials(),)) is None


@rows(
    ("query", "code"),
    [
        (b"access_token=a&access_token=b", "credentials_conflict"),
        (b"access_token=%ff", "credentials_malformed"),
        (b"access_token=\xff", "credentials_malformed"),
        (b"access_token=" + b"a" * MAX_SIZE, "credentials_too_large"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(query: bytes, code: str):
    assert get_error_code(query=query) == code


class SubprotocolToken:
    """A browser cannot set headers on a WebSocket, but it can offer sub-protocols."""

    def read(self, scope: Any) -> Credential | None:
        offered = scope.get("subprotocols", [])
        return Credential(offered[1], "subprotocol") if offered[:1] == ["access_token"] else None


def test_a_source_of_ones_own_takes_its_place_among_the_others():
    sources = (HeaderCredentials(), SubprotocolToken())
    offered = {**scope(kind="websocket"), "subprotocols": ["access_token", "tok"]}
    assert read_credential(offered, sources) == Credential("tok", "subprotocol")
    assert read_credential({**offered, "headers": [(b"authorization", b"Bearer x")]}, sources) == Credential(
        "x", "authorization"
    )
