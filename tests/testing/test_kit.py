"""`emulate`: an app as it stands talks to the emulator, and is as before afterwards."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from fastapi_stackauth import ConfigurationError, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import Kit, TokenFactory, emulate, override_user
from tests.testing.conftest import APP_URL, small_app

TEAM = "0f6f2d7e-54b3-4c07-8f5e-6d5f0f5b8a11"


def test_the_apps_own_settings_stay_and_come_back(app: FastAPI, stack: StackAuth, shared_server: Emulator):
    before = dict(vars(stack))
    with emulate(app, emulator=shared_server) as kit:
        changed = stack.settings
        assert (changed.project_id, changed.app_url) == ("production", APP_URL)
        assert (changed.base_url, changed.issuers) == (shared_server.url, ())
        assert kit.emulator.project_id == "production"
    assert vars(stack) == before


def test_nothing_is_remembered_from_one_block_to_the_next(app: FastAPI, stack: StackAuth, shared_server: Emulator):
    with emulate(app, emulator=shared_server) as kit:
        ada = kit.user(email="remembered@example.com")
        assert kit.sync_client(ada).get("/me").status_code == 200
        assert len(stack.verifier) == 1
    assert len(stack.verifier) == 0
    with emulate(app) as kit:  # another emulator, with other keys
        assert kit.sync_client(ada).get("/me").json()["code"] == "token_key_unknown"


@pytest.mark.parametrize("have", [(), ("publishable_client_key",), ("secret_server_key",)])
def test_keys_that_an_app_does_not_have_stay_away(have: tuple[str, ...], shared_server: Emulator):
    stack = StackAuth(project_id="keys", **dict.fromkeys(have, "of-production"))  # type: ignore[arg-type]  # names of keys
    with emulate(small_app(stack), emulator=shared_server) as kit:
        settings = stack.settings
        keys = {
            "publishable_client_key": settings.publishable_client_key,
            "secret_server_key": settings.secret_server_key,
        }
        assert {name for name, key in keys.items() if key} == set(have)
        assert all(key.get_secret_value() == getattr(kit.emulator, name) for name, key in keys.items() if key)


def test_an_app_without_settings_gets_all_and_cookies(shared_server: Emulator):
    """An app without any settings gets all of them and cookies too."""
    app, stack = FastAPI(), StackAuth()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    with emulate(app, emulator=shared_server) as kit:
        browser = kit.sync_client()
        credentials = {"email": "bare@example.com", "password": "correct horse"}
        assert browser.post("/auth/password/sign-up", json=credentials).status_code == 200
        assert browser.get("/auth/me").json()["primary_email"] == "bare@example.com"
        assert stack.settings.secret_server_key
    assert stack.settings.project_id is None
    assert app.user_middleware == []


def test_every_stack_of_mounted_apps_has_its_project(shared_server: Emulator):
    """Every stack of an app and of mounted apps has its project."""
    partners, inner = StackAuth(project_id="partners", cookie_name="partners"), StackAuth(project_id="inner")
    app = small_app(StackAuth(project_id="main"))
    app.mount("/inner", small_app(inner))
    partners.install(app, default=False)

    @app.get("/partners")
    async def for_partners(user: Annotated[User, Depends(partners.current_user)]) -> str:
        return user.id

    with emulate(app, emulator=shared_server) as kit:
        ada = kit.user(email="several@example.com")
        zoe = kit.for_stack(partners).user(email="several@example.com")
        ivy = kit.for_stack(inner).user()
        served = {
            (who.id, path)
            for who in (ada, zoe, ivy) for path in ("/me", "/partners", "/inner/me")
            if kit.sync_client(who).get(path).status_code == 200
        }  # fmt: skip
        assert served == {(ada.id, "/me"), (zoe.id, "/partners"), (ivy.id, "/inner/me")}
        with pytest.raises(ConfigurationError, match="not installed on any app under test"):
            kit.for_stack(StackAuth())


def test_apps_behind_routers_and_middleware_are_found(shared_server: Emulator):
    outer, router = FastAPI(), APIRouter()
    stacks = [StackAuth(project_id=name) for name in ("routes", "middleware", "included")]
    behind_routes, behind_middleware, included = map(small_app, stacks)
    outer.router.routes.append(Mount("/v1", routes=[Mount("/x", app=behind_routes)]))
    outer.mount("/v2", CORSMiddleware(behind_middleware, allow_origins=["*"]))
    router.mount("/x", included)
    routes_before = len(outer.routes)
    outer.include_router(router, prefix="/v3")
    paths = ["/v1/x/me", "/v2/me", "/v3/x/me"]
    if len(outer.routes) == routes_before:  # FastAPI drops mounts of included routers in older versions: no such app
        paths.pop()
    with emulate(outer, emulator=shared_server) as kit:
        for path, stack in zip(paths, stacks, strict=False):
            ada = kit.for_stack(stack).user()
            assert kit.sync_client(ada).get(path).json()["id"] == ada.id


def test_one_kit_serves_several_apps(app: FastAPI, shared_server: Emulator):
    other = small_app(StackAuth())
    with emulate(app, emulator=shared_server) as kit:
        kit.add(other)
        ada = kit.user(email="several-apps@example.com")
        assert kit.sync_client(ada, app=other).get("/me").json()["code"].startswith("token_")  # of another project
        assert kit.sync_client(ada).get("/me").status_code == 200


def test_an_app_without_a_stack_is_named_and_so_is_a_missing_app(shared_server: Emulator):
    with pytest.raises(ConfigurationError, match="No StackAuth is installed"), emulate(FastAPI()):
        pass
    with (
        emulate(emulator=shared_server) as kit,
        pytest.raises(ConfigurationError, match="override the fixture stack_app"),
    ):
        kit.client()


def test_blocks_on_one_emulator_do_not_interfere(app: FastAPI, shared_server: Emulator):
    """People of several blocks on one emulator do not get in each others way."""
    people = []
    for _ in range(2):
        with emulate(app, emulator=shared_server) as kit:
            people.append(kit.user())
    assert people[0].email != people[1].email


def test_blocks_nest(app: FastAPI, shared_server: Emulator):
    factory = TokenFactory()
    with emulate(app, emulator=shared_server) as kit:
        ada = kit.user(email="nested@example.com")
        with factory.trusted_by(app):
            assert kit.sync_client(ada).get("/me").status_code == 401
            assert kit.sync_client(factory.token()).get("/me").status_code == 200
        with override_user(app, User(id="chosen")):
            assert kit.sync_client().get("/me").json()["id"] == "chosen"
        assert kit.sync_client(ada).get("/me").json()["id"] == ada.id


# --- people, by the plugin's own fixtures ---


def test_people_are_what_they_are_made(stack_kit: Kit):
    ada = stack_kit.user(email="ada@example.com", display_name="Ada", client_metadata={"theme": "dark"})
    guest = stack_kit.user(kind="anonymous")
    assert (ada.kind, guest.kind, guest.email) == ("normal", "anonymous", None)
    mine = stack_kit.sync_client(ada).get("/auth/me").json()
    assert (mine["id"], mine["display_name"], mine["client_metadata"]) == (ada.id, "Ada", {"theme": "dark"})
    assert "token" not in repr(ada)
    assert ada.access_token not in repr(ada)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "giant"}, "giant"), ({"kind": "anonymous", "email": "a@b.example"}, "no email address"),
        ({"email": "nonsense"}, "email"), ({"planet": "Mars"}, "planet"), ({"password": "short"}, "8 characters"),
        ({"email": "twice@example.com"}, "of another user"), ({"permissions": ["Not One"]}, "id"),
        ({"permissions": ["team_admin"]}, "not defined for a project"), ({"team": TEAM[:-1] + "!"}, "id"),
        ({"email": ""}, "email"), ({"permissions": "reports:see"}, r"a list: \['reports:see'\]"),
        ({"team": "Red", "team_permissions": "posts:delete"}, "a list"), ({"team_permissions": ["x"]}, "name one"),
        ({"select_team": True}, "name one"),
    ],
)  # fmt: skip
def test_mistakes_are_named(stack_kit: Kit, arguments: dict[str, str], complaint: str):
    stack_kit.user(email="twice@example.com")
    with pytest.raises(ValueError, match=complaint):
        stack_kit.user(**arguments)  # type: ignore[arg-type]  # mistakes


def test_permissions_may_come_from_a_generator(stack_kit: Kit):
    ada = stack_kit.user(permissions=(name for name in ["reports:see"]))
    assert stack_kit.sync_client(ada).get("/reports").status_code == 200


def test_a_team_can_be_named_by_id_or_name_and_selected(stack_kit: Kit):
    ada = stack_kit.user(team=TEAM, select_team=True)
    bob = stack_kit.user(team=TEAM)
    assert ada.team_id == bob.team_id == TEAM
    assert stack_kit.sync_client(ada).get("/me").json()["selected_team_id"] == TEAM
    assert stack_kit.user.team("Blue") == stack_kit.user.team("Blue") != TEAM
    with pytest.raises(ValueError, match="twice"):
        stack_kit.user.join(ada, TEAM)


def test_a_permission_granted_later_is_seen_at_once(stack_kit: Kit):
    ada, team = stack_kit.user(), stack_kit.user.team("Red")
    client = stack_kit.sync_client(ada)
    assert client.get(f"/teams/{team}").status_code == 403
    stack_kit.user.join(ada, "Red", permissions=["posts:read"])
    assert client.get(f"/teams/{team}").status_code == 200


def test_project_permissions_are_defined_and_granted(stack_kit: Kit):
    assert stack_kit.sync_client(stack_kit.user(permissions=["reports:see"])).get("/reports").status_code == 200
    assert stack_kit.sync_client(stack_kit.user()).get("/reports").json()["code"] == "permission_missing"


def test_a_second_factor_has_its_code(stack_kit: Kit):
    ada = stack_kit.user(password="correct horse", mfa=True)
    browser = stack_kit.sync_client()
    asked = browser.post("/browser/password/sign-in", json={"email": ada.email, "password": "correct horse"})
    assert asked.json()["code"] == "mfa_required"
    stack_kit.clock.advance(40)
    assert browser.post("/browser/mfa/sign-in", json={"code": stack_kit.user.totp(ada)}).status_code == 200
    assert browser.get("/me").json()["mfa_required"] is True
    with pytest.raises(ValueError, match="mfa=True"):
        stack_kit.user.totp(stack_kit.user())


def test_a_session_that_has_ended_is_not_renewed(stack_kit: Kit):
    ada = stack_kit.user()
    again = stack_kit.user.sign_in(ada)
    assert again.session_id != ada.session_id
    stack_kit.user.end_session(ada)
    stack_kit.clock.advance(601)
    assert stack_kit.sync_client(ada, by="cookie").get("/me").status_code == 401
    assert stack_kit.sync_client(again, by="cookie").get("/me").status_code == 200


def test_claims_that_no_server_would_give(stack_kit: Kit):
    odd = stack_kit.user(claims={"branch_id": "another"})
    assert stack_kit.sync_client(odd).get("/me").json()["code"] == "token_project_mismatch"


def test_the_outbox_tells_what_there_is(stack_kit: Kit):
    with pytest.raises(LookupError, match="has: nothing"):
        stack_kit.outbox.latest()
    stack_kit.sync_client().post("/browser/otp/send", json={"email": "ada@example.com"})
    mail = stack_kit.outbox.latest("ada@example.com", kind="sign_in")
    assert mail.otp is not None
    assert mail.link.startswith(APP_URL)
    assert mail.code not in repr(mail)
    assert [len(stack_kit.outbox), list(stack_kit.outbox)] == [1, [mail]]
    with pytest.raises(LookupError, match=r"sign_in to ada@example\.com"):
        stack_kit.outbox.latest("eve@example.com")
    stack_kit.outbox.clear()
    assert not list(stack_kit.outbox)


@pytest.mark.parametrize("_", range(2))
def test_each_test_begins_anew(stack_kit: Kit, stack: StackAuth, _: int):
    emulator, browser = stack_kit.emulator, stack_kit.sync_client()
    assert emulator.project.config["magic_link_enabled"]
    assert emulator.store.permissions.definition(emulator.project_id, "posts:delete") is None
    assert emulator.clock.offset == 0
    stack_kit.user(email="ada@example.com", team="Red", team_permissions=["posts:delete"])
    emulator.configure(magic_link_enabled=False)
    stack_kit.clock.advance(10_000)
    statuses = [browser.post("/browser/password/sign-in", json={"email": "x@example.com", "password": "x"}).status_code
                for _ in range(4)]  # fmt: skip
    assert statuses[0] != 429
    assert statuses[-1] == 429


@pytest.mark.parametrize("_", range(2))
def test_an_emulator_may_be_reset_within_a_test(stack_kit: Kit, _: int):
    stack_kit.user(email="ada@example.com")
    stack_kit.emulator.reset()
    stack_kit.user(email="ada@example.com", password="correct horse")
    assert stack_kit.sync_client().post("/auth/password/forgot", json={"email": "ada@example.com"}).is_success
    assert stack_kit.outbox.latest().kind == "password_reset"


def test_a_seed_fills_the_apps_project(stack_kit: Kit):
    stack_kit.emulator.seed({"users": [{"primary_email": "ada@example.com", "password": "correct horse"}]})
    credentials = {"email": "ada@example.com", "password": "correct horse"}
    assert stack_kit.sync_client().post("/browser/password/sign-in", json=credentials).status_code == 200


async def test_faults_of_the_auth_server_reach_the_app(stack_kit: Kit):
    client: httpx.AsyncClient = stack_kit.client(stack_kit.user())
    control = httpx.ASGITransport(stack_kit.emulator.app)
    async with httpx.AsyncClient(transport=control, base_url="http://localhost") as emulator:
        await emulator.post("/emulator/faults", json={"path": "/api/v1/projects", "status": 500})
        await emulator.post("/emulator/faults", json={"path": "/api/v1/users", "status": 500})
    assert (await client.get("/me")).json()["code"] == "verification_unavailable"
