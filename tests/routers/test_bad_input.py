"""Whatever is sent, the answer is a typed refusal: never a 500, and never what was sent."""

import json
from typing import Any

import pytest

from tests.routers.callers import PREFIXES, House, Person
from tests.routers.operations import Route, operations
from tests.support.rows import rows

STRANGE: list[Any] = [
    None,
    True,
    5,
    1e400,
    "",
    "\x00",
    "\ud800",
    "x" * 5000,
    "é" * 300,
    ["a"],
    {"a": {}},
    "<b>marker</b>",
]
BODIES: list[bytes] = [
    b"", b"{", b"[]", b'"marker"', b"null", b"\xff\xfe", b"\xff", b"[" * 50_000, b'{"a":' * 400 + b"1" + b"}" * 400,
    b"NaN", b'{"email": "a", "email": "b"}',
    b'--x\r\ncontent-disposition: form-data; name="code"\r\n\r\n+2AA-\r\n--x--\r\n',
]  # fmt: skip
TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x; charset=undefined",  # Python has a codec of that name, which decodes nothing
    "text/plain",
    "",
    "a/b; charset=x",
]


def posts(house: House, person: Person) -> list[Route]:
    return [r for r in operations(house.app, PREFIXES[person.delivery]) if r.method in ("POST", "PATCH")]


async def test_no_strange_value_in_any_field_causes_a_server_error(house: House, person: Person):
    await person.sign_up()
    for route in posts(house, person):
        for name in route.required or (("client_metadata", "display_name") if route.path == "/me" else ()):
            for value in STRANGE:
                content = json.dumps({**(route.body or {}), name: value}).encode()
                answer = await person.call(
                    route.method, route.concrete, content=content, headers={"content-type": "application/json"}
                )
                assert answer.status_code < 500, f"{route.path} {name}={value!r}"
                assert answer.status_code < 400 or "marker" not in answer.text


async def test_no_response_repeats_an_unknown_field_name(house: House, person: Person):
    """Nor does it grow with the number of them."""
    await person.sign_up()
    others = {"marker": 1, "\ud800": 1, **{f"marker{n}": n for n in range(300)}}
    seen = 0
    for route in posts(house, person):
        content = json.dumps({**(route.body or {}), **others}).encode()
        headers = {"content-type": "application/json"}
        answer = await person.call(route.method, route.concrete, content=content, headers=headers)
        assert answer.status_code < 500, route.path
        assert "marker" not in answer.text, route.path
        assert len(answer.content) < 1500, route.path
        seen += answer.status_code == 422 and "no other fields" in answer.text
    assert seen > 15


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/me", b'{"client_metadata": {"marker": DEEP}}', "body.client_metadata"),
        ("/passkey/sign-in", b'{"credential": {"marker": DEEP}, "code": "CODE"}', "body.credential"),
    ],
)
async def test_a_fault_names_the_field_and_nothing_within_it(phone: Person, path: str, body: bytes, where: str):
    await phone.sign_up()
    content = body.replace(b"DEEP", b"[" * 300 + b"]" * 300).replace(b"CODE", b"0" * 45)
    method = "PATCH" if path == "/me" else "POST"
    answer = await phone.call(method, path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert [error["location"] for error in answer.json()["details"]["errors"]] == [where]
    assert "marker" not in answer.text


async def test_no_body_of_any_type_causes_a_server_error(house: House, person: Person):
    """Each route gets every body and every type, and any seven routes in a row get every pair of them."""
    await person.sign_up()
    routes = [route for route in posts(house, person) if route.path not in ("/sign-out", "/anonymous/sign-up")]
    assert len(routes) > 2 * len(TYPES)
    for place, route in enumerate(routes):
        for number, content in enumerate(BODIES):
            content_type = TYPES[(place + number) % len(TYPES)]
            headers = {"content-type": content_type} if content_type else {}
            answer = await person.call(route.method, route.concrete, content=content, headers=headers)
            assert answer.status_code < 500, f"{route.path} {content_type} {content[:20]!r}"
            assert "marker" not in answer.text


@rows("code", ["+%0A", "%ff", "%00", "%F0%9F%98%80", "a" * 199, "%ud800", "+", "&code=b"])
@rows("path", ["/password/reset", "/verify-email", "/magic-link/callback"])
async def test_no_link_causes_a_server_error(house: House, person: Person, path: str, code: str):
    await person.ask_for_code()
    answer = await person.client.get(f"{person.path(path)}?code={code}")
    assert answer.status_code in (200, 404, 422)
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("channel_id", ["..", "%2e%2e", "a%2Fb", "%00", "é", "x" * 100, "x" * 101, "me", "current"])
async def test_no_id_in_a_path_causes_a_500_or_another_operation(person: Person, channel_id: str):
    """No id in a path causes a server error or reaches another operation."""
    await person.sign_up()
    before = (await person.call("GET", "/me")).json()
    for method, path in (
        ("DELETE", f"/contact-channels/{channel_id}"),
        ("POST", f"/contact-channels/{channel_id}/make-primary"),
        ("POST", f"/contact-channels/{channel_id}/send-verification"),
        ("DELETE", f"/sessions/{channel_id}"),
    ):
        answer = await person.call(method, path)
        assert 400 <= answer.status_code < 500, f"{method} {path}"
    assert (await person.call("GET", "/me")).json() == before
