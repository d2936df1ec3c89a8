"""The project itself, and the keys that verify its tokens."""

from typing import Any

from starlette.responses import Response

from fastapi_stackauth.emulator import keys, views
from fastapi_stackauth.emulator.errors import PlainError
from fastapi_stackauth.emulator.schema import TRUE_FALSE, Text
from fastapi_stackauth.emulator.wire import NOBODY, Call, json_response, operation

FLAGS = {"include_restricted": TRUE_FALSE, "include_anonymous": TRUE_FALSE}


@operation("GET", "/projects/current")
async def current_project(call: Call) -> dict[str, Any]:
    """Return the project of the request."""
    show = views.development_project if call.server.profile.shows_development_fields else views.project
    return show(call.project)


@operation(
    "GET",
    "/projects/{project_id}/.well-known/jwks.json",
    access=NOBODY,
    params={"project_id": Text()},
    query=FLAGS,
)
async def key_set(call: Call) -> Response:
    """Return the public keys for normal users and, on request, for restricted and anonymous users."""
    projects = call.server.store.projects
    if projects.get(call.path["project_id"]) is None:
        raise PlainError(404, "There is no such project.")
    anonymous = call.query.get("include_anonymous") == "true"
    restricted = anonymous or call.query.get("include_restricted") == "true"
    kinds = ["normal", *(["restricted"] if restricted else []), *(["anonymous"] if anonymous else [])]
    found = keys.key_set(projects.server_secret(), call.path["project_id"], kinds)
    return json_response({"keys": found}, headers={"cache-control": "public, max-age=3600"})
