"""Frozen values of the domain: the verified user, and what the auth server's answers hold."""

from typing import TYPE_CHECKING

from fastapi_stackauth._late import loaded_late
from fastapi_stackauth.models.account import (
    ConnectedProvider,
    CurrentUserProfile,
    CurrentUserUpdate,
    Project,
    RestrictedReason,
    SelectedTeam,
)
from fastapi_stackauth.models.base import ApiModel, ApiRequest, FrozenDict, Millis, freeze
from fastapi_stackauth.models.contact_channels import (
    ContactChannel,
    ContactChannelCreate,
    ContactChannelUpdate,
    ServerContactChannelCreate,
    ServerContactChannelUpdate,
)
from fastapi_stackauth.models.passkeys import PasskeyChallenge, PasskeyRegistered
from fastapi_stackauth.models.permissions import ProjectPermission, TeamPermission
from fastapi_stackauth.models.server_user import (
    NewOAuthAccount,
    RiskScores,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
)
from fastapi_stackauth.models.sessions import IpInfo, Session
from fastapi_stackauth.models.team_members import TeamMemberProfile, TeamMemberProfileUpdate, TeamMembership
from fastapi_stackauth.models.teams import (
    InvitedTo,
    ServerTeamCreate,
    ServerTeamUpdate,
    Team,
    TeamCreate,
    TeamInvitation,
    TeamUpdate,
)
from fastapi_stackauth.models.tokens import (
    AccessToken,
    BotChallenge,
    OAuthRefresh,
    OAuthTokens,
    SignIn,
    TokenPair,
    expiry_of,
    lifetime_of,
)
from fastapi_stackauth.models.user import User

if TYPE_CHECKING:
    from fastapi_stackauth.models.api_keys import (
        ApiKeyCreate,
        ApiKeyUpdate,
        NewTeamApiKey,
        NewUserApiKey,
        TeamApiKey,
        UserApiKey,
    )
    from fastapi_stackauth.models.connections import (
        Authorization,
        ConnectedAccount,
        Handoff,
        OAuthProvider,
        OAuthProviderUpdate,
        ProviderToken,
        ServerOAuthProvider,
        ServerOAuthProviderCreate,
        ServerOAuthProviderUpdate,
    )

__all__ = [
    "AccessToken",
    "ApiKeyCreate",
    "ApiKeyUpdate",
    "ApiModel",
    "ApiRequest",
    "Authorization",
    "BotChallenge",
    "ConnectedAccount",
    "ConnectedProvider",
    "ContactChannel",
    "ContactChannelCreate",
    "ContactChannelUpdate",
    "CurrentUserProfile",
    "CurrentUserUpdate",
    "FrozenDict",
    "Handoff",
    "InvitedTo",
    "IpInfo",
    "Millis",
    "NewOAuthAccount",
    "NewTeamApiKey",
    "NewUserApiKey",
    "OAuthProvider",
    "OAuthProviderUpdate",
    "OAuthRefresh",
    "OAuthTokens",
    "PasskeyChallenge",
    "PasskeyRegistered",
    "Project",
    "ProjectPermission",
    "ProviderToken",
    "RestrictedReason",
    "RiskScores",
    "SelectedTeam",
    "ServerContactChannelCreate",
    "ServerContactChannelUpdate",
    "ServerOAuthProvider",
    "ServerOAuthProviderCreate",
    "ServerOAuthProviderUpdate",
    "ServerTeamCreate",
    "ServerTeamUpdate",
    "ServerUser",
    "ServerUserCreate",
    "ServerUserUpdate",
    "Session",
    "SignIn",
    "Team",
    "TeamApiKey",
    "TeamCreate",
    "TeamInvitation",
    "TeamMemberProfile",
    "TeamMemberProfileUpdate",
    "TeamMembership",
    "TeamPermission",
    "TeamUpdate",
    "TokenPair",
    "User",
    "UserApiKey",
    "expiry_of",
    "freeze",
    "lifetime_of",
]

if not TYPE_CHECKING:  # type checkers know what there is, and tell of names that there are not
    __getattr__, __dir__ = loaded_late(__name__, ("api_keys", "connections"), __all__)
