"""The sample data of the demo: users, a team, permissions and a few notes."""

from dataclasses import dataclass
from typing import Any

PASSWORD = "correct horse battery"  # noqa: S105 - a public sample
TEAM_ID = "3f0c2f6e-6d0e-4c5f-9a43-5d1f8a1e7c01"


@dataclass(frozen=True)
class Person:
    """A sample user."""

    id: str
    email: str
    name: str
    what: str
    project_permissions: tuple[str, ...] = ()
    team_permissions: tuple[str, ...] = ()


PEOPLE = (
    Person(
        "11c1e8a4-0b7f-4f53-8b53-7f1f7d1f0a01", "grace@example.com", "Grace Hopper",
        "admin of the app, and of the team “Compilers”", ("reports:read",), ("team_admin",),
    ),
    Person(
        "22c1e8a4-0b7f-4f53-8b53-7f1f7d1f0a02", "alan@example.com", "Alan Turing", "member of that team",
        (), ("team_member",),
    ),
    Person("33c1e8a4-0b7f-4f53-8b53-7f1f7d1f0a03", "mary@example.com", "Mary Shelley", "in no team"),
)  # fmt: skip

SEED: dict[str, Any] = {
    "project": {"display_name": "Notes"},
    "permissions": [
        {"id": "notes:delete", "scope": "team", "description": "Delete the notes of all members."},
        {"id": "reports:read", "scope": "project", "description": "See the admin page."},
        {
            "id": "team_admin",
            "scope": "team",
            "description": "Everything in the team.",
            "contained_permission_ids": [
                "$delete_team", "$invite_members", "$manage_api_keys", "$read_members", "$remove_members",
                "$update_team", "notes:delete",
            ],
        },
    ],
    "users": [
        {
            "id": person.id,
            "primary_email": person.email,
            "primary_email_verified": True,
            "password": PASSWORD,
            "display_name": person.name,
            "permissions": list(person.project_permissions),
        }
        for person in PEOPLE
    ],
    "teams": [
        {
            "id": TEAM_ID,
            "display_name": "Compilers",
            "members": [
                {"email": person.email, "display_name": person.name, "permissions": list(person.team_permissions)}
                for person in PEOPLE
                if person.team_permissions
            ],
        }
    ],
}  # fmt: skip

NOTES = (
    (0, TEAM_ID, "Ship the new parser on Friday. Please review."),
    (1, TEAM_ID, "I do. The tests for nested comments are still missing."),
    (0, TEAM_ID, "Lunch on Thursday: the place by the river."),
    (0, None, "Ask Alan about the halting case."),
)


async def write_notes() -> None:
    """Put sample notes into an empty database."""
    from example_app.storage import Notebook, notebooks  # noqa: PLC0415 - it reads the environment

    await notebooks.open()
    if (await notebooks.counts())[0]:
        return
    for number, team_id, text in NOTES:
        author = PEOPLE[number]
        notebook = Notebook(team_id=team_id) if team_id else Notebook(author_id=author.id)
        await notebooks.write(notebook, text, author_id=author.id, author_name=author.name)
