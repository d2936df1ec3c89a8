"""The face at `/`: what the server holds, for a person to see and to change, without scripts.

Law: what the API can do is done through the API itself, as the project's server; a form is answered by a redirect to
what it changed. `guard.py` keeps other sites away, and values reach the page through the templates' escaping only.
"""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from . import issuing
from .ambient import checked_advance
from .keys import key_set
from .pages import NAVIGATION, page
from .schema import Problems
from .seeding import PERMISSION, plant_permissions
from .server import Server
from .store.database import Row
from .store.permissions import SYSTEM
from .store.projects import STRATEGIES, Project
from .tokens import restricted_reason

Form = Mapping[str, str]
View = Callable[["Face", Request], Awaitable[dict[str, Any]]]
Action = Callable[["Face", Form], Awaitable[str]]

VIEWS: list[tuple[str, str, View]] = []
ACTIONS: list[tuple[str, Action]] = []
PROVIDERS = ("apple", "discord", "facebook", "github", "gitlab", "google", "linkedin", "microsoft", "spotify", "x")
SWITCHES = {
    "credential_enabled": "Sign-in with e-mail and password",
    "magic_link_enabled": "Sign-in with a code or link in a mail",
    "passkey_enabled": "Sign-in with a passkey",
    "sign_up_enabled": "New users may sign up",
    "require_email_verification": "Users whose address is not verified are restricted",
    "require_publishable_client_key": "Clients must show the publishable key",
    "allow_localhost": "Links and redirects may lead to localhost",
    "client_user_deletion_enabled": "Users may delete their own account",
    "client_team_creation_enabled": "Users may make teams",
    "create_personal_team_on_sign_up": "New users get a team of their own",
    "allow_user_api_keys": "Users may make API keys",
    "allow_team_api_keys": "Teams may have API keys",
    "shared_oauth_access_tokens": "Providers with shared keys give access tokens",
}
KINDS = ["normal"]
SHOWN = 200
"""At most so many rows of a list."""


class Refused(Exception):
    """The server does not do what a form asks for; the text says why."""


def view(path: str, template: str) -> Callable[[View], View]:
    """Register a page."""

    def register(handler: View) -> View:
        VIEWS.append((path, template, handler))
        return handler

    return register


def action(path: str) -> Callable[[Action], Action]:
    """Register what a form does; it returns where to go then."""

    def register(handler: Action) -> Action:
        ACTIONS.append((path, handler))
        return handler

    return register


