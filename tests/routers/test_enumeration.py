"""Nobody learns from sending mails which addresses have accounts."""

import re
from typing import Any

import httpx
import pytest

from tests.routers.callers import EMAIL, OTP, House, Person

KNOWN, UNVERIFIED, UNKNOWN = EMAIL, "eve@example.com", "nobody@example.com"
CROCKFORD = re.compile("[0-9a-hjkmnp-tv-z]{39}")


@pytest.fixture
async def accounts(house: House) -> House:
    """Two accounts, one of them with an address that nobody has verified; the project takes no new ones."""
    users: list[dict[str, Any]] = [
        {"primary_email": KNOWN, "primary_email_verified": True, "password": "correct horse battery"},
        {"primary_email": UNVERIFIED, "primary_email_verified": False, "password": "correct horse battery"},
    ]
    house.server.seed({"users": users})
    house.server.configure(sign_up_enabled=False)
    return house


def seen(answer: httpx.Response) -> tuple[object, ...]:
    """What of an answer could tell accounts apart: status, headers, and the shape of body and cookies."""
    body = answer.json() if answer.content else {}
    shape = {name: CROCKFORD.sub("<nonce>", str(value)) for name, value in body.items()}
    cookies = [
        re.sub(rf"{OTP}=([^;]+)", lambda m: f"{OTP}={len(m[1])}", c) for c in answer.headers.get_list("set-cookie")
    ]
    names = sorted(set(answer.headers) - {"date"})
    return answer.status_code, names, answer.headers.get("content-length"), shape, cookies


@pytest.mark.parametrize("path", ["/otp/send", "/password/forgot"])
async def test_all_addresses_get_the_same_response(accounts: House, person: Person, path: str):
    """Known unverified and unknown addresses are answered alike."""
    answers = [seen(await person.post(path, {"email": email})) for email in (KNOWN, UNVERIFIED, UNKNOWN)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == (200 if path == "/otp/send" else 204)
    assert accounts.server.emails(KNOWN)
    assert not accounts.server.emails(UNKNOWN)


@pytest.mark.parametrize("path", ["/otp/send", "/password/forgot"])
async def test_an_untrusted_link_is_logged_and_not_revealed(
    accounts: House, person: Person, path: str, caplog: pytest.LogCaptureFixture
):
    """A link that the project does not trust tells nothing but is logged."""
    accounts.server.configure(allow_localhost=False)
    answers = [seen(await person.post(path, {"email": email})) for email in (KNOWN, UNVERIFIED, UNKNOWN)]
    assert answers[0] == answers[1] == answers[2]
    (error, *_) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "does not trust" in error.getMessage()
    assert KNOWN not in caplog.text


async def test_a_forged_nonce_looks_real_and_signs_in_no_user(accounts: House, phone: Person):
    """A made up nonce looks like a real one and signs nobody in."""
    await phone.ask_for_code(UNKNOWN)
    made_up = phone.nonce
    await phone.ask_for_code(KNOWN)
    assert CROCKFORD.fullmatch(made_up or "")
    assert CROCKFORD.fullmatch(phone.nonce or "")
    answer = await phone.post("/otp/sign-in", {"code": accounts.mail("sign_in", KNOWN)["otp"], "nonce": made_up})
    assert answer.json()["code"] == "VERIFICATION_CODE_NOT_FOUND"


async def test_two_made_up_nonces_differ(accounts: House, phone: Person):
    nonces = set()
    for _ in range(3):
        await phone.ask_for_code(UNKNOWN)
        nonces.add(phone.nonce)
    assert len(nonces) == 3


async def test_unknown_address_and_wrong_password_look_alike(accounts: House, person: Person):
    """Signing in with an unknown address and a wrong password are answered alike."""
    answers = [
        await person.post("/password/sign-in", {"email": email, "password": "wrong password"})
        for email in (KNOWN, UNVERIFIED, UNKNOWN)
    ]
    assert len({answer.text.replace(answer.json()["instance"], "") for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {400}
