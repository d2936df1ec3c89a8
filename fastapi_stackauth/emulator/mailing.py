"""Write the emails of flows, with link and code, to the outbox."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .server import Server
from .store.codes import OTP_LENGTH
from .store.database import Row
from .store.projects import Project

SUBJECTS = {
    "email_verification": "Confirm your email address for {project}",
    "password_reset": "A new password for {project}",
    "sign_in": "Your code for {project} is {otp}",
    "team_invitation": "You are invited to join a team on {project}",
}
BODIES = {
    "email_verification": "Open this link to confirm your email address:\n\n{link}\n",
    "password_reset": "Open this link to choose a new password:\n\n{link}\n",
    "sign_in": "Type the code {otp}, or open this link to sign in:\n\n{link}\n",
    "team_invitation": "Open this link to join the team:\n\n{link}\n",
}


def with_code(callback_url: str, code: str) -> str:
    """Return an app's callback URL with the code in its query."""
    parts = urlsplit(callback_url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "code"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("code", code)])))


def send(server: Server, project: Project, recipient: str, kind: str, callback_url: str, code: str) -> None:
    """Write an email of this kind to the outbox."""
    words = {
        "project": project.display_name,
        "otp": code[:OTP_LENGTH].upper(),
        "link": with_code(callback_url, code),
    }
    content = {
        "subject": SUBJECTS[kind].format(**words),
        "body": BODIES[kind].format(**words),
        "link": words["link"],
        "code": code,
        "otp": words["otp"] if kind == "sign_in" else None,
    }
    server.store.emails.add(project.id, recipient, kind, content)


def send_verification(server: Server, project: Project, channel: Row, callback_url: str) -> None:
    """Send an email with a link that confirms an address."""
    data = {"channel_id": channel["id"], "email": channel["value"]}
    code = server.store.codes.create(project.id, "email_verification", data)
    send(server, project, channel["value"], "email_verification", callback_url, code)
