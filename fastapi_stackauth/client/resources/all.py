"""The families of operations, by name: the index of what the client can do.

Those whose models few apps need are loaded when they are first asked for.
"""

from typing import TYPE_CHECKING

from fastapi_stackauth.client.resources.anonymous import AnonymousApi
from fastapi_stackauth.client.resources.base import Client
from fastapi_stackauth.client.resources.contact_channels import ContactChannelsApi
from fastapi_stackauth.client.resources.keys import KeysApi
from fastapi_stackauth.client.resources.mfa import MfaApi
from fastapi_stackauth.client.resources.otp import OtpApi
from fastapi_stackauth.client.resources.passkey import PasskeyApi
from fastapi_stackauth.client.resources.password import PasswordApi
from fastapi_stackauth.client.resources.permissions import ProjectPermissionsApi, TeamPermissionsApi
from fastapi_stackauth.client.resources.project import ProjectApi
from fastapi_stackauth.client.resources.sessions import SessionsApi
from fastapi_stackauth.client.resources.team_invitations import TeamInvitationsApi
from fastapi_stackauth.client.resources.team_members import TeamMembersApi
from fastapi_stackauth.client.resources.teams import TeamsApi
from fastapi_stackauth.client.resources.users import UsersApi

if TYPE_CHECKING:
    from fastapi_stackauth.client.resources.api_keys import TeamApiKeysApi, UserApiKeysApi
    from fastapi_stackauth.client.resources.connected_accounts import ConnectedAccountsApi
    from fastapi_stackauth.client.resources.oauth import OAuthApi
    from fastapi_stackauth.client.resources.oauth_providers import OAuthProvidersApi

    _Base = Client  # what the families need of the class that they are mixed into
else:
    _Base = object


class Families(_Base):
    """One property for each family, bound to the client it is read from."""

    @property
    def anonymous(self) -> AnonymousApi:
        """Guests."""
        return AnonymousApi(self)

    @property
    def connected_accounts(self) -> "ConnectedAccountsApi":
        """Accounts at OAuth providers that the app may use for its user."""
        from fastapi_stackauth.client.resources.connected_accounts import ConnectedAccountsApi  # noqa: PLC0415 - see above

        return ConnectedAccountsApi(self)

    @property
    def contact_channels(self) -> ContactChannelsApi:
        """E-mail addresses and their verification."""
        return ContactChannelsApi(self)

    @property
    def keys(self) -> KeysApi:
        """The project's public signing keys."""
        return KeysApi(self)

    @property
    def mfa(self) -> MfaApi:
        """The second factor."""
        return MfaApi(self)

    @property
    def oauth(self) -> "OAuthApi":
        """Sign-in at OAuth providers."""
        from fastapi_stackauth.client.resources.oauth import OAuthApi  # noqa: PLC0415 - see above

        return OAuthApi(self)

    @property
    def oauth_providers(self) -> "OAuthProvidersApi":
        """What a user's accounts at OAuth providers are good for."""
        from fastapi_stackauth.client.resources.oauth_providers import OAuthProvidersApi  # noqa: PLC0415 - see above

        return OAuthProvidersApi(self)

    @property
    def otp(self) -> OtpApi:
        """Sign-in by one-time code or link in a mail."""
        return OtpApi(self)

    @property
    def passkey(self) -> PasskeyApi:
        """Passkeys."""
        return PasskeyApi(self)

    @property
    def password(self) -> PasswordApi:
        """Sign-up and sign-in by e-mail and password, change and reset."""
        return PasswordApi(self)

    @property
    def project(self) -> ProjectApi:
        """The project's public side."""
        return ProjectApi(self)

    @property
    def project_permissions(self) -> ProjectPermissionsApi:
        """Permissions in the whole project."""
        return ProjectPermissionsApi(self)

    @property
    def sessions(self) -> SessionsApi:
        """Refresh, sign-out, the list of sessions."""
        return SessionsApi(self)

    @property
    def team_api_keys(self) -> "TeamApiKeysApi":
        """API keys of teams."""
        from fastapi_stackauth.client.resources.api_keys import TeamApiKeysApi  # noqa: PLC0415 - see above

        return TeamApiKeysApi(self)

    @property
    def team_invitations(self) -> TeamInvitationsApi:
        """Invitations to teams."""
        return TeamInvitationsApi(self)

    @property
    def team_members(self) -> TeamMembersApi:
        """Who is a member of a team, and how they appear there."""
        return TeamMembersApi(self)

    @property
    def team_permissions(self) -> TeamPermissionsApi:
        """Permissions within teams."""
        return TeamPermissionsApi(self)

    @property
    def teams(self) -> TeamsApi:
        """Teams."""
        return TeamsApi(self)

    @property
    def user_api_keys(self) -> "UserApiKeysApi":
        """API keys of users."""
        from fastapi_stackauth.client.resources.api_keys import UserApiKeysApi  # noqa: PLC0415 - see above

        return UserApiKeysApi(self)

    @property
    def users(self) -> UsersApi:
        """The signed-in user; as server, all users."""
        return UsersApi(self)
