"""The HTML pages: the outbox, and the mock provider, which lets visitors sign in as any user.

Law: templates escape all values.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .accounts import normalize
from .bodies import read_at_most
from .errors import PlainError
from .operations.oauth_callback import with_query
from .schema import EMAIL
from .server import Server
from .wire import to_response

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
NAVIGATION = (
    ("/", "Start"),
    ("/dashboard/users", "Users"),
    ("/dashboard/sessions", "Sessions"),
    ("/dashboard/cli-logins", "Command line"),
    ("/dashboard/teams", "Teams"),
    ("/dashboard/permissions", "Permissions"),
    ("/emulator/outbox", "Outbox"),
    ("/dashboard/settings", "Settings"),
    ("/dashboard/webhooks", "Webhooks"),
    ("/dashboard/calls", "Calls"),
)
LONGEST_FORM = 65_536  # the maximum size of a form for the mock provider, whose page any machine can open
ERRORS = {"deny": "access_denied", "unavailable": "temporarily_unavailable"}


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 - any value for a template
    """Return a page rendered from a template."""
    return HTMLResponse(TEMPLATES.get_template(name).render(values), status)


def is_identity(form: dict[str, str]) -> bool:
    """Return whether a form has an address or an account id."""
    email = normalize(form.get("email", ""))
    return bool(EMAIL.fullmatch(email)) if email else bool(form.get("account_id"))


class Pages:
    """The pages of a server."""

    def __init__(self, server: Server, default_project: str) -> None:
        self._server, self._default_project = server, default_project

    def add_to(self, app: FastAPI) -> None:
        """Add the pages to an app."""
        app.add_route("/emulator/outbox", self.outbox, methods=["GET"])
        app.add_route("/emulator/oauth/{provider}/authorize", self.provider, methods=["GET"])
        app.add_route("/emulator/oauth/{provider}/authorize", self.decide, methods=["POST"])

    async def outbox(self, request: Request) -> Response:
        """Show the emails of a project, newest first."""
        project_id = request.query_params.get("project_id", self._default_project)
        project = self._server.store.projects.get(project_id)
        if project is None:
            return HTMLResponse("There is no such project.", 404)
        emails = [self._show(email) for email in self._server.store.emails.find(project.id)]
        here = request.url.path
        return page("outbox.html", project=project, emails=emails, navigation=NAVIGATION, here=here, note=None)

    @staticmethod
    def _show(mail: dict[str, Any]) -> dict[str, Any]:
        sent_at = datetime.fromtimestamp(mail["sent_at"] / 1000, UTC).isoformat(" ", "seconds")
        link = mail["link"] or ""
        href = link if urlsplit(link).scheme in ("http", "https") else None
        return {**mail, "to": mail["recipient"], "sent_at": sent_at, "href": href}

    def _flow(self, request: Request, state: str) -> dict[str, Any] | None:
        flow = self._server.store.oauth.flow(state)
        if flow is None or flow["data"].get("provider") != request.path_params["provider"]:
            return None
        return flow

    async def provider(self, request: Request) -> Response:
        """Show the sign-in page of the mock provider."""
        state = request.query_params.get("state", "")
        if self._flow(request, state) is None:
            return HTMLResponse("This sign-in is unknown. Start it again in the app.", 400)
        return page("provider.html", provider=request.path_params["provider"], hidden={"state": state})

    async def decide(self, request: Request) -> Response:
        """Redirect the browser to the app, with a code or an error."""
        try:
            raw = await read_at_most(request, LONGEST_FORM)
        except PlainError as rejection:
            return to_response(rejection)
        form = dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        flow = self._flow(request, form.get("state", ""))
        if flow is None:
            return HTMLResponse("This sign-in is unknown. Start it again in the app.", 400)
        provider, answer = request.path_params["provider"], {"state": form["state"], "iss": self._server.public_url}
        if form.get("answer") in ERRORS:
            answer["error"] = ERRORS[form["answer"]]
        elif not is_identity(form):
            return page("provider.html", 400, provider=provider, hidden={"state": form["state"]})
        else:
            answer["code"] = self._grant(flow, provider, form)
        back = f"{self._server.public_url}/api/v1/auth/oauth/callback/{provider}"
        return RedirectResponse(with_query(back, answer), 303)

    def _grant(self, flow: dict[str, Any], provider: str, form: dict[str, str]) -> str:
        """Return a provider's code for the identity in the form."""
        email = normalize(form.get("email", "")) or None
        scope = "openid email profile offline_access " + flow["data"]["provider_scope"]
        identity = {
            "provider": provider,
            "account_id": form.get("account_id") or email,
            "email": email,
            "email_verified": form.get("unverified") != "yes",
            "display_name": form.get("display_name") or None,
            "scopes": scope.split(),
        }
        return self._server.store.oauth.start(flow["project_id"], {"granted_for": provider, "identity": identity})
