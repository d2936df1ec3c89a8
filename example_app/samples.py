"""The sample data of the demo: users, a team and permissions from `seed.json`, and a few notes."""

import json
from pathlib import Path
from typing import Any

SEED: dict[str, Any] = json.loads(Path(__file__).with_name("seed.json").read_text("utf-8"))
GRACE, ALAN, _ = SEED["users"]
PASSWORD: str = GRACE["password"]
TEAM_ID: str = SEED["teams"][0]["id"]
ABOUT = {
    "grace@example.com": "admin of the app, and of the team “Compilers”",
    "alan@example.com": "member of that team",
    "mary@example.com": "in no team",
}
NOTES = (
    (GRACE, TEAM_ID, "Ship the new parser on Friday. Please review."),
    (ALAN, TEAM_ID, "I do. The tests for nested comments are still missing."),
    (GRACE, TEAM_ID, "Lunch on Thursday: the place by the river."),
    (GRACE, None, "Ask Alan about the halting case."),
)


async def write_notes() -> None:
    """Add sample notes to an empty database."""
    from example_app.storage import Notebook, notebooks  # noqa: PLC0415 - it reads the environment

    await notebooks.open()
    if (await notebooks.counts())[0]:
        return
    for author, team_id, text in NOTES:
        notebook = Notebook(team_id=team_id) if team_id else Notebook(author_id=author["id"])
        await notebooks.write(notebook, text, author_id=author["id"], author_name=author["display_name"])
