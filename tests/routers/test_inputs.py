"""What the auth server would find wrong is named here first, by its own rules and never stricter."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator.schema import FORMS, UUID
from fastapi_stackauth.routers.plumbing import inputs
from tests.routers.callers import EMAIL, PASSWORD, House, Person, assert_problem
from tests.support.rows import rows

STRANGE_EMAILS = [
    "ada@localhost", "a@b", "a@b.c", "a@b.co", ".a@b.co", "a.@b.co", "a..b@c.de", "a@-b.co", "a@b-.co", "a@b..co",
    "a@.co", "a@b.", "@b.co", "a@", "", "@", "a@b@c.de", "a b@c.de", "a@b.co\n", "\na@b.co", "a@bücher.example",
    "a@" + "b" * 63 + ".co", "a@" + "b" * 64 + ".co", "a" * 249 + "@b.co", "a" * 250 + "@b.co", "a" * 251 + "@b.co",
    "ä@b.co", "!#$%&'*+/=?^_`{|}~-@b.co", '"a"@b.co', "a@[127.0.0.1]", "a@b.c-", "a@1.22",
]  # fmt: skip


def emails() -> SearchStrategy[str]:
    """Texts that are almost addresses, and any others."""
    part = st.text(alphabet="ab.-@_+!ä \n1", max_size=70)
    built = st.builds("{}@{}.{}".format, part, part, part)
    return st.one_of(built, part, st.text(max_size=40), st.emails(), st.sampled_from(STRANGE_EMAILS))


@given(emails())
@example("a" * 64 + "@" + ".".join(["b" * 63] * 3))
def test_the_rule_for_email_addresses_is_the_auth_servers(text: str):
    assert inputs.is_email(text) == FORMS["email"](text)


@given(emails())
def test_the_rule_for_new_email_addresses_is_the_auth_servers(text: str):
    assert inputs.is_new_email(text) == FORMS["strict_email"](text)


@rows("text", STRANGE_EMAILS)
def test_both_rules_agree_on_what_is_at_the_edge(text: str):
    assert inputs.is_email(text) == FORMS["email"](text)
    assert inputs.is_new_email(text) == FORMS["strict_email"](text)


@rows("unit", ["a", "a.", ".", "-", "a-", "@", "a@", "@a.", "\u00e4"])
@rows("rule", [inputs.is_email, inputs.is_new_email])
def test_an_email_address_of_any_length_is_judged_in_linear_work(rule: Any, unit: str):
    """Each pattern meets each character a bounded number of times: a label is at most 63 characters of a match."""
    work = [matched_characters(rule, f"a@{unit * length}!") for length in (1_000, 2_000, 4_000, 8_000)]
    assert all(later <= 2.2 * earlier for earlier, later in itertools.pairwise(work))


def matched_characters(rule: Callable[[str], bool], text: str) -> int:
    """Count the characters that the patterns are given, and the most that each attempt can go back."""
    work = [len(text)]

    class Counted:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def fullmatch(self, part: str) -> object:
            work.append(len(part) + 64)
            return self.pattern.fullmatch(part)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inputs, "LOCAL_PART", Counted(inputs.LOCAL_PART))
        patched.setattr(inputs, "DOMAIN_LABEL", Counted(inputs.DOMAIN_LABEL))
        rule(text)
    return sum(work)


@given(st.from_regex(re.compile(UUID.pattern + r"\Z", re.IGNORECASE)) | st.text(max_size=40) | st.uuids().map(str))
def test_the_rule_for_ids_is_the_auth_servers(text: str):
    found = re.fullmatch(inputs.UUID.removeprefix("^").removesuffix("$"), text)
    assert bool(found) == bool(UUID.fullmatch(text)) or not text.isascii()


EMAIL_FIELDS = [
    ("/password/sign-up", {"password": PASSWORD}, "email", ["nope", "ada@localhost", "a.@example.com", ""]),
    ("/password/sign-in", {"password": PASSWORD}, "email", ["nope", "a@-b.example", ""]),
    ("/password/forgot", {}, "email", ["nope", "a b@example.com", ""]),
    ("/otp/send", {}, "email", ["nope", "ada@localhost", "a..b@example.com"]),
    ("/contact-channels", {}, "value", ["nope", "a@b@example.com"]),
]


@pytest.fixture
def sent_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that the auth server is asked for."""
    operations: list[str] = []
    original = StackAuthClient.send_with_auth

    async def count_call(self: StackAuthClient, call: Any, *args: Any, **options: Any) -> Any:
        if "jwks" not in call.operation:
            operations.append(call.operation)
        return await original(self, call, *args, **options)

    monkeypatch.setattr(StackAuthClient, "send_with_auth", count_call)
    return operations


