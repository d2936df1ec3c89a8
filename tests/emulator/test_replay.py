"""The emulator answers recorded requests as the real server did: same status, code, keys and JSON types."""

import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .replaying import SHARED, Replay, compare, load

DASHBOARD = "needs the vendor's dashboard project, which the emulator has not"
FRAMEWORK = "an oddity of the real server's web framework, not of its API"
OMITTED = "depends on an exchange that is not among the recorded ones"
# Operations that the emulator has not, by the beginning of their path.
OTHER_OPERATIONS = {
    r"/auth/cli": "signing in a command line is not emulated",
    r"/auth/oauth/callback/apple/native": "signing in on Apple's devices is not emulated",
    r"/auth/oauth/cross-domain": "cross-domain sign-in is not emulated",
    r"/data-vault": "the data vault is not emulated",
    r"/emails|/webhooks": "mails and webhooks by order are not emulated",
    r"/check-version|(\?.*)?$": "says only which version answers",
}
LEFT_OUT = {
    ("contact-channels", "list-bad-value"): "the bad value before it is refused here, so the list stays readable",
    ("headers", "admin-token-ok"): DASHBOARD,
    ("headers", "admin-token-for-server"): DASHBOARD,
    ("headers", "admin-token-not-owner"): DASHBOARD,
    ("headers", "unknown-path-outside-api"): "the emulator's own pages are there",
    ("headers", "trailing-slash"): FRAMEWORK,
    ("headers", "strange-method"): FRAMEWORK,
    ("jwks", "internal"): DASHBOARD,
    ("projects", "current-internal"): DASHBOARD,
    ("oauth", "token-after-wrong-redirect"): OMITTED,
    ("oauth", "token-after-no-redirect"): OMITTED,
    ("oauth", "no-iss-callback"): "a fault of the recorder's provider; the emulator has its own",
    ("oauth", "cross-domain-token"): "cross-domain sign-in is not emulated",
    ("permissions", "list-server"): "the list comes in the order of ids that are drawn",
    ("permissions", "list-server-team"): "the list comes in the order of ids that are drawn",
    ("oauth-providers", "me-after"): "the list comes in the order of the real database's pages",
}
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
DATA = load()
AREAS = sorted(name.split("/")[1].removesuffix(".json") for name in DATA if name.startswith("exchanges/"))


def reason_left_out(area: str, exchange: dict[str, Any]) -> str | None:
    """Return why an exchange is not replayed, or None."""
    path = re.sub(r"^/api/(v1|latest)", "", exchange["request"]["path"])
    for beginning, reason in OTHER_OPERATIONS.items():
        if re.match(beginning, path):
            return reason
    return LEFT_OUT.get((area, exchange["name"]))


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
    if name == "json-null":  # the recording writes no body and the body `null` alike
        exchange["request"] = {**request, "body": "null"}


def afterwards(replay: Replay, exchange: dict[str, Any]) -> None:
    """Do what the real server did beside its answer."""
    if (replay.area, exchange["name"]) == ("sessions", "create-negative"):
        # It answered 500 and kept the session all the same; lists that follow show it.
        user = replay.emulator.store.users.get(
            replay.emulator.project_id, replay.values[exchange["request"]["body"]["user_id"]]
        )
        assert user is not None
        replay.emulator.store.sessions.create(user, -1000)


@pytest.mark.parametrize("area", AREAS)
async def test_recorded_exchanges_are_answered_alike(area: str) -> None:
    replay, replayed, odd = Replay(area, DATA), 0, []
    for exchange in replay.exchanges:
        if reason_left_out(area, exchange):
            continue
        await prepare(replay, exchange)
        answer = await replay.send(exchange)
        found = compare(exchange["response"], answer)
        odd += [f"{exchange['name']}: {difference}" for difference in found]
        replay.learn_from(exchange, answer)
        afterwards(replay, exchange)
        replayed += 1
    await replay.close()
    assert not odd + replay.odd, "\n".join(odd + replay.odd)
    assert replayed or all(reason_left_out(area, exchange) for exchange in replay.exchanges)


def test_what_is_left_out_is_named_and_exists() -> None:
    exchanges = [(area, exchange) for area in AREAS for exchange in DATA[f"exchanges/{area}.json"]["exchanges"]]
    names = {(area, exchange["name"]) for area, exchange in exchanges}
    assert set(LEFT_OUT) <= names
    assert set(IDENTITIES) <= {(area, name.removesuffix("-callback")) for area, name in names} | names
    left_out = [exchange for area, exchange in exchanges if reason_left_out(area, exchange)]
    assert len(exchanges) - len(left_out) >= 1260, f"only {len(exchanges) - len(left_out)} are replayed"


def test_in_ci_the_recordings_themselves_are_replayed() -> None:
    assert os.environ.get("CI") != "true" or (SHARED / "contract").is_dir()
