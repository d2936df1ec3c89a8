"""Bodies of requests: what is checked before they are read, how long they may be, and that no file comes with them."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette import formparsers
from starlette.requests import Request
from starlette.types import Message

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import RequestError
from fastapi_stackauth.http.bodies import read_body
from fastapi_stackauth.routers import Delivery
from fastapi_stackauth.runtime.limits import AttemptLimiter
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, PREFIXES, House, Person, assert_problem, new_stack
from tests.routers.operations import Route, operations
from tests.support.asgi import RawAnswer, Unread, bearer, call

KIB = 1024
JSON = (b"content-type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
PICTURE = "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + Random(1).randbytes(749_974)).decode()


WITH_PICTURE = {"me_update": "/me", "teams_create": "/teams"}
WITH_PICTURE |= {"teams_update": "/teams/{team_id}", "team_profile_update": "/teams/{team_id}/profile"}
"""The routes that take a picture, and their paths."""


def unsafe(house: House, delivery: str) -> list[Route]:
    """The routes that change something; those for forms, which OpenAPI does not name, included."""
    documented = [route for route in operations(house.app, PREFIXES[delivery]) if route.method != "GET"]
    assert len(documented) >= 20
    return documented


def max_body(route: Route) -> int:
    if route.operation_id.removeprefix("token_") in WITH_PICTURE:
        return 1536 * KIB
    return 16 * KIB if "rate_limit_exceeded" in route.codes or route.page else 64 * KIB


async def send(
    house: House,
    delivery: str,
    route: Route,
    body: Iterable[bytes],
    *headers: tuple[bytes, bytes],
    origin: str = ORIGIN,
    signed_in: bool = False,
) -> RawAnswer:
    path = PREFIXES[delivery] + route.concrete
    own = [(b"origin", origin.encode())]
    if signed_in:
        own.append(bearer(house.server.issue_token()["access_token"]))
    return await call(house.app, path, (*own, *headers), method=route.method, body=body)


def assert_rejected(answer: RawAnswer, status: int, code: str, where: Route) -> None:
    assert answer.status == status, where
    if not where.page:
        assert answer.json["code"] == code, where


class Endless(Iterator[bytes]):
    """A body without an end, and how much of it was taken."""

    def __init__(self, chunk: int = 4 * KIB) -> None:
        self.taken = 0
        self._chunk = b" " * chunk

    def __next__(self) -> bytes:
        self.taken += len(self._chunk)
        return self._chunk


# --- before the body is read ---


async def test_another_site_is_rejected_before_the_body_is_read(house: House):
    for route in unsafe(house, "cookie"):
        answer = await send(house, "cookie", route, Unread(), JSON, origin="https://evil.example")
        assert_rejected(answer, 403, "cross_site_request", route)


@pytest.mark.parametrize("path", ["/me/patch", "/me/delete", "/sessions/delete"])
async def test_so_is_a_form_of_another_site(house: House, path: str):
    headers = ((b"origin", b"https://evil.example"), FORM)
    assert (await call(house.app, "/auth" + path, headers, method="POST", body=Unread())).status == 403


async def test_an_attempt_too_many_is_rejected_before_the_body_is_read(server: Emulator, delivery: Delivery):
    stack = new_stack(server, rate_limit_address="1/hour")
    house = House(server, stack)
    limited = [route for route in unsafe(house, delivery) if max_body(route) == 16 * KIB]
    shared = 1 + 2  # two routes of a magic link, and three of a device, share their attempts
    actions = len(limited) - shared
    refused = 0
    for route in limited:
        first = await send(house, delivery, route, [b"{}"], JSON)
        refused += first.status == 429
        assert_rejected(await send(house, delivery, route, Unread(), JSON), 429, "rate_limit_exceeded", route)
    assert refused == len(limited) - actions
    await stack.aclose()


@pytest.mark.parametrize("kind", [JSON, FORM])
async def test_a_large_body_is_read_only_if_somebody_is_signed_in(house: House, delivery: Delivery, kind: Any):
    """A megabyte takes tenths of a second to parse, whatever it holds: nobody may cause that without an account."""
    large = [route for route in unsafe(house, delivery) if max_body(route) > 64 * KIB]
    assert {route.path for route in large} == set(WITH_PICTURE.values())
    for route in large:
        answer = await send(house, delivery, route, Unread(), kind)
        assert_rejected(answer, 401, "authentication_required", route)
    if delivery == "cookie":
        headers = ((b"origin", ORIGIN.encode()), FORM)
        assert (await call(house.app, "/auth/me/patch", headers, method="POST", body=Unread())).status == 401


async def test_the_address_and_the_account_count_the_same_action(
    house: House, person: Person, monkeypatch: pytest.MonkeyPatch
):
    counted: list[tuple[str, bool]] = []

    async def count(
        _: AttemptLimiter, action: str, *, address: str | None, account: str | None = None, in_total: bool = False
    ) -> None:
        counted.append((action, account is None))
        assert (address is None) is (account is not None)

    monkeypatch.setattr(AttemptLimiter, "count", count)
    of_no_account = {"anonymous_sign_up", "passkey_options", "oauth_start", "oauth_finish", "oauth_authorize"}
    of_no_account.add("team_invitations_send")  # for users with a verified address
    for route in operations(house.app, PREFIXES[person.delivery]):
        if "rate_limit_exceeded" not in route.codes or route.operation_id.endswith("password_grant"):
            continue
        await person.sign_up(f"{route.operation_id}@example.com")
        counted.clear()
        await person.call(route.method, route.concrete, route.body)
        action = counted[0][0]
        name = route.operation_id.removeprefix("token_")
        accounts = 0 if name in of_no_account else 1
        assert counted == [(action, True)] + [(action, False)] * accounts, name


# --- how long it may be ---


async def test_every_body_ends_at_its_routes_limit(house: House, delivery: Delivery):
    """Chunks without a Content-Length, so that the limit must hold while they are read."""
    for route in unsafe(house, delivery):
        body, limit = Endless(), max_body(route)
        answer = await send(house, delivery, route, body, JSON, signed_in=route.secured)
        assert_rejected(answer, 413, "request_too_large", route)
        assert limit < body.taken <= limit + 4 * KIB, route
        if not route.page:
            assert answer.json["details"] == {"max_body_size": limit}
            assert "request_too_large" in route.codes


@pytest.mark.parametrize("kind", [b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"])
async def test_so_does_every_form(house: House, delivery: Delivery, kind: bytes):
    for route in unsafe(house, delivery):
        body, limit = Endless(), max_body(route)
        answer = await send(house, delivery, route, body, (b"content-type", kind), signed_in=route.secured)
        assert answer.status == 413, route
        assert body.taken <= limit + 4 * KIB, route


@pytest.mark.parametrize("length", ["1572865", "9" * 400])
async def test_a_content_length_beyond_the_limit_is_rejected_unread(house: House, delivery: Delivery, length: str):
    for route in unsafe(house, delivery):
        declared = (b"content-length", length.encode())
        answer = await send(house, delivery, route, Unread(), JSON, declared, signed_in=route.secured)
        assert_rejected(answer, 413, "request_too_large", route)


async def test_a_form_that_is_too_large_is_told_where_the_form_says(house: House):
    headers = ((b"origin", ORIGIN.encode()), FORM)
    answer = await call(
        house.app, "/auth/password/sign-in", headers, method="POST", query=b"on_success=/notes", body=Endless()
    )
    assert (answer.status, answer.headers["location"]) == (303, "/notes?error=request_too_large")


async def test_one_setting_raises_every_limit(server: Emulator, delivery: Delivery):
    stack = new_stack(server, max_body_size=2 * 1024 * KIB)
    house = House(server, stack)
    for route in unsafe(house, delivery):
        body = Endless(512 * KIB)
        assert (await send(house, delivery, route, body, JSON, signed_in=route.secured)).status == 413
        assert body.taken == 2560 * KIB, route
    await stack.aclose()


async def test_it_lowers_none(server: Emulator):
    stack = new_stack(server, max_body_size=100)
    async with House(server, stack).person("body") as person:
        await person.sign_up()
        assert (await person.call("PATCH", "/me", {"client_metadata": "x" * 200_000})).status_code == 200
    await stack.aclose()


async def test_the_largest_picture_fits_in_json_and_forms(browser: Person):
    """A picture as large as the auth server takes fits in json and in a form."""
    await browser.sign_up()
    assert 999_900 < len(PICTURE) <= 1_000_000
    answer = await browser.call("PATCH", "/me", {"profile_image_url": PICTURE})
    assert answer.status_code == 200, answer.text[:200]
    assert answer.json()["profile_image_url"].startswith("http")  # where the auth server keeps it
    path = browser.path("/me/patch?on_success=/done")
    form = await browser.client.post(path, data={"profile_image_url": PICTURE})
    assert (form.status_code, form.headers["location"]) == (303, "/done")


async def test_a_client_that_goes_away_ends_in_no_server_error(house: House):
    async def app(scope: Any, _: Any, send: Any) -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        await house.app(scope, receive, send)

    answer = await call(app, "/api/auth/password/sign-in", [JSON], method="POST")
    assert answer.status == 400


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40)), st.integers(min_value=0, max_value=100))
async def test_a_body_is_read_whole_up_to_its_limit_and_never_beyond(chunks: list[bytes], limit: int):
    whole, taken = b"".join(chunks), 0

    async def receive() -> Message:
        nonlocal taken
        chunk = chunks[taken] if taken < len(chunks) else b""
        taken += 1
        return {"type": "http.request", "body": chunk, "more_body": taken < len(chunks)}

    request = Request({"type": "http", "headers": []}, receive)
    if len(whole) <= limit:
        assert await (await read_body(request, limit)).body() == whole
        return
    with pytest.raises(RequestError, match="too large"):
        await read_body(request, limit)
    assert len(b"".join(chunks[: taken - 1])) <= limit


# --- no files ---

_PART = 'content-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'


def multipart(*parts: tuple[str, str, str]) -> bytes:
    """A form whose parts are a name, what follows it in the header, and a value."""
    return ("--x\r\n" + "--x\r\n".join(_PART % part for part in parts) + "--x--\r\n").encode()


FILES = [
    multipart(("email", '; filename="a.png"', "x" * 9_000)),
    multipart(("email", "", EMAIL), ("password", "", PASSWORD), ("extra", '; filename="a"', "x")),
    multipart(*[("email", '; filename=""', "")] * 80),
]


@pytest.mark.parametrize("content", FILES, ids=["a file for a field", "a file more", "eighty files"])
@pytest.mark.parametrize(
    "path",
    ["/api/auth/token", "/auth/password/reset", "/auth/magic-link/callback", "/auth/password/sign-in", "/auth/me/patch",
     "/auth/password/sign-in?on_success=/x"],
)  # fmt: skip
async def test_a_file_is_rejected_and_nothing_is_put_aside(
    house: House, browser: Person, content: bytes, path: str, monkeypatch: pytest.MonkeyPatch
):
    await browser.sign_up()
    made: list[object] = []
    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", lambda **options: made.append(options))
    headers = {"content-type": "multipart/form-data; boundary=x", "accept": "application/json"}
    answer = await browser.client.post(path, content=content, headers=headers)
    assert made == []
    if "magic-link" in path:
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
        return
    document = assert_problem(answer, 400, "request_invalid")
    assert document["details"]["errors"] == [{"location": "body", "message": "Must be a form without files"}]


async def test_a_form_has_few_fields(browser: Person):
    path = browser.path("/password/sign-in?on_success=/notes")
    content = b"&".join(b"a%d=1" % number for number in range(101))
    answer = await browser.client.post(path, content=content, headers={"content-type": FORM[1].decode()})
    assert answer.headers["location"] == "/notes?error=request_invalid"


async def test_a_form_without_files_signs_in(browser: Person):
    await browser.sign_up()
    content = multipart(("email", "", EMAIL), ("password", "", PASSWORD))
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await browser.client.post(
        browser.path("/password/sign-in?on_success=/x"), content=content, headers=headers
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/x")


# --- what JSON of a caller's own may hold ---

MOST_VALUES = 20_000


@pytest.mark.parametrize(
    "value",
    [[[]] * (MOST_VALUES + 1), {str(n): n for n in range(MOST_VALUES + 1)}, [[0] * 1_000] * 20, [[[]] * 490_000]],
    ids=["lists", "members", "nested", "as many as fit"],
)
async def test_metadata_of_very_many_values_are_rejected(phone: Person, value: Any):
    """They fit into the body that a picture needs, and would take over a second of the event loop."""
    await phone.sign_up()
    document = assert_problem(await phone.call("PATCH", "/me", {"client_metadata": value}), 422, "request_invalid")
    what = f"Value error, must have at most {MOST_VALUES} values"
    assert document["details"]["errors"] == [{"location": "body.client_metadata", "message": what}]


async def test_metadata_of_many_values_are_taken(phone: Person):
    await phone.sign_up()
    answer = await phone.call("PATCH", "/me", {"client_metadata": [[0] * 999] * 20})
    assert (answer.status_code, len(answer.json()["client_metadata"])) == (200, 20)
