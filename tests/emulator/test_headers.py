"""Who asks: keys, access types and tokens are checked as the real server checks them, in its order."""

import pytest

from fastapi_stackauth.emulator import keys
from tests.support.rows import rows

from .api import PASSWORD, Api, assert_rejected


@rows(
    ("headers", "status", "code"),
    [
        ({}, 400, "ACCESS_TYPE_REQUIRED"),
        ({"x-stack-secret-server-key": "x"}, 400, "PROJECT_KEY_WITHOUT_ACCESS_TYPE"),
        ({"x-stack-access-type": "wizard"}, 400, "INVALID_ACCESS_TYPE"),
        ({"x-stack-access-type": "CLIENT"}, 400, "INVALID_ACCESS_TYPE"),
        ({"x-stack-access-type": "client"}, 400, "ACCESS_TYPE_WITHOUT_PROJECT_ID"),
        ({"x-stack-access-type": "client", "x-stack-project-id": "nope"}, 400, "CURRENT_PROJECT_NOT_FOUND"),
        (
            {"x-stack-access-type": "client", "x-stack-publishable-client-key": "pck_x"},
            401,
            "INVALID_PUBLISHABLE_CLIENT_KEY",
        ),
        ({"x-stack-access-type": "server"}, 401, "SERVER_AUTHENTICATION_REQUIRED"),
        ({"x-stack-access-type": "server", "x-stack-secret-server-key": "ssk_x"}, 401, "INVALID_SECRET_SERVER_KEY"),
        ({"x-stack-access-type": "admin"}, 401, "ADMIN_AUTHENTICATION_REQUIRED"),
        (
            {"x-stack-access-type": "admin", "x-stack-super-secret-admin-key": "x"},
            401,
            "INVALID_SUPER_SECRET_ADMIN_KEY",
        ),
        ({"x-stack-access-type": "admin", "x-stack-admin-access-token": "x"}, 401, "UNPARSABLE_ADMIN_ACCESS_TOKEN"),
        ({"x-stack-access-type": "client", "x-stack-access-token": "junk"}, 401, "UNPARSABLE_ACCESS_TOKEN"),
        (
            {"x-stack-access-type": "client", "x-stack-branch-id": "b"},
            401,
            "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT",
        ),
    ],
)
@rows("family", ["x-stack-", "x-hexclave-"])
async def test_each_wrong_header_has_its_code_in_both_families(
    api: Api, headers: dict[str, str], status: int, code: str, family: str
) -> None:
    if "x-stack-access-type" in headers and code != "ACCESS_TYPE_WITHOUT_PROJECT_ID":
        headers = {"x-stack-project-id": api.emulator.project_id, **headers}
    sent = {name.replace("x-stack-", family): value for name, value in headers.items()}
    assert_rejected(await api.http.get("/api/v1/projects/current", headers=sent), status, code)


async def test_the_access_token_is_judged_before_project_and_key(api: Api) -> None:
    headers = {"x-stack-access-type": "client", "x-stack-project-id": "nope", "x-stack-access-token": "junk"}
    assert_rejected(await api.http.get("/api/v1/projects/current", headers=headers), 401, "UNPARSABLE_ACCESS_TOKEN")


async def test_a_key_is_demanded_only_where_the_project_says_so(api: Api) -> None:
    assert (await api.get("/projects/current")).status_code == 200
    assert (await api.get("/projects/current", publishable_client_key="__stack_public_client__")).status_code == 200
    api.emulator.configure(require_publishable_client_key=True)
    for extra in ({}, {"publishable_client_key": "__stack_public_client__"}):
        details = assert_rejected(
            await api.get("/projects/current", **extra), 401, "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT"
        )
        assert details == {"project_id": api.emulator.project_id}
    key = api.emulator.publishable_client_key
    assert (await api.get("/projects/current", publishable_client_key=key)).status_code == 200


async def test_an_expired_token_says_whose_and_since_when(api: Api) -> None:
    signed_up = await api.sign_up()
    api.emulator.clock.advance(600)
    details = assert_rejected(await api.me(signed_up["access_token"]), 401, "ACCESS_TOKEN_EXPIRED")
    assert set(details) == {"expired_at_millis", "project_id", "user_id", "refresh_token_id"}
    assert details["user_id"] == signed_up["user_id"]


