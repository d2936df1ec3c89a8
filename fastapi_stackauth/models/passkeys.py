"""Passkey ceremonies (WebAuthn Level 3; contract/endpoints.json, `auth/passkey`)."""

from pydantic import Field, JsonValue

from fastapi_stackauth.models.base import ApiModel


class PasskeyChallenge(ApiModel):
    """The options for the browser's WebAuthn call and the code of the challenge. Both expire after 65 seconds."""

    options_json: dict[str, JsonValue] = Field(
        repr=False,
        description="In the format that browsers accept, except for the relying party id, which is a placeholder.",
    )
    code: str = Field(repr=False)


class PasskeyRegistration(ApiModel):
    """A registered passkey. It replaces the previous one."""

    user_handle: str = Field(description="The credential's id.", examples=["q1w2e3r4t5y6u7i8"])
