"""What the schema says of protected routes, and that it is valid."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI
from openapi_spec_validator import validate
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from fastapi_stackauth import CurrentUser, StackAuth, StackAuthError, User, current_user, optional_user
from fastapi_stackauth.openapi import enrich
from tests.apps import make_app


@pytest.fixture
def schema() -> dict[str, Any]:
    return make_app(StackAuth()).openapi()


@pytest.mark.parametrize("path", ["/me", "/v1/notes/mine", "/auth/me"])
def test_a_protected_route_names_its_security_and_its_refusals_also_behind_a_router(schema: dict[str, Any], path: str):
    operation = schema["paths"][path]["get"]
    assert operation["security"] == [{"StackAuth": []}]
    assert ("403" in operation["responses"]) is (path != "/auth/me"), (
        "guests and restricted users may read their account"
    )
    for status in {"401", "403", "502", "503"} & set(operation["responses"]):
        content = operation["responses"][status]["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/StackAuthProblem"}
        for code, example in content["examples"].items():
            assert example["value"]["code"] == code
            assert example["value"]["status"] == int(status)


def test_an_optional_route_may_be_called_without_credentials(schema: dict[str, Any]):
    assert schema["paths"]["/hello"]["get"]["security"] == [{"StackAuth": []}, {}]
    assert list(schema["components"]["securitySchemes"]) == ["StackAuth"]


def test_a_route_that_is_optional_and_protected_is_protected():
    app = FastAPI()
    StackAuth().install(app)

    @app.get("/both", dependencies=[Depends(optional_user)])
    async def both(user: CurrentUser) -> User:
        return user

    assert app.openapi()["paths"]["/both"]["get"]["security"] == [{"StackAuth": []}]


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


def test_enriching_twice_changes_nothing_and_the_source_is_left_alone(schema: dict[str, Any]):
    once = enrich(schema)
    assert enrich(once) == once


def test_the_schema_is_valid_openapi(schema: dict[str, Any]):
    validate(schema)


def test_every_operation_of_the_router_has_a_stable_name_a_summary_a_tag_and_described_answers(schema: dict[str, Any]):
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
        "me", "me_change", "me_delete", "contact_channels_list", "contact_channels_add", "contact_channels_remove",
        "contact_channels_make_primary", "contact_channels_send_verification", "verify_email_page", "verify_email",
        "oauth_start", "oauth_link", "oauth_finish", "passkey_options", "passkey_sign_in", "passkey_register_options",
        "passkey_register", "passkey_remove", "mfa_sign_in", "mfa_enrol", "mfa_confirm", "mfa_disable",
        "connected_accounts_list", "connected_accounts_token",
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
    schema = app.openapi()
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


def test_an_app_with_a_handler_of_its_own_is_documented_all_the_same():
    app = FastAPI()

    @app.exception_handler(StackAuthError)
    async def own(_request: object, error: StackAuthError) -> PlainTextResponse:
        return PlainTextResponse(error.code, error.status_code)

    StackAuth().install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    assert "401" in app.openapi()["paths"]["/me"]["get"]["responses"]


def test_both_deliveries_and_a_second_stack_in_one_app_have_operation_ids_of_their_own():
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
