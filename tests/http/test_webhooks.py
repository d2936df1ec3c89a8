"""Webhooks: only the auth server is heard, each message once, typed; what it tells is heeded in every worker."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from starlette.datastructures import Headers

from fastapi_stackauth import ConfigurationError, StackAuth, TeamEvent, UserEvent, WebhookEvent
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import WebhookInvalid
from fastapi_stackauth.http.signatures import Envelope
from fastapi_stackauth.models.webhooks import UserDeletedEvent
from tests.apps import add_routes
from tests.support.company import Company
from tests.support.redis_server import RedisServer
from tests.support.rows import rows
from tests.support.webhooks import JOINED, NOW, PATH, SECRET, Receiver, sign
from tests.support.world import eventually, until

OLD_SECRET = "whsec_" + base64.b64encode(b"the one before it, as long again").decode()
FOREIGN_SECRET = "whsec_" + base64.b64encode(b"of somebody else, just as long..").decode()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    yield receiver
    await receiver.stack.aclose()


def assert_refused(answer: httpx.Response, status: int = 400, code: str = "webhook_invalid") -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


# --- who is heard ---


@pytest.mark.parametrize("prefix", ["svix", "webhook"])
async def test_what_the_vendors_library_signs_is_taken(receiver: Receiver, prefix: str):
    answer = await receiver.deliver(JOINED, prefix=prefix)
    assert (answer.status_code, answer.content) == (204, b"")
    [event] = receiver.heard
    assert (event.type, event.message_id, event.sent_at.timestamp()) == ("team_membership.created", "msg_1", NOW)


async def test_a_forged_message_is_refused_whatever_it_claims(receiver: Receiver):
    assert_refused(await receiver.deliver(JOINED, secret=FOREIGN_SECRET))
    good = sign(json.dumps(JOINED).encode(), SECRET, "msg_1", NOW)
    for signature in (
        "",
        "v1,",
        "v1",
        "v1a," + good["svix-signature"][3:],
        good["svix-signature"][3:],
        "v1," + "A" * 44,
    ):
        assert_refused(await receiver.deliver(JOINED, headers={"svix-signature": signature}))
    assert receiver.heard == []


@pytest.mark.parametrize("missing", ["svix-id", "svix-timestamp", "svix-signature"])
async def test_a_message_without_one_of_the_headers_is_refused(receiver: Receiver, missing: str):
    raw = json.dumps(JOINED).encode()
    headers = sign(raw, SECRET, "msg_1", NOW)
    del headers[missing]
    assert_refused(await receiver.post(raw, headers))
    assert receiver.heard == []


async def test_headers_of_both_families_are_never_mixed(receiver: Receiver):
    raw = json.dumps(JOINED).encode()
    mixed = {**sign(raw, SECRET, "msg_1", NOW, "webhook"), "svix-id": "msg_1"}
    assert_refused(await receiver.post(raw, mixed))


@rows(("off", "status"), [(-301, 400), (-300, 204), (300, 204), (301, 400)])
async def test_a_message_older_or_newer_than_five_minutes_is_refused(receiver: Receiver, off: int, status: int):
    assert (await receiver.deliver(JOINED, at=NOW + off)).status_code == status


@rows("stamp", ["", "-1", "1e9", " 1800000000", "1800000000.0", "1800000000\xb2", "9" * 13, "NaN"])
async def test_a_timestamp_that_is_no_number_of_seconds_is_refused(receiver: Receiver, stamp: str):
    raw = json.dumps(JOINED).encode()
    headers = {**sign(raw, SECRET, "msg_1", NOW), "svix-timestamp": stamp}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver.app), base_url="http://app.test") as client:
        assert_refused(await client.post(PATH, content=raw, headers=sent))


async def test_a_changed_time_or_id_does_not_fit_the_signature(receiver: Receiver):
    for header, value in (("svix-timestamp", str(int(NOW) + 1)), ("svix-id", "msg_2")):
        assert_refused(await receiver.deliver(JOINED, headers={header: value}))


@pytest.mark.parametrize("before", ['{"type":"user.created","data":{"name":"', "a"])
async def test_a_message_cannot_be_split_anew_into_id_time_and_body(receiver: Receiver, before: str):
    """`id.time.body` is signed as one text: a dot in the id would let a part of the body pass for the time."""
    body = f'{before}.1800000000.{{"type":"x"}}'.encode()
    headers = sign(body, SECRET, "msg_1", NOW - 9_999)
    shifted = f"msg_1.{int(NOW) - 9_999}.{before}"
    forged = {**headers, "svix-id": shifted, "svix-timestamp": "1800000000"}
    assert_refused(await receiver.post(body.split(b".1800000000.")[1], forged))


@rows("change", ["truncated", "re-encoded", "longer", "empty"])
async def test_a_body_that_is_not_the_very_bytes_is_refused(receiver: Receiver, change: str):
    raw = b'{"type": "team_membership.created", "data": {"team_id": "t", "user_id": "\\u00fc"}}'
    sent = {
        "truncated": raw[:-1],
        "re-encoded": json.dumps(json.loads(raw), ensure_ascii=False).encode(),
        "longer": raw + b"\n",
        "empty": b"",
    }[change]
    assert_refused(await receiver.deliver(raw, sent=sent))
    assert (await receiver.deliver(raw)).status_code == 204


async def test_both_secrets_are_taken_while_one_is_replaced():
    receiver = Receiver(webhook_secrets=f"{SECRET},{OLD_SECRET}")
    raw = json.dumps(JOINED).encode()
    for number, secret in enumerate((SECRET, OLD_SECRET)):
        assert (await receiver.deliver(JOINED, secret=secret, message_id=f"msg_{number}")).status_code == 204
    both = [sign(raw, secret, "msg_9", NOW) for secret in (FOREIGN_SECRET, OLD_SECRET)]
    signatures = " ".join(each["svix-signature"] for each in both)
    assert (await receiver.post(raw, {**both[0], "svix-signature": "v1a,xx " + signatures})).status_code == 204
    assert_refused(await receiver.deliver(JOINED, secret=FOREIGN_SECRET, message_id="msg_3"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["svix-id", "svix-timestamp", "svix-signature", "webhook-id"]), st.text()))
def test_headers_of_any_form_are_read_or_rejected(headers: dict[str, str]):
    raw = [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]
    try:
        envelope = Envelope.read(Headers(raw=raw))
        envelope.check_age(NOW)
        envelope.check_signature(b"{}", [b"a key of some length"])
    except WebhookInvalid:
        return
    raise AssertionError("nobody signed this")


async def test_a_body_beyond_all_measure_is_413_and_not_kept(receiver: Receiver):
    assert_refused(await receiver.deliver(b"[" + b" " * (4 * 1024 * 1024) + b"]"), 413, "request_too_large")
    raised = Receiver(max_body_size=5 * 1024 * 1024)
    assert_refused(await raised.deliver(b"[" + b" " * (4 * 1024 * 1024) + b"]"), 422, "request_invalid")
    assert_refused(await raised.deliver(b"[" + b" " * (5 * 1024 * 1024) + b"]"), 413, "request_too_large")


@rows("raw", [b"", b"nonsense", b"[]", b"{}", b'{"type": 1}', b"[" * 100_000, b"\xff\xfe"])
async def test_a_signed_body_that_is_no_event_is_a_typed_error(receiver: Receiver, raw: bytes):
    headers = sign(raw, SECRET, "msg_1", NOW)
    if raw == b"\xff\xfe":  # the library signs text alone; ours signs what the server would
        headers["svix-signature"] = _signature(raw)
    status = 400 if raw in (b"", b"nonsense", b"[" * 100_000, b"\xff\xfe") else 422
    assert_refused(await receiver.post(raw, headers), status, "request_invalid")
    assert receiver.heard == []


def _signature(raw: bytes) -> str:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, b"msg_1.%d." % int(NOW) + raw, hashlib.sha256).digest()).decode()


async def test_malformed_known_events_are_rejected(receiver: Receiver):
    """Known events whose data have another form are refused without repeating them."""
    answer = await receiver.deliver({"type": "user.deleted", "data": {"id": 7, "hint": "topsecret"}})
    assert_refused(answer, 422, "request_invalid")
    assert "topsecret" not in answer.text


def test_unreadable_secrets_are_named_and_never_shown():
    """Secrets that cannot be read are named by setting and never shown."""
    for wrong in ("not-a-secret", "whsec_%%%", "whsec_" + base64.b64encode(b"short").decode()):
        with pytest.raises(ConfigurationError, match="webhook_secrets") as error:
            StackAuth(project_id="p", webhook_secrets=[wrong])
        assert wrong not in str(error.value)
    assert SECRET not in repr(StackAuth(project_id="p", webhook_secrets=[SECRET]).settings)


async def test_a_missing_secret_is_named_at_the_first_message():
    receiver = Receiver(webhook_secrets=[])
    transport = httpx.ASGITransport(receiver.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.post(PATH)
    assert_refused(answer, 500, "configuration_error")
    assert "webhook_secrets" in answer.json()["detail"]
    assert receiver.stack.missing_settings() == {"webhook_secrets": (f"POST {PATH}",)}


# --- what is heard ---

USER = {"id": "u-1", "primary_email": "ada@example.com", "later_field": {"kept": True}}


async def test_events_are_typed_and_handlers_hear_what_they_asked_for(receiver: Receiver):
    created: list[UserEvent] = []
    gone: list[UserDeletedEvent] = []

    @receiver.webhooks.on("user.created", "user.updated")
    async def created_or_updated(event: UserEvent) -> None:
        created.append(event)

    @receiver.webhooks.on("user.deleted")
    def on_deleted(event: UserDeletedEvent) -> None:
        gone.append(event)

    await receiver.deliver({"type": "user.created", "data": USER}, message_id="m1")
    await receiver.deliver({"type": "user.deleted", "data": {"id": "u-1", "teams": [{"id": "t-1"}]}}, message_id="m2")
    await receiver.deliver({"type": "team.created", "data": {"id": "t", "display_name": "Red"}}, message_id="m3")
    assert [(event.type, event.data.primary_email) for event in created] == [("user.created", "ada@example.com")]
    assert [team.id for team in gone[0].data.teams] == ["t-1"]
    assert isinstance(receiver.heard[2], TeamEvent)
    assert len(receiver.heard) == 3
    assert "ada@example.com" not in repr(created[0]), "who is told about stays out of logs"


async def test_types_that_servers_add_later_are_taken_as_they_are(receiver: Receiver):
    answer = await receiver.deliver({"type": "issue.created", "data": {"any": ["thing"]}})
    assert answer.status_code == 204
    assert [(type(event), event.data) for event in receiver.heard] == [(WebhookEvent, {"any": ["thing"]})]


def test_a_handler_for_an_unknown_type_is_a_clear_error(receiver: Receiver):
    with pytest.raises(ConfigurationError, match=r"user\.craeted"):
        receiver.webhooks.on("user.craeted")


async def test_a_message_is_handled_once_however_often_it_comes(receiver: Receiver):
    for at in (NOW, NOW + 5):
        receiver.now = at
        assert (await receiver.deliver(JOINED)).status_code == 204
    receiver.now = NOW + 36_000
    assert (await receiver.deliver(JOINED)).status_code == 204
    assert len(receiver.heard) == 1


async def test_a_message_whose_handler_failed_is_handled_anew(receiver: Receiver):
    failures = [RuntimeError("once")]

    @receiver.webhooks.on("team_membership.created")
    async def flaky(event: WebhookEvent) -> None:
        if failures:
            raise failures.pop()

    assert (await receiver.deliver(JOINED)).status_code == 500
    assert (await receiver.deliver(JOINED)).status_code == 204
    assert (await receiver.deliver(JOINED)).status_code == 204
    assert len(receiver.heard) == 2, "at least once is what the auth server promises"


async def test_concurrent_duplicates_are_handled_once(receiver: Receiver):
    """The same message twice at a time is not handled twice and not lost."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @receiver.webhooks.on("team_membership.created")
    async def slow(event: WebhookEvent) -> None:
        begun.set()
        await go_on.wait()

    first = asyncio.create_task(receiver.deliver(JOINED))
    await begun.wait()
    assert_refused(await receiver.deliver(JOINED), 409, "webhook_in_progress")
    go_on.set()
    assert (await first).status_code == 204
    assert (await receiver.deliver(JOINED)).status_code == 204
    assert len(receiver.heard) == 1


