"""Every call of the client, and what it gives."""

from datetime import timedelta
from typing import assert_type

import httpx
import httpx2

from fastapi_stackauth import AuthEvents, Settings, StackAuthClient
from fastapi_stackauth.client import Listing, Page
from fastapi_stackauth.models import (
    AccessToken,
    ApiKeyCreate,
    ApiKeyUpdate,
    ApiModel,
    Authorization,
    BotChallenge,
    CliLogin,
    CliPoll,
    ConnectedAccount,
    ContactChannel,
    ContactChannelCreate,
    ContactChannelUpdate,
    CurrentUserProfile,
    CurrentUserUpdate,
    Handoff,
    InvitedTo,
    NewTeamApiKey,
    NewUserApiKey,
    OAuthProvider,
    OAuthProviderUpdate,
    OAuthRefresh,
    OAuthTokens,
    PasskeyChallenge,
    PasskeyRegistration,
    Project,
    ProjectPermission,
    ProviderToken,
    ServerOAuthProvider,
    ServerOAuthProviderCreate,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
    Session,
    SignIn,
    Team,
    TeamApiKey,
    TeamCreate,
    TeamInvitation,
    TeamMemberProfile,
    TeamMemberProfileUpdate,
    TeamMembership,
    TeamPermission,
    TeamUpdate,
    TokenPair,
    UserApiKey,
)

StackAuthClient(Settings())
client = StackAuthClient(
    Settings(project_id="p-1", secret_server_key="ssk_..."),
    http_client=httpx.AsyncClient(),
    transport=None,
    events=AuthEvents(),
)
StackAuthClient(
    Settings(), http_client=httpx2.AsyncClient(), transport=httpx2.MockTransport(lambda _: httpx2.Response(200))
)
CHALLENGE = BotChallenge(bot_challenge_token="...")
BACK = "https://app.example.com/back"
Page[Team](items=(Team(id="t-1", display_name="Red"),), is_paginated=False, pagination=None)


class Preference(ApiModel):
    """A model of one's own."""

    enabled: bool


async def keep(tokens: TokenPair) -> None: ...


def keep_at_once(tokens: TokenPair) -> None: ...


async def no_page(cursor: str | None) -> Page[Team]:
    return Page[Team]()


Listing(no_page)


async def signing_in() -> None:
    signed_in = await client.password.sign_in(email="ada@example.com", password="...")
    assert_type(signed_in, SignIn)
    new = await client.password.sign_up(
        email="ada@example.com", password="...", verification_callback_url=BACK, bot_challenge=CHALLENGE
    )
    assert_type(new, SignIn)
    sent = await client.otp.send_sign_in_code(email="ada@example.com", callback_url=BACK, bot_challenge=CHALLENGE)
    assert_type(sent.nonce, str)
    await client.otp.check_code(code="...")
    assert_type(await client.otp.sign_in(code="..."), SignIn)
    assert_type(await client.anonymous.sign_up(), SignIn)
    assert_type(await client.cli.start(expires_in=timedelta(minutes=5)), CliLogin)
    assert_type(await client.cli.poll("polling-code"), CliPoll)
    await client.cli.complete("login-code", refresh_token="refresh-token")
    assert_type(await client.mfa.sign_in(attempt_code="...", totp="123456"), SignIn)
    assert_type(await client.passkey.initiate_authentication(), PasskeyChallenge)
    assert_type(await client.passkey.sign_in(code="...", authentication_response={"id": "..."}), SignIn)
    await client.password.send_reset_code(email="ada@example.com", callback_url=BACK)
    await client.password.check_reset_code(code="...")
    await client.password.reset(code="...", password="...")
    assert_type(await client.refresh(signed_in.refresh_token), AccessToken)
    assert_type(await client.sessions.refresh(signed_in.refresh_token), AccessToken)
    session = client.session(signed_in, on_tokens=keep)
    assert_type(session, StackAuthClient)
    assert_type(client.session(signed_in, on_tokens=keep_at_once), StackAuthClient)
    assert_type(await session.users.me(), CurrentUserProfile)


