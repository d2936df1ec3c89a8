"""The auth server's operations, one file for each resource.

Each operation raises a subclass of AuthServerError if it fails. The docstrings list the errors that an app may want to
catch. SignInRequired means that no user is signed in, or that the account was deleted. VerificationCodeError means that
a code is wrong, expired, already used or was tried too often.
"""

from typing import TYPE_CHECKING

from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.client.resources.api_keys import TeamApiKeysApi, UserApiKeysApi
    from fastapi_stackauth.client.resources.cli import CliApi
    from fastapi_stackauth.client.resources.connected_accounts import ConnectedAccountsApi
    from fastapi_stackauth.client.resources.contact_channels import ContactChannelsApi
    from fastapi_stackauth.client.resources.oauth import OAuthApi
    from fastapi_stackauth.client.resources.oauth_providers import OAuthProvidersApi
    from fastapi_stackauth.client.resources.passkey import PasskeyApi

__all__ = [
    "CliApi",
    "ConnectedAccountsApi",
    "ContactChannelsApi",
    "OAuthApi",
    "OAuthProvidersApi",
    "PasskeyApi",
    "TeamApiKeysApi",
    "UserApiKeysApi",
]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = load_late(
        __name__,
        ("contact_channels", "passkey", "oauth", "oauth_providers", "connected_accounts", "api_keys", "cli"),
        __all__,
    )
