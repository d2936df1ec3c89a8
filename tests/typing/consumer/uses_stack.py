"""`StackAuth` and `Settings` with every option, and what hangs on them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import assert_type

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse
from pydantic import SecretStr
from starlette.types import Scope

from fastapi_stackauth import (
    AuthEvent,
    AuthEvents,
    Credential,
    CredentialSource,
    Grants,
    HeaderCredentials,
    HealthReport,
    OriginPolicy,
    ProjectPermissionEvent,
    QueryToken,
    Require,
    SdkCookies,
    Settings,
    StackAuth,
    StackAuthClient,
    TeamDeletedEvent,
    TeamEvent,
    TeamMembershipEvent,
    TeamPermissionEvent,
    Theme,
    User,
    UserDeletedEvent,
    UserEvent,
    WebhookEvent,
    WebhookRouter,
)
from fastapi_stackauth.mcp import ResourceTokens, get_current_user
from fastapi_stackauth.models import (
    DeletedUser,
    Identified,
    Membership,
    ProjectGrant,
    ServerUser,
    Team,
    TeamGrant,
    TokenPair,
)


class OfferedToken:
    def read(self, scope: Scope) -> Credential | None:
        offered: list[str] = scope.get("subprotocols", [])
        return Credential(offered[1], source="subprotocol") if len(offered) > 1 else None


PROJECT_ID = "11111111-1111-4111-8111-111111111111"
SITE = OriginPolicy("https://app.example.com", ("https://www.example.com",))
SOURCES: list[CredentialSource] = [HeaderCredentials(), QueryToken(), QueryToken("token"), SdkCookies(SITE, PROJECT_ID)]
StackAuth()
Settings()
stack = StackAuth(
    sources=[*SOURCES, OfferedToken()],
    http_client=httpx.AsyncClient(),
    transport=None,
    tracer_provider=None,
    meter_provider=None,
    clock=lambda: 0.0,
    project_id=PROJECT_ID,
    publishable_client_key="pck_...",
    secret_server_key=SecretStr("ssk_..."),
    branch_id="main",
    base_url="https://api.stack-auth.com",
    issuers=["https://auth.example.com"],
    app_url="https://app.example.com",
    cookie_name="stackauth",
    cookie_domain="example.com",
    insecure_cookies=False,
    session_max_age=None,
    cli_session_max_age=3600,
    after_sign_in="/",
    after_sign_out="/",
    sign_in_url="/sign-in",
    redirect_urls=["myapp://auth/"],
    rate_limit_address="60/minute",
    rate_limit_account=None,
    redis_url="redis://localhost:6379/0",
    trusted_origins=["https://www.example.com"],
    authorization_servers=["https://login.example.com"],
    trusted_proxies=("10.0.0.0/8",),
    leeway=5,
    timeout=10,
    keepalive_expiry=4,
    max_body_size=65_536,
    optional_invalid="none",
    error_docs_url=None,
    error_format="problem",
    sdk_cookies=True,
    token_cache_size=10_000,
    jwks=Path("keys.json"),
    jwks_max_age=3600,
    jwks_cooldown=30,
    jwks_stale_limit=86_400,
    jwks_timeout=5,
    authorization_ttl=10,
    unknown_team="not_found",
    api_key_ttl=10,
    api_key_concurrency=8,
    revocation_ttl=3600,
    revocation_outage="serve",
    webhook_secrets=["whsec_...", SecretStr("whsec_...")],
    fallback_concurrency=8,
    fallback_ttl=10,
    telemetry=True,
)
SETTINGS = Settings(
    project_id=PROJECT_ID,
    publishable_client_key="pck_...",
    secret_server_key=SecretStr("ssk_..."),
    branch_id="main",
    base_url="https://api.stack-auth.com",
    issuers=["https://auth.example.com"],
    app_url="https://app.example.com",
    cookie_name="stackauth",
    cookie_domain="example.com",
    insecure_cookies=False,
    session_max_age=None,
    cli_session_max_age=3600,
    after_sign_in="/",
    after_sign_out="/",
    sign_in_url="/sign-in",
    redirect_urls=["myapp://auth/"],
    rate_limit_address="60/minute",
    rate_limit_account=None,
    redis_url="redis://localhost:6379/0",
    trusted_origins=["https://www.example.com"],
    authorization_servers=["https://login.example.com"],
    trusted_proxies=("10.0.0.0/8",),
    leeway=5,
    timeout=10,
    keepalive_expiry=4,
    max_body_size=65_536,
    optional_invalid="none",
    error_docs_url=None,
    error_format="problem",
    sdk_cookies=True,
    token_cache_size=10_000,
    jwks={"keys": []},
    jwks_max_age=3600,
    jwks_cooldown=30,
    jwks_stale_limit=86_400,
    jwks_timeout=5,
    authorization_ttl=10,
    unknown_team="not_found",
    api_key_ttl=10,
    api_key_concurrency=8,
    revocation_ttl=3600,
    revocation_outage="serve",
    webhook_secrets=["whsec_...", SecretStr("whsec_...")],
    fallback_concurrency=8,
    fallback_ttl=10,
    telemetry=True,
)
assert_type(SETTINGS.require_project_id(), str)
assert_type(SETTINGS.app_url, str | None)
assert_type(SETTINGS.trusted_origins, tuple[str, ...])
assert_type(SETTINGS.redis_url, SecretStr | None)

app = FastAPI()
stack.install(app)
stack.install(FastAPI(), default=False)
assert_type(stack.router(), APIRouter)
assert_type(stack.teams_router(), APIRouter)
assert_type(stack.api_keys_router(include=["user_api_keys"], max_age=None), APIRouter)
app.include_router(
    stack.teams_router(
        delivery="body",
        exclude=["team_creation", "team_deletion"],
        pages={"team_invitation": "/welcome"},
        create=Require(verified_email=True),
        manage_permissions=Grants(by="team_admin", grantable={"notes:delete"}),
    ),
    prefix="/auth",
)
app.include_router(
    stack.router(
        delivery="body",
        include=["password", "otp", "oauth", "passkey", "anonymous", "mfa", "sessions", "account"],
        pages={"magic_link": "/sign-in", "password_reset": "/new-password", "verify_email": "/verified"},
        oauth_scopes={"github": "repo"},
    ),
    prefix="/auth",
)
assert_type(stack.readiness("/ready"), APIRouter)
assert_type(stack.settings, Settings)
assert_type(stack.client, StackAuthClient)


async def running() -> None:
    assert_type(await stack.health(), HealthReport)
    await stack.warm_up()
    await stack.aclose()
    with stack.reconfigure(transport=httpx.ASGITransport(app), clock=lambda: 0.0, leeway=1):
        pass


HealthReport(
    status="ok",
    keys="fresh",
    keys_age_seconds=1.5,
    last_error=None,
    fallback_in_use=False,
    redis="memory",
    revocations_unpublished=0,
    missing_settings=(),
)


async def begin(request: Request, tokens: TokenPair) -> RedirectResponse:
    stack.sessions.start(request, tokens)
    stack.sessions.forget(request)
    await stack.sessions.end(request)
    return RedirectResponse("/", 303)


events = AuthEvents()


@events.on("sign_in_failed", "rate_limited")
def suspicious(event: AuthEvent) -> None:
    print(event.name, event.labels["code"], event.fields.get("path"), event.duration)


events.off(suspicious)
assert_type(stack.events, AuthEvents)
assert_type(stack.events.counts(), dict[tuple[str, tuple[tuple[str, str], ...]], int])
AuthEvent("token_rejected", {"code": "token_expired"}, {"count": 1})

webhooks = stack.webhooks("/webhooks/stack-auth")
assert_type(webhooks, WebhookRouter)
WebhookRouter(stack, "/webhooks/other")


@webhooks.on("user.created", "user.updated")
async def welcome(event: UserEvent) -> None:
    assert_type(event.data, ServerUser)
    assert_type(event.sent_at, datetime)


@webhooks.on()
def everything(event: WebhookEvent) -> None:
    print(event.type)


THEME = Theme(
    name="Acme",
    logo="/static/logo.svg",
    logo_dark="/static/logo-dark.svg",
    accent="#0f766e",
    accent_dark="#2dd4bf",
    background="#ffffff",
    background_dark="#101010",
    radius="4px",
    font="system-ui",
    terms_url="/terms",
    privacy_url="/privacy",
    stylesheet="/static/own.css",
)
assert_type(
    StackAuth().pages_router(
        prefix="/handler", theme=THEME, oauth_scopes={"github": "repo"}, create_team=Require(permission="founders")
    ),
    APIRouter,
)
assert_type(StackAuth().pages_router(prefix="/handler", languages=["en", "it"], catalogs="locale"), APIRouter)
assert_type(StackAuth().pages_router(prefix="/handler", templates=Path("templates")), APIRouter)
assert_type(StackAuth().cli_router(pages={"device": "/device"}, share_browser_session=False), APIRouter)
MCP = FastAPI()
TOOLS = StackAuth()
TOOLS.install(MCP)
TOOLS.mount_mcp(
    MCP,
    "/mcp",
    include_tags={"notes"},
    include_operations=["write"],
    allow_unauthenticated=True,
    call_timeout=10,
    resource_tokens=ResourceTokens("https://login.example.com", jwks_url="https://login.example.com/keys"),
)


async def use_tool() -> None:
    """The caller of an app's own FastMCP tool."""
    assert_type(await get_current_user(), User)
    assert_type(await get_current_user(Require(team_member="team_id"), team_id="t-1"), User)


SENT = datetime.now(UTC)
WebhookEvent(type="new.type", data={"a": 1}, message_id="m-1", sent_at=SENT)
UserEvent(type="user.created", data=ServerUser(id="ada"), message_id="m-1", sent_at=SENT)
UserDeletedEvent(type="user.deleted", data=DeletedUser(id="ada"), message_id="m-1", sent_at=SENT)
TeamEvent(type="team.created", data=Team(id="t-1", display_name="Red"), message_id="m-1", sent_at=SENT)
TeamDeletedEvent(type="team.deleted", data=Identified(id="t-1"), message_id="m-1", sent_at=SENT)
TeamMembershipEvent(
    type="team_membership.created",
    data=Membership(user_id="ada", team_id="t-1"),
    message_id="m-1",
    sent_at=SENT,
)
TeamPermissionEvent(
    type="team_permission.created",
    data=TeamGrant(id="posts:delete", user_id="ada", team_id="t-1"),
    message_id="m-1",
    sent_at=SENT,
)
ProjectPermissionEvent(
    type="project_permission.deleted",
    data=ProjectGrant(id="reports:see", user_id="ada"),
    message_id="m-1",
    sent_at=SENT,
)
