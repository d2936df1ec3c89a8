"""The control API under /emulator/, for tests: state, time, keys, settings, faults, tokens, emails.

Law: requests and responses are JSON, and need no keys: `guard.py` rejects other machines without the dashboard token. A
mistake is 400 with `{"error"}`.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import issuing
from .clock import checked_advance
from .faults import Fault
from .passwords import on_a_thread
from .reading import parse_json
from .schema import Check, Flag, Number, Problems, Record, Text
from .seeding import PERMISSION, password_hashes, plant, plant_permissions, read_seed
from .server import Server
from .store.database import Row
from .store.projects import Project
from .webhooks import Message

LONGEST = 1_000_000_000  # seconds, about 30 years
OPTIONAL = Text(required=False)
OPEN = Record(required=False, fields={}, open=True)
PROJECT_ID: Mapping[str, Check] = {"project_id": OPTIONAL}
FAULT = {
    "path": Text(form="filled"),
    "method": Text(required=False, choices=("GET", "POST", "PUT", "PATCH", "DELETE")),
    "status": Number(required=False, least=400, most=599, whole=True),
    "delay_seconds": Number(required=False, least=0, most=600),
    "retry_after_seconds": Number(required=False, least=0, most=86400, whole=True),
    "times": Number(required=False, least=1, most=1_000_000, whole=True),
    "for_seconds": Number(required=False, least=0, most=LONGEST),
}
TOKEN = {
    **PROJECT_ID,
    "user_id": OPTIONAL,
    "kind": Text(required=False, choices=issuing.KINDS),
    "expires_in_seconds": Number(required=False, least=-LONGEST, most=LONGEST),
    "claims": OPEN,
}


@dataclass
class Order:
    """A request to the control API."""

    server: Server
    project: Project
    body: dict[str, Any]
    query: Mapping[str, str]


Control = Callable[[Order], Any]
CONTROLS: list[tuple[str, str, Mapping[str, Check], Control]] = []


def control(method: str, path: str, fields: Mapping[str, Check] = PROJECT_ID) -> Callable[[Control], Control]:
    """Register an operation of the control API. `fields` is the schema of its body."""

    def register(handler: Control) -> Control:
        CONTROLS.append((method, f"/emulator{path}", fields, handler))
        return handler

    return register


@control("POST", "/reset")
def reset(order: Order) -> None:
    """Delete the project's users, codes and emails, all faults, and the clock's offset."""
    order.server.store.projects.empty(order.project.id)
    order.server.webhooks.clear(order.project.id)
    order.server.calls.clear()
    order.server.faults.clear()
    order.server.clock.reset()


@control("POST", "/seed", {**PROJECT_ID, "seed": Record(fields={}, open=True)})
async def seed(order: Order) -> None:
    """Fill the project with a seed (see `seeding.py`)."""
    read = read_seed(order.body["seed"])
    hashes = await on_a_thread(password_hashes, order.server.passwords, read)
    plant(order.server, order.project, read, hashes)


@control("POST", "/permissions", {**PROJECT_ID, **PERMISSION.fields})
def define_permission(order: Order) -> None:
    """Define a permission, or replace the one with this id."""
    with order.server.store.transaction():
        plant_permissions(order.server, order.project, [order.body])


@control("DELETE", "/permissions", {**PROJECT_ID, "id": Text()})
def undefine_permission(order: Order) -> None:
    """Remove a permission definition, and revoke the permission from all users."""
    if order.server.store.permissions.definition(order.project.id, order.body["id"]) is None:
        raise ValueError("there is no such permission")
    order.server.store.permissions.undefine(order.project.id, order.body["id"])


@control("POST", "/tokens", TOKEN)
def tokens(order: Order) -> dict[str, str]:
    """Issue tokens for a new session, of any kind and with any expiry."""
    body, seconds = order.body, order.body.get("expires_in_seconds")
    return issuing.issue(
        order.server,
        order.project,
        user_id=body.get("user_id"),
        kind=body.get("kind", "normal"),
        expires_in=None if seconds is None else int(seconds),
        claims=body.get("claims"),
    )


def clock_view(server: Server) -> dict[str, float]:
    """Return the server's time."""
    return {"now": server.clock.now(), "offset_seconds": server.clock.offset}


@control("GET", "/clock")
def clock(order: Order) -> dict[str, float]:
    """The server's time."""
    return clock_view(order.server)


@control(
    "POST",
    "/clock",
    {"advance_seconds": Number(required=False, least=-LONGEST, most=LONGEST), "reset": Flag(required=False)},
)
def move_clock(order: Order) -> dict[str, float]:
    """Advance the clock, or return to the real time."""
    clock, seconds = order.server.clock, order.body.get("advance_seconds", 0)
    checked_advance(clock, seconds, from_real_time=order.body.get("reset", False))
    if order.body.get("reset"):
        clock.reset()
    clock.advance(seconds)
    return clock_view(order.server)


@control("POST", "/rotate-keys", {})
def rotate_keys(order: Order) -> None:
    """Create new signing keys. Existing tokens become invalid."""
    order.server.store.projects.rotate_keys()


def project_view(project: Project) -> dict[str, Any]:
    """Return a project with its keys, which callers of the control API may know."""
    return {**vars(project), "config": dict(project.config)}


