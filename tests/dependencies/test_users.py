"""`current_user`, `optional_user`, `Require` and what is derived from them."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from fastapi_stackauth import (
    AccessToken,
    CurrentProfile,
    CurrentUser,
    IdentifyUser,
    LoadProfile,
    OptionalUser,
    Profile,
    Require,
    User,
    current_user,
    display_user,
    optional_user,
)
from tests.dependencies.helpers import Preferences, ask_app, protect
from tests.support.asgi import bearer, call
from tests.support.forge import NOW, SUBJECT, Signer
from tests.support.world import World, until

KIND_CODES = {"normal": None, "restricted": "restricted_not_allowed", "anonymous": "anonymous_not_allowed"}


# --- who is allowed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("require", "normal", "restricted", "anonymous"),
    [
        (Require(), None, "restricted_not_allowed", "anonymous_not_allowed"),
        (Require(allow_restricted=True), None, None, "anonymous_not_allowed"),
        (Require(allow_anonymous=True), None, None, None),
        (Require(allow_anonymous=True, allow_restricted=False), None, None, None),
        (Require(allow_anonymous=True, verified_email=True), None, "email_not_verified", "email_not_verified"),
        (Require(verified_email=True), None, "restricted_not_allowed", "anonymous_not_allowed"),
    ],
)
async def test_require_allows_and_demands_what_its_names_say(
    app: FastAPI, signer: Signer, require: Require, normal: str | None, restricted: str | None, anonymous: str | None
):
    protect(app, require)
    for kind, code in (("normal", normal), ("restricted", restricted), ("anonymous", anonymous)):
        expected = f"403 {code}" if code else SUBJECT
        assert await ask_app(app, bearer(signer.token(kind))) == expected
    assert await ask_app(app) == "401 authentication_required"


async def test_a_restricted_user_learns_why(app: FastAPI, signer: Signer):
    answer = await call(app, "/me", [bearer(signer.token("restricted", restricted_reason={"type": "moon_phase"}))])
    assert answer.json["details"] == {"restricted_reason": "moon_phase"}
    assert "www-authenticate" not in answer.headers


async def test_verified_email_rejects_unverified_users(app: FastAPI, signer: Signer):
    """A full user must have a verified address where it is demanded."""
    protect(app, Require(verified_email=True))
    assert await ask_app(app, bearer(signer.token(email_verified=False))) == "403 email_not_verified"


@pytest.mark.parametrize(
    ("optionally", "headers", "expected"),
    [
        (IdentifyUser(), [], "nobody"),
        (IdentifyUser(), [(b"authorization", b"Basic eDp5")], "nobody"),
        (IdentifyUser(), ["junk"], "nobody"),
        (IdentifyUser(), ["normal"], SUBJECT),
        (IdentifyUser(), ["restricted"], "nobody"),
        (IdentifyUser(), ["anonymous"], "nobody"),
        (IdentifyUser(allow_restricted=True), ["restricted"], SUBJECT),
        (IdentifyUser(allow_restricted=True), ["anonymous"], "nobody"),
        (IdentifyUser(allow_anonymous=True), ["anonymous"], SUBJECT),
        (IdentifyUser(), [(b"x-stack-auth", b"junk")], "nobody"),
        (IdentifyUser(), ["normal", (b"x-stack-access-token", b"other")], "401 credentials_conflict"),
    ],
)
async def test_optional_user_knows_nobody_from_somebody(
    app: FastAPI, signer: Signer, optionally: IdentifyUser, headers: list[Any], expected: str
):
    protect(app, optionally)
    tokens = {kind: bearer(signer.token(kind)) for kind in KIND_CODES} | {"junk": bearer("a.b.c")}
    sent = [tokens[header] if isinstance(header, str) else header for header in headers]
    assert await ask_app(app, *sent) == expected


@pytest.mark.parametrize("dependency", [current_user, optional_user])
async def test_what_cannot_be_verified_is_503_and_never_nobody(world: World, signer: Signer, dependency: Any):
    world.server.keys = world.server.me = "503"
    app = world.app()
    protect(app, dependency)
    answer = await call(app, "/it", [bearer(signer.token())])
    assert (answer.status, answer.json["code"]) == (503, "verification_unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("dependency", [current_user, optional_user])
async def test_a_server_that_refuses_our_own_keys_is_502(world: World, signer: Signer, dependency: Any):
    world.server.keys, world.server.me = "503", "keys"
    app = world.app()
    protect(app, dependency)
    assert await ask_app(app, bearer(signer.token())) == "502 auth_server_misconfigured"


async def test_display_user_never_fails_a_page(signer: Signer):
    """Each error of a caller and of the auth server is no user, even with `optional_invalid="error"`."""
    cookie = f'stack-access=["r","{signer.token()}"]; stack-refresh=r'.encode()
    cases: dict[str, tuple[str, list[Any], str]] = {
        "none": ("ok", [], "nobody"),
        "signed in": ("ok", [bearer(signer.token())], SUBJECT),
        "restricted": ("ok", [bearer(signer.token("restricted"))], SUBJECT),
        "anonymous": ("ok", [bearer(signer.token("anonymous"))], "nobody"),
        "malformed": ("ok", [bearer("a.b.c")], "nobody"),
        "expired": ("ok", [bearer(signer.token(exp=NOW - 60))], "nobody"),
        "conflict": ("ok", [bearer(signer.token()), (b"x-stack-access-token", b"other")], "nobody"),
        "another site": ("ok", [(b"cookie", cookie), (b"sec-fetch-site", b"cross-site")], "nobody"),
        "outage": ("503", [bearer(signer.token())], "nobody"),
        "our keys are wrong": ("keys", [bearer(signer.token())], "nobody"),
    }
    failed = {}
    for name, (state, headers, expected) in cases.items():
        options: dict[str, Any] = {
            "optional_invalid": "error",
            "sdk_cookies": True,
            "app_url": "https://app.example.com",
        }
        world = World.make(signer, **options)
        if state != "ok":
            world.server.keys, world.server.me = "503", state
        app = world.app()
        protect(app, display_user)
        answer = await call(app, "/it", headers, method="POST" if name == "another site" else "GET")
        if (answer.status, answer.json) != (200, expected):
            failed[name] = (answer.status, answer.json)
    assert not failed


async def test_display_user_reports_what_the_developer_must_fix(signer: Signer):
    app = World.make(signer, project_id=None).app()
    protect(app, display_user)
    assert await ask_app(app, bearer(signer.token())) == "500 configuration_error"


async def test_optional_invalid_error_makes_bad_tokens_401(signer: Signer):
    app = World.make(signer, optional_invalid="error").app()
    protect(app, optional_user)
    assert await ask_app(app, bearer("a.b.c")) == "401 token_malformed"
    assert await ask_app(app) == "nobody"


async def test_a_cookie_of_another_site_is_403_for_optional_user_too(signer: Signer):
    app = World.make(signer, sdk_cookies=True, app_url="https://app.example.com").app()
    protect(app, optional_user)
    cookie = (b"cookie", f'stack-access=["r","{signer.token()}"]; stack-refresh=r'.encode())
    answer = await call(app, "/it", [cookie, (b"sec-fetch-site", b"cross-site")], method="POST")
    assert (answer.status, answer.json["code"]) == (403, "cross_site_request")
    answer = await call(app, "/it", [cookie, (b"sec-fetch-site", b"same-origin")], method="POST")
    assert answer.json == SUBJECT


@pytest.mark.parametrize(
    ("token", "header"), [("", "Bearer"), ("a.b.c", 'Bearer error="invalid_token"')], ids=["none", "bad"]
)
async def test_a_401_asks_for_a_bearer_token_in_constant_words(app: FastAPI, token: str, header: str):
    answer = await call(app, "/me", [bearer(token)] if token else [])
    assert answer.headers["www-authenticate"] == header
    assert answer.headers["cache-control"] == "no-store"


# --- live ------------------------------------------------------------------------------------------------


async def test_live_rejects_the_valid_token_of_a_revoked_session(world: World, app: FastAPI, signer: Signer):
    protect(app, Require(live=True))
    token = bearer(signer.token())
    assert await ask_app(app, token) == SUBJECT
    world.server.sessions = ["another"]
    assert await ask_app(app, token) == "401 session_revoked"
    assert (await call(app, "/me", [token])).status == 200
    assert world.server.count("/sessions") == 2


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("gone", "401 user_deleted"),
        ("expired", "401 token_expired"),
        ("503", "503 verification_unavailable"),
        ("text", "503 verification_unavailable"),
        ("keys", "502 auth_server_misconfigured"),
    ],
)
async def test_live_says_what_the_auth_server_says(signer: Signer, behaviour: str, expected: str):
    world = World.make(signer, timeout=0.05)
    world.server.me = behaviour
    app = world.app()
    protect(app, Require(live=True))
    assert await ask_app(app, bearer(signer.token())) == expected


async def test_an_unlisted_session_is_rejected(app: FastAPI, signer: Signer):
    """A session that is not listed such as an impersonation is refused."""
    protect(app, Require(live=True))
    assert await ask_app(app, bearer(signer.token(refresh_token_id="impersonated"))) == "401 session_revoked"


async def test_live_shares_only_calls_that_began_later(world: World, app: FastAPI, signer: Signer):
    """Live shares only a call that began after both requests arrived."""
    protect(app, Require(live=True))
    token = bearer(signer.token())
    await world.verify(signer.token())
    world.server.me = "slow"
    first = asyncio.create_task(ask_app(app, token))
    await until(lambda: world.server.count("/sessions"))
    world.server.sessions = []  # revoked, after the first call began
    late = [asyncio.create_task(ask_app(app, token)) for _ in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.server.count("/sessions") == 1
    world.server.gate.set()
    await first
    assert await asyncio.gather(*late) == ["401 session_revoked"] * 5
    assert world.server.count("/sessions") == 2


async def test_refusals_that_the_token_alone_tells_cost_no_call(world: World, app: FastAPI, signer: Signer):
    protect(app, Require(live=True, verified_email=True))
    assert await ask_app(app, bearer(signer.token(email_verified=False))) == "403 email_not_verified"
    assert world.server.count("/sessions") == 0


# --- once a request, and where it is kept ----------------------------------------------------------------


async def test_several_dependencies_of_one_request_verify_once(world: World, app: FastAPI, signer: Signer):
    @app.get("/many", dependencies=[Depends(current_user), Depends(Require(verified_email=True))])
    async def many(
        user: CurrentUser, maybe: OptionalUser, token: AccessToken, again: Annotated[User, Depends(Require())]
    ) -> bool:
        return user is again and maybe is user and token.get_secret_value() != ""

    assert (await call(app, "/many", [bearer(signer.token())])).json is True
    stats = world.verifier.stats
    assert stats.hits + stats.misses == 1


async def test_a_refusal_is_found_once_too(world: World, app: FastAPI):
    @app.get("/many")
    async def many(maybe: OptionalUser, user: CurrentUser) -> None: ...

    assert await ask_app(app, bearer("a.b.c"), path="/many") == "401 token_malformed"
    assert world.verifier.stats.misses == 1


async def test_user_and_credential_are_on_the_requests_state(app: FastAPI, signer: Signer):
    seen: list[Any] = []

    @app.middleware("http")
    async def look(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        seen.append((getattr(request.state, "user", None), getattr(request.state, "credential", None)))
        return response

    await call(app, "/me", [(b"x-stack-access-token", signer.token().encode())])
    await call(app, "/hello")
    (user, credential), (nobody, nothing) = seen
    assert (user.id, credential.source) == (SUBJECT, "x-stack-access-token")
    assert (nobody, nothing) == (None, None)


async def test_sync_endpoints_work(app: FastAPI, signer: Signer):
    @app.get("/sync")
    def sync(user: CurrentUser) -> str:
        return user.id

    assert await ask_app(app, bearer(signer.token()), path="/sync") == SUBJECT


# --- profile and token -----------------------------------------------------------------------------------


class Strange(BaseModel):
    theme: int


async def test_the_profile_is_fresh_and_its_metadata_typed(app: FastAPI, signer: Signer):
    @app.get("/profile")
    async def profile(own: CurrentProfile) -> str:
        return f"{own.id} {own.primary_email}"

    @app.get("/theme")
    async def theme(own: Annotated[Profile[Preferences], Depends(LoadProfile(Preferences))]) -> str:
        return own.client_metadata.theme

    @app.get("/strange")
    async def strange(own: Annotated[Profile[Strange], Depends(LoadProfile(Strange))]) -> int:
        return own.client_metadata.theme

    token = bearer(signer.token())
    assert await ask_app(app, token, path="/profile") == f"{SUBJECT} ada@example.com"
    assert await ask_app(app, token, path="/theme") == "dark"
    assert await ask_app(app, token, path="/strange") == "409 profile_metadata_invalid"
    assert (await call(app, "/strange", [token])).json["details"] == {"fields": ["theme"]}
    for path in ("/profile", "/theme", "/strange"):
        assert await ask_app(app, path=path) == "401 authentication_required"


async def test_a_user_who_is_gone_has_no_profile(world: World, app: FastAPI, signer: Signer):
    world.server.me = "gone"

    @app.get("/profile")
    async def profile(own: CurrentProfile) -> None: ...

    assert await ask_app(app, bearer(signer.token()), path="/profile") == "401 user_deleted"


async def test_the_access_token_is_the_verified_one(app: FastAPI, signer: Signer):
    token = signer.token()

    @app.get("/token")
    async def own(secret: AccessToken) -> bool:
        return secret.get_secret_value() == token and token not in repr(secret)

    assert (await call(app, "/token", [bearer(token)])).json is True
    assert await ask_app(app, bearer(signer.token("anonymous")), path="/token") == "403 anonymous_not_allowed"


# --- a recent sign-in ------------------------------------------------------------------------------------


async def test_a_sign_in_must_be_recent_where_that_is_demanded(world: World, app: FastAPI, signer: Signer):
    protect(app, Require(max_age=timedelta(minutes=10)))
    world.server.began = world.clock.now - 600
    assert await ask_app(app, bearer(signer.token())) == SUBJECT
    world.clock.now += 1
    answer = await call(app, "/it", [bearer(signer.token())])
    assert (answer.status, answer.json["code"], answer.json["details"]) == (
        401,
        "reauthentication_required",
        {"max_age": 600},
    )
    challenge = 'Bearer error="insufficient_user_authentication", max_age="600"'
    assert answer.headers["www-authenticate"] == challenge
    assert world.server.count("/sessions") == 1, "when a session began never changes"


async def test_a_session_that_is_not_listed_is_not_recent(world: World, app: FastAPI, signer: Signer):
    protect(app, Require(max_age=timedelta(days=1)))
    world.server.sessions = []
    assert await ask_app(app, bearer(signer.token())) == "401 session_revoked"


async def test_a_recent_and_a_live_session_are_asked_for_at_once(world: World, app: FastAPI, signer: Signer):
    world.server.began = NOW
    protect(app, Require(live=True, max_age=timedelta(minutes=10)))
    assert await ask_app(app, bearer(signer.token())) == SUBJECT
    assert world.server.count("/sessions") == 1


async def test_recency_is_unknown_while_the_server_is_down(world: World, app: FastAPI, signer: Signer):
    """Whether a sign in is recent cannot be said while the server is down."""
    protect(app, Require(max_age=timedelta(minutes=10)))
    world.server.me = "503"
    assert await ask_app(app, bearer(signer.token())) == "503 verification_unavailable"
