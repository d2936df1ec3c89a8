"""A user's sessions, as the auth server lists them (contract/endpoints.json, `sessions`)."""

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, Millis


class IpInfo(ApiModel):
    """The location of a session's last use.

    Fields have separate aliases for validation and serialization: with `alias=` alone, type checkers would use the
    server's names for the constructor's parameters.
    """

    ip: str = Field(description="The address.", examples=["192.0.2.7"])
    country_code: str | None = Field(
        default=None,
        description="The country.",
        examples=["GB"],
        validation_alias="countryCode",
        serialization_alias="countryCode",
    )
    region_code: str | None = Field(
        default=None,
        description="The region.",
        examples=["ENG"],
        validation_alias="regionCode",
        serialization_alias="regionCode",
    )
    city_name: str | None = Field(
        default=None,
        description="The city.",
        examples=["London"],
        validation_alias="cityName",
        serialization_alias="cityName",
    )
    latitude: int | float | None = Field(default=None, description="Degrees north.", examples=[51.5])
    longitude: int | float | None = Field(default=None, description="Degrees east.", examples=[-0.1])
    tz_identifier: str | None = Field(
        default=None,
        description="The time zone.",
        examples=["Europe/London"],
        validation_alias="tzIdentifier",
        serialization_alias="tzIdentifier",
    )


class Session(ApiModel):
    """One session: a sign-in on one device. Its id is the token's `refresh_token_id` claim and not a secret."""

    id: str = Field(description="The session's id; not a secret.", examples=["d2275522-0e8a-4083-b64d-336f0f45a404"])
    user_id: str = Field(description="The id of the user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    created_at: Millis = Field(description="The time of the sign-in.", examples=[1762333949000])
    is_impersonation: bool = Field(
        default=False, description="Whether this is an impersonation by an administrator.", examples=[False]
    )
    last_used_at: Millis | None = Field(default=None, description="When it was last used.", examples=[1762337549000])
    is_current_session: bool | None = Field(
        default=None, description="Whether the current access token belongs to this session.", examples=[True]
    )
    last_used_at_end_user_ip_info: IpInfo | None = Field(
        default=None, description="The location of its last use, if known.", examples=[None]
    )