async def test_a_message_that_was_cut_off_is_handled_anew(receiver: Receiver):
    begun = asyncio.Event()

    @receiver.webhooks.on("team_membership.created")
    async def slow(event: WebhookEvent) -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()

    first = asyncio.create_task(receiver.deliver(JOINED))
    await begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await receiver.deliver(JOINED)).status_code == 204


async def test_two_endpoints_of_one_app_each_hear_a_message(receiver: Receiver):
    other: list[WebhookEvent] = []
    second = receiver.stack.webhooks("/other")
    second.on()(other.append)
    receiver.app.include_router(second)
    raw = json.dumps(JOINED).encode()
    headers = sign(raw, SECRET, "msg_1", NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver.app), base_url="http://app.test") as client:
        statuses = [(await client.post(path, content=raw, headers=headers)).status_code for path in (PATH, "/other")]
    assert statuses == [204, 204]
    assert (len(receiver.heard), len(other)) == (1, 1)
    names = [item["post"]["operationId"] for item in receiver.app.openapi()["paths"].values()]
    assert len(set(names)) == 2


async def test_a_handler_that_blocks_blocks_nobody_else(receiver: Receiver):
    begun, go_on = threading.Event(), threading.Event()

    @receiver.webhooks.on("team_membership.created")
    def slow(event: WebhookEvent) -> None:
        begun.set()
        assert go_on.wait(10), "nobody else could run"

    first = asyncio.create_task(receiver.deliver(JOINED))
    await until(begun.is_set)
    go_on.set()
    assert (await first).status_code == 204


