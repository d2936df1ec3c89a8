"""The steps of an OAuth flow at the emulator and its mock provider."""

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from fastapi_stackauth.emulator import keys

from .api import Api

VERIFIER = "verifier-verifier-verifier-verifier-verifier"
CHALLENGE = keys.encode(hashlib.sha256(VERIFIER.encode()).digest())
REDIRECT = "http://localhost:3000/oauth"
TOKEN = "/auth/oauth/token"


async def authorize(api: Api, provider: str = "github", **changes: Any) -> httpx.Response:
    """Start a flow; in JSON mode unless `stack_response_mode` says otherwise."""
    query = {
        "client_id": api.emulator.project_id, "client_secret": api.emulator.publishable_client_key,
        "redirect_uri": REDIRECT, "scope": "legacy", "state": "outer", "grant_type": "authorization_code",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "response_type": "code",
        "stack_response_mode": "json", **changes,
    }  # fmt: skip
    sent = {name: value for name, value in query.items() if value is not None}
    return await api.get(f"/auth/oauth/authorize/{provider}?{urlencode(sent)}", access=None)


async def provide(api: Api, location: str, **form: str) -> str:
    """Fill in the mock provider's page; return where it sends the browser."""
    page = await api.http.get(location)
    assert page.status_code == 200, page.text
    state = parse_qs(urlsplit(location).query)["state"][0]
    assert f'value="{state}"' in page.text
    answer = await api.http.post(location, data={"state": state, "answer": "allow", "email": "ada@example.com", **form})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def return_from_provider(api: Api, form: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    """Go through a flow up to the answer that sends the browser back to the app."""
    started = await authorize(api, **changes)
    assert started.status_code == 200, started.text
    return await api.http.get(await provide(api, started.json()["location"], **(form or {})))


async def code(api: Api, form: dict[str, str] | None = None, **changes: Any) -> str:
    """Go through a flow; return the app's code."""
    answer = await return_from_provider(api, form, **changes)
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    query = parse_qs(target.query)
    assert target._replace(query="").geturl() == REDIRECT
    assert query["state"] == ["outer"]
    return query["code"][0]


async def exchange(api: Api, authorization_code: str, **changes: Any) -> httpx.Response:
    """Turn a code into tokens."""
    form = {
        "grant_type": "authorization_code", "client_id": api.emulator.project_id, "code": authorization_code,
        "client_secret": api.emulator.publishable_client_key, "redirect_uri": REDIRECT, "code_verifier": VERIFIER,
        **changes,
    }  # fmt: skip
    sent = {name: value for name, value in form.items() if value is not None}
    return await api.http.post(f"/api/v1{TOKEN}", data=sent)
