"""The control API and the pages: what tests and people steer the emulator with, and who may not."""

from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator, emulator, keys
from tests.emulator.oauth import authorize
from tests.support.rows import rows

from .api import CALLBACK, PASSWORD, Api, assert_rejected


async def order(api: Api, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send an order that must succeed; return its answer."""
    answer = await api.http.request(method, f"/emulator{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def send_email(api: Api, email: str = "otp@example.com") -> None:
    """Have a sign-in code mailed."""
    await api.post("/auth/otp/send-sign-in-code", {"email": email, "callback_url": CALLBACK})


async def test_the_outbox_is_read_as_json_and_emptied(api: Api) -> None:
    await send_email(api, "one@example.com")
    await send_email(api, "two@example.com")
    items = (await order(api, "GET", "/outbox.json"))["items"]
    assert [mail["to"] for mail in items] == ["two@example.com", "one@example.com"]
    assert set(items[0]) == {
        "id", "project_id", "to", "kind", "subject", "body", "link", "code", "otp", "sent_at_millis",
    }  # fmt: skip
    [one] = (await order(api, "GET", "/outbox.json?to=one@example.com&kind=sign_in"))["items"]
    assert one == api.emulator.emails(to="one@example.com")[0]
    await order(api, "DELETE", "/outbox.json")
    assert (await order(api, "GET", "/outbox.json"))["items"] == []


async def test_the_outbox_page_shows_mails_and_escapes_them(api: Api) -> None:
    await order(api, "PATCH", "/project", {"display_name": "<script>alert(1)</script>"})
    await send_email(api)
    page = await api.http.get("/emulator/outbox")
    assert page.status_code == 200
    assert api.emails()[0]["otp"] in page.text
    assert "<script>" not in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_reset_forgets_people_but_not_the_project(api: Api) -> None:
    signed_up = await api.sign_up()
    await send_email(api)
    await api.post("/auth/cli")
    await order(api, "POST", "/clock", {"advance_seconds": 100})
    await order(api, "POST", "/faults", {"path": "/api/v1/projects/current", "status": 500})
    await order(api, "POST", "/reset")
    assert api.emulator.store.cli_logins.list_for_project(api.emulator.project_id, 1) == []
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert (await api.get("/users", access="server")).json()["items"] == []
    assert not api.emails()
    assert api.emulator.clock.offset == 0
    assert (await api.get("/projects/current")).status_code == 200


async def test_a_seed_fills_the_project_or_is_refused_whole(api: Api) -> None:
    users = [{"primary_email": "ada@example.com", "password": PASSWORD, "display_name": "Ada"}]
    await order(api, "POST", "/seed", {"seed": {"users": users, "project": {"config": {"passkey_enabled": False}}}})
    assert (await api.sign_in()).status_code == 200
    assert api.emulator.project.config["passkey_enabled"] is False
    await order(api, "POST", "/seed", {"seed": {"users": users}})
    bad = {"seed": {"users": [{"primary_email": "eve@example.com"}, {"primary_email": "nope"}]}}
    answer = await api.http.post("/emulator/seed", json=bad)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert len((await api.get("/users", access="server")).json()["items"]) == 1


@pytest.mark.parametrize("kind", ["normal", "restricted", "anonymous"])
async def test_tokens_of_every_kind_are_issued_on_order(api: Api, kind: str) -> None:
    issued = await order(api, "POST", "/tokens", {"kind": kind})
    claims = keys.read_json(issued["access_token"].split(".")[1])
    assert (claims["is_anonymous"], claims["is_restricted"]) == (kind == "anonymous", kind != "normal")
    assert (await api.me(issued["access_token"], allow_anonymous_user="true")).json()["id"] == issued["user_id"]
    assert (await api.refresh(issued["refresh_token"])).status_code == 200


async def test_expired_tokens_and_other_claims_are_issued_on_order(api: Api) -> None:
    user_id = (await api.sign_up())["user_id"]
    body = {"user_id": user_id, "expires_in_seconds": -5, "claims": {"name": "Eve"}}
    issued = await order(api, "POST", "/tokens", body)
    assert_rejected(await api.me(issued["access_token"]), 401, "ACCESS_TOKEN_EXPIRED")
    claims = keys.read_json(issued["access_token"].split(".")[1])
    assert (claims["sub"], claims["name"]) == (user_id, "Eve")
    assert claims["iat"] < claims["exp"] < api.emulator.clock.now()
    assert api.emulator.issue_token(user_id=user_id)["user_id"] == user_id


async def test_the_clock_moves_and_comes_back(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    assert (await order(api, "POST", "/clock", {"advance_seconds": 600}))["offset_seconds"] == 600
    assert_rejected(await api.me(token), 401, "ACCESS_TOKEN_EXPIRED")
    assert (await order(api, "POST", "/clock", {"reset": True}))["offset_seconds"] == 0
    assert (await api.me(token)).status_code == 200
    assert (await order(api, "GET", "/clock"))["offset_seconds"] == 0


async def test_keys_rotate_on_order(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    await order(api, "POST", "/rotate-keys")
    assert_rejected(await api.me(token), 401, "UNPARSABLE_ACCESS_TOKEN")


async def test_methods_are_switched_on_and_off(api: Api) -> None:
    changed = await order(api, "PATCH", "/project", {"config": {"credential_enabled": False}})
    assert changed["config"]["credential_enabled"] is False
    assert (await order(api, "GET", "/project"))["secret_server_key"] == api.emulator.secret_server_key
    assert_rejected(await api.sign_in(), 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")
    assert (await api.get("/projects/current")).json()["config"]["credential_enabled"] is False


async def test_another_project_lives_beside_the_first(api: Api) -> None:
    made = await order(api, "POST", "/projects", {"id": "second", "display_name": "Second"})
    assert made["config"]["magic_link_enabled"] is False
    headers = {"x-stack-access-type": "client", "x-stack-project-id": "second"}
    project = await api.http.get("/api/v1/projects/current", headers=headers)
    assert project.json()["display_name"] == "Second"
    assert (await order(api, "GET", "/project?project_id=second"))["id"] == "second"
    assert (await api.http.post("/emulator/projects", json={"id": "second"})).status_code == 400


async def test_a_fault_hits_so_often_and_then_no_more(api: Api) -> None:
    fault = {"path": "/api/v1/users", "method": "GET", "status": 503, "times": 2, "retry_after_seconds": 7}
    await order(api, "POST", "/faults", fault)
    token = (await api.sign_up())["access_token"]
    for _ in range(2):
        answer = await api.me(token)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await api.me(token)).status_code == 200


async def test_a_fault_ends_with_its_time_or_on_order(api: Api) -> None:
    await order(api, "POST", "/faults", {"path": "/api/v1/projects", "status": 429, "for_seconds": 60})
    assert (await api.get("/projects/current")).status_code == 429
    api.emulator.clock.advance(60)
    assert (await api.get("/projects/current")).status_code == 200
    await order(api, "POST", "/faults", {"path": "/api/", "status": 500})
    assert (await api.get("/projects/current")).status_code == 500
    await order(api, "DELETE", "/faults")
    assert (await api.get("/projects/current")).status_code == 200


async def test_a_slow_endpoint_answers_all_the_same(api: Api) -> None:
    await order(api, "POST", "/faults", {"path": "/api/v1/projects", "delay_seconds": 0.01})
    assert (await api.get("/projects/current")).status_code == 200


@rows(
    ("path", "content"),
    [
        ("/clock", b"{bad"), ("/clock", b"[]"), ("/clock", b'{"advance_seconds": "soon"}'), ("/clock", b'{"foo": 1}'),
        ("/faults", b"{}"), ("/faults", b'{"path": "/", "status": 200}'), ("/tokens", b'{"kind": "odd"}'),
        ("/tokens", b'{"user_id": "nobody"}'), ("/reset", b'{"project_id": "nope"}'), ("/seed", b"{}"),
        ("/projects", b'{"config": {"foo": true}}'), ("/projects", b'{"config": {"passkey_enabled": 1}}'),
        ("/seed", b'{"seed": {"project": {"config": {"domains": [{"domain": "x"}]}}}}'), ("/clock", b"[" * 100_000),
        ("/clock", b'{"advance_seconds": 1e999}'), ("/clock", b'{"advance_seconds": 1e300}'),
        ("/clock", b'{"advance_seconds": -1e300}'), ("/clock", b'{"advance_seconds": ' + b"9" * 400 + b"}"),
        ("/clock", b'{"advance_seconds": ' + b"9" * 5000 + b"}"), ("/clock", b'{"advance_seconds": NaN}'),
        ("/tokens", b'{"expires_in_seconds": 1e999}'), ("/tokens", b'{"expires_in_seconds": 1e300}'),
        ("/tokens", b'{"claims": {"sub": "\\ud800"}}'), ("/tokens", b'{"claims": {"aud": []}}'),
        ("/tokens", b'{"claims": {"x": 1e999}}'), ("/faults", b'{"path": "/", "times": 1e999}'),
        ("/faults", b'{"path": "/", "times": 1.5}'), ("/faults", b'{"path": "/", "status": 404.5}'),
        ("/faults", b'{"path": "/", "for_seconds": 1e999}'), ("/projects", b'{"id": "../x#y"}'),
        ("/projects", b'{"id": ""}'), ("/projects", b'{"id": "a\\n"}'), ("/projects", b'{"display_name": "\\ud800"}'),
        ("/projects", b'{"config": {"sign_up_rules": [{"contains": "x", "action": "odd"}]}}'),
    ],
)  # fmt: skip
async def test_an_order_of_the_wrong_form_is_a_400_that_says_why(api: Api, path: str, content: bytes) -> None:
    answer = await api.http.post(f"/emulator{path}", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (400, {"error"}), answer.text
    assert (await api.get("/projects/current")).status_code == 200


async def test_the_clock_stays_where_dates_can_be_written(api: Api) -> None:
    answers = [await api.http.post("/emulator/clock", json={"advance_seconds": 1e9}) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 400}
    assert (await api.sign_up())["user_id"]
    assert (await order(api, "POST", "/clock", {"reset": True}))["offset_seconds"] == 0
    answers = [await api.http.post("/emulator/clock", json={"advance_seconds": -1e9}) for _ in range(4)]
    assert answers[-1].status_code == 400


@rows("value", [None, [], {}, 1, "\ud800"], ids=repr)
@rows("claim", ["sub", "refresh_token_id"])
async def test_a_token_that_names_nobody_cannot_be_read(api: Api, claim: str, value: Any) -> None:
    token = api.emulator.issue_token(claims={claim: value})["access_token"]
    assert_rejected(await api.me(token), 401, "UNPARSABLE_ACCESS_TOKEN")
    answer = await api.delete("/auth/sessions/current", token=token, refresh_token="x")
    assert_rejected(answer, 401, "UNPARSABLE_ACCESS_TOKEN")


async def test_an_expiry_beyond_all_numbers_cannot_be_read(api: Api) -> None:
    issued = await order(api, "POST", "/tokens", {"claims": {"exp": -(10**4299)}})
    assert_rejected(await api.me(issued["access_token"]), 401, "UNPARSABLE_ACCESS_TOKEN")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"}, {"host": "localhost.evil.example"}, {"host": ""},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:3000"},
        {"origin": "http://["},
    ],
)  # fmt: skip
async def test_strangers_change_nothing(api: Api, headers: dict[str, str]) -> None:
    token = (await api.sign_up())["access_token"]
    answer = await api.http.post("/emulator/reset", headers=headers)
    assert answer.status_code == 403
    assert (await api.me(token)).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8102", "localhost.evil.example", "10.0.0.1"])
async def test_under_a_strange_name_nothing_is_shown(api: Api, host: str) -> None:
    location = (await authorize(api)).json()["location"]
    for path in ("/", "/emulator/outbox", "/emulator/outbox.json", "/emulator/project", location):
        assert (await api.http.get(path, headers={"host": host})).status_code == 403


@rows("host", ["localhost:8102", "127.0.0.1", "[::1]:80", "app.localhost"])
async def test_this_machines_own_names_are_answered(api: Api, host: str) -> None:
    assert (await api.http.get("/emulator/outbox.json", headers={"host": host})).status_code == 200


async def test_a_form_of_another_page_cannot_order_anything(api: Api) -> None:
    answer = await api.http.post(
        "/emulator/clock", content=b'{"advance_seconds": 5}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 400
    assert api.emulator.clock.offset == 0


async def test_the_public_name_is_answered_too() -> None:
    emulator = Emulator("https://auth.example:8443")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(emulator.app), base_url="https://auth.example:8443"
    ) as http:
        assert (await http.get("/emulator/outbox.json")).status_code == 200
    emulator.close()


async def test_in_process_the_app_and_a_real_server_are_one(api: Api) -> None:
    assert api.emulator.url == "http://localhost:8102"
    async with emulator(project_id="mine", config={"passkey_enabled": False}) as running, httpx.AsyncClient() as http:
        assert running.environment()["STACK_PROJECT_ID"] == "mine"
        headers = {"x-stack-access-type": "client", "x-stack-project-id": "mine"}
        answer = await http.get(f"{running.url}/api/v1/projects/current", headers=headers)
        assert answer.json()["config"]["passkey_enabled"] is False
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(running.url)
