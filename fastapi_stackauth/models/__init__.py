"""Frozen values of the domain: the verified user, and what the auth server's answers hold."""

import importlib
from typing import TYPE_CHECKING

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

_LOADED_LATE = {
    "api_keys": ("ApiKeyCreate", "ApiKeyUpdate", "NewTeamApiKey", "NewUserApiKey", "TeamApiKey", "UserApiKey"),
    "connections": (
        "Authorization",
        "ConnectedAccount",
        "Handoff",
        "OAuthProvider",
        "OAuthProviderUpdate",
        "ProviderToken",
        "ServerOAuthProvider",
        "ServerOAuthProviderCreate",
        "ServerOAuthProviderUpdate",
    ),
}


def __getattr__(name: str) -> object:
    """Models that few apps need, made when they are first asked for: making one takes half a millisecond."""
    for module, names in _LOADED_LATE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """With what is loaded late."""
    return sorted({*globals(), *__all__})


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
