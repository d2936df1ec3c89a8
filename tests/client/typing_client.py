"""What type checkers make of the calls that are used most. mypy checks this file; nothing runs it."""

from typing import assert_type

from fastapi_stackauth.client import Listing, Page, StackAuthClient
from fastapi_stackauth.models import (
    AccessToken,
    ApiModel,
    CurrentUserProfile,
    CurrentUserUpdate,
    Project,
    ServerUser,
    Session,
    SignIn,
    Team,
)


class Preference(ApiModel):
    """A model of one's own."""

    enabled: bool


async def the_calls_used_most(client: StackAuthClient) -> None:
    signed_in = await client.password.sign_in(email="ada@example.com", password="...")
    assert_type(signed_in, SignIn)
    assert_type(await client.password.sign_up(email="ada@example.com", password="..."), SignIn)
    assert_type(await client.otp.sign_in(code="..."), SignIn)
    assert_type(await client.refresh(signed_in.refresh_token), AccessToken)
    user = client.as_user(signed_in.access_token)
    assert_type(user, StackAuthClient)
    assert_type(await user.users.me(), CurrentUserProfile)
    assert_type(await user.users.update_me(CurrentUserUpdate(display_name="Ada")), CurrentUserProfile)
    assert_type(await user.sessions.list(), tuple[Session, ...])
    assert_type(await user.teams.list(), tuple[Team, ...])
    assert_type(await user.team_permissions.check("posts:delete", team_id="..."), bool)
    assert_type(await client.project.current(), Project)
    assert_type(client.session(signed_in), StackAuthClient)
    server = client.as_server()
    assert_type(server.users.list(), Listing[ServerUser])
    async for each in server.users.list(query="ada"):
        assert_type(each, ServerUser)
    async for page in server.users.list().pages():
        assert_type(page, Page[ServerUser])
    assert_type(await user.request("GET", "/x", model=Preference), Preference)
