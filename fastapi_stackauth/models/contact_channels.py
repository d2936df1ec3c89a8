"""Contact channels: a user's email addresses (contract/endpoints.json, `contact_channels`)."""

from typing import ClassVar

from pydantic import Field, JsonValue

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody


class ContactChannel(ApiModel):
    """An email address of a user."""

    id: str = Field(description="The channel's id.", examples=["0c6ee3ad-6c53-4c0b-8d4c-2c4c2f8e1a55"])
    user_id: str = Field(description="The id of the user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    value: str = Field(description="The address.", examples=["ada@example.com"])
    type: str = Field(description="What kind of address.", examples=["email"])
    used_for_auth: bool = Field(default=False, description="Whether it signs in.", examples=[True])
    is_verified: bool = Field(default=False, description="Whether it is verified.", examples=[True])
    is_primary: bool = Field(default=False, description="Whether it is the user's primary address.", examples=[True])


class ContactChannelCreate(ApiRequestBody):
    """A new, unverified address. `type` is always sent, because the server does not check the value without it."""

    value: str
    type: str = "email"
    used_for_auth: bool
    is_primary: bool | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields that are set and the type, as JSON."""
        return {"type": self.type, **super().to_json()}


class ServerContactChannelCreate(ContactChannelCreate):
    """A new address, which the server may mark as verified."""

    server_only: ClassVar[bool] = True

    is_verified: bool | None = None


class ContactChannelUpdate(ApiRequestBody):
    """A change to an address. Only the fields that are set change. A new value is unverified."""

    value: str | None = Field(default=None, description="Sent together with its type, even if the type is not set.")
    type: str = "email"
    used_for_auth: bool | None = None
    is_primary: bool | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields that are set, as JSON; with a value, also its type, so that the server checks the value."""
        return ({"type": self.type} if "value" in self.model_fields_set else {}) | super().to_json()


class ServerContactChannelUpdate(ContactChannelUpdate):
    """A change by the server, which may mark the address as verified."""

    server_only: ClassVar[bool] = True

    is_verified: bool | None = None