# --- many workers ---


async def test_workers_that_share_redis_handle_a_message_once(redis_server: RedisServer):
    workers = [Receiver(redis_url=redis_server.url) for _ in range(2)]
    statuses = [(await worker.deliver(JOINED)).status_code for worker in workers + workers]
    assert statuses == [204] * 4
    assert [len(worker.heard) for worker in workers] == [1, 0]
    for worker in workers:
        await worker.stack.aclose()


async def test_without_redis_in_reach_messages_are_taken_once_a_worker(redis_server: RedisServer):
    redis_server.kill()
    worker = Receiver(redis_url=redis_server.url)
    assert [(await worker.deliver(JOINED)).status_code for _ in range(2)] == [204, 204]
    assert len(worker.heard) == 1
    await worker.stack.aclose()


# --- what this library does by itself ---


def webhook_for(company: Company) -> Receiver:
    """A second way into the same stack: its webhooks."""
    receiver = Receiver.__new__(Receiver)
    receiver.stack, receiver.app, receiver.heard = company.stack, company.app, []
    receiver.now = company.server.clock.now()
    company.app.include_router(company.stack.webhooks(PATH))
    return receiver


@pytest.fixture
async def company(server: Emulator) -> AsyncIterator[Company]:
    company = Company(server, webhook_secrets=[SECRET], authorization_ttl=300.0)
    await company.create_team()
    add_routes(company.app)
    yield company
    await company.stack.aclose()
    await company.admin.aclose()