class Face:
    """The face of a server.

    Args:
        server: the server's parts.
        project_id: the project it shows.
        api: answers the API's paths, without faults on order and without the log of calls.
    """

    def __init__(self, server: Server, project_id: str, api: ASGIApp) -> None:
        self.server, self._project_id, self._api = server, project_id, api
        self._notes: OrderedDict[str, tuple[str, bool]] = OrderedDict()

    def add_to(self, app: FastAPI) -> None:
        """Put the pages and forms on an app."""
        for path, template, show in VIEWS:
            app.add_route(path, self._shows(template, show), methods=["GET"])
        for path, do in ACTIONS:
            app.add_route(path, self._does(do), methods=["POST"])
        app.add_route("/face/sign-in-as", self._sign_in_as, methods=["POST"])

    @property
    def project(self) -> Project:
        """The project as it stands."""
        project = self.server.store.projects.get(self._project_id)
        assert project is not None  # noqa: S101 - projects are never deleted
        return project

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API as the project's server.

        Raises:
            Refused: it answers no success.
        """
        headers = {
            "x-stack-access-type": "server",
            "x-stack-project-id": self._project_id,
            "x-stack-secret-server-key": self.project.secret_server_key,
        }
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._api), base_url="http://face") as client:
            answer = await client.request(method, f"/api/v1{path}", json=body, headers=headers)
        if answer.is_success:
            return dict(answer.json())
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        raise Refused(answer.json()["error"] if is_json else answer.text)

    # --- routes ---

    def _shows(self, template: str, show: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                values = await show(self, request)
            except Refused as refusal:
                return self._page("missing.html", request, {"said": str(refusal)}, 404)
            return self._page(template, request, values)

        return answer

    def _does(self, do: Action) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = await form_of(request)
            try:
                target, note, well = await do(self, form), "Done.", True
            except (Refused, ValueError) as refusal:
                target, note, well = own_path(form.get("back", "/")), str(refusal), False
            return RedirectResponse(f"{target}?note={self._keep(note, well=well)}", 303)

        return answer

    async def _sign_in_as(self, request: Request) -> Response:
        form = await form_of(request)
        try:
            tokens = issuing.issue(self.server, self.project, user_id=segment(form, "user_id"))
        except ValueError as refusal:
            return self._page("missing.html", request, {"said": str(refusal)}, 404)
        return self._page("signed_in.html", request, {"tokens": tokens})

    def _page(self, template: str, request: Request, values: dict[str, Any], status: int = 200) -> Response:
        note = self._notes.get(request.query_params.get("note", ""))
        shared = {"project": self.project, "navigation": NAVIGATION, "here": request.url.path, "note": note}
        return page(f"face/{template}", status, **{**shared, **values})

    def _keep(self, text: str, *, well: bool) -> str:
        """Keep a note for the page that comes next; the address names it, so that no address can put words there."""
        name = self.server.chance.code(16)
        self._notes[name] = (text, well)
        while len(self._notes) > SHOWN:
            self._notes.popitem(last=False)
        return name

    # --- what several pages show ---

    def person(self, user: Row) -> dict[str, Any]:
        """Return a user as lists show them."""
        primary = self.server.store.channels.primary(user["id"])
        reason = restricted_reason(self.project, user, primary)
        return {
            "id": user["id"],
            "name": (primary and primary["value"]) or user["display_name"] or user["id"],
            "email": primary["value"] if primary else None,
            "display_name": user["display_name"],
            "verified": bool(primary and primary["is_verified"]),
            "reason": reason["type"] if reason else None,
            "is_restricted_by_admin": bool(user["restricted_by_admin"]),
            "signed_up_at": shown_time(user["signed_up_at"] / 1000),
        }

    def people(self) -> list[dict[str, Any]]:
        """Return the project's users, newest first."""
        rows = self.server.store.users.in_order(self._project_id, descending=True)
        return [self.person(row) for row in rows[:SHOWN]]

    def sessions(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return sessions as lists show them."""
        users = {row["id"]: row for row in self.server.store.users.in_order(self._project_id)}
        return [
            {
                "id": row["id"],
                "user": self.person(users[row["user_id"]]),
                "created_at": shown_time(row["created_at"] / 1000),
                "last_used_at": shown_time((row["last_used_at"] or row["created_at"]) / 1000),
            }
            for row in rows[:SHOWN]
        ]


async def form_of(request: Request) -> Form:
    """Return a posted form; of fields that come several times the last, joined where they are boxes."""
    pairs = parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
    form: dict[str, str] = {}
    for name, value in pairs:
        form[name] = f"{form[name]} {value}" if name in form and name in ("on", "providers") else value
    return form


def own_path(path: str) -> str:
    """Return a path of this server; the start page where it is none."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return re.split("[?#]", path)[0] if own else "/"


def shown_time(seconds: float) -> str:
    """Return a time for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# --- start ---


@view("/", "start.html")
async def start(face: Face, _request: Request) -> dict[str, Any]:
    """What an app needs, and what there is."""
    server, project = face.server, face.project
    environment = {
        "STACK_API_URL": server.public_url,
        "STACK_PROJECT_ID": project.id,
        "STACK_PUBLISHABLE_CLIENT_KEY": project.publishable_client_key,
        "STACK_SECRET_SERVER_KEY": project.secret_server_key,
        "STACK_WEBHOOK_SECRETS": server.webhooks.secret(project.id),
    }
    counts = {
        "users": len(server.store.users.in_order(project.id)),
        "sessions": len(server.store.sessions.of_project(project.id)),
        "teams": len(server.store.teams.of_project(project.id)),
        "mails": len(server.store.mails.find(project.id)),
        "webhooks": len(server.webhooks.messages(project.id)),
    }
    return {"environment": environment, "counts": counts, "now": shown_time(server.clock.now())}


# --- users ---


@view("/face/users", "users.html")
async def users(face: Face, _request: Request) -> dict[str, Any]:
    """All users."""
    return {"people": face.people(), "shown": SHOWN}


@action("/face/users/create")
async def create_user(face: Face, form: Form) -> str:
    """Make a user whose address is verified."""
    body: dict[str, Any] = {"primary_email_verified": True, "primary_email_auth_enabled": True}
    body |= {name: form[name] for name in ("primary_email", "display_name", "password") if form.get(name)}
    made = await face.call("POST", "/users", body)
    return f"/face/users/{made['id']}"


@view("/face/users/{user_id}", "user.html")
async def user_page(face: Face, request: Request) -> dict[str, Any]:
    """One user, with their sessions, teams and permissions."""
    store, project = face.server.store, face.project
    user = store.users.get(project.id, request.path_params["user_id"])
    if user is None:
        raise Refused("There is no such user.")
    granted = [row["permission_id"] for row in store.permissions.in_project(project.id) if row["user_id"] == user["id"]]
    return {
        "user": face.person(user),
        "sessions": face.sessions(store.sessions.of_user(user["id"])),
        "teams": store.teams.of_user(project.id, user["id"]),
        "granted": sorted(granted),
        "grantable": [row["id"] for row in store.permissions.definitions(project.id, "project")],
    }


@action("/face/users/restrict")
async def restrict_user(face: Face, form: Form) -> str:
    """Restrict a user, or let them be."""
    body: dict[str, Any] = {"restricted_by_admin": form.get("restrict") == "yes"}
    if not body["restricted_by_admin"]:
        body |= {"restricted_by_admin_reason": None, "restricted_by_admin_private_details": None}
    user_id = segment(form, "user_id")
    await face.call("PATCH", f"/users/{user_id}", body)
    return f"/face/users/{user_id}"


@action("/face/users/delete")
async def delete_user(face: Face, form: Form) -> str:
    """Remove a user."""
    await face.call("DELETE", f"/users/{segment(form, 'user_id')}")
    return "/face/users"


@action("/face/users/grant")
async def grant_in_project(face: Face, form: Form) -> str:
    """Grant a permission in the project, or take it away."""
    user_id = segment(form, "user_id")
    path = f"/project-permissions/{user_id}/{segment(form, 'permission_id')}"
    await face.call("DELETE" if form.get("revoke") else "POST", path, None if form.get("revoke") else {})
    return f"/face/users/{user_id}"


def segment(form: Form, name: str) -> str:
    """Return a field as a segment of a path.

    Raises:
        ValueError: it is empty or has more than one segment.
    """
    value = form.get(name, "")
    if not value or not value.isascii() or not value.isprintable() or set(value) & set("/\\?#%. "):
        raise ValueError(f"{name} is missing or has characters that it cannot have")
    return value


# --- sessions ---


@view("/face/sessions", "sessions.html")
async def sessions(face: Face, _request: Request) -> dict[str, Any]:
    """All sessions."""
    return {"sessions": face.sessions(face.server.store.sessions.of_project(face.project.id)), "shown": SHOWN}


@action("/face/sessions/revoke")
async def revoke_session(face: Face, form: Form) -> str:
    """End a session."""
    path = f"/auth/sessions/{segment(form, 'id')}?user_id={segment(form, 'user_id')}"
    await face.call("DELETE", path)
    return own_path(form.get("back", "/face/sessions"))


# --- teams and permissions ---


@view("/face/teams", "teams.html")
async def teams(face: Face, _request: Request) -> dict[str, Any]:
    """All teams."""
    store, project = face.server.store, face.project
    rows = store.teams.of_project(project.id)[:SHOWN]
    found = [{**row, "members": len(store.teams.members(project.id, row["id"]))} for row in rows]
    return {"teams": found, "people": face.people(), "shown": SHOWN}


@action("/face/teams/create")
async def create_team(face: Face, form: Form) -> str:
    """Make a team."""
    creator = {"creator_user_id": form["creator_user_id"]} if form.get("creator_user_id") else {}
    made = await face.call("POST", "/teams", {"display_name": form.get("display_name", ""), **creator})
    return f"/face/teams/{made['id']}"


@view("/face/teams/{team_id}", "team.html")
async def team_page(face: Face, request: Request) -> dict[str, Any]:
    """One team, who is in it, and what they may do there."""
    store, project = face.server.store, face.project
    team = store.teams.get(project.id, request.path_params["team_id"])
    if team is None:
        raise Refused("There is no such team.")
    users = {row["id"]: row for row in store.users.in_order(project.id, descending=True)}
    held = [row["user_id"] for row in store.teams.members(project.id, team["id"])]
    members = [
        {**face.person(users[user_id]), "granted": sorted(store.permissions.in_team(team["id"], user_id))}
        for user_id in held
    ]
    others = [face.person(row) for user_id, row in users.items() if user_id not in held][:SHOWN]
    grantable = [row["id"] for row in store.permissions.definitions(project.id, "team")]
    return {"team": team, "members": members, "others": others, "grantable": grantable, "shown": SHOWN}


@action("/face/teams/delete")
async def delete_team(face: Face, form: Form) -> str:
    """Remove a team."""
    await face.call("DELETE", f"/teams/{segment(form, 'team_id')}")
    return "/face/teams"


@action("/face/teams/member")
async def change_member(face: Face, form: Form) -> str:
    """Put somebody into a team, or take them out."""
    team_id = segment(form, "team_id")
    leave = form.get("leave")
    path = f"/team-memberships/{team_id}/{segment(form, 'user_id')}"
    await face.call("DELETE" if leave else "POST", path, None if leave else {})
    return f"/face/teams/{team_id}"


@action("/face/teams/grant")
async def grant_in_team(face: Face, form: Form) -> str:
    """Grant a permission in a team, or take it away."""
    team_id, revoke = segment(form, "team_id"), form.get("revoke")
    path = f"/team-permissions/{team_id}/{segment(form, 'user_id')}/{segment(form, 'permission_id')}"
    await face.call("DELETE" if revoke else "POST", path, None if revoke else {})
    return f"/face/teams/{team_id}"


@view("/face/permissions", "permissions.html")
async def permissions(face: Face, _request: Request) -> dict[str, Any]:
    """What permissions there are."""
    return {"definitions": face.server.store.permissions.definitions(face.project.id), "system": SYSTEM}


@action("/face/permissions/define")
async def define_permission(face: Face, form: Form) -> str:
    """Define a permission."""
    wanted = {name: form[name] for name in ("id", "scope", "description") if form.get(name)}
    problems = Problems(me=None)
    contained = form.get("contained", "").replace(",", " ").split()
    read = PERMISSION.read({**wanted, "contained_permission_ids": contained}, "permission", problems)
    if problems.found:
        raise Refused("; ".join(problems.found))
    with face.server.store.transaction():
        plant_permissions(face.server, face.project, [read])
    return "/face/permissions"


@action("/face/permissions/undefine")
async def undefine_permission(face: Face, form: Form) -> str:
    """Remove a permission, also from who was granted it."""
    permission_id = form.get("id", "")
    if permission_id not in {row["id"] for row in face.server.store.permissions.definitions(face.project.id)}:
        raise Refused("There is no such permission.")
    face.server.store.permissions.undefine(face.project.id, permission_id)
    return "/face/permissions"


# --- settings ---


@view("/face/settings", "settings.html")
async def settings(face: Face, _request: Request) -> dict[str, Any]:
    """Switches, providers, keys and the clock."""
    configured = [provider["id"] for provider in face.project.config["oauth_providers"]]
    return {
        "switches": SWITCHES,
        "providers": [(name, name in configured) for name in sorted({*PROVIDERS, *configured})],
        "domains": [item["domain"] for item in face.project.config["domains"]],
        "strategies": STRATEGIES,
        "rules": [f"{rule['action']} {rule['contains']}" for rule in face.project.config["sign_up_rules"]],
        "key_ids": [key["kid"] for key in key_set(face.server.store.projects.server_secret(), face.project.id, KINDS)],
        "now": shown_time(face.server.clock.now()),
        "offset": face.server.clock.offset,
    }


@action("/face/settings/change")
async def change_settings(face: Face, form: Form) -> str:
    """Set all switches and providers as the form says."""
    on, wanted = form.get("on", "").split(), form.get("providers", "").split()
    known = {provider["id"]: provider for provider in face.project.config["oauth_providers"]}
    changes: dict[str, Any] = {name: name in on for name in SWITCHES}
    changes["oauth_providers"] = [known.get(name, {"id": name, "type": "standard"}) for name in wanted]
    domains = {item["domain"]: item for item in face.project.config["domains"]}
    changes["domains"] = [domains.get(name, {"domain": name}) for name in form.get("domains", "").split()]
    if "oauth_account_merge_strategy" in form:
        changes["oauth_account_merge_strategy"] = form["oauth_account_merge_strategy"]
    if "sign_up_rules" in form:
        changes["sign_up_rules"] = [rule_of(line) for line in form["sign_up_rules"].splitlines() if line.strip()]
    face.server.store.projects.configure(face.project, changes)
    return "/face/settings"


def rule_of(line: str) -> dict[str, str]:
    """Return the sign-up rule of a line such as `reject @example.com`."""
    does, _, contains = line.strip().partition(" ")
    return {"action": does, "contains": contains.strip()}


@action("/face/settings/rotate-keys")
async def rotate_keys(face: Face, _form: Form) -> str:
    """Make fresh signing keys."""
    face.server.store.projects.rotate_keys()
    return "/face/settings"


@action("/face/settings/clock")
async def move_clock(face: Face, form: Form) -> str:
    """Move the clock, or show the real time again."""
    if form.get("reset"):
        face.server.clock.reset()
    else:
        checked_advance(face.server.clock, seconds := minutes_of(form.get("minutes", "")) * 60)
        face.server.clock.advance(seconds)
    return "/face/settings"


def minutes_of(text: str) -> int:
    """Return a whole number of minutes, no longer than a year.

    Raises:
        ValueError: it is none.
    """
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 6 or int(digits) > 527_040:
        raise ValueError("the clock moves by a whole number of minutes, a year at most")
    return int(text)


# --- webhooks and calls ---


@view("/face/webhooks", "webhooks.html")
async def webhooks(face: Face, _request: Request) -> dict[str, Any]:
    """Where webhooks go, and the latest of them."""
    told, project_id = face.server.webhooks, face.project.id
    messages = [
        {
            "id": message.id,
            "type": message.type,
            "state": message.state,
            "made_at": shown_time(message.made_at),
            "attempts": [(shown_time(attempt.at), attempt.status or "no answer") for attempt in message.attempts],
            "next_at": shown_time(message.next_at) if message.next_at is not None else None,
            "body": message.body.decode(),
        }
        for message in told.messages(project_id)[:SHOWN]
    ]
    return {"url": told.url(project_id), "secret": told.secret(project_id), "messages": messages}


@action("/face/webhooks/point")
async def point_webhooks(face: Face, form: Form) -> str:
    """Send webhooks to another address, or to none."""
    face.server.webhooks.point(face.project.id, form.get("url") or None)
    return "/face/webhooks"


@action("/face/webhooks/resend")
async def resend_webhook(face: Face, form: Form) -> str:
    """Send a message once more."""
    face.server.webhooks.resend(face.project.id, form.get("id", ""))
    return "/face/webhooks"


@view("/face/calls", "calls.html")
async def calls(face: Face, _request: Request) -> dict[str, Any]:
    """The latest calls of the API."""
    return {"calls": [{**vars(call), "time": shown_time(call.at)} for call in face.server.calls]}
