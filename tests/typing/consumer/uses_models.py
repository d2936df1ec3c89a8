"""Every model, made with every field: what a user's tests and fakes do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_type

from fastapi_stackauth import TokenKind
from fastapi_stackauth.models import (
    AccessToken,
    ApiKeyCreate,
    ApiKeyUpdate,
    ApiModel,
    ApiRequestBody,
    Authorization,
    BotChallenge,
    CliLogin,
    CliPoll,
    ConnectedAccount,
    ConnectedProvider,
    ContactChannel,
    ContactChannelCreate,
    ContactChannelUpdate,
    CurrentUserProfile,
    CurrentUserUpdate,
    DeletedUser,
    EnabledProvider,
    FrozenDict,
    Handoff,
    Identified,
    InvitedTo,
    IpInfo,
    LastFour,
    Membership,
    NewOAuthAccount,
    NewTeamApiKey,
    NewUserApiKey,
    OAuthProvider,
    OAuthProviderUpdate,
    OAuthRefresh,
    OAuthTokens,
    PasskeyChallenge,
    PasskeyRegistration,
    Project,
    ProjectConfig,
    ProjectGrant,
    ProjectPermission,
    ProviderToken,
    RestrictedReason,
    RiskScores,
    SelectedTeam,
    ServerContactChannelCreate,
    ServerContactChannelUpdate,
    ServerOAuthProvider,
    ServerOAuthProviderCreate,
    ServerOAuthProviderUpdate,
    ServerTeamCreate,
    ServerTeamUpdate,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
    Session,
    SignIn,
    SignUpRisk,
    Team,
    TeamApiKey,
    TeamCreate,
    TeamGrant,
    TeamInvitation,
    TeamMemberProfile,
    TeamMemberProfileUpdate,
    TeamMembership,
    TeamPermission,
    TeamUpdate,
    TokenPair,
    TrustedDomain,
    User,
    UserApiKey,
    freeze,
)

NOW = datetime.now(UTC)


class Branding(ApiModel):
    display_name: str


class Rename(ApiRequestBody):
    display_name: str | None = None


assert_type(Branding(display_name="Red").display_name, str)
Rename()
FrozenDict({"a": 1})
assert_type(AccessToken(access_token="...").claims, Mapping[str, Any])
assert_type(AccessToken(access_token="...").expires_at, datetime | None)
assert_type(AccessToken(access_token="...").lifetime, int | None)
assert_type(AccessToken(access_token="...").session_id, str | None)
freeze({"a": [1]})

User(id="ada")
User(
    id="ada",
    email="ada@example.com",
    email_verified=True,
    display_name="Ada",
    kind=TokenKind.NORMAL,
    restricted_reason=None,
    session_id="s-1",
    selected_team_id="t-1",
    mfa_required=False,
    signed_up_at=NOW,
    issued_at=NOW,
    expires_at=NOW,
    claims={"sub": "ada"},
)
PROVIDER = ConnectedProvider(id="github", account_id="583231", email=None)
CurrentUserProfile(id="ada")
PROFILE = CurrentUserProfile(
    id="ada",
    primary_email="ada@example.com",
    primary_email_verified=True,
    display_name="Ada",
    client_metadata={"theme": "dark"},
    client_read_only_metadata=None,
    profile_image_url=None,
    signed_up_at_millis=NOW,
    has_password=True,
    auth_with_email=True,
    oauth_providers=(PROVIDER,),
    selected_team_id="t-1",
    selected_team=SelectedTeam(
        id="t-1",
        display_name="Red",
        profile_image_url=None,
        client_metadata={"color": "red"},
        client_read_only_metadata=[1, "two"],
    ),
    requires_totp_mfa=False,
    otp_auth_enabled=True,
    passkey_auth_enabled=False,
    is_anonymous=False,
    is_restricted=False,
    restricted_reason=RestrictedReason(type="email_not_verified"),
    restricted_by_admin=False,
    restricted_by_admin_reason=None,
)
assert_type(PROFILE.signed_up_at_millis, datetime | None)
CurrentUserUpdate(
    display_name="Ada",
    profile_image_url=None,
    client_metadata={"theme": "dark"},
    selected_team_id=None,
    totp_secret_base64=None,
    otp_auth_enabled=True,
    passkey_auth_enabled=True,
    primary_email="ada@example.com",
)
PROJECT = Project(
    id="p-1",
    display_name="Demo",
    config=ProjectConfig(
        sign_up_enabled=True,
        credential_enabled=True,
        magic_link_enabled=True,
        passkey_enabled=True,
        client_team_creation_enabled=True,
        client_user_deletion_enabled=True,
        allow_user_api_keys=True,
        allow_team_api_keys=True,
        enabled_oauth_providers=(EnabledProvider(id="github"),),
        domains=(TrustedDomain(domain="https://example.com", handler_path="/handler"),),
    ),
)
assert_type(PROJECT.config.domains, tuple[TrustedDomain, ...])
RISK = RiskScores(sign_up=SignUpRisk(bot=1, free_trial_abuse=0.5))
TEAM = Team(
    id="t-1",
    display_name="Red",
    profile_image_url=None,
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata={"plan": "pro"},
    created_at_millis=NOW,
)
SERVER_USER = ServerUser(
    id="ada",
    primary_email="ada@example.com",
    primary_email_verified=True,
    primary_email_auth_enabled=True,
    display_name="Ada",
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata=None,
    profile_image_url=None,
    signed_up_at_millis=NOW,
    last_active_at_millis=NOW,
    has_password=True,
    auth_with_email=True,
    oauth_providers=(PROVIDER,),
    selected_team_id=None,
    selected_team=TEAM,
    requires_totp_mfa=False,
    otp_auth_enabled=True,
    passkey_auth_enabled=True,
    is_anonymous=False,
    is_restricted=False,
    restricted_reason=None,
    restricted_by_admin=False,
    restricted_by_admin_reason=None,
    restricted_by_admin_private_details=None,
    country_code="GB",
    risk_scores=RISK,
)
ServerUserCreate(primary_email="ada@example.com")
ServerUserCreate(
    display_name="Ada",
    profile_image_url=None,
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata=None,
    primary_email="ada@example.com",
    primary_email_verified=True,
    primary_email_auth_enabled=True,
    passkey_auth_enabled=False,
    password="...",
    password_hash=None,
    otp_auth_enabled=True,
    totp_secret_base64=None,
    is_anonymous=False,
    restricted_by_admin=False,
    restricted_by_admin_reason=None,
    restricted_by_admin_private_details=None,
    country_code=None,
    risk_scores=RISK,
    oauth_providers=(NewOAuthAccount(id="github", account_id="583231", email=None),),
)
ServerUserUpdate(
    display_name="Ada",
    profile_image_url=None,
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata=None,
    primary_email="ada@example.com",
    primary_email_verified=True,
    primary_email_auth_enabled=True,
    passkey_auth_enabled=False,
    password="...",
    password_hash=None,
    otp_auth_enabled=True,
    totp_secret_base64=None,
    is_anonymous=False,
    restricted_by_admin=True,
    restricted_by_admin_reason="...",
    restricted_by_admin_private_details=None,
    country_code=None,
    risk_scores=None,
    selected_team_id="t-1",
)
IpInfo(
    ip="192.0.2.7",
    country_code="GB",
    region_code="ENG",
    city_name="London",
    latitude=51.5,
    longitude=0,
    tz_identifier="Europe/London",
)
Session(
    id="s-1",
    user_id="ada",
    created_at=NOW,
    is_impersonation=False,
    last_used_at=NOW,
    is_current_session=True,
    last_used_at_end_user_ip_info=IpInfo(ip="192.0.2.7"),
)
TeamCreate(display_name="Red", creator_user_id="me", profile_image_url=None, client_metadata=None)
ServerTeamCreate(
    display_name="Red",
    creator_user_id=None,
    profile_image_url=None,
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata={"plan": "pro"},
)
TeamUpdate(display_name="Red", profile_image_url=None, client_metadata=None)
ServerTeamUpdate(
    display_name="Red",
    profile_image_url=None,
    client_metadata=None,
    client_read_only_metadata=None,
    server_metadata=None,
)
TeamInvitation(
    id="i-1", team_id="t-1", team_display_name="Red", expires_at_millis=NOW, recipient_email="bob@example.com"
)
InvitedTo(team_id="t-1", team_display_name="Red")
TeamMembership(team_id="t-1", user_id="ada")
TeamMemberProfile(team_id="t-1", user_id="ada", display_name="Ada", profile_image_url=None, user=SERVER_USER)
TeamMemberProfileUpdate(display_name="Ada", profile_image_url=None)
TeamPermission(id="posts:delete", user_id="ada", team_id="t-1")
ProjectPermission(id="reports:see", user_id="ada")
AccessToken(access_token="...")
PAIR = TokenPair(access_token="...", refresh_token="...")
assert_type(PAIR.expires_at, datetime | None)
SignIn(access_token="...", refresh_token="...", user_id="ada", is_new_user=True)
OAuthRefresh(access_token="...", token_type="bearer", expires_in=3600, scope=None, after_callback_redirect_url=None)
TOKENS = OAuthTokens(
    access_token="...",
    token_type="bearer",
    expires_in=3600,
    scope=None,
    after_callback_redirect_url=None,
    refresh_token="...",
    is_new_user=False,
)
assert_type(TOKENS.pair, TokenPair)
BotChallenge(bot_challenge_token="...", bot_challenge_phase="invisible", bot_challenge_unavailable=None)
ContactChannel(
    id="c-1",
    user_id="ada",
    value="ada@example.com",
    type="email",
    used_for_auth=True,
    is_verified=True,
    is_primary=True,
)
ContactChannelCreate(value="ada@example.com", type="email", used_for_auth=True, is_primary=None)
ContactChannelUpdate(value="ada@example.com", type="email", used_for_auth=True, is_primary=True)
ServerContactChannelCreate(value="ada@example.com", type="email", used_for_auth=True, is_primary=None, is_verified=True)
ServerContactChannelUpdate(value="ada@example.com", type="email", used_for_auth=True, is_primary=True, is_verified=True)
PasskeyChallenge(options_json={"challenge": "..."}, code="...")
PasskeyRegistration(user_handle="...")
ApiKeyCreate(description="robot", expires_at_millis=NOW, is_public=None)
ApiKeyUpdate(description="robot", revoked=True)
UserApiKey(
    id="k-1",
    description="robot",
    type="user",
    is_public=False,
    created_at_millis=NOW,
    expires_at_millis=None,
    manually_revoked_at_millis=None,
    user_id="ada",
    value=LastFour(last_four="abcd"),
)
CliLogin(polling_code="p", login_code="l", expires_at="2026-11-27T12:00:00.000Z")
CliPoll(status="success", refresh_token="r")
TeamApiKey(
    id="k-1",
    description="robot",
    type="team",
    is_public=False,
    created_at_millis=NOW,
    expires_at_millis=None,
    manually_revoked_at_millis=None,
    team_id="t-1",
    value=LastFour(last_four="abcd"),
)
NewUserApiKey(
    id="k-1",
    description="robot",
    type="user",
    is_public=False,
    created_at_millis=NOW,
    expires_at_millis=None,
    manually_revoked_at_millis=None,
    user_id="ada",
    value="...",
)
NewTeamApiKey(
    id="k-1",
    description="robot",
    type="team",
    is_public=False,
    created_at_millis=NOW,
    expires_at_millis=None,
    manually_revoked_at_millis=None,
    team_id="t-1",
    value="...",
)
Authorization(location="https://github.com/login/oauth/authorize")
Handoff(redirect_url="https://example.com/handler")
ConnectedAccount(user_id="ada", provider="github", provider_account_id="583231")
ProviderToken(access_token="...")
OAuthProvider(
    id="o-1",
    user_id="ada",
    provider_config_id="github",
    type="github",
    email=None,
    allow_sign_in=True,
    allow_connected_accounts=True,
)
OAuthProviderUpdate(allow_sign_in=True, allow_connected_accounts=False)
ServerOAuthProvider(
    id="o-1",
    user_id="ada",
    provider_config_id="github",
    type="github",
    email=None,
    allow_sign_in=True,
    allow_connected_accounts=True,
    account_id="583231",
)
ServerOAuthProviderCreate(
    user_id="ada",
    provider_config_id="github",
    account_id="583231",
    email=None,
    allow_sign_in=True,
    allow_connected_accounts=True,
)
ServerOAuthProviderUpdate(allow_sign_in=True, allow_connected_accounts=True, account_id="583231", email=None)
Identified(id="t-1")
DeletedUser(id="ada", teams=(Identified(id="t-1"),))
Membership(user_id="ada", team_id="t-1")
ProjectGrant(id="reports:see", user_id="ada")
TeamGrant(id="posts:delete", user_id="ada", team_id="t-1")
