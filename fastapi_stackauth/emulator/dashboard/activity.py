"""The start page, the webhooks and the latest API calls."""

from typing import Any

from starlette.requests import Request

from .dashboard import SHOWN, Dashboard, Form, action, shown_time, view


@view("/", "start.html")
async def start(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show the settings for an app, and counts of the data."""
    server, project = dashboard.server, dashboard.project
    environment = {
        "STACK_API_URL": server.public_url,
        "STACK_PROJECT_ID": project.id,
        "STACK_PUBLISHABLE_CLIENT_KEY": project.publishable_client_key,
        "STACK_SECRET_SERVER_KEY": project.secret_server_key,
        "STACK_WEBHOOK_SECRETS": server.webhooks.secret(project.id),
    }
    counts = {
        "users": len(server.store.users.in_order(project.id)),
        "sessions": len(server.store.sessions.list_for_project(project.id)),
        "teams": len(server.store.teams.list_for_project(project.id)),
        "emails": len(server.store.emails.find(project.id)),
        "webhooks": len(server.webhooks.messages(project.id)),
    }
    return {"environment": environment, "counts": counts, "now": shown_time(server.clock.now())}


@view("/dashboard/webhooks", "webhooks.html")
async def webhooks(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show the webhook URL and the latest messages."""
    told, project_id = dashboard.server.webhooks, dashboard.project.id
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


@action("/dashboard/webhooks/point")
async def point_webhooks(dashboard: Dashboard, form: Form) -> str:
    """Change or remove the webhook URL."""
    dashboard.server.webhooks.point(dashboard.project.id, form.get("url") or None)
    return "/dashboard/webhooks"


@action("/dashboard/webhooks/resend")
async def resend_webhook(dashboard: Dashboard, form: Form) -> str:
    """Send a message again."""
    dashboard.server.webhooks.resend(dashboard.project.id, form.get("id", ""))
    return "/dashboard/webhooks"


@view("/dashboard/calls", "calls.html")
async def calls(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """The latest calls of the API."""
    return {"calls": [{**vars(call), "time": shown_time(call.at)} for call in dashboard.server.calls]}
