"""Every dependency of the library, for every kind of caller: a tool gets what its route gets over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from fastapi import Depends, FastAPI, Request
from pydantic import SecretStr

from fastapi_stackauth import (
    Credential,
    IdentifyUser,
    Require,
    RequireTeam,
    RequireUserApiKey,
    WatchSession,
    access_token,
    api_key_team,
    api_key_user,
    current_profile,
    current_user,
    display_user,
    optional_user,
)
from tests.mcp.desk import Desk, call, rpc, to_outcome

DEPENDENCIES: dict[str, Callable[..., Any]] = {
    "current_user": current_user,
    "optional_user": optional_user,
    "display_user": display_user,
    "anyone": IdentifyUser(allow_anonymous=True),
    "allow_anonymous": Require(allow_anonymous=True),
    "allow_restricted": Require(allow_restricted=True),
    "verified": Require(verified_email=True),
    "mfa": Require(mfa=True),
    "live": Require(live=True),
    "recent": Require(max_age=timedelta(minutes=5)),
    "permission": Require(permission="reports:read"),
    "selected_team": Require(team_member="selected"),
    "access_token": access_token,
    "profile": current_profile,
    "watch": WatchSession(every=None),
    "key_user": api_key_user,
    "any_key_user": RequireUserApiKey(allow_anonymous=True),
    "key_team": api_key_team,
    "key_or_user": Require(allow_anonymous=True, allow_api_key=True),
    "key_with_permission": Require(permission="reports:read", allow_api_key=True),
}
TEAM_DEPENDENCIES: dict[str, Callable[..., Any]] = {
    "member": Require(team_member="query:team"),
    "team_permission": Require(team_permission="$read_members", team="query:team"),
    "current_team": RequireTeam("query:team"),
    "key_team_member": RequireTeam("query:team", require=Require(allow_api_key=True)),
}
ALL = {**DEPENDENCIES, **TEAM_DEPENDENCIES}


def add_route(app: FastAPI, name: str, dependency: Callable[..., Any]) -> None:
    """A route that shows what its dependency returns, and what the library leaves on the request."""

    @app.get(f"/all/{name}", operation_id=name)
    async def show(request: Request, value: Any = Depends(dependency)) -> Any:  # noqa: B008 - the table has them
        credential, user = getattr(request.state, "credential", None), getattr(request.state, "user", None)
        shown = len(value.get_secret_value()) if isinstance(value, SecretStr) else getattr(value, "id", None)
        source = credential.source if isinstance(credential, Credential) else None
        return {"result": [type(value).__name__, shown, source, user and user.id]}


async def list_names(http: httpx.AsyncClient, headers: dict[str, str]) -> set[str]:
    """The tools that a caller sees."""
    accept = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    answer = await http.post("/mcp", json=rpc("tools/list"), headers={**accept, **headers})
    return {tool["name"] for tool in answer.json()["result"]["tools"]}


async def test_every_dependency_gives_tools_what_it_gives_routes():
    """The same value or code, the same credential and user on the request; and no tool is hidden that would work."""
    desk = Desk()
    for name, dependency in ALL.items():
        add_route(desk.app, name, dependency)
    desk.mount(include_operations=set(ALL), allow_unauthenticated=True)
    bearers = {name: bearer for name, bearer in desk.bearers().items() if name not in ("malformed", "expired")}
    member, team = desk.add_user("member", permissions=["reports:read"]), desk.server.add_team("Blue")
    desk.server.join(team, member)
    bearers |= {"member": desk.token(user_id=member), "member_key": desk.server.add_api_key(member)}
    differing, hidden, outcomes = [], [], set()
    async with desk.open() as http:
        for caller, bearer in bearers.items():
            headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
            listed = await list_names(http, headers)
            for name in ALL:
                answer = await http.get(f"/all/{name}", params={"team": team}, headers=headers)
                expected = to_outcome(answer.status_code, answer.json())
                used = await call(http, name, headers, **({"team": team} if name in TEAM_DEPENDENCIES else {}))
                content = used.json()["result"]["structuredContent"]
                seen = to_outcome(content.get("status", 200), content)
                differing += [(caller, name, expected, seen)] if seen != expected else []
                hidden += [(caller, name)] if expected[0] == 200 and name not in listed else []
                outcomes.add(expected[1] if expected[0] >= 400 else expected[0])
    assert (differing, hidden) == ([], [])
    assert outcomes >= {200, "permission_missing", "mfa_enrollment_required", "api_key_invalid"}
