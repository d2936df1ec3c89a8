"""API keys from the test kit: an app accepts them as it accepts those that users create."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import ApiKeyTeam, Require, StackAuth, User
from fastapi_stackauth.testing import emulate

WithKey = Annotated[User, Depends(Require(allow_api_key=True))]


def build_app() -> FastAPI:
    app = FastAPI()
    StackAuth().install(app)

    @app.get("/robot")
    async def robot(user: WithKey) -> str:
        return user.id

    @app.get("/team")
    async def team_robot(team: ApiKeyTeam) -> str:
        return team.id

    return app


def test_keys_of_users_and_teams_work_until_they_expire():
    """The team of a key is created if necessary."""
    with emulate(build_app()) as kit:
        ada, robot = kit.user(), kit.sync_client()
        for owner in (ada, ada.id):
            key = kit.user.create_api_key(owner, expires_in=60)
            assert robot.get("/robot", headers={"x-api-key": key}).json() == ada.id
        old = kit.user.create_api_key(ada, expires_in=-1)
        assert robot.get("/robot", headers={"x-api-key": old}).json()["code"] == "api_key_invalid"
        key = kit.user.create_api_key(team="Red")
        assert robot.get("/team", headers={"x-api-key": key}).json() == kit.user.team("Red")


def test_a_key_without_an_owner_is_a_mistake():
    """A key has exactly one owner, who exists, in a project that has such keys."""
    with emulate(build_app()) as kit:
        ada = kit.user()
        for owner, team in ((None, None), (ada, "Red")):
            with pytest.raises(ValueError, match="one owner"):
                kit.user.create_api_key(owner, team=team)
        with pytest.raises(ValueError, match="no such user"):
            kit.user.create_api_key("7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11")
        kit.emulator.configure(allow_user_api_keys=False)
        with pytest.raises(ValueError, match="allow_user_api_keys=True"):
            kit.user.create_api_key(ada)