@control("GET", "/project")
def show_project(order: Order) -> dict[str, Any]:
    """Return the project with its keys and settings."""
    return project_view(order.project)


@control("PATCH", "/project", {**PROJECT_ID, "display_name": OPTIONAL, "config": OPEN})
def change_project(order: Order) -> dict[str, Any]:
    """Change the project's name and settings."""
    projects, project = order.server.store.projects, order.project
    project = projects.configure(project, order.body.get("config", {}))
    if "display_name" in order.body:
        project = projects.rename(project, order.body["display_name"])
    return project_view(project)


@control("POST", "/projects", {"id": OPTIONAL, "display_name": OPTIONAL, "config": OPEN})
def create_project(order: Order) -> dict[str, Any]:
    """Create another project, with the defaults of the real server."""
    projects, body = order.server.store.projects, order.body
    if "id" in body and projects.get(body["id"]) is not None:
        raise ValueError("there is a project with this id")
    project = projects.create(body.get("config", {}), id=body.get("id"), display_name=body.get("display_name"))
    return project_view(project)


@control("POST", "/faults", FAULT)
def add_fault(order: Order) -> None:
    """Make paths with this prefix fail or respond slowly for a while."""
    body, seconds = order.body, order.body.get("for_seconds")
    fault = Fault(
        path=body["path"],
        method=body.get("method"),
        status=int(body["status"]) if "status" in body else None,
        delay=float(body.get("delay_seconds", 0)),
        retry_after=int(body["retry_after_seconds"]) if "retry_after_seconds" in body else None,
        times_left=int(body["times"]) if "times" in body else None,
        until=None if seconds is None else order.server.clock.now() + seconds,
    )
    order.server.faults.add(fault)


@control("DELETE", "/faults", {})
def clear_faults(order: Order) -> None:
    """Remove all faults."""
    order.server.faults.clear()


def mail_view(mail: Row) -> dict[str, Any]:
    """Return an email as JSON for the outbox."""
    names = ("id", "project_id", "kind", "subject", "body", "link", "code", "otp")
    return {"to": mail["recipient"], "sent_at_millis": mail["sent_at"], **{name: mail[name] for name in names}}


@control("GET", "/outbox.json")
def outbox(order: Order) -> dict[str, Any]:
    """Return the emails, newest first, filtered by `?to=` and `?kind=`."""
    found = order.server.store.emails.find(order.project.id, order.query.get("to"), order.query.get("kind"))
    return {"items": [mail_view(mail) for mail in found]}


@control("DELETE", "/outbox.json")
def empty_outbox(order: Order) -> None:
    """Delete the emails."""
    order.server.store.emails.clear(order.project.id)


def message_view(message: Message) -> dict[str, Any]:
    """Return a webhook message as JSON for the list."""
    attempts = [{"at": attempt.at, "status": attempt.status} for attempt in message.attempts]
    view = {"id": message.id, "type": message.type, "state": message.state, "next_attempt_at": message.next_at}
    return {**view, "attempts": attempts, "body": json.loads(message.body)}


@control("GET", "/webhooks.json")
def webhooks(order: Order) -> dict[str, Any]:
    """Return the webhook URL, the secret and the latest messages, newest first."""
    told, project_id = order.server.webhooks, order.project.id
    items = [message_view(message) for message in told.messages(project_id)]
    return {"url": told.url(project_id), "secret": told.secret(project_id), "items": items}


@control("PUT", "/webhooks.json", {**PROJECT_ID, "url": Text(nullable=True)})
def point_webhooks(order: Order) -> None:
    """Change or remove the webhook URL."""
    order.server.webhooks.point(order.project.id, order.body["url"])


@control("POST", "/webhooks/resend", {**PROJECT_ID, "id": Text()})
async def resend_webhook(order: Order) -> None:
    """Send a message again."""
    order.server.webhooks.resend(order.project.id, order.body["id"])


def add_controls(app: FastAPI, server: Server, default_project: str) -> None:
    """Add the control API to an app."""
    for method, path, fields, handler in CONTROLS:
        app.add_route(path, endpoint(server, default_project, fields, handler), methods=[method])


def endpoint(
    server: Server, default_project: str, fields: Mapping[str, Check], handler: Control
) -> Callable[[Request], Awaitable[Response]]:
    """Return the route function of an operation of the control API."""

    async def answer(request: Request) -> Response:
        try:
            order = await read_order(server, default_project, fields, request)
            result = handler(order)
            if inspect.isawaitable(result):
                result = await result
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"success": True} if result is None else result)

    return answer


async def read_order(server: Server, default_project: str, fields: Mapping[str, Check], request: Request) -> Order:
    """Parse and check a request to the control API.

    Raises:
        ValueError: The body is not JSON, does not match the schema, or contains an unknown project.
    """
    raw, problems = await request.body(), Problems(me=None)
    if raw and not request.headers.get("content-type", "").startswith("application/json"):
        raise ValueError("the body must be application/json")
    body = Record(fields=fields).read(parse_json(raw) if raw else {}, "body", problems)
    if problems.found:
        raise ValueError("; ".join(problems.found))
    project_id = body.get("project_id") or request.query_params.get("project_id") or default_project
    project = server.store.projects.get(project_id)
    if project is None:
        raise ValueError("there is no such project")
    return Order(server, project, body, request.query_params)