async def test_the_tokens_of_a_deleted_user_are_refused_at_once(company: Company):
    receiver = webhook_for(company)
    assert (await company.ask(company.member, "/me")).status_code == 200
    event = {"type": "user.deleted", "data": {"id": company.member.user_id, "teams": []}}
    assert (await receiver.deliver(event)).status_code == 204
    assert (await company.ask(company.member, "/me")).json()["code"] == "user_deleted"
    assert (await company.ask(company.boss, "/me")).status_code == 200


@pytest.mark.parametrize(
    ("event", "forgets"),
    [
        ({"type": "team_permission.deleted", "data": {"id": "p", "user_id": "U", "team_id": "T"}}, {"team"}),
        ({"type": "project_permission.created", "data": {"id": "p", "user_id": "U"}}, {"team", "project"}),
        ({"type": "team_membership.deleted", "data": {"user_id": "U", "team_id": "T"}}, {"team"}),
        ({"type": "team.updated", "data": {"id": "T", "display_name": "Red"}}, {"team"}),
        ({"type": "team.deleted", "data": {"id": "T"}}, {"team"}),
        ({"type": "user.updated", "data": {"id": "U"}}, {"team", "project"}),
        ({"type": "user.updated", "data": {"id": "somebody-else"}}, set()),
        ({"type": "issue.created", "data": {"user_id": "U", "team_id": "T"}}, set()),
    ],
)
async def test_what_an_event_makes_old_is_asked_anew(company: Company, event: dict[str, Any], forgets: set[str]):
    receiver = webhook_for(company)
    known = company.stack.services.authorization
    user = await company.stack.verifier.verify(company.member.access_token)
    token = company.member.access_token

    async def calls(what: str) -> int:
        before = len(company.network.paths)
        if what == "team":
            await known.require_member(user, token, company.team_id)
        else:
            with pytest.raises(Exception, match="permission"):
                await known.require_permission(user, token, "reports:see")
        return len(company.network.paths) - before

    await calls("team")
    await calls("project")
    assert [await calls("team"), await calls("project")] == [0, 0], "remembered"
    text = json.dumps(event).replace('"U"', f'"{company.member.user_id}"').replace('"T"', f'"{company.team_id}"')
    assert (await receiver.deliver(text.encode())).status_code == 204
    assert {what for what in ("team", "project") if await calls(what)} == forgets


