"""The dashboard at `/`, which shows and changes the server's data without scripts.

Law: the dashboard uses the API itself, as the project's server, for everything that the API can do. After a form, it
redirects to the changed object. `guard.py` rejects other sites, and templates escape all values.
"""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from fastapi_stackauth.emulator import issuing
from fastapi_stackauth.emulator.pages import NAVIGATION, page
from fastapi_stackauth.emulator.server import Server
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.store.projects import Project
from fastapi_stackauth.emulator.tokens import restricted_reason

Form = Mapping[str, str]
View = Callable[["Dashboard", Request], Awaitable[dict[str, Any]]]
Action = Callable[["Dashboard", Form], Awaitable[str]]

VIEWS: list[tuple[str, str, View]] = []
ACTIONS: list[tuple[str, Action]] = []
SHOWN = 200
"""The maximum number of rows in a list."""


class Refused(Exception):
    """The form could not be handled. The message contains the reason."""


def view(path: str, template: str) -> Callable[[View], View]:
    """Register the function that returns the values for a page's template."""

    def register(handler: View) -> View:
        VIEWS.append((path, template, handler))
        return handler

    return register


def action(path: str) -> Callable[[Action], Action]:
    """Register the function that handles a form. The function returns the URL of the next page."""

    def register(handler: Action) -> Action:
        ACTIONS.append((path, handler))
        return handler

    return register


class Dashboard:
    """The dashboard of a server.

    Args:
        server: The server's parts.
        project_id: The project to show.
        api: Serves the API's paths, without injected faults or the call log.
    """

    def __init__(self, server: Server, project_id: str, api: ASGIApp) -> None:
        self.server, self._project_id, self._api = server, project_id, api
        self._notes: OrderedDict[str, tuple[str, bool]] = OrderedDict()

    def add_to(self, app: FastAPI) -> None:
        """Add the pages and forms to an app."""
        for path, template, show in VIEWS:
            app.add_route(path, self._shows(template, show), methods=["GET"])
        for path, do in ACTIONS:
            app.add_route(path, self._does(do), methods=["POST"])
        app.add_route("/dashboard/sign-in-as", self._sign_in_as, methods=["POST"])
        app.add_route("/dashboard/api-keys/create", self._create_api_key, methods=["POST"])

    @property
    def project(self) -> Project:
        """The current state of the project."""
        project = self.server.store.projects.get(self._project_id)
        assert project is not None  # noqa: S101 - projects are never deleted
        return project

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API as the project's server. Raise if the call fails."""
        headers = {
            "x-stack-access-type": "server",
            "x-stack-project-id": self._project_id,
            "x-stack-secret-server-key": self.project.secret_server_key,
        }
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._api), base_url="http://dashboard") as client:
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
                return self._page("missing.html", request, {"message": str(refusal)}, 404)
            return self._page(template, request, values)

        return answer

    def _does(self, do: Action) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            form = await read_form(request)
            try:
                target, note, well = await do(self, form), "Done.", True
            except (Refused, ValueError) as refusal:
                target, note, well = own_path(form.get("back", "/")), str(refusal), False
            return RedirectResponse(f"{target}?note={self._keep(note, well=well)}", 303)

        return answer

    async def _sign_in_as(self, request: Request) -> Response:
        form = await read_form(request)
        try:
            tokens = issuing.issue(self.server, self.project, user_id=segment(form, "user_id"))
        except ValueError as refusal:
            return self._page("missing.html", request, {"message": str(refusal)}, 404)
        return self._page("signed_in.html", request, {"tokens": tokens})

    async def _create_api_key(self, request: Request) -> Response:
        form = await read_form(request)
        try:
            kind = "team" if form.get("team_id") else "user"
            owner = {f"{kind}_id": segment(form, f"{kind}_id")}
            body = {"description": form.get("description", ""), "expires_at_millis": None, **owner}
            made = await self.call("POST", f"/{kind}-api-keys", body)
        except (Refused, ValueError) as refusal:
            return self._page("missing.html", request, {"message": str(refusal)}, 404)
        back = f"/dashboard/{kind}s/{made[f'{kind}_id']}"
        return self._page("api_key.html", request, {"key": made, "kind": kind, "back": back})

    def _page(self, template: str, request: Request, values: dict[str, Any], status: int = 200) -> Response:
        note = self._notes.get(request.query_params.get("note", ""))
        shared = {"project": self.project, "navigation": NAVIGATION, "here": request.url.path, "note": note}
        return page(f"dashboard/{template}", status, **{**shared, **values})

    def _keep(self, text: str, *, well: bool) -> str:
        """Store a message for the next page. The URL only contains the message's name, so a URL cannot inject text."""
        name = self.server.chance.code(16)
        self._notes[name] = (text, well)
        while len(self._notes) > SHOWN:
            self._notes.popitem(last=False)
        return name

    # --- what several pages show ---

    def person(self, user: Row) -> dict[str, Any]:
        """Return the values of a user for lists."""
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

    def list_users(self) -> list[dict[str, Any]]:
        """Return the project's users, newest first."""
        rows = self.server.store.users.in_order(self._project_id, descending=True)
        return [self.person(row) for row in rows[:SHOWN]]

    def sessions(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return the values of sessions for lists."""
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

    def api_keys(self, kind: Literal["user", "team"], owner_id: str) -> list[dict[str, Any]]:
        """Return the values of a user's or a team's API keys for lists."""
        return [
            {
                **{name: row[name] for name in ("id", "description", "last_four", "is_public")},
                "created_at": shown_time(row["created_at"] / 1000),
                "state": self._describe_key(row),
            }
            for row in self.server.store.api_keys.list_for_owner(self._project_id, kind, owner_id)[:SHOWN]
        ]

    def _describe_key(self, row: Row) -> str:
        if row["revoked_at"] is not None:
            return "revoked"
        if row["expires_at"] is None:
            return "valid"
        expired = row["expires_at"] <= self.server.clock.millis()
        try:
            until = shown_time(row["expires_at"] / 1000)
        except (OverflowError, ValueError):  # JavaScript dates have a wider range
            return "expired" if expired else "valid"
        return f"expired {until}" if expired else f"valid until {until}"


async def read_form(request: Request) -> Form:
    """Return a posted form. Repeated fields keep the last value, and checkboxes keep all values."""
    pairs = parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
    form: dict[str, str] = {}
    for name, value in pairs:
        form[name] = f"{form[name]} {value}" if name in form and name in ("on", "providers") else value
    return form


def own_path(path: str) -> str:
    """Return a path of this server, or the start page."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return re.split("[?#]", path)[0] if own else "/"


def shown_time(seconds: float) -> str:
    """Return a time as text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def segment(form: Form, name: str) -> str:
    """Return a field as a segment of a path.

    Raises:
        ValueError: It is empty or has more than one segment.
    """
    value = form.get(name, "")
    if not value or not value.isascii() or not value.isprintable() or set(value) & set("/\\?#%. "):
        raise ValueError(f"{name} is missing or has characters that it cannot have")
    return value