async def with_a_provider() -> None:
    authorization = await client.oauth.authorize(
        "github",
        redirect_uri=BACK,
        state="...",
        code_challenge="...",
        link=True,
        provider_scope="repo",
        error_redirect_uri=BACK,
        after_callback_redirect_url=BACK,
        bot_challenge=CHALLENGE,
    )
    assert_type(authorization, Authorization)
    assert_type(client.oauth.authorize_url("github", redirect_uri=BACK, state="...", code_challenge="..."), str)
    tokens = await client.oauth.exchange_code(code="...", redirect_uri=BACK, code_verifier="...")
    assert_type(tokens, OAuthTokens)
    assert_type(client.session(tokens.pair), StackAuthClient)
    assert_type(await client.oauth.refresh(tokens.refresh_token), OAuthRefresh)
    assert_type(await client.oauth.apple_sign_in(id_token="..."), SignIn)
    handoff = await client.oauth.cross_domain_authorize(
        refresh_token="...", redirect_uri=BACK, state="...", code_challenge="..."
    )
    assert_type(handoff, Handoff)


async def as_a_user(token: str) -> None:
    user = client.as_user(token)
    assert_type(user, StackAuthClient)
    assert_type(await user.users.me(), CurrentUserProfile)
    assert_type(await user.users.update_me(CurrentUserUpdate(display_name="Ada")), CurrentUserProfile)
    await user.users.delete_me()
    assert_type(await user.sessions.list(), tuple[Session, ...])
    await user.sessions.revoke("s-1")
    await user.sessions.sign_out()
    await user.password.set(password="...")
    await user.password.update(old_password="...", new_password="...", refresh_token="...")
    assert_type(await user.passkey.initiate_registration(), PasskeyChallenge)
    assert_type(await user.passkey.register(code="...", credential={"id": "..."}), PasskeyRegistration)
    assert_type(await user.contact_channels.list(), tuple[ContactChannel, ...])
    created = await user.contact_channels.create(ContactChannelCreate(value="a@example.com", used_for_auth=False))
    assert_type(created, ContactChannel)
    assert_type(await user.contact_channels.get("c-1"), ContactChannel)
    assert_type(await user.contact_channels.update("c-1", ContactChannelUpdate(is_primary=True)), ContactChannel)
    await user.contact_channels.delete("c-1")
    await user.contact_channels.send_verification_code("c-1", callback_url=BACK)
    await user.contact_channels.send_primary_verification_code(email="a@example.com", callback_url=BACK)
    await client.contact_channels.verify(code="...")
    await client.contact_channels.check_verification_code(code="...")
    assert_type(await user.connected_accounts.list(), tuple[ConnectedAccount, ...])
    assert_type(await user.connected_accounts.access_token("github", scope="repo"), ProviderToken)
    assert_type(await user.oauth_providers.list(), tuple[OAuthProvider, ...])
    assert_type(await user.oauth_providers.get("o-1"), OAuthProvider)
    assert_type(await user.oauth_providers.update("o-1", OAuthProviderUpdate(allow_sign_in=True)), OAuthProvider)
    await user.oauth_providers.delete("o-1")
    assert_type(await user.request("GET", "/x", model=Preference), Preference)


