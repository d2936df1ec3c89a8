"""A user's sessions, as the auth server lists them (contract/endpoints.json, `sessions`)."""

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, Millis


class IpInfo(ApiModel):
    """Where a session was last used from; the names are the wire's own."""

    ip: str
    country_code: str | None = Field(None, alias="countryCode")
    region_code: str | None = Field(None, alias="regionCode")
    city_name: str | None = Field(None, alias="cityName")
    latitude: int | float | None = None
    longitude: int | float | None = None
    tz_identifier: str | None = Field(None, alias="tzIdentifier")


class Session(ApiModel):
    """One session: a sign-in on one device. Its id is the access token's `refresh_token_id` and no secret."""

    id: str
    user_id: str
    created_at: Millis
    is_impersonation: bool = False
    last_used_at: Millis | None = None
    is_current_session: bool | None = Field(None, description="Whether the access token in use belongs to it.")
    last_used_at_end_user_ip_info: IpInfo | None = None
