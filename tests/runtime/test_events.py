"""Events: each one declared, documented, and made to happen here; counted exactly, logged by name, told to hooks."""

import ast
import asyncio
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import (
    AuthError,
    AuthEvent,
    AuthEvents,
    AuthServerUnavailable,
    ConfigurationError,
    RequireTeamApiKey,
    RequireUserApiKey,
    StackAuth,
    StackAuthError,
    Team,
    User,
)
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.password import PasswordApi
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.http.responses import problem_response
from fastapi_stackauth.models import SignIn, TeamCreate
from fastapi_stackauth.routers import Delivery
from fastapi_stackauth.runtime.events import KINDS, MOST_SERIES, TOKEN_REJECTED, TOKEN_VERIFIED
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.revocation import Revocations
from tests.emulator.authenticator import Authenticator
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, House, new_stack
from tests.runtime.scenes import SCENES, Workers, count, fault
from tests.support.asgi import bearer, call
from tests.support.company import Counting
from tests.support.fixtures import signer, stranger, world
from tests.support.forge import Signer
from tests.support.world import World

__all__ = ["signer", "stranger", "world"]

PACKAGE = Path(__file__).parents[2] / "fastapi_stackauth"
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


# --- what is declared ---


def emitting_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every `emit` and `tally` of the package, with the kind's constant."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                names = [name.id for name in ast.walk(node.args[0]) if isinstance(name, ast.Name)]
                if node.func.attr in ("emit", "tally"):
                    yield from ((name, node) for name in names if name.isupper())


def test_every_event_is_emitted_with_its_labels():
    """Every event is emitted somewhere with all its labels and no other fields."""
    emitted = set()
    for constant, node in emitting_calls():
        kind = KINDS[constant.lower()]
        given = {str(keyword.arg) for keyword in node.keywords} - {"level", "exc_info"}
        assert set(kind.labels) <= given <= {*kind.labels, *kind.fields}, f"{constant} in line {node.lineno}"
        emitted.add(kind.name)
    assert set(KINDS) - emitted == {"event_hook_failed"}  # hooks must not hear of the former


def test_every_log_line_of_the_library_is_an_event():
    loggers = [path.name for path in PACKAGE.rglob("*.py")
               if "emulator" not in path.parts and "getLogger" in path.read_text("utf-8")]  # fmt: skip
    assert sorted(loggers) == ["events.py", "redaction.py"]


def read_table() -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    found = {}
    for name, row in rows:
        logger, levels, labels, fields, meaning = [cell.strip() for cell in row.split("|")]
        assert meaning.endswith("."), name
        words = [tuple(re.findall(r"`([\w.]+)`", cell)) for cell in (labels, fields)]
        found[name] = (logger.strip("`."), tuple(re.findall("[A-Z]+", levels)), words[0], words[1])
    return found


def test_the_docs_list_every_event_as_it_is():
    declared = {
        kind.name: (kind.area, tuple(logging.getLevelName(level) for level in kind.levels), kind.labels, kind.fields)
        for kind in KINDS.values()
    }
    assert read_table() == declared


@pytest.mark.parametrize("delivery", ["cookie", "body"])
async def test_a_sign_in_that_cannot_be_delivered_has_not_succeeded(
    server: Emulator, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
):
    stack = new_stack(server)
    house = House(server, stack)

    async def odd(_: PasswordApi, **__: object) -> SignIn:
        return SignIn(access_token="no token,", refresh_token="r", user_id="u")

    monkeypatch.setattr(PasswordApi, "sign_in", odd)  # the emulator gives no such token
    async with house.person(delivery) as person:
        answer = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (502, "auth_server_unexpected_response")
    assert not count(stack.events, "sign_in_succeeded", method="password", new_user="false")
    await stack.aclose()


@pytest.mark.parametrize("names", SCENES, ids=", ".join)
async def test_each_event_happens_and_is_logged_as_the_docs_say(
    names: tuple[str, ...], world: World, signer: Signer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "fastapi_stackauth")
    outcome = await SCENES[names](world, signer)
    events = outcome if isinstance(outcome, AuthEvents) else outcome.events
    if isinstance(outcome, StackAuth):
        await outcome.aclose()
    for name in names:
        kind = KINDS[name]
        assert count(events, name) >= 1
        records = [record for record in caplog.records if getattr(record, "stack_event", "") == name]
        assert bool(records) == bool(kind.levels)
        for record in records:
            assert record.levelno in kind.levels
            assert record.name == kind.logger.name
            assert record.getMessage().partition(" ")[0] == name
            assert set(record.stack_fields) <= {*kind.labels, *kind.fields}  # type: ignore[attr-defined]
            assert record.filename != "events.py" or name == "event_hook_failed", "the line is where it happens"


