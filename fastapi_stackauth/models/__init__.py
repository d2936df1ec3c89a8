"""Immutable models: the verified user, and the objects of the auth server's API."""

from typing import TYPE_CHECKING

from fastapi_stackauth.models.account import (
    ConnectedProvider,
    CurrentUserProfile,
    CurrentUserUpdate,
    EnabledProvider,
    Project,
    ProjectConfig,
    RestrictedReason,
    SelectedTeam,
    TrustedDomain,
)
from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, FrozenDict, Millis, freeze
from fastapi_stackauth.models.permissions import ProjectPermission, TeamPermission
from fastapi_stackauth.models.server_user import (
    NewOAuthAccount,
    RiskScores,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
    SignUpRisk,
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
)
from fastapi_stackauth.models.user import User
from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.models.api_keys import (
        ApiKeyCreate,
        ApiKeyUpdate,
        LastFour,
        NewTeamApiKey,
        NewUserApiKey,
        TeamApiKey,
        UserApiKey,
    )
    from fastapi_stackauth.models.cli import CliLogin, CliPoll
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
    from fastapi_stackauth.models.contact_channels import (
        ContactChannel,
        ContactChannelCreate,
        ContactChannelUpdate,
        ServerContactChannelCreate,
        ServerContactChannelUpdate,
    )
    from fastapi_stackauth.models.passkeys import PasskeyChallenge, PasskeyRegistration
    from fastapi_stackauth.models.webhooks import DeletedUser, Identified, Membership, ProjectGrant, TeamGrant

__all__ = [
    "AccessToken",
    "ApiKeyCreate",
    "ApiKeyUpdate",
    "ApiModel",
    "ApiRequestBody",
    "Authorization",
    "BotChallenge",
    "CliLogin",
    "CliPoll",
    "ConnectedAccount",
    "ConnectedProvider",
    "ContactChannel",
    "ContactChannelCreate",
    "ContactChannelUpdate",
    "CurrentUserProfile",
    "CurrentUserUpdate",
    "DeletedUser",
    "EnabledProvider",
    "FrozenDict",
    "Handoff",
    "Identified",
    "InvitedTo",
    "IpInfo",
    "LastFour",
    "Membership",
    "Millis",
    "NewOAuthAccount",
    "NewTeamApiKey",
    "NewUserApiKey",
    "OAuthProvider",
    "OAuthProviderUpdate",
    "OAuthRefresh",
    "OAuthTokens",
    "PasskeyChallenge",
    "PasskeyRegistration",
    "Project",
    "ProjectConfig",
    "ProjectGrant",
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
    "SignUpRisk",
    "Team",
    "TeamApiKey",
    "TeamCreate",
    "TeamGrant",
    "TeamInvitation",
    "TeamMemberProfile",
    "TeamMemberProfileUpdate",
    "TeamMembership",
    "TeamPermission",
    "TeamUpdate",
    "TokenPair",
    "TrustedDomain",
    "User",
    "UserApiKey",
    "freeze",
]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = load_late(
        __name__, ("contact_channels", "passkeys", "connections", "api_keys", "cli", "webhooks"), __all__
    )
