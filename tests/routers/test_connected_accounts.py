"""Disconnecting accounts at OAuth providers."""

import pytest

from fastapi_stackauth.models import ServerOAuthProviderCreate
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import House, Person, assert_problem, new_stack

PATH = "/connected-accounts/github"


async def connect(house: House, person: Person, *accounts: str, provider: str = "github") -> None:
    """Connect accounts at a provider to a new user; they sign in with the first one."""
    user_id = await person.sign_up()
    keyed = new_stack(house.server, secret_server_key=house.server.secret_server_key)
    for number, account in enumerate(accounts):
        await keyed.client.as_server().oauth_providers.create(
            ServerOAuthProviderCreate(
                user_id=user_id,
                provider_config_id=provider,
                account_id=account,
                allow_sign_in=number == 0,
                allow_connected_accounts=True,
            )
        )
    await keyed.aclose()


async def list_accounts(person: Person) -> list[str]:
    listed = (await person.call("GET", "/connected-accounts")).json()
    return [account["provider_account_id"] for account in listed]


async def test_disconnecting_removes_all_accounts_at_a_provider(house: House, person: Person):
    """Those of other providers stay, and there is nothing to disconnect twice."""
    await connect(house, person, "1", "2")
    assert await list_accounts(person) == ["1", "2"]
    other = await person.call("DELETE", "/connected-accounts/google")
    assert_problem(other, 400, "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")
    assert (await person.call("DELETE", PATH)).status_code == 204
    assert await list_accounts(person) == []
    assert_problem(await person.call("DELETE", PATH), 400, "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")


async def test_other_users_keep_their_accounts(keyed_house: House, delivery: Delivery):
    """With a secret key alone, too, when the router acts as server."""
    async with keyed_house.person(delivery) as ada, keyed_house.person(delivery) as bob:
        await connect(keyed_house, ada, "1")
        await bob.sign_up("bob@example.com")
        assert_problem(await bob.call("DELETE", PATH), 400, "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")
        assert await list_accounts(ada) == ["1"]
        assert (await ada.call("DELETE", PATH)).status_code == 204
        assert await list_accounts(ada) == []


async def test_a_form_disconnects(house: House, browser: Person):
    """HTML forms have no DELETE: they post to the path with `/delete`."""
    await connect(house, browser, "1")
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    answer = await browser.post(f"{PATH}/delete?on_success=/account", content="", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert await list_accounts(browser) == []


@pytest.mark.parametrize("path", ["/connected-accounts/git hub", "/connected-accounts/a%2fb"])
async def test_only_ids_of_providers_are_taken(person: Person, path: str):
    await person.sign_up()
    assert (await person.call("DELETE", path)).status_code in (404, 422)
