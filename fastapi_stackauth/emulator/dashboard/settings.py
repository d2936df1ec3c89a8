"""The settings page, which shows the project's settings, its signing keys and the clock."""

from typing import Any

from starlette.requests import Request

from fastapi_stackauth.emulator.clock import checked_advance
from fastapi_stackauth.emulator.keys import key_set
from fastapi_stackauth.emulator.store.projects import STRATEGIES

from .dashboard import Dashboard, Form, action, shown_time, view

PROVIDERS = ("apple", "discord", "facebook", "github", "gitlab", "google", "linkedin", "microsoft", "spotify", "x")
SWITCHES = {
    "credential_enabled": "Sign-in with email and password",
    "magic_link_enabled": "Sign-in with a code or link in an email",
    "passkey_enabled": "Sign-in with a passkey",
    "sign_up_enabled": "New users may sign up",
    "require_email_verification": "Users without a verified address are restricted",
    "require_publishable_client_key": "Clients must send the publishable key",
    "allow_localhost": "Allow localhost in links and redirects",
    "client_user_deletion_enabled": "Users may delete their own account",
    "client_team_creation_enabled": "Users may create teams",
    "create_personal_team_on_sign_up": "New users get a team of their own",
    "allow_user_api_keys": "Users may create API keys",
    "allow_team_api_keys": "Teams may have API keys",
    "shared_oauth_access_tokens": "Providers with shared keys give access tokens",
}
KINDS = ["normal"]


@view("/dashboard/settings", "settings.html")
async def settings(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show the settings, the providers, the keys and the clock."""
    project, clock = dashboard.project, dashboard.server.clock
    secret = dashboard.server.store.projects.server_secret()
    configured = [provider["id"] for provider in project.config["oauth_providers"]]
    return {
        "switches": SWITCHES,
        "providers": [(name, name in configured) for name in sorted({*PROVIDERS, *configured})],
        "domains": [item["domain"] for item in project.config["domains"]],
        "strategies": STRATEGIES,
        "rules": [f"{rule['action']} {rule['contains']}" for rule in project.config["sign_up_rules"]],
        "key_ids": [key["kid"] for key in key_set(secret, project.id, KINDS)],
        "now": shown_time(clock.now()),
        "offset": clock.offset,
    }


@action("/dashboard/settings/change")
async def change_settings(dashboard: Dashboard, form: Form) -> str:
    """Set all settings and providers from the form."""
    on, wanted = form.get("on", "").split(), form.get("providers", "").split()
    known = {provider["id"]: provider for provider in dashboard.project.config["oauth_providers"]}
    changes: dict[str, Any] = {name: name in on for name in SWITCHES}
    changes["oauth_providers"] = [known.get(name, {"id": name, "type": "standard"}) for name in wanted]
    domains = {item["domain"]: item for item in dashboard.project.config["domains"]}
    changes["domains"] = [domains.get(name, {"domain": name}) for name in form.get("domains", "").split()]
    if "oauth_account_merge_strategy" in form:
        changes["oauth_account_merge_strategy"] = form["oauth_account_merge_strategy"]
    if "sign_up_rules" in form:
        changes["sign_up_rules"] = [parse_rule(line) for line in form["sign_up_rules"].splitlines() if line.strip()]
    dashboard.server.store.projects.configure(dashboard.project, changes)
    return "/dashboard/settings"


def parse_rule(line: str) -> dict[str, str]:
    """Parse a sign-up rule from a line such as `reject @example.com`."""
    does, _, contains = line.strip().partition(" ")
    return {"action": does, "contains": contains.strip()}


@action("/dashboard/settings/rotate-keys")
async def rotate_keys(dashboard: Dashboard, _form: Form) -> str:
    """Create new signing keys."""
    dashboard.server.store.projects.rotate_keys()
    return "/dashboard/settings"


@action("/dashboard/settings/clock")
async def move_clock(dashboard: Dashboard, form: Form) -> str:
    """Advance the clock, or return to the real time."""
    if form.get("reset"):
        dashboard.server.clock.reset()
    else:
        checked_advance(dashboard.server.clock, seconds := parse_minutes(form.get("minutes", "")) * 60)
        dashboard.server.clock.advance(seconds)
    return "/dashboard/settings"


def parse_minutes(text: str) -> int:
    """Return a whole number of minutes, no longer than a year.

    Raises:
        ValueError: The text is not valid.
    """
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 6 or int(digits) > 527_040:
        raise ValueError("the clock moves by a whole number of minutes, a year at most")
    return int(text)
