"""Attempts are limited on every route where guessing, or flooding with mails, would pay."""

import pytest

from fastapi_stackauth.emulator import Emulator
from tests.routers.callers import PREFIXES, House, Person, assert_problem, new_stack
from tests.routers.operations import operations

LIMITED = {
    "password_sign_up", "password_sign_in", "password_forgot", "password_reset", "password_reset_check",
    "password_update", "otp_send", "otp_sign_in", "otp_check", "anonymous_sign_up", "verify_email",
    "contact_channels_send_verification", "oauth_authorize", "oauth_link", "passkey_options", "passkey_sign_in",
    "mfa_sign_in", "mfa_confirm", "team_invitations_send", "invitations_details", "invitations_accept",
    "device_verify", "device_confirm", "device_deny",
}  # fmt: skip
OF_NO_ACCOUNT = {"anonymous_sign_up", "oauth_authorize", "passkey_options", "mfa_sign_in", "team_invitations_send"}
"""They name no account; the last two do, once a sign-in waits for it, and if the user's address is verified."""


async def test_the_limited_routes_say_so_in_openapi(house: House, browser: Person):
    told = {r.operation_id for r in operations(house.app, PREFIXES["cookie"]) if "rate_limit_exceeded" in r.codes}
    assert told == LIMITED


@pytest.mark.parametrize("limit", ["rate_limit_address", "rate_limit_account"])
async def test_each_of_them_refuses_the_attempt_that_is_too_much(server: Emulator, limit: str):
    stack = new_stack(server, **{limit: "2/hour"})
    house = House(server, stack)
    async with house.person("cookie") as person:
        await person.sign_up()
        for route in operations(house.app, PREFIXES["cookie"]):
            if route.operation_id not in LIMITED - (OF_NO_ACCOUNT if limit == "rate_limit_account" else set()):
                continue
            for _ in range(2):
                await person.call(route.method, route.concrete, route.body)
            answer = await person.call(route.method, route.concrete, route.body)
            assert_problem(answer, 429, "rate_limit_exceeded")
            assert int(answer.headers["retry-after"]) > 0
    await stack.aclose()


async def test_a_links_button_is_limited_and_shows_a_page(server: Emulator):
    """Pressing a links button is limited too and answers with a page."""
    stack = new_stack(server, rate_limit_address="1/hour")
    async with House(server, stack).person("cookie") as person:
        for expected in (404, 429):
            answer = await person.client.post(person.path("/magic-link/callback"), data={"code": "0" * 45})
            assert answer.status_code == expected
            assert answer.headers["content-type"].startswith("text/html")
        assert "retry-after" in answer.headers
    await stack.aclose()
