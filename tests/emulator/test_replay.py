"""The emulator answers recorded requests as the real server did: same status, headers, code, keys and JSON types."""

import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from .exceptions import DRAWN_ORDER, EXCEPTIONS, NOT_EMULATED
from .replaying import SHARED, Replay, compare, load

# Whom the recorder signed in as at its provider, where it was not the usual one.
USUAL = {
    "oauth": "oauth-53d84289c04f@rec.example.com",
    "connected-accounts": "one-dd279ef2822a@rec.example.com",
    "misc": "blocked-oauth@rec.example.com",
}
IDENTITIES = {
    ("oauth", "closed"): "closed@rec.example.com",
    ("oauth", "closed-error-uri"): "closed@rec.example.com",
    ("oauth", "taken"): "setup-user-oauthtaken",
    ("oauth", "taken-unverified"): "setup-user-oauthunverified",
    ("oauth", "link"): "oalink-4f32f4c6bfb9@rec.example.com",
    ("oauth", "link-taken"): "oalink-4f32f4c6bfb9@rec.example.com",
    ("oauth", "upgrade"): "oaup-6a68dc84841c@rec.example.com",
    ("connected-accounts", "setup-two"): "two@rec.example.com",
    ("misc", "oauth-callback-post"): "fine-oauth@rec.example.com",
}
BAD_CODES = ("callback-wrong-provider", "callback-bad-code", "callback-bad-state")
# The real server answered 500 and kept the session all the same; lists that follow show it.
DEAD_SESSIONS = {("sessions", "create-negative"), ("impersonation", "create-zero")}
DATA = load()
AREAS = sorted(name.split("/")[1].removesuffix(".json") for name in DATA if name.startswith("exchanges/"))


def is_emulated(exchange: dict[str, Any]) -> bool:
    """Return whether the emulator has the operation of an exchange."""
    path = re.sub(r"^/api/(v1|latest)", "", exchange["request"]["path"])
    return not any(re.match(beginning, path) for beginning in NOT_EMULATED)


def identity(replay: Replay, name: str) -> str:
    """Return whom the recorder signed in as in an exchange."""
    chosen = IDENTITIES.get((replay.area, name.removesuffix("-callback"))) or IDENTITIES.get((replay.area, name))
    if chosen is None or "@" in chosen:
        return chosen or USUAL[replay.area]
    setup = next(exchange for exchange in replay.exchanges if exchange["name"] == chosen)
    return str(setup["request"]["body"]["primary_email"])


async def prepare(replay: Replay, exchange: dict[str, Any]) -> None:
    """Do what the recorder did beside its requests."""
    request, name = exchange["request"], exchange["name"]
    fields = request["body"] if isinstance(request["body"], dict) else {}
    if "/auth/oauth/callback/" in request["path"] and name not in BAD_CODES:
        query = parse_qs(urlsplit(request["path"]).query)
        if "code" in query or "code" in fields:
            await replay.grant(exchange, identity(replay, name))
    if "expired" in name and "code" in fields:
        replay.age_code(exchange)
    if name in ("token-after-wrong-redirect", "token-after-no-redirect"):
        await spoil(replay, exchange)
    if name == "json-null":  # the recording writes no body and the body `null` alike
        exchange["request"] = {**request, "body": "null"}


async def spoil(replay: Replay, exchange: dict[str, Any]) -> None:
    """Burn an authorization code as the recorder did, in an exchange that is not among the recorded ones."""
    body = {**exchange["request"]["body"], "redirect_uri": "http://localhost:12345/elsewhere"}
    if exchange["name"] == "token-after-no-redirect":
        del body["redirect_uri"]
    answer = await replay.send({**exchange, "request": {**exchange["request"], "body": body}})
    assert answer.status_code == 400


def afterwards(replay: Replay, exchange: dict[str, Any]) -> None:
    """Do what the real server did beside its answer."""
    if (replay.area, exchange["name"]) not in DEAD_SESSIONS:
        return
    body = exchange["request"]["body"]
    user = replay.emulator.store.users.get(replay.emulator.project_id, replay.values[body["user_id"]])
    assert user is not None
    is_impersonation = body.get("is_impersonation", False)
    replay.emulator.store.sessions.create(user, body["expires_in_millis"], is_impersonation=is_impersonation)


async def judge(replay: Replay, exchange: dict[str, Any]) -> list[str]:
    """Replay one exchange; return where the answer differs from the recorded one, or from what its exception says."""
    await prepare(replay, exchange)
    answer = await replay.send(exchange)
    if not is_emulated(exchange):
        return [] if answer.status_code == 501 else [f"status {answer.status_code}, 501 says that it is not emulated"]
    place, recorded = (replay.area, exchange["name"]), exchange["response"]
    found = compare(replay.in_answered_order(recorded, answer) if place in DRAWN_ORDER else recorded, answer)
    if place in EXCEPTIONS:
        replay.learn_mails()
        return list_exceptions(answer, found)
    if place in DRAWN_ORDER:
        return found
    replay.learn_from(exchange, answer)
    return found


def list_exceptions(answer: httpx.Response, found: list[str]) -> list[str]:
    """Return what is wrong with an exchange that may differ."""
    if not found:
        return ["no longer differs: take it out of the exceptions"]
    return [] if answer.status_code < 500 else [f"status {answer.status_code}: {answer.text[:200]}"]


@pytest.mark.parametrize("area", AREAS)
async def test_recorded_exchanges_are_answered_alike(area: str) -> None:
    replay, odd = Replay(area, DATA), []
    for exchange in replay.exchanges:
        found = await judge(replay, exchange)
        odd += [f"{exchange['name']}: {difference}" for difference in found]
        afterwards(replay, exchange)
    await replay.close()
    assert not odd + replay.odd, "\n".join(odd + replay.odd)


def test_what_differs_is_named_and_exists() -> None:
    exchanges = [(area, exchange) for area in AREAS for exchange in DATA[f"exchanges/{area}.json"]["exchanges"]]
    names = {(area, exchange["name"]) for area, exchange in exchanges}
    assert set(EXCEPTIONS) | DRAWN_ORDER <= names
    assert set(IDENTITIES) <= {(area, name.removesuffix("-callback")) for area, name in names} | names
    alike = [1 for area, exchange in exchanges if is_emulated(exchange) and (area, exchange["name"]) not in EXCEPTIONS]
    assert len(alike) >= 1428, f"only {len(alike)} are answered alike"


def test_in_ci_the_recordings_themselves_are_replayed() -> None:
    assert os.environ.get("CI") != "true" or (SHARED / "contract").is_dir()