def test_each_event_is_made_to_happen_above():
    happening = [name for names in SCENES for name in names]
    assert sorted(happening) == sorted(KINDS)


async def test_a_broken_link_without_outage_logs_a_traceback(caplog: pytest.LogCaptureFixture):
    """A link that breaks for no outage is an error with its traceback."""
    events = AuthEvents()
    revocations = Revocations(Settings.load({"project_id": "p"}), Workers(LookupError("odd")), events=events)
    await revocations.follow()
    await revocations.aclose()
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "revocations_connect_failed reason=LookupError"
    assert record.exc_info is not None


# --- every way to sign in ---


async def test_every_method_of_signing_in_is_counted_by_its_name(server: Emulator):
    stack = new_stack(server)
    house = House(server, stack)
    async with house.person("body") as person:
        await person.ask_for_code()
        wrong = await person.post("/otp/sign-in", person.code_body("AAAAAA"))
        assert wrong.status_code >= 400
        await person.sign_in_at("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
        authenticator = Authenticator(ORIGIN)
        given = (await person.post("/passkey/register/options")).json()
        registered = {"credential": authenticator.register(given["options"]["challenge"]), "code": given["code"]}
        assert (await person.post("/passkey/register", registered)).status_code == 200
        given = (await person.post("/passkey/options")).json()
        answer = {"credential": authenticator.sign_in(given["options"]["challenge"]), "code": given["code"]}
        await person.sign_in_at("/passkey/sign-in", answer)
        assert (await person.post("/passkey/sign-in", answer)).status_code >= 400, "it works once"
        assert (await person.post("/oauth/finish", {
            "code": "x", "redirect_uri": "http://127.0.0.1:7777/", "code_verifier": "v" * 43
        })).status_code >= 400  # fmt: skip
    for method in ("otp", "passkey"):
        assert count(stack.events, "sign_in_succeeded", method=method) == 1
        assert count(stack.events, "sign_in_failed", method=method) == 1
    assert count(stack.events, "sign_in_failed", method="oauth", code="INVALID_AUTHORIZATION_CODE") == 1
    await stack.aclose()


async def test_provider_errors_are_failed_sign_ins_with_one_label(
    server: Emulator,
):
    """What a provider refuses is a failed sign in and codes that callers make up are one label."""
    stack = new_stack(server)
    house = House(server, stack)
    async with house.person("cookie") as person:
        for made_up in ("OAUTH_PROVIDER_ACCESS_DENIED", "MADE_UP", "MADE_UP_TOO"):
            begun = await person.client.get(person.path("/oauth/github/authorize"))
            assert begun.status_code == 303
            flow = next(name for name in person.client.cookies if name.startswith("stackauth-oauth-"))
            path = f"/oauth/callback/{flow.removeprefix('stackauth-oauth-')}?errorCode={made_up}"
            assert (await person.call("GET", path)).status_code >= 400
    assert count(stack.events, "sign_in_failed", method="oauth", code="OAUTH_PROVIDER_ACCESS_DENIED") == 1
    assert count(stack.events, "sign_in_failed", method="oauth", code="unknown") == 2
    await stack.aclose()


# --- calls to the auth server ---


async def test_a_call_reports_operation_status_time_and_retries(server: Emulator):
    """A call tells its operation its last status its seconds and its retries."""
    stack = new_stack(server)
    heard: list[AuthEvent] = []
    stack.events.on("auth_server_call")(heard.append)
    await fault(server, path="/api/v1/projects/current", status=503, times=1)
    await stack.client.project.current()
    [event] = heard
    assert event.labels == {"operation": "GET /projects/current", "status": "200"}
    assert event.fields["retries"] == 1
    assert event.duration > 0
    assert "error" not in event.fields
    await stack.aclose()


async def test_a_call_that_is_never_answered_has_no_status():
    events, network, heard = AuthEvents(), Counting(), list[AuthEvent]()
    events.on("auth_server_call")(heard.append)
    network.cut = True
    http = Transport("http://auth.test", 3600, transport=network, sleep=lambda _: asyncio.sleep(0), events=events)
    with pytest.raises(AuthServerUnavailable):
        await http.send_before_deadline(ApiRequest("GET", "/projects/current"), {})
    [event] = heard
    assert event.labels == {"operation": "GET /projects/current", "status": "none"}
    assert (event.fields["retries"], event.fields["error"]) == (3, "AuthServerUnreachable")


@pytest.mark.parametrize("name", ["8fd0b0ee-5cf5-4e01-a0a5-04ea4b3f3b1c", "ada@example.com", "ada%40example.com"])
async def test_paths_of_an_app_name_no_user_in_events(name: str, caplog: pytest.LogCaptureFixture):
    """Paths that an app puts together tell no event whom they name."""
    network, heard = Counting(), list[AuthEvent]()
    network.cut = True
    stack = StackAuth(project_id="p", publishable_client_key="pck_x", transport=network, timeout=0.1)
    stack.events.on()(heard.append)
    app = FastAPI()
    stack.install(app)

    @app.get("/somebody", responses={503: problem_response("Out of reach.", (AuthServerUnavailable(),))})
    async def somebody() -> None:
        await stack.client.request("GET", f"/users/{name}/teams", model=TeamCreate)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        assert (await client.get("/somebody")).status_code == 503
    assert "GET /users/{id}/teams" in str(heard[-1])
    assert name not in f"{heard} {caplog.text}"


async def test_paths_that_an_app_puts_together_are_no_label(server: Emulator):
    stack = new_stack(server)
    for user_id in ("1111", "2222"):
        with suppress(StackAuthError):
            await stack.client.request("GET", f"/users/{user_id}", model=TeamCreate)
    assert count(stack.events, "auth_server_call", operation="GET other") == 2
    assert "1111" not in repr(stack.events.counts())
    await stack.aclose()


async def test_a_client_of_its_own_has_events_of_its_own(server: Emulator):
    settings = Settings.load({"project_id": server.project_id, "base_url": server.url})
    async with StackAuthClient(settings) as client:
        await client.project.current()
        assert count(client.events, "auth_server_call", operation="GET /projects/current") == 1


# --- counting ---


def test_no_count_is_lost_between_threads():
    events = AuthEvents()
    tally = events.tally(TOKEN_VERIFIED, cache="hit", source="keys")

    def work() -> None:
        for _ in range(5_000):
            tally.add()
            events.emit(TOKEN_VERIFIED, cache="miss", source="keys")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(events, "token_verified", cache="hit") == count(events, "token_verified", cache="miss") == 20_000


def test_a_stack_counts_for_all_its_event_loops(signer: Signer):
    world = World.make(signer)

    async def verify() -> None:
        await world.verify(signer.token())
        await world.stack.aclose()

    threads = [threading.Thread(target=asyncio.run, args=(verify(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    assert count(world.stack.events, "token_verified") == 3


def test_series_are_bounded_and_the_log_stays_true(caplog: pytest.LogCaptureFixture):
    """The number of series is bounded and the log still tells the truth."""
    caplog.set_level(logging.INFO)
    events = AuthEvents()
    heard: list[AuthEvent] = []
    events.on()(heard.append)
    for number in range(MOST_SERIES + 20):
        events.emit(TOKEN_REJECTED, code=f"code-{number}")
    assert len(events.counts()) == MOST_SERIES + 1
    assert count(events, "token_rejected", code="other") == 20
    assert heard[-1].labels == {"code": "other"}
    assert caplog.records[-1].getMessage() == f"token_rejected code=code-{MOST_SERIES + 19}"


def test_a_snapshot_does_not_change_and_changes_nothing():
    events = AuthEvents()
    events.emit(TOKEN_REJECTED, code="token_expired")
    snapshot = events.counts()
    events.emit(TOKEN_REJECTED, code="token_expired")
    assert snapshot == {("token_rejected", (("code", "token_expired"),)): 1}
    snapshot.clear()
    assert count(events, "token_rejected") == 2


# --- two stacks ---


async def test_two_stacks_in_one_app_have_events_of_their_own(signer: Signer):
    one, other = World.make(signer), World.make(signer)
    app = one.app()
    other.stack.install(app, default=False)

    @app.get("/other")
    async def theirs(user: User = Depends(other.stack.current_user)) -> User:  # noqa: B008 - fail in this test
        return user

    @app.get("/robots")
    async def robots(team: Team = Depends(RequireTeamApiKey(stack=other.stack))) -> None: ...  # noqa: B008

    @app.get("/machines")
    async def machines(user: User = Depends(RequireUserApiKey(stack=other.stack))) -> None: ...  # noqa: B008

    for path in ("/robots", "/machines"):
        assert (await call(app, path, [])).status == 401
    assert count(one.stack.events, "error_returned") == 0
    assert count(other.stack.events, "error_returned", code="authentication_required") == 2
    await call(app, "/other", [bearer("no-token")])
    assert count(one.stack.events, "error_returned") == count(one.stack.events, "token_rejected") == 0
    assert count(other.stack.events, "error_returned", code="token_malformed") == 1
    other.server.keys = other.server.me = "503"
    assert (await call(app, "/other", [bearer(signer.token())])).status == 503
    assert count(other.stack.events, "error_returned", status="503") == 1
    await call(app, "/me", [bearer("no-token")])
    assert count(one.stack.events, "error_returned", code="token_malformed") == 1
    assert count(other.stack.events, "error_returned") == 4


# --- hooks ---


async def test_a_hook_hears_what_it_asked_for_until_it_is_taken_off(world: World):
    events, heard, everything = world.stack.events, [], []
    hook = events.on("token_rejected", "token_rejected")(lambda event: heard.append(event.name))
    events.on()(lambda event: everything.append(event.name))
    await call(world.app(), "/me", [bearer("no-token")])
    assert heard == ["token_rejected"]
    assert everything == ["token_rejected", "error_returned"]
    events.off(hook)
    await call(world.app(), "/me", [bearer("no-token")])
    assert heard == ["token_rejected"]


async def test_a_failing_hook_is_logged_once_and_harms_nothing(
    world: World, signer: Signer, caplog: pytest.LogCaptureFixture
):
    """A failing hook is logged once and harms neither request nor other hooks."""
    heard: list[AuthEvent] = []

    @world.stack.events.on()
    def broken(event: AuthEvent) -> None:
        raise LookupError("of the hook")

    world.stack.events.on()(heard.append)
    token = signer.token()
    for _ in range(5):
        assert (await call(world.app(), "/me", [bearer(token)])).status == 200
    assert [event.labels.get("cache") for event in heard if event.name == "token_verified"] == ["miss", *["hit"] * 4]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "broken" in record.getMessage()
    assert record.exc_info is not None
    assert count(world.stack.events, "event_hook_failed") == len(heard)


def test_hooks_for_unknown_events_or_async_ones_raise():
    """A hook for an event that does not exist and an async one are refused."""
    with pytest.raises(ConfigurationError, match="token_refuesd"):
        AuthEvents().on("token_refuesd")
    with pytest.raises(ConfigurationError, match=r"@events\.on\(\)"):
        AuthEvents().on(print)  # type: ignore[arg-type]

    async def hook(event: AuthEvent) -> None: ...

    class Hook:
        async def __call__(self, event: AuthEvent) -> None: ...

    for each in (hook, Hook()):
        with pytest.raises(ConfigurationError, match="plain function"):
            AuthEvents().on()(each)


def test_an_event_cannot_be_changed_by_who_hears_it():
    heard: list[AuthEvent] = []
    events = AuthEvents()
    events.on()(heard.append)
    events.emit(TOKEN_REJECTED, code="token_expired", reason="exp")
    [event] = heard
    with pytest.raises(TypeError):
        event.fields["code"] = "x"  # type: ignore[index]
    with pytest.raises(AttributeError):
        event.name = "x"  # type: ignore[misc]
    assert (str(event), event.duration) == ("token_rejected code=token_expired reason=exp", 0)


async def test_a_token_seen_before_makes_no_event_while_nobody_listens(
    world: World, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    token = signer.token()
    await world.verify(token)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("not on this way")

    monkeypatch.setattr(AuthEvents, "emit", fail)
    await world.verify(token)
    assert count(world.stack.events, "token_verified", cache="hit") == 1


# --- lines ---


@pytest.mark.parametrize("written", ['a "word"\nINFO forged', "a b=c", "\x1b[31m", "\u202e", "", "100%s"])
def test_whatever_a_field_holds_a_line_stays_a_line(written: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    AuthEvents().emit(TOKEN_REJECTED, code="token_malformed", reason=written)
    message = caplog.records[-1].getMessage()
    assert message.isprintable()
    assert message.isascii()
    assert message.startswith("token_rejected code=token_malformed reason=")
    assert json.loads(message.partition("reason=")[2]) == written


def test_values_are_short_and_missing_ones_left_out(caplog: pytest.LogCaptureFixture):
    """Numbers and truths are written short and what is missing is left out."""
    caplog.set_level(logging.DEBUG)
    AuthEvents().emit(replace(TOKEN_REJECTED, labels=()), seconds=0.12345678, count=3, new=True, nothing=None)
    record = caplog.records[-1]
    assert record.getMessage() == "token_rejected seconds=0.123457 count=3 new=true"
    assert record.stack_fields == {"seconds": 0.12345678, "count": 3, "new": True}  # type: ignore[attr-defined]


def test_the_library_is_quiet_about_good_tokens(signer: Signer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    world = World.make(signer)
    asyncio.run(world.verify(signer.token()))
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_mounted_app_and_an_error_without_a_stack_still_log(caplog: pytest.LogCaptureFixture):
    from fastapi_stackauth import stack_auth_error_handler

    caplog.set_level(logging.INFO)
    app = FastAPI()
    app.add_exception_handler(StackAuthError, stack_auth_error_handler)  # type: ignore[arg-type]

    @app.get("/")
    async def refuse() -> None:
        raise AuthError("permission_missing")

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
            return (await client.get("/")).status_code

    assert asyncio.run(ask()) == 403
    assert "error_returned status=403 code=permission_missing" in caplog.text
