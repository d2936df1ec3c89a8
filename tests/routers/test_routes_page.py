"""docs/routes.md is true: its code runs, its tables name every route, and its set-ups work."""

import re
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import ApiKeyFeature, Feature, TeamFeature
from tests.routers.callers import PREFIXES, House
from tests.routers.operations import all_operations
from tests.support.rows import rows

TEXT = (Path(__file__).parents[2] / "docs" / "routes.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def run(block: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(block, "docs/routes.md", "exec"), namespace)
    return namespace


def test_the_tables_name_every_route_and_no_other(house: House):
    told = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", TEXT, re.MULTILINE))
    routes = {
        f"{route.method} {route.path}" for prefix in PREFIXES.values() for route in all_operations(house.app, prefix)
    }
    assert told == routes


@rows("router, features", [
    ("router", Feature),
    ("teams_router", TeamFeature),
    ("api_keys_router", ApiKeyFeature),
])  # fmt: skip
def test_its_tables_name_every_feature_and_no_other(router: str, features: Any):
    """So does the docstring of the method, which editors show."""
    (table,) = re.findall(rf"^\| feature of `stack\.{router}\(\)` .*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert named == list(get_args(features))
    documented = str(getattr(StackAuth, router).__doc__).partition("include: ")[2].partition("exclude: ")[0]
    assert re.findall(r"``(\w+)``", documented) == named


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_code_runs_and_makes_an_app_with_the_routes(block: str):
    app = run(block)["app"]
    assert isinstance(app, FastAPI)
    assert "/auth/otp/send" in app.openapi()["paths"]


async def test_a_front_end_on_a_subdomain_signs_in(server: Emulator, monkeypatch: pytest.MonkeyPatch):
    """A front end on a sibling sub domain signs in and reads the answer."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.configure(domains=[{"domain": "https://api.example.com"}])
    (block,) = [block for block in BLOCKS if "CORSMiddleware" in block]
    made = run(block)
    app, front_end = made["app"], made["FRONT_END"]
    headers = {"origin": front_end, "sec-fetch-site": "same-site"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example.com", headers=headers) as client:
        asked = await client.options(
            "/auth/me",
            headers={"access-control-request-method": "PATCH", "access-control-request-headers": "content-type"},
        )
        assert asked.headers["access-control-allow-origin"] == front_end
        credentials = {"email": "ada@example.com", "password": "correct horse battery"}
        signed_up = await client.post("/auth/password/sign-up", json=credentials)
        assert signed_up.status_code == 200, signed_up.text
        assert signed_up.headers["access-control-allow-credentials"] == "true"
        changed = await client.patch("/auth/me", json={"display_name": "Ada"})
        assert changed.json()["display_name"] == "Ada"
        refused = await client.post(
            "/auth/password/sign-in", json=credentials, headers={"origin": "https://evil.example"}
        )
        assert refused.status_code == 403
    await made["stack"].aclose()
