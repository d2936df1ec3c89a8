"""Errors: caught, told apart, shown, and made as a user's fakes make them."""

from typing import Any, assert_type

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    AuthError,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    ConfigurationError,
    KnownApiError,
    StackAuthError,
    VerificationUnavailable,
    error_response,
    problem_document,
    stack_auth_error_handler,
)
from fastapi_stackauth.errors import (
    AuthServerRateLimited,
    ClockSkew,
    EmailPasswordMismatch,
    MfaRequired,
    OAuthTokenError,
    RateLimitExceeded,
    RequestError,
    RequestInvalid,
    SecondFactorRequired,
    UnexpectedResponse,
    WebhookInvalid,
)

app = FastAPI()


@app.exception_handler(AuthError)
async def handle_error(request: Request, error: AuthError) -> JSONResponse:
    assert_type(
        problem_document(error, instance="urn:uuid:1", docs_url="https://docs.example.com/errors#"), dict[str, Any]
    )
    return JSONResponse({"error": problem_document(error)}, error.status_code)


async def handle(connection: HTTPConnection, error: StackAuthError) -> None:
    assert_type(error_response(error, shape="detail", docs_url=None), Response)
    assert_type(await stack_auth_error_handler(connection, error), Response | None)
    assert_type(error.status_code, int)
    assert_type(error.code, str)


def tell_apart(error: StackAuthError) -> float | str | None:
    if isinstance(error, AuthServerUnavailable):
        return error.retry_after
    if isinstance(error, MfaRequired | EmailPasswordMismatch):
        return error.code
    if isinstance(error, KnownApiError):
        return str(error.details.get("reason"))
    return None


MADE: list[StackAuthError] = [
    StackAuthError("..."),
    ConfigurationError("..."),
    AuthError("token_expired", reason="exp", details={"restricted_reason": "email_not_verified"}),
    AuthServerError("..."),
    AuthServerMisconfigured("..."),
    AuthServerUnavailable("...", retry_after=5),
    VerificationUnavailable(retry_after=5),
    KnownApiError("EMAIL_PASSWORD_MISMATCH", 400, {}),
    KnownApiError.of("EMAIL_PASSWORD_MISMATCH", 400, {}),
    RequestInvalid((("body.email", "Missing"),)),
    RequestError("request_too_large", reason="...", details={"max_body_size": 65_536}),
    WebhookInvalid("signature"),
    SecondFactorRequired("attempt"),
    OAuthTokenError("invalid_request"),
    RateLimitExceeded(5),
    UnexpectedResponse(message="..."),
    AuthServerRateLimited("..."),
]
SKEW: type[VerificationUnavailable] = ClockSkew
