"""The start of OAuth: an app sends a browser to a provider (contract/tokens.md section 10)."""

from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from fastapi_stackauth.emulator import accounts, credentials, trust
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import BOT_CHALLENGE, OPTIONAL_URL, URL, Check, Text
from fastapi_stackauth.emulator.server import Server
from fastapi_stackauth.emulator.server_profile import ServerProfile
from fastapi_stackauth.emulator.store.oauth import FLOW_MILLIS
from fastapi_stackauth.emulator.store.projects import Project
from fastapi_stackauth.emulator.wire import NOBODY, Call, json_response, operation

OPTIONAL = Text(required=False)
RESPONSE_MODE = Text(choices=("json", "redirect"), required=False)
QUERY: dict[str, Check] = {
    "client_id": Text(),
    "client_secret": Text(),
    "redirect_uri": URL,
    "scope": Text(),
    "state": Text(),
    "grant_type": Text(choices=("authorization_code",)),
    "code_challenge": Text(),
    "code_challenge_method": Text(),
    "response_type": Text(),
    "type": Text(choices=("authenticate", "link"), required=False),
    "token": OPTIONAL,
    "provider_scope": OPTIONAL,
    "error_redirect_uri": OPTIONAL_URL,
    "error_redirect_url": OPTIONAL_URL,
    "after_callback_redirect_url": OPTIONAL_URL,
    "stack_response_mode": RESPONSE_MODE,
    **BOT_CHALLENGE,
}
KEPT = ("redirect_uri", "scope", "state", "code_challenge", "code_challenge_method", "response_type")
BASE_SCOPE = "openid email profile offline_access"
COOKIE = "stack-oauth-inner-"


def query_fields(profile: ServerProfile) -> dict[str, Check]:
    """Return the fields of the query. Profiles with the newer headers also have the newer name of the response mode."""
    return {**QUERY, **({"hexclave_response_mode": RESPONSE_MODE} if profile.uses_hexclave_headers else {})}


def client_project(server: Server, client_id: str, secret: str) -> Project:
    """Return the project of an OAuth client. Its client secret is the publishable client key."""
    project_id, _, branch = client_id.partition("#")
    project = server.store.projects.get(project_id)
    if project is None or branch not in ("", credentials.MAIN_BRANCH):
        raise KnownError("INVALID_OAUTH_CLIENT_ID_OR_SECRET", client_id=client_id)
    credentials.check_publishable_key(project, secret, credentials.MAIN_BRANCH)
    return project


def check_request(server: Server, project: Project, provider: str, query: dict[str, Any]) -> None:
    """Reject a request that cannot start a flow, in the real server's order."""
    if project.provider(provider) is None:
        raise KnownError("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED")
    if query.get("type") == "link" and not query.get("token"):
        raise PlainError(400, "Linking needs ?token=, the access token of the user to link to.")
    trust.check_redirect(server, project, query.get("after_callback_redirect_url"), mobile=True)
    accounts.check_bot_challenge(query)
    if query.get("provider_scope") and project.shares_keys(provider):
        raise KnownError("OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS")


def token_user(server: Server, project: Project, token: str | None) -> str | None:
    """Return the id of the user of the access token in the request."""
    if not token:
        return None
    claims = credentials.token_claims(server, token)
    if claims["project_id"] != project.id:
        raise PlainError(403, "The access token belongs to another project.")
    return str(claims["sub"])


def newer_mode(server: Server, query: dict[str, Any]) -> str | None:
    """Return the response mode in the field with the newer name, which older servers ignore."""
    return query.get("hexclave_response_mode") if server.profile.uses_hexclave_headers else None


@operation(
    "GET",
    "/auth/oauth/authorize/{provider_id}",
    access=NOBODY,
    params={"provider_id": Text()},
    query=query_fields,
    open_query=True,
)
async def authorize(call: Call) -> Response:
    """Redirect the browser to the provider, or return its URL as JSON."""
    server, query, provider = call.server, call.query, call.path["provider_id"]
    project = client_project(server, query["client_id"], query["client_secret"])
    check_request(server, project, provider, query)
    as_json = "json" in (query.get("stack_response_mode"), newer_mode(server, query))
    flow = {
        **{name: query[name] for name in KEPT},
        "provider": provider,
        "type": query.get("type", "authenticate"),
        "user_id": token_user(server, project, query.get("token")),
        "provider_scope": query.get("provider_scope", ""),
        "error_redirect_uri": query.get("error_redirect_uri") or query.get("error_redirect_url"),
        "after_callback_redirect_url": query.get("after_callback_redirect_url"),
        "needs_cookie": not as_json,
    }
    state = server.store.oauth.start(project.id, flow)
    location = provider_url(server, provider, state, flow["provider_scope"])
    if as_json:
        return json_response({"location": location})
    answer = RedirectResponse(location, 307)
    answer.headers.append("set-cookie", browser_cookie(server, state))
    return answer


def browser_cookie(server: Server, state: str) -> str:
    """Return the cookie that binds a flow to a browser. Over plain HTTP it is not Secure, so that browsers send it."""
    seconds = FLOW_MILLIS // 1000
    expires = formatdate(server.clock.now() + seconds, usegmt=True)
    secure = " Secure;" if server.public_url.startswith("https:") else ""
    return f"{COOKIE}{state}=true; Path=/; Expires={expires}; Max-Age={seconds};{secure} HttpOnly"


def provider_url(server: Server, provider: str, state: str, extra_scope: str) -> str:
    """Return the URL of the mock provider's page, which looks like a real one."""
    query = {
        "client_id": provider,
        "scope": f"{BASE_SCOPE} {extra_scope}".strip(),
        "response_type": "code",
        "redirect_uri": f"{server.public_url}/api/v1/auth/oauth/callback/{provider}",
        "state": state,
        "access_type": "offline",
        "prompt": "consent",
    }
    return f"{server.public_url}/emulator/oauth/{provider}/authorize?{urlencode(query)}"