@pytest.fixture
async def member(person: Person) -> Person:
    await person.sign_up()
    return person


@rows(("path", "more", "field", "wrong"), EMAIL_FIELDS)
async def test_a_wrong_email_address_is_named_and_never_sent(
    member: Person, sent_requests: list[str], path: str, more: dict[str, str], field: str, wrong: list[str]
):
    sent_requests.clear()
    for value in wrong:
        problem = assert_problem(await member.post(path, {**more, field: value}), 422, "request_invalid")
        assert [error["location"] for error in problem["details"]["errors"]] == [f"body.{field}"]
        assert value == "" or value not in str(problem)
    assert sent_requests == []


async def test_an_address_without_a_dot_may_be_looked_up(person: Person):
    """The auth server looks `ada@localhost` up, though no account can get it: so do the routes."""
    body = {"email": "ada@localhost", "password": PASSWORD}
    assert_problem(await person.post("/password/sign-in", body), 400, "EMAIL_PASSWORD_MISMATCH")
    assert (await person.post("/password/forgot", {"email": "ada@localhost"})).status_code == 204


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/password/sign-in", {"email": EMAIL, "password": "x" * 71}, "body.password"),
    ("POST", "/password/sign-up", {"email": EMAIL, "password": "x" * 71}, "body.password"),
    ("POST", "/password/reset", {"code": "short", "password": PASSWORD}, "body.code"),
    ("POST", "/password/reset/check", {"code": "x" * 46}, "body.code"),
    ("POST", "/password/update", {"old_password": "x" * 71, "new_password": PASSWORD}, "body.old_password"),
    ("POST", "/password/set", {"password": "x" * 71}, "body.password"),
    ("POST", "/verify-email", {"code": "0"}, "body.code"),
    ("POST", "/otp/sign-in", {"code": "sevenxx"}, "body.code"),
    ("POST", "/otp/send", {"email": EMAIL, "bot_challenge_phase": "other"}, "body.bot_challenge_phase"),
    ("POST", "/contact-channels/no-uuid/make-primary", {}, "path.channel_id"),
    ("DELETE", "/contact-channels/no-uuid", {}, "path.channel_id"),
    ("DELETE", "/sessions/no-uuid", {}, "path.session_id"),
    ("PATCH", "/me", {"selected_team_id": "no-uuid"}, "body.selected_team_id"),
    ("PATCH", "/me", {"profile_image_url": "no address"}, "body.profile_image_url"),
]


@rows(("method", "path", "body", "where"), WRONG)
async def test_invalid_fields_are_named_and_never_sent(
    member: Person, sent_requests: list[str], method: str, path: str, body: dict[str, Any], where: str
):
    """What the auth server would find wrong is named and never sent."""
    sent_requests.clear()
    problem = assert_problem(await member.call(method, path, body or None), 422, "request_invalid")
    assert [error["location"] for error in problem["details"]["errors"]] == [where]
    assert sent_requests == []


async def test_an_unknown_rule_never_shows_as_schema_error(
    house: House, phone: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """A newer auth server may have more rules: the caller gets `request_invalid`, the log what the server said."""
    monkeypatch.setattr(inputs, "is_email", lambda _: True)
    problem = assert_problem(
        await phone.post("/password/sign-in", {"email": "no address", "password": PASSWORD}), 422, "request_invalid"
    )
    assert "SCHEMA_ERROR" not in str(problem)
    (line,) = [record for record in caplog.records if "request_invalid" in record.getMessage()]
    assert (line.levelname, "POST /auth/password/sign-in" in line.getMessage()) == ("WARNING", True)


@rows("content", [b"{", b"\xff\xfe", b"[" * 15_000, b"nonsense", b"NaN,"])
@rows("content_type", ["application/json", "text/plain", "application/octet-stream"])
@rows("path", ["/password/sign-in", "/password/reset", "/otp/send"])
async def test_a_body_that_is_not_json_has_one_status(person: Person, path: str, content_type: str, content: bytes):
    answer = await person.call("POST", path, content=content, headers={"content-type": content_type})
    problem = assert_problem(answer, 400, "request_invalid")
    assert problem["details"] == {"errors": [{"location": "body", "message": "Must be JSON"}]}
