"""What a flow of several requests has to remember rides in a short-lived HttpOnly cookie: nothing is held here."""

import base64
import binascii
import json
from collections.abc import Mapping

from fastapi import Request

from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.sessions.context import cookies_of
from fastapi_stackauth.sessions.credentials import cookie, cookie_names


def remember(request: Request, stack: InstalledStack, flow: str, facts: Mapping[str, str], max_age: int) -> None:
    """Keep facts in the browser, for `max_age` seconds, under the flow's name."""
    policy = stack.sessions.policy
    stack.sessions.warn_of_other_host(request)
    value = base64.urlsafe_b64encode(json.dumps(facts, separators=(",", ":")).encode()).rstrip(b"=").decode()
    cookies_of(request.scope).set(policy.name(flow), policy.set(flow, value, max_age))


def recall(request: Request, stack: InstalledStack, flow: str) -> Mapping[str, str]:
    """What the browser keeps for a flow; empty where that is nothing, or nothing readable."""
    value = cookie(request.scope, stack.sessions.policy.name(flow)) or ""
    try:
        facts = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        json.dumps(facts, ensure_ascii=False).encode("utf-8")  # half a surrogate pair could be neither hashed nor sent
    except (binascii.Error, ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {key: fact for key, fact in facts.items() if isinstance(fact, str)}


def forget(request: Request, stack: InstalledStack, flow: str) -> None:
    """Remove what the browser keeps for a flow."""
    policy = stack.sessions.policy
    cookies_of(request.scope).set(policy.name(flow), policy.remove(flow))


def open_flows(request: Request, stack: InstalledStack, prefix: str) -> list[str]:
    """The flows whose names begin like this that the browser has begun and not ended, oldest first."""
    start = stack.sessions.policy.name("")
    return [name.removeprefix(start) for name in cookie_names(request.scope, start + prefix)]
