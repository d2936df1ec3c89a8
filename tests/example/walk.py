"""Every page of the example, as the person who meets it: for what must hold on all of them, and for screenshots."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from example_app.samples import PASSWORD, TEAM_ID
from tests.example.visitors import Demo, Visitor, new_address

Prepare = Callable[[Visitor, Demo], Awaitable[None]]


@dataclass(frozen=True)
class Stop:
    """One page.

    Attributes:
        name: for the test's name and the screenshot's.
        path: where it is.
        who: the sample person who is signed in; ``guest``, or nobody.
        prepare: what brings the page about where its address alone does not.
    """

    name: str
    path: str = ""
    who: str = ""
    prepare: Prepare | None = None


async def _second_factor(visitor: Visitor, demo: Demo) -> None:
    await visitor.open("/sign-in?mfa=required")


async def _with_error(visitor: Visitor, demo: Demo) -> None:
    await visitor.sign_in("grace@example.com", "wrong horse battery")


async def _invitation(visitor: Visitor, demo: Demo) -> None:
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as grace:
        await grace.post("/auth/password/sign-in", json={"email": "grace@example.com", "password": PASSWORD})
        await grace.post(f"/auth/teams/{TEAM_ID}/invitations", json={"email": (email := new_address())})
    await visitor.open(demo.mail(email, "team_invitation")["link"])


STOPS = (
    Stop("team", f"/teams/{TEAM_ID}", "grace@example.com"),
    Stop("account", "/account", "grace@example.com"),
    Stop("home", "/"),
    Stop("sign-in", "/sign-in"),
    Stop("sign-in-error", prepare=_with_error),
    Stop("code", "/sign-in?step=code&done=code"),
    Stop("second-factor", prepare=_second_factor),
    Stop("sign-up", "/sign-up"),
    Stop("forgot-password", "/forgot-password"),
    Stop("new-password", "/new-password?code=abc"),
    Stop("new-password-without-code", "/new-password"),
    Stop("verify-email", "/verify-email?code=abc"),
    Stop("guest-notes", "/notes", "guest"),
    Stop("guest-sign-up", "/sign-up", "guest"),
    Stop("guest-refused", "/teams", "guest"),
    Stop("home-signed-in", "/", "grace@example.com"),
    Stop("notes", "/notes", "grace@example.com"),
    Stop("teams", "/teams", "grace@example.com"),
    Stop("two-factor", "/account/two-factor", "grace@example.com"),
    Stop("admin", "/admin", "grace@example.com"),
    Stop("invitation", who="mary@example.com", prepare=_invitation),
    Stop("refused", "/admin", "mary@example.com"),
    Stop("missing", "/nowhere"),
)


async def reach(stop: Stop, visitor: Visitor, demo: Demo) -> None:
    """Open the page as whoever meets it."""
    if stop.who == "guest":
        await visitor.open("/")
        await visitor.press("Try it as a guest")
        await visitor.is_at("/notes")
    elif stop.who:
        await visitor.signs_in(stop.who)
    if stop.prepare is not None:
        await stop.prepare(visitor, demo)
    else:
        await visitor.open(stop.path)
    await visitor.page.wait_for_load_state()
