"""No repr of the package shows a secret: an exception, a log line or a debugger would repeat it."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

import fastapi_stackauth
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.errors import KnownApiError, SecondFactorRequired
from tests.support.rows import rows

SENTINEL = "a-secret-value"
SECRET = re.compile(
    r"(^|_)(code|state|token|tokens|password|secret|secrets|verifier|nonce|attempt|otp|totp|credential|key|bundle"
    r"|signature|signatures|authorization|cookie|location|headers)$|(^|_)(secret|token|password)_"
)
"""Names of fields that may hold a secret."""
PLAIN = {
    "Check.code", "Explanation.code", "Finding.code", "Problem.code", "ApiError.code",  # they name an error
    "*.country_code", "*.region_code", "*.token_type", "*.has_password", "Settings.token_cache_size",
    "SignInMethods.password", "SignInMethods.otp", "Documentation.api_key", "Require.allow_api_key",  # a yes or no
    "RequirementFields.allow_api_key",
    "ByDelivery.cookie",  # a model of a body
    "Declaration.attempt", "PageDeclaration.attempt",  # the name of an action that is limited
    "Facts.token",  # an explanation, which shows no token itself
}  # fmt: skip
EMULATOR = "fastapi_stackauth.emulator"  # a server for tests, which shows its secrets on purpose


def modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(fastapi_stackauth.__path__, "fastapi_stackauth."):
        if not module.name.startswith(EMULATOR) and not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def list_fields(cls: type) -> Mapping[str, object]:
    if dataclasses.is_dataclass(cls):
        return {field.name: field.type for field in dataclasses.fields(cls)}
    assert issubclass(cls, BaseModel)
    return {name: field.annotation for name, field in cls.model_fields.items()}


def secret_fields() -> Iterator[Any]:
    """Every field of a dataclass or model whose name is that of a secret."""
    for module in modules():
        for cls in vars(module).values():
            if not isinstance(cls, type) or cls.__module__ != module.__name__:
                continue
            if not dataclasses.is_dataclass(cls) and not issubclass(cls, BaseModel):
                continue
            for name in list_fields(cls):
                if SECRET.search(name) and not {f"{cls.__name__}.{name}", f"*.{name}"} & PLAIN:
                    yield pytest.param(cls, name, id=f"{cls.__module__}.{cls.__name__}.{name}")


def holding(cls: type, secret: str) -> object:
    """An instance whose one field has the sentinel in it, however it is otherwise made."""
    made = object.__new__(cls) if dataclasses.is_dataclass(cls) else cls.model_construct()  # type: ignore[attr-defined]  # a model
    for name, kind in list_fields(cls).items():
        value = SecretStr(SENTINEL) if "SecretStr" in str(kind) else SENTINEL
        object.__setattr__(made, name, value if name == secret else None)
    return made


@rows(("cls", "name"), list(secret_fields()))
def test_no_class_shows_a_secret_field(cls: type, name: str):
    assert SENTINEL not in repr(holding(cls, name))


def test_the_walk_meets_the_classes_that_hold_secrets():
    met = {f"{each.values[0].__name__}.{each.values[1]}" for each in secret_fields()}
    assert {
        "Credential.token", "Flow.state", "Flow.verifier", "OAuthStartRequest.state", "MagicLinkForm.code",
        "Location.location", "SignIn.access_token", "SignIn.refresh_token",
        "Settings.secret_server_key", "TotpEnrollment.secret",
    } <= met  # fmt: skip


def test_a_request_under_way_shows_no_headers():
    """They hold the access token and the app's keys; error reporters show the repr of every local variable."""
    module = "fastapi_stackauth.client.transport"
    (delivery,) = [each.values for each in secret_fields() if each.values[0].__module__ == module]
    assert delivery[1] == "headers"
    assert SENTINEL not in repr(holding(*delivery))


def test_a_response_shows_neither_headers_nor_body():
    """Both hold the tokens after a sign-in."""
    response = ApiResponse.from_http(200, {"set-cookie": SENTINEL}, SENTINEL.encode())
    assert repr(response) == "ApiResponse(status=200)"


def test_no_error_shows_the_attempt_that_it_carries():
    carried = KnownApiError.of("MULTI_FACTOR_AUTHENTICATION_REQUIRED", details={"attempt_code": SENTINEL})
    for error in (carried, SecondFactorRequired(SENTINEL)):
        assert SENTINEL not in repr(error) + str(error)
