"""Two teams with their members, at an app with the team routes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import PASSWORD, House, Person, new_stack

UNKNOWN = "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11"


@dataclass
class Member:
    """A signed-in user.

    Attributes:
        person: who calls the routes.
        id: the user's id.
        email: the user's verified address.
    """

    person: Person
    id: str
    email: str

    async def call(self, method: str, path: str, json: object = None, **options: Any) -> httpx.Response:
        """Call a route."""
        return await self.person.call(method, path, json, **options)


@dataclass
class Company:
    """Red and blue team. `boss` administers red, `member` is in it; `rival` administers blue; `outsider` is in none."""

    house: House
    server: Emulator
    delivery: Delivery
    people: AsyncExitStack
    red: str = ""
    blue: str = ""
    members: dict[str, Member] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Member:
        members: dict[str, Member] = self.__dict__["members"]
        return members[name]

    async def hire(self, name: str, team: str | None = None, *permissions: str, **fields: Any) -> Member:
        """Return a new user who is signed in, perhaps in a team."""
        email = f"{name}@example.com"
        user = {"primary_email_verified": True, "password": PASSWORD, **fields}
        user_id = self.server.add_user(primary_email=email, display_name=name.title(), **user)
        if team:
            self.server.join(team, user_id, permissions or ("team_member",))
        person = await self.people.enter_async_context(self.house.person(self.delivery))
        await person.sign_in(email)
        self.members[name] = Member(person, user_id, email)
        return self.members[name]

    async def impersonate(self, member: Member) -> dict[str, str]:
        """Return the header with which an administrator calls the app as a user."""
        admin = keyed_stack(self.server)
        pair = await admin.client.as_server().sessions.create(member.id, is_impersonation=True)
        await admin.aclose()
        return {"authorization": f"Bearer {pair.access_token}"}

    def may(self, team: str, member: Member) -> set[str]:
        """Return what a member was granted directly."""
        return set(self.server.store.permissions.in_team(team, member.id))

    def is_in(self, team: str, member: Member) -> bool:
        """Whether a user is in a team."""
        return self.server.store.teams.membership(team, member.id) is not None

    def code(self, email: str) -> str:
        """Return the code of the newest invitation to an address."""
        return str(self.house.mail("team_invitation", email)["code"])


@asynccontextmanager
async def company_at(house: House, server: Emulator, delivery: Delivery) -> AsyncIterator[Company]:
    """Return both teams."""
    for permission in ("notes:delete", "notes:pin", "notes:read"):
        server.define_permission(permission)
    async with AsyncExitStack() as people:
        company = Company(house, server, delivery, people)
        company.red, company.blue = server.add_team("Red team"), server.add_team("Blue team")
        await company.hire("boss", company.red, "team_admin", "notes:delete")
        await company.hire("member", company.red)
        await company.hire("rival", company.blue, "team_admin", "notes:delete")
        await company.hire("outsider")
        yield company


def keyed_stack(server: Emulator, **options: Any) -> StackAuth:
    """A stack with both keys: users' requests travel with the publishable one."""
    return new_stack(server, secret_server_key=server.secret_server_key, **options)