async def in_teams(token: str) -> None:
    user = client.as_user(token)
    assert_type(await user.teams.list(), tuple[Team, ...])
    assert_type(await user.teams.create(TeamCreate(display_name="Red")), Team)
    assert_type(await user.teams.get("t-1"), Team)
    assert_type(await user.teams.update("t-1", TeamUpdate(display_name="Blue")), Team)
    await user.teams.delete("t-1")
    assert_type(await user.team_members.list("t-1"), tuple[TeamMemberProfile, ...])
    assert_type(await user.team_members.get("t-1"), TeamMemberProfile)
    mine = TeamMemberProfileUpdate(display_name="Ada")
    assert_type(await user.team_members.update("t-1", mine), TeamMemberProfile)
    await user.team_members.remove("t-1")
    sent = await user.team_invitations.send("t-1", email="bob@example.com", callback_url=BACK)
    assert_type(sent.id, str)
    assert_type(await user.team_invitations.list("t-1"), tuple[TeamInvitation, ...])
    assert_type(await user.team_invitations.list_for_user(), tuple[TeamInvitation, ...])
    await user.team_invitations.revoke("i-1", team_id="t-1")
    await user.team_invitations.accept(code="...")
    await user.team_invitations.accept_by_id("i-1")
    assert_type(await user.team_invitations.details(code="..."), InvitedTo)
    await user.team_invitations.check_code(code="...")
    assert_type(await user.team_permissions.check("posts:delete", team_id="t-1"), bool)
    assert_type(await user.team_permissions.list(team_id="t-1", recursive=True), tuple[TeamPermission, ...])
    assert_type(await user.project_permissions.check("reports:see"), bool)
    assert_type(await user.project_permissions.list(), tuple[ProjectPermission, ...])


async def with_keys(token: str) -> None:
    user, key = client.as_user(token), ApiKeyCreate(description="robot", expires_at_millis=None)
    assert_type(await user.user_api_keys.list(), tuple[UserApiKey, ...])
    assert_type(await user.user_api_keys.create(key), NewUserApiKey)
    assert_type(await user.user_api_keys.get("k-1"), UserApiKey)
    assert_type(await user.user_api_keys.update("k-1", ApiKeyUpdate(revoked=True)), UserApiKey)
    assert_type(await client.as_server().user_api_keys.check("..."), UserApiKey)
    assert_type(await user.team_api_keys.list("t-1"), tuple[TeamApiKey, ...])
    assert_type(await user.team_api_keys.create(key, team_id="t-1"), NewTeamApiKey)
    assert_type(await user.team_api_keys.get("k-1", team_id="t-1"), TeamApiKey)
    assert_type(await user.team_api_keys.update("k-1", ApiKeyUpdate(revoked=True), team_id="t-1"), TeamApiKey)
    assert_type(await client.as_server().team_api_keys.check("..."), TeamApiKey)


async def as_the_server() -> None:
    assert_type(await client.project.current(), Project)
    fetched = await client.keys.fetch(timeout=1)
    await client.keys.fetch(url="https://login.example.com/keys")
    assert_type(fetched.document, object)
    server = client.as_server()
    listing = server.users.list(
        query="ada",
        team_id="t-1",
        newest_first=True,
        include_anonymous=True,
        only_anonymous=False,
        include_restricted=True,
        limit=10,
    )
    assert_type(listing, Listing[ServerUser])
    assert_type(await listing.page(), Page[ServerUser])
    async for each in server.users.list(query="ada"):
        assert_type(each, ServerUser)
    async for page in server.users.list().pages():
        assert_type(page, Page[ServerUser])
        assert_type(page.items, tuple[ServerUser, ...])
        assert_type(page.next_cursor, str | None)
    assert_type(await server.users.get("ada"), ServerUser)
    assert_type(await server.users.create(ServerUserCreate(primary_email="ada@example.com")), ServerUser)
    assert_type(await server.users.update("ada", ServerUserUpdate(display_name="Ada")), ServerUser)
    await server.users.delete("ada")
    tokens = await server.sessions.create("ada", expires_in=timedelta(hours=1), is_impersonation=True)
    assert_type(tokens, TokenPair)
    assert_type(await server.team_members.add("t-1", "ada"), TeamMembership)
    granted = await server.team_permissions.grant("posts:delete", team_id="t-1", user_id="ada")
    assert_type(granted, TeamPermission)
    await server.team_permissions.revoke("posts:delete", team_id="t-1", user_id="ada")
    assert_type(await server.project_permissions.grant("reports:see", user_id="ada"), ProjectPermission)
    await server.project_permissions.revoke("reports:see", user_id="ada")
    account = ServerOAuthProviderCreate(
        user_id="ada",
        provider_config_id="github",
        account_id="583231",
        allow_sign_in=True,
        allow_connected_accounts=True,
    )
    assert_type(await server.oauth_providers.create(account), ServerOAuthProvider)
    await client.aclose()
