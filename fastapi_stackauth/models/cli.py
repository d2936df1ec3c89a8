"""The sign-in of a command-line tool at the auth server (contract/new_endpoints.json, area `auth/cli`)."""

from typing import Literal

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel


class CliLogin(ApiModel):
    """A sign-in that has started. The repr hides its codes."""

    polling_code: str = Field(repr=False, description="The tool's secret, which it exchanges for the refresh token.")
    login_code: str = Field(repr=False, description="The code with which the browser completes the sign-in.")
    expires_at: str = Field(description="When both codes expire, in ISO 8601.")


class CliPoll(ApiModel):
    """The state of a sign-in."""

    status: Literal["waiting", "success", "expired", "used"] = Field(
        description="`success` is returned once, with the token; later polls return `used`."
    )
    refresh_token: str | None = Field(default=None, repr=False, description="Only with `success`.")
