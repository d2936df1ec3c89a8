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


async def _with_error(visitor: Visitor, demo: Demo) -> None:
    await visitor.sign_in("grace@example.com", "wrong horse battery")


async def _invitation(visitor: Visitor, demo: Demo) -> None:
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as grace:
        await grace.post("/auth/password/sign-in", json={"email": "grace@example.com", "password": PASSWORD})
        await grace.post(f"/auth/teams/{TEAM_ID}/invitations", json={"email": (email := new_address())})
    await visitor.open(demo.mail(email, "team_invitation")["link"])


STOPS = (
    Stop("home", "/"),
    Stop("guest-notes", "/notes", "guest"),
    Stop("guest-refused", "/teams", "guest"),
    Stop("home-signed-in", "/", "grace@example.com"),
    Stop("notes", "/notes", "grace@example.com"),
    Stop("teams", "/teams", "grace@example.com"),
    Stop("team", f"/teams/{TEAM_ID}", "grace@example.com"),
    Stop("admin", "/admin", "grace@example.com"),
    Stop("refused", "/admin", "mary@example.com"),
)
"""The pages of the app."""

LIBRARY = (
    Stop("sign-in", "/handler/sign-in"),
    Stop("sign-in-error", prepare=_with_error),
    Stop("code", "/handler/sign-in/code?done=code"),
    Stop("mfa", "/handler/mfa"),
    Stop("sign-up", "/handler/sign-up"),
    Stop("guest-sign-up", "/handler/sign-up", "guest"),
    Stop("forgot-password", "/handler/forgot-password"),
    Stop("password-reset", "/handler/password-reset?code=abc"),
    Stop("magic-link", "/handler/magic-link-callback?code=abc"),
    Stop("email-verification", "/handler/email-verification?code=abc"),
    Stop("oauth-failed", "/handler/oauth-callback?error=OAUTH_PROVIDER_ACCESS_DENIED"),
    Stop("sign-out", "/handler/sign-out", "grace@example.com"),
    Stop("signed-in", "/handler/sign-in", "grace@example.com"),
    Stop("account", "/handler/account-settings", "grace@example.com"),
    Stop("two-factor", "/handler/account-settings/two-factor", "grace@example.com"),
    Stop("team-settings", f"/handler/teams/{TEAM_ID}", "grace@example.com"),
    Stop("team-list", "/handler/teams", "grace@example.com"),
    Stop("invitation", who="mary@example.com", prepare=_invitation),
    Stop("error", "/handler/error"),
)
"""The library's pages in the app's theme."""


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
