"""Invented example responses for OpenAPI, for routes that return a model of the auth server."""

from typing import Any

Example = dict[str, Any] | list[dict[str, Any]]

_USER_ID = "f7383500-3cc7-45ea-b3c1-50d16bdbdf35"
_EMAIL = "ada@example.com"

ACCOUNT: Example = {
    "id": _USER_ID,
    "primary_email": _EMAIL,
    "primary_email_verified": True,
    "display_name": "Ada Lovelace",
    "client_metadata": {"theme": "dark"},
    "signed_up_at_millis": 1795434463397,
    "has_password": True,
    "requires_totp_mfa": False,
    "passkey_auth_enabled": False,
    "is_anonymous": False,
    "is_restricted": False,
}
SESSIONS: Example = [
    {
        "id": "d2275522-0e8a-4083-b64d-336f0f45a404",
        "user_id": _USER_ID,
        "created_at": 1795434463397,
        "is_impersonation": False,
        "is_current_session": True,
    }
]
CHANNEL: dict[str, Any] = {
    "id": "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11",
    "user_id": _USER_ID,
    "type": "email",
    "value": _EMAIL,
    "is_primary": True,
    "is_verified": True,
    "used_for_auth": True,
}
CHANNELS: Example = [CHANNEL]
PASSKEY: Example = {"user_handle": "Y3JlZGVudGlhbA"}
CONNECTED_ACCOUNTS: Example = [{"user_id": _USER_ID, "provider": "github", "provider_account_id": "583231"}]
PROVIDER_TOKEN: Example = {"access_token": "gho_16C7e42F292c6912E7710c838347Ae178B4a"}