async def test_other_workers_forget_too(company: Company, redis_server: RedisServer):
    options = {"webhook_secrets": [SECRET], "redis_url": redis_server.url}
    one, two = [Receiver(**options, clock=company.server.clock.now) for _ in range(2)]
    one.now = company.server.clock.now()
    told: list[tuple[str, str]] = []
    two.stack.revocations.on_forget = lambda user_id, team_id: told.append((user_id, team_id))
    await two.stack.revocations.follow()
    assert (await one.deliver(JOINED)).status_code == 204

    async def was_heard() -> bool:
        return told == [("u", "t")]

    await eventually(was_heard)
    for each in (one, two):
        await each.stack.aclose()


async def test_a_result_from_before_an_event_is_dropped(company: Company):
    """An answer that was under way when the event came is not remembered."""
    user = await company.stack.verifier.verify(company.member.access_token)
    known, begun, go_on = company.stack.services.authorization, asyncio.Event(), asyncio.Event()
    inner = company.network.inner

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await inner.handle_async_request(request)
            begun.set()
            await go_on.wait()
            return answer

        async def aclose(self) -> None:
            await inner.aclose()

    company.network.inner = Slow()  # type: ignore[assignment]  # any transport does
    asked = asyncio.create_task(known.require_member(user, company.member.access_token, company.team_id))
    await begun.wait()
    known.forget(user_id=user.id)
    go_on.set()
    await asked
    before = len(company.network.paths)
    await known.require_member(user, company.member.access_token, company.team_id)
    assert len(company.network.paths) == before + 1


def test_openapi_describes_the_route_and_its_refusals(receiver: Receiver):
    schema = receiver.app.openapi()
    validate(schema)
    operation = schema["paths"][PATH]["post"]
    assert set(operation["responses"]) == {"204", "400", "409", "413", "422"}
    assert operation["requestBody"]["content"]["application/json"]["example"]["type"] == "team_membership.created"
    assert "security" not in operation
