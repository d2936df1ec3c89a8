"""What the schema says of protected routes, and that it is valid."""

import json
import re
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from openapi_spec_validator import validate
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from example_app.main import app as demo
from fastapi_stackauth import (
    CurrentUser,
    StackAuth,
    StackAuthError,
    Team,
    User,
    current_team,
    current_user,
    optional_user,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import SERVER_CODES, AuthError, KnownApiError
from fastapi_stackauth.errors.problems import problem_document
from fastapi_stackauth.http.openapi import enrich
from fastapi_stackauth.http.responses import DETAIL_SCHEMAS
from tests.apps import make_app
from tests.support.openapi import inline_references
from tests.support.rows import rows
from tests.support.undocumented import Collector

WAYS: list[dict[str, list[str]]] = [{"StackAuth": []}, {"StackAuthPassword": []}, {"StackAuthHeader": []}]
"""How a token may come along in an app with a body router and no cookies."""


@pytest.fixture
def schema() -> dict[str, Any]:
    return inline_references(make_app(StackAuth()).openapi())


@pytest.mark.parametrize("path", ["/me", "/v1/notes/mine", "/auth/me"])
def test_a_protected_route_documents_security_and_errors(schema: dict[str, Any], path: str):
    """A protected route names its security and its refusals also behind a router."""
    operation = schema["paths"][path]["get"]
    assert operation["security"] == WAYS
    assert ("403" in operation["responses"]) is (path != "/auth/me"), (
        "guests and restricted users may read their account"
    )
    for status in {"401", "403", "502", "503"} & set(operation["responses"]):
        content = operation["responses"][status]["content"]["application/problem+json"]
        reference, own = content["schema"]["allOf"]
        assert reference == {"$ref": "#/components/schemas/StackAuthProblem"}
        assert own["properties"]["code"]["enum"] == sorted(content["examples"])
        for code, example in content["examples"].items():
            assert example["value"]["code"] == code
            assert example["value"]["status"] == int(status)


def test_an_optional_route_may_be_called_without_credentials(schema: dict[str, Any]):
    assert schema["paths"]["/hello"]["get"]["security"] == [*WAYS, {}]
    assert list(schema["components"]["securitySchemes"]) == ["StackAuth", "StackAuthPassword", "StackAuthHeader"]


def test_a_route_that_is_optional_and_protected_is_protected():
    app = FastAPI()
    StackAuth().install(app)

    @app.get("/both", dependencies=[Depends(optional_user)])
    async def both(user: CurrentUser) -> User:
        return user

    assert app.openapi()["paths"]["/both"]["get"]["security"] == [{"StackAuth": []}, {"StackAuthHeader": []}]


def test_routes_without_our_dependencies_are_left_alone():
    app = FastAPI()

    @app.get("/open")
    async def open_to_all() -> str:
        return "x"

    before = app.openapi()["paths"]
    app.openapi_schema = None
    StackAuth().install(app)
    assert app.openapi()["paths"] == before


def test_an_apps_own_answers_win():
    app = FastAPI()
    StackAuth().install(app)

    @app.get("/me", dependencies=[Depends(current_user)], responses={401: {"description": "Mine"}})
    async def me() -> str:
        return "x"

    assert app.openapi()["paths"]["/me"]["get"]["responses"]["401"] == {"description": "Mine"}


def test_an_apps_own_openapi_function_is_composed_with():
    app = FastAPI()

    def own() -> dict[str, Any]:
        return {"openapi": "3.1.0", "info": {"title": "mine", "version": "1"}, "paths": {}}

    app.openapi = own  # type: ignore[method-assign]  # as FastAPI's documentation does
    StackAuth().install(app)
    assert app.openapi()["info"]["title"] == "mine"


def test_the_schema_is_generated_once():
    app = make_app(StackAuth())
    assert app.openapi() is app.openapi()


def test_enriching_twice_changes_nothing():
    """Enriching twice changes nothing and the source is left alone."""
    once = make_app(StackAuth()).openapi()
    assert enrich(once) == once


def test_the_schema_is_valid_openapi():
    validate(make_app(StackAuth()).openapi())
    validate(full_app().openapi())


def test_routes_refer_to_shared_responses_and_examples():
    """Each protected route adds at most 1 KB to the document, and the body router at most 200 KB."""
    few, many = (json.dumps(app_with_routes(number).openapi()) for number in (10, 110))
    assert len(many) - len(few) < 100 * 1024
    app = FastAPI()
    stack = StackAuth()
    stack.install(app)
    app.include_router(stack.router(delivery="body"))
    assert len(json.dumps(app.openapi())) < 200 * 1024


def app_with_routes(number: int) -> FastAPI:
    app = FastAPI()
    StackAuth().install(app)
    for each in range(number):

        async def route(user: CurrentUser) -> str:
            return user.id

        app.get(f"/route-{each}")(route)
    return app


def test_shared_responses_leave_an_apps_own_components_alone():
    source = FastAPI.openapi(app_with_routes(1))
    source["components"]["responses"] = {"StackAuth401": {"description": "mine"}}
    shared = enrich(source)["components"]["responses"]
    assert shared["StackAuth401"] == {"description": "mine"}
    assert "StackAuth401.2" in shared


def test_every_router_operation_has_stable_documentation(schema: dict[str, Any]):
    """Every operation of the router has a stable name a summary a tag and described answers."""
    names = set()
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            if path.startswith("/auth/"):
                names.add(operation["operationId"].removeprefix("token_"))
                assert operation["operationId"].startswith("token_")
                assert operation["summary"]
                assert operation["description"]
                assert operation["tags"]
                assert all(answer["description"] for answer in operation["responses"].values())
    assert names == {
        "methods", "password_sign_up", "password_sign_in", "password_forgot", "password_reset_page", "password_reset",
        "password_reset_check", "password_set", "password_update", "otp_send", "otp_sign_in", "otp_check", "magic_link",
        "anonymous_sign_up", "session_refresh", "sign_out", "sessions_list", "sessions_end", "sessions_end_others",
        "me", "me_update", "me_delete", "contact_channels_list", "contact_channels_add", "contact_channels_delete",
        "contact_channels_make_primary", "contact_channels_send_verification", "verify_email_page", "verify_email",
        "oauth_start", "oauth_link", "oauth_finish", "passkey_options", "passkey_sign_in", "passkey_register_options",
        "passkey_register", "passkey_delete", "mfa_sign_in", "mfa_enroll", "mfa_confirm", "mfa_disable",
        "connected_accounts_list", "connected_accounts_delete", "connected_accounts_get_token", "password_grant",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/auth/password/sign-up", {"PASSWORD_TOO_SHORT", "USER_EMAIL_ALREADY_EXISTS", "request_invalid"}),
        ("/auth/password/sign-in", {"EMAIL_PASSWORD_MISMATCH", "auth_server_unavailable"}),
        ("/auth/session/refresh", {"REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", "auth_server_misconfigured"}),
    ],
)
def test_the_codes_a_route_can_answer_stand_in_its_examples(schema: dict[str, Any], path: str, codes: set[str]):
    answers = schema["paths"][path]["post"]["responses"].values()
    shown = {
        code
        for answer in answers
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert codes <= shown


def test_answers_are_documented_in_the_shape_they_have():
    app = make_app(StackAuth(error_format="detail"))
    schema = inline_references(app.openapi())
    for operation in (schema["paths"]["/me"]["get"], schema["paths"]["/auth/password/sign-in"]["post"]):
        answers = [answer for status, answer in operation["responses"].items() if status in ("401", "503")]
        for answer in answers:
            assert list(answer["content"]) == ["application/json"]
            assert all(
                set(example["value"]) == {"detail"}
                for example in answer["content"]["application/json"]["examples"].values()
            )
    assert list(schema["components"]["schemas"]["StackAuthProblem"]["properties"]) == ["detail"]
    validate(schema)


def test_an_apps_own_model_named_problem_stays_its_own():
    app = make_app(StackAuth())

    class Problem(BaseModel):
        mine: int

    @app.get("/problem")
    async def problem() -> Problem:
        return Problem(mine=1)

    schemas = app.openapi()["components"]["schemas"]
    assert list(schemas["Problem"]["properties"]) == ["mine"]
    assert "code" in schemas["StackAuthProblem"]["properties"]


def test_an_app_with_its_own_handler_is_documented():
    """An app with a handler of its own is documented all the same."""
    app = FastAPI()

    @app.exception_handler(StackAuthError)
    async def own(_request: object, error: StackAuthError) -> PlainTextResponse:
        return PlainTextResponse(error.code, error.status_code)

    StackAuth().install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    assert "401" in app.openapi()["paths"]["/me"]["get"]["responses"]


def test_deliveries_and_stacks_have_own_operation_ids():
    """Both deliveries and a second stack in one app have operation ids of their own."""
    app = FastAPI()
    first = StackAuth(app_url="https://app.example.com")
    second = StackAuth(app_url="https://app.example.com", cookie_name="admin")
    first.install(app)
    second.install(app, default=False)
    app.include_router(first.router(), prefix="/auth")
    app.include_router(first.router(delivery="body"), prefix="/api/auth")
    app.include_router(second.router(), prefix="/admin/auth")
    ids = [op["operationId"] for path in app.openapi()["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))
    assert {"password_sign_in", "token_password_sign_in", "admin_password_sign_in"} <= set(ids)


# --- an app with everything ---


def full_app() -> FastAPI:
    """The example app's integration, with everything else that this library puts into an app's schema."""
    stack = StackAuth(
        project_id="p",
        app_url="https://app.example.com",
        secret_server_key="ssk_x",
        webhook_secrets=["whsec_MDEyMzQ1Njc4OWFiY2RlZg=="],
    )
    app = FastAPI(title="Everything", description="All that there is.")
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    app.include_router(stack.webhooks("/webhooks/stack-auth"))
    app.include_router(stack.readiness("/ready"))

    @app.get("/me", tags=["app"])
    async def me(user: CurrentUser) -> User:
        """Who is calling."""
        return user

    @app.get("/teams/{team_id}", tags=["app"])
    async def team(team: Annotated[Team, Depends(current_team)]) -> Team:
        """A team."""
        return team

    return app


FULL = inline_references(full_app().openapi())
WALKED = {"full": FULL, "example": inline_references(demo.openapi())}
OPERATIONS = [
    (f"{app}: {method.upper()} {path}", operation)
    for app, schema in WALKED.items()
    for path, item in schema["paths"].items()
    for method, operation in item.items()
]
MODELS = {name: model for schema in WALKED.values() for name, model in schema["components"]["schemas"].items()}


def resolve_references(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = MODELS[schema["$ref"].rpartition("/")[2]]
    return schema


@rows(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_has_text_tag_name_and_example(name: str, operation: dict[str, Any]):
    """Every operation is described tagged named and exemplified."""
    assert operation["summary"], name
    assert operation["description"]
    assert operation["tags"]
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,60}", operation["operationId"])
    for parameter in operation.get("parameters", ()):
        assert parameter.get("description") or parameter["schema"].get("description"), parameter["name"]
    for status, answer in operation["responses"].items():
        assert answer["description"], status
        for kind, content in answer.get("content", {}).items():
            if kind != "text/html" and kind != "text/javascript":
                assert has_example(content), (status, kind)


def has_example(content: dict[str, Any]) -> bool:
    if "example" in content or content.get("examples"):
        return True
    schema = resolve_references(content["schema"])
    if "example" in schema or "examples" in schema:
        return True
    items = schema.get("items")
    fields = resolve_references(items) if items else schema
    exemplified = {"examples", "$ref", "const"}
    return all(exemplified & set(field) for field in fields.get("properties", {"": {}}).values())


@pytest.mark.parametrize("app", WALKED)
def test_operation_ids_are_unique(app: str):
    names = [operation["operationId"] for item in WALKED[app]["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


@rows("name", sorted(set(MODELS) - {"JsonValue"}))  # any JSON has no shape
def test_every_model_and_field_has_text_shape_and_example(name: str):
    """Every model and field is described has a shape and an example."""
    schema = MODELS[name]
    assert schema.get("description"), "no description"
    assert schema.get("type") or schema.get("enum") or schema.get("anyOf")
    for field, shape in schema.get("properties", {}).items():
        described = {**resolve_references(shape), **shape}
        assert described.get("description"), field
        assert {"type", "anyOf", "$ref", "enum", "const", "allOf"} & set(shape), f"{field} has no shape"
        exemplified = {"examples", "example", "const", "enum"} & set(described)
        assert exemplified or "properties" in resolve_references(shape), f"{field} has no example"


async def test_an_occurrence_is_named_in_the_answer_and_in_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    app = make_app(StackAuth(project_id="p", error_docs_url="https://docs.example.com/errors#"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        first, second = [(await client.get("/me")).json() for _ in range(2)]
    assert first["type"] == "https://docs.example.com/errors#authentication_required"
    assert first["instance"].startswith("urn:uuid:")
    assert first["instance"] in caplog.text
    assert first["instance"] != second["instance"]


@pytest.mark.parametrize("setting", ["permission_missing", "not_found"])
def test_hidden_teams_are_documented_as_they_are_answered(setting: Any):
    app = FastAPI()
    StackAuth(unknown_team=setting).install(app)

    @app.get("/teams/{team_id}")
    async def team(team: Annotated[Team, Depends(current_team)]) -> Team:
        return team

    assert ("404" in app.openapi()["paths"]["/teams/{team_id}"]["get"]["responses"]) is (setting == "not_found")


def test_unsafe_cookie_routes_document_cross_site_errors():
    """An unsafe route that takes cookies documents what other sites are told."""
    codes = FULL["paths"]["/api/auth/password/set"]["post"]["responses"]["403"]["content"]["application/problem+json"]
    assert "cross_site_request" in codes["examples"]
    assert FULL["components"]["securitySchemes"]["StackAuthCookie"]["name"] == "__Host-stackauth-access"
    assert (
        FULL["components"]["securitySchemes"]["StackAuthPassword"]["flows"]["password"]["tokenUrl"] == "api/auth/token"
    )


async def test_the_password_form_signs_in_or_shows_the_error(server: Emulator):
    """The password form signs in and refuses in the routers words."""
    stack = StackAuth(project_id=server.project_id, base_url=server.url)
    await stack.client.password.sign_up(email="ada@example.com", password="correct horse battery")
    form = {"grant_type": "password", "username": "ada@example.com", "password": "correct horse battery"}
    app = make_app(stack)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        good = await client.post("/auth/token", data={**form, "scope": "", "client_id": "", "unknown": "x"})
        wrong = await client.post("/auth/token", data={**form, "password": "wrong horse battery"})
        other = await client.post("/auth/token", data={**form, "grant_type": "refresh_token"})
        empty = await client.post("/auth/token")
    assert (good.status_code, good.json()["token_type"]) == (200, "Bearer")
    assert (await stack.verifier.verify(good.json()["access_token"])).email == "ada@example.com"
    assert (wrong.status_code, wrong.json()["code"]) == (400, "EMAIL_PASSWORD_MISMATCH")
    assert [answer.json()["code"] for answer in (other, empty)] == ["request_invalid"] * 2
    await stack.aclose()


def test_every_fact_that_a_problem_can_tell_has_a_form():
    assert {name for code in SERVER_CODES.values() for name in code.public_details} <= set(DETAIL_SCHEMAS)


def test_why_a_user_is_restricted_is_told_alike_whoever_says_it():
    """The auth server nests the reason in an object; the schema promises a text."""
    said = KnownApiError.of("RESTRICTED_USER_NOT_ALLOWED", 403, {"restricted_reason": {"type": "email_not_verified"}})
    own = AuthError("restricted_not_allowed", details={"restricted_reason": "email_not_verified"})
    assert problem_document(said)["details"] == problem_document(own)["details"]


def make_odd_app() -> FastAPI:
    """An app with an answer that its schema does not have."""
    app = FastAPI()
    StackAuth(project_id="p").install(app)

    @app.get("/odd")
    async def odd() -> None:
        raise AuthError("email_not_verified")

    @app.get("/me")
    async def me(user: CurrentUser) -> None: ...

    return app


async def find_missing(app: FastAPI, collector: Collector) -> list[str]:
    """Call both routes; return what the collector notices, and make it forget that."""
    before = set(collector.missing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        await client.get("/odd")
        await client.get("/me")
    found = collector.missing - before
    collector.missing -= found
    return sorted(found)


@pytest.fixture
def collector(pytestconfig: pytest.Config) -> Collector:
    plugin = pytestconfig.pluginmanager.get_plugin("undocumented")
    assert isinstance(plugin, Collector)
    return plugin


async def test_an_answer_that_the_schema_lacks_is_noticed(collector: Collector):
    """The plugin that looks answers up while tests run, tried on an app with one answer too many."""
    found = await find_missing(make_odd_app(), collector)
    assert [line.partition(" (in")[0] for line in found] == ["odd_odd_get: 403 email_not_verified"]


async def test_an_app_of_several_test_files_is_looked_up_in_each(collector: Collector, request: pytest.FixtureRequest):
    """An app that another file's tests have called is no less looked up."""
    app, found = make_odd_app(), []
    for file in ("tests/one.py", "tests/two.py"):
        collector.enter(f"{file}::test")
        found += await find_missing(app, collector)
    collector.enter(request.node.nodeid)
    assert found == [f"odd_odd_get: 403 email_not_verified (in {file})" for file in ("tests/one.py", "tests/two.py")]
