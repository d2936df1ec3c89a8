"""Whatever is posted to the webhook route: handled where the auth server signed it, else refused by a code."""

import asyncio
import hmac
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth.models.webhooks import EVENT_TYPES
from tests.fuzz.strategies import EDITS, JSON, NASTY, edit, to_bytes
from tests.support.webhooks import NOW, SECRET, Receiver, sign

USER: Any = {
    "id": "u", "primary_email": "ada@example.com", "primary_email_verified": True, "primary_email_auth_enabled": True,
    "display_name": "Ada", "selected_team": None, "selected_team_id": None, "profile_image_url": None,
    "signed_up_at_millis": 1, "last_active_at_millis": 1, "client_metadata": {}, "client_read_only_metadata": None,
    "server_metadata": {"plan": "pro"}, "has_password": True, "otp_auth_enabled": False, "passkey_auth_enabled": False,
    "is_anonymous": False, "is_restricted": False, "requires_totp_mfa": False, "oauth_providers": [],
}  # fmt: skip
DATA = [
    USER,
    {"id": "t", "display_name": "Engine", "created_at_millis": 1},
    {"id": "u", "teams": [{"id": "t"}]},
    {"id": "p", "user_id": "u", "team_id": "t"},
]
BODIES = st.one_of(
    st.builds(
        lambda kind, data, edits: to_bytes(edit({"type": kind, "data": data}, edits)),
        st.sampled_from(EVENT_TYPES),
        st.sampled_from(DATA),
        EDITS,
    ),
    JSON.map(to_bytes),
    st.builds(lambda kind, data: to_bytes({"type": kind, "data": data}), NASTY, JSON),
    st.binary(max_size=40),
)


RECEIVER = Receiver()
MESSAGES = (f"msg_{number}" for number in count())


def post(raw: bytes, headers: dict[str, str]) -> tuple[int, str | None, int]:
    """Status, code, and how many events were heard."""

    async def go() -> httpx.Response:
        answer = await RECEIVER.post(raw, headers)
        await RECEIVER.stack.aclose()
        return answer

    RECEIVER.heard.clear()
    answer = asyncio.run(go())
    return answer.status_code, answer.json()["code"] if answer.content else None, len(RECEIVER.heard)


@given(BODIES, st.sampled_from(["svix", "webhook"]))
def test_any_signed_body_is_handled_or_rejected_with_a_code(raw: bytes, prefix: str):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return  # the library that signs here signs text alone
    outcome = post(raw, sign(raw, SECRET, next(MESSAGES), NOW, prefix))
    assert outcome in ((204, None, 1), (400, "request_invalid", 0), (422, "request_invalid", 0))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["svix-id", "svix-timestamp", "svix-signature", "webhook-id", "webhook-signature"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
            | st.sampled_from(["v1,", "v1, v1,", "v2,x", "1800000000", "9" * 12, "-1", "msg_0"]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_header_in_place_of_a_right_one_is_refused(changes: list[tuple[str, str]]):
    right = sign(b"{}", SECRET, next(MESSAGES), NOW)
    headers = {**right, **dict(changes)}
    if {name: headers.get(name) for name in right} == right:
        return
    assert post(b"{}", headers) == (400, "webhook_invalid", 0)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch):
    """Looked at through what does the comparing: no time that a test could measure is worth believing."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def compare_digest(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    headers = {**sign(b"{}", SECRET, next(MESSAGES), NOW), "svix-signature": "v1,AAAA"}
    assert post(b"{}", headers)[0] == 400
    assert compared == [b"AAAA"]