async def test_a_token_of_another_project_is_refused(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    other = api.emulator.store.projects.create({})
    headers = {**api.headers("client", token), "x-stack-project-id": other.id}
    assert_rejected(await api.http.get("/api/v1/users/me", headers=headers), 401, "INVALID_PROJECT_FOR_ACCESS_TOKEN")


@pytest.mark.parametrize("change", ["issuer", "kind", "signature", "none", "padding"])
async def test_a_forged_token_is_refused(api: Api, change: str) -> None:
    token = (await api.sign_up())["access_token"]
    head, body, signature = token.split(".")
    claims = keys.read_json(body)
    forged = {
        "issuer": api.emulator.server.tokens.sign({**claims, "iss": "https://elsewhere.example"}),
        "kind": api.emulator.server.tokens.sign({**claims, "is_anonymous": True}),
        "signature": f"{head}.{body}.{signature[:-4]}AAAA",
        "none": keys.encode(b'{"alg":"none"}') + f".{body}.",
        "padding": f"{token}=",
    }
    assert_rejected(await api.me(forged[change]), 401, "UNPARSABLE_ACCESS_TOKEN")


async def test_a_closed_endpoint_says_which_access_types_it_takes(api: Api) -> None:
    details = assert_rejected(await api.post("/auth/sessions", {"user_id": "me"}), 401, "INSUFFICIENT_ACCESS_TYPE")
    assert details == {"actual_access_type": "client", "allowed_access_types": ["server", "admin"]}


@rows(
    ("content", "content_type", "code"),
    [
        (b"{bad", "application/json", "BODY_PARSING_ERROR"),
        (b"", "application/json", "BODY_PARSING_ERROR"),
        (b'{"email": NaN}', "application/json", "BODY_PARSING_ERROR"),
        (b'{"email": "\\ud800"}', "application/json", "BODY_PARSING_ERROR"),
        (b"[" * 100_000, "application/json", "BODY_PARSING_ERROR"),
        (b"<a/>", "application/xml", "BODY_PARSING_ERROR"),
        (b"hello", "text/plain", "SCHEMA_ERROR"),
        (b"null", "application/json", "SCHEMA_ERROR"),
        (b"[1]", "application/json", "SCHEMA_ERROR"),
        (b"{}", "application/json", "SCHEMA_ERROR"),
        (b'{"email": {}, "password": []}', "application/json", "SCHEMA_ERROR"),
        (b'{"email": null, "password": null}', "application/json", "SCHEMA_ERROR"),
    ],
)
async def test_an_unreadable_or_ill_formed_body_is_a_400(
    api: Api, content: bytes, content_type: str, code: str
) -> None:
    headers = {**api.headers("client"), "content-type": content_type}
    answer = await api.http.post("/api/v1/auth/password/sign-in", content=content, headers=headers)
    assert_rejected(answer, 400, code)


async def test_a_body_may_come_as_a_form(api: Api) -> None:
    await api.sign_up()
    form = {"email": "ada@example.com", "password": PASSWORD}
    answer = await api.http.post("/api/v1/auth/password/sign-in", data=form, headers=api.headers("client"))
    assert answer.status_code == 200


async def test_an_unknown_field_is_named_but_its_value_never_repeated(api: Api) -> None:
    body = {"email": "a@b.example", "password": PASSWORD, "pasword": "my secret"}
    answer = await api.post("/auth/password/sign-in", body)
    assert "pasword" in assert_rejected(answer, 400, "SCHEMA_ERROR")["message"]
    assert "secret" not in answer.text
    assert PASSWORD not in answer.text


async def test_errors_may_come_as_200_with_the_real_status(api: Api) -> None:
    """A caller may have errors as 200 with the real status beside."""
    answer = await api.get("/users/me", override_error_status="true")
    assert answer.status_code == 200
    assert answer.headers["x-stack-actual-status"] == answer.headers["x-hexclave-actual-status"] == "400"
    assert answer.headers["x-stack-known-error"] == "CANNOT_GET_OWN_USER_WITHOUT_USER"


async def test_browsers_of_any_origin_may_ask(api: Api) -> None:
    preflight = await api.http.options("/api/v1/users/me", headers={"origin": "https://app.example"})
    assert (preflight.status_code, preflight.text) == (200, "")
    assert preflight.headers["access-control-allow-origin"] == "*"
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "x-stack-access-token", "x-hexclave-access-token"} <= set(allowed)
    assert "x-stack-allow-restricted-user" not in allowed
    answer = await api.get("/projects/current")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-stack-known-error" in answer.headers["access-control-expose-headers"]


async def test_unknown_paths_and_methods_fail_like_the_real_ones(api: Api) -> None:
    unknown = await api.get("/does-not-exist")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    wrong = await api.delete("/projects/current")
    assert (wrong.status_code, wrong.text) == (405, "")


async def test_no_answer_may_be_cached_but_the_key_set(api: Api) -> None:
    assert (await api.get("/projects/current")).headers["cache-control"] == "no-store, max-age=0"
    key_set = await api.get(f"/projects/{api.emulator.project_id}/.well-known/jwks.json", access=None)
    assert key_set.headers["cache-control"] == "public, max-age=3600"


async def test_every_answer_has_an_id_of_its_own(api: Api) -> None:
    ids = [(await api.get("/projects/current")).headers["x-stack-request-id"] for _ in range(2)]
    assert len(ids[0]) == len(ids[1]) == 16
    assert ids[0] != ids[1]
