"""What docker-compose.yml describes, started by hand: three workers behind nginx, with Redis and PostgreSQL; the demo.

The commands, the environment and the proxy's configuration are read from the files that a user runs.
"""

import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from fastapi_stackauth import StackAuth
from tests.apps import make_app
from tests.install_tools import SERVERS, server_program
from tests.support.compose import GATEWAY, PROXY
from tests.support.deployment import Deployment

# What these tests take for granted of the example app.
PROTECTED = "/api/me"
READY = "/health/ready"
NOTES = "/notes"
LIVE = "/notes/live"
COOKIES = "/auth"
BODY = "/api/auth"

WORKERS = ("app-1", "app-2", "app-3")
ADDRESS_LIMIT = 8
WITHIN = 60.0  # a limit for waiting, and no measure
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The `scale` profile."""
    if sys.platform != "linux":
        pytest.skip("visitors of several addresses on loopback: Linux alone has 127.0.0.0/8 at hand")
    if missing := [name for name in SERVERS if not server_program(name)]:
        pytest.skip(f"no {', '.join(missing)}: run `python -m tests.install_tools` as root on Debian, or install them")
    with Deployment(
        "scale", tmp_path_factory.mktemp("scale"), STACK_RATE_LIMIT_ADDRESS=f"{ADDRESS_LIMIT}/minute"
    ) as up:
        yield up


def visitor(url: str, address: str = "127.0.0.1", **headers: str) -> httpx.Client:
    """A browser on an address of its own."""
    return httpx.Client(
        base_url=url,
        headers={"sec-fetch-site": "same-origin", **headers},
        transport=httpx.HTTPTransport(local_address=address),
        timeout=30,
    )


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def tokens(client: httpx.Client, email: str) -> dict[str, str]:
    answer = client.post(f"{BODY}/password/sign-up", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


# --- three workers behind a proxy ---


def test_who_signs_in_through_the_proxy_is_known_to_every_worker(scale: Deployment):
    with visitor(scale.url, "127.0.0.2") as browser:
        signed_up = browser.post(f"{COOKIES}/password/sign-up", json={"email": "a@example.com", "password": PASSWORD})
        assert signed_up.status_code == 200, signed_up.text
        for worker in WORKERS:
            assert browser.get(scale.worker(worker) + PROTECTED).json()["id"] == signed_up.json()["user_id"]


def test_the_proxy_spreads_requests_over_all_workers(scale: Deployment):
    with visitor(scale.url) as browser:
        for _ in range(6):
            assert browser.get(READY).json()["redis"] == "connected"
    ports = {scale.port(worker) for worker in WORKERS}
    served = re.compile(rf'"GET {READY}" 200 .*:(\d+)$', re.MULTILINE)
    eventually(lambda: {int(port) for port in served.findall(scale.log("proxy"))} == ports)


def test_who_signs_out_at_one_worker_is_signed_out_at_all(scale: Deployment):
    with visitor(scale.url, "127.0.0.3") as client:
        mine = tokens(client, "b@example.com")
        for worker in WORKERS:
            assert client.get(scale.worker(worker) + PROTECTED, headers=bearer(mine)).status_code == 200
        ended = client.post(
            f"{scale.worker('app-1')}{BODY}/sign-out",
            json={"refresh_token": mine["refresh_token"]},
            headers=bearer(mine),
        )
        assert ended.status_code == 204

        def is_rejected(worker: str) -> bool:
            answer = client.get(scale.worker(worker) + PROTECTED, headers=bearer(mine))
            return (answer.status_code, answer.json().get("code")) == (401, "session_revoked")

        eventually(lambda: all(map(is_rejected, WORKERS)))


def test_a_killed_worker_is_not_missed(scale: Deployment):
    with visitor(scale.url, "127.0.0.4") as client:
        mine = tokens(client, "c@example.com")
        scale.kill("app-2")
        try:
            for number in range(12):
                assert client.get(PROTECTED, headers=bearer(mine)).status_code == 200
                body = {"email": f"c{number}@example.com", "password": "short"}
                if number < ADDRESS_LIMIT - 1:
                    assert client.post(f"{BODY}/password/sign-up", json=body).status_code in (400, 422)
            assert client.get(READY).status_code == 200
        finally:
            scale.start("app-2")
            scale.await_health("app-2")


def test_workers_count_attempts_by_address_together(scale: Deployment):
    """Attempts are counted for the visitors address by all workers together."""

    def forgot(client: httpx.Client, number: int, **headers: str) -> int:
        body = {"email": f"nobody-{number}@example.com"}
        return client.post(f"{COOKIES}/password/forgot", json=body, headers=headers).status_code

    with visitor(scale.url, "127.0.0.5") as eager, visitor(scale.url, "127.0.0.6") as other:
        assert [forgot(eager, number) for number in range(ADDRESS_LIMIT)] == [204] * ADDRESS_LIMIT
        assert [forgot(eager, 100 + number) for number in range(len(WORKERS))] == [429] * len(WORKERS)
        assert forgot(other, 200) == 204, "somebody else, though the proxy is the same"
        assert forgot(eager, 300, **{"x-forwarded-for": "203.0.113.9"}) == 429, "nobody chooses their address"


def test_behind_a_local_proxy_visitors_count_separately(scale: Deployment):
    """All connections to the published port come from the network's gateway: none may lock out the others."""

    def forgot(client: httpx.Client, number: int, visitor: str) -> int:
        body = {"email": f"gateway-{number}@example.com"}
        headers = {"x-forwarded-for": f"198.51.100.{number}, {visitor}"}  # the first is what the visitor wrote
        return client.post(f"{COOKIES}/password/forgot", json=body, headers=headers).status_code

    with visitor(scale.url, GATEWAY) as outer:
        assert [forgot(outer, number, "203.0.113.1") for number in range(ADDRESS_LIMIT)] == [204] * ADDRESS_LIMIT
        assert forgot(outer, 100, "203.0.113.1") == 429, "whatever they write themselves"
        assert forgot(outer, 101, "203.0.113.2") == 204


def test_past_the_proxy_no_caller_chooses_an_address(scale: Deployment):
    """A process on the host comes from the gateway's address, which the proxy believes and workers do not."""

    def forgot(client: httpx.Client, number: int) -> int:
        body, headers = {"email": f"forger-{number}@example.com"}, {"x-forwarded-for": f"203.0.113.{100 + number}"}
        return client.post(f"{COOKIES}/password/forgot", json=body, headers=headers).status_code

    with visitor(scale.worker("app-1"), GATEWAY) as forger:
        statuses = [forgot(forger, number) for number in range(ADDRESS_LIMIT + 1)]
    assert statuses == [204] * ADDRESS_LIMIT + [429]


def test_redis_demands_the_password_of_the_secret(scale: Deployment):
    with socket.create_connection(("127.0.0.1", scale.port("redis"))) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    with visitor(scale.url) as client:
        assert client.get(READY).json()["redis"] == "connected"


def test_a_hanging_worker_delays_readers_and_repeats_no_note(scale: Deployment):
    """The proxy's short timeout is shorter here, so that the test is."""
    with visitor(scale.url, "127.0.0.10") as browser:
        signed_up = browser.post(f"{COOKIES}/password/sign-up", json={"email": "f@example.com", "password": PASSWORD})
        scale.restart_proxy("2s")
        scale.freeze("app-2")
        try:
            for _ in range(len(WORKERS)):
                assert browser.get("/api/me").json()["id"] == signed_up.json()["user_id"]
            written = [browser.post(NOTES, data={"text": "Only once"}).status_code for _ in WORKERS]
        finally:
            scale.thaw("app-2")
            scale.restart_proxy("20s")
    assert sorted(written) == [303, 303, 504]
    log = scale.log("proxy")
    stuck = rf"127\.0\.0\.1:{scale.port('app-2')}"
    assert re.search(rf'"GET /api/me" 200 .* {stuck}, 127\.0\.0\.1:\d+$', log, re.MULTILINE)
    assert re.findall(rf'"POST {NOTES}" 504 .* (127.*)$', log, re.MULTILINE) == [f"127.0.0.1:{scale.port('app-2')}"]
    database = scale.database
    assert database is not None
    assert database.sql("select count(*) from notes where text = 'Only once'").strip() in ("2", "3")


def moved_to(client: httpx.Client, **headers: str) -> str:
    """Where the app says that this page is, to who asks with a slash too many: it takes scheme and host to tell."""
    return client.get(f"{COOKIES}/methods/", headers=headers).headers["location"]


def test_workers_learn_the_public_url_from_the_proxy_only(scale: Deployment):
    """Workers learn the public address from the proxy and from nobody else."""
    proto = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example"}
    with visitor(scale.url) as client:
        assert moved_to(client) == f"{scale.url}{COOKIES}/methods"
        assert moved_to(client, **proto) == f"{scale.url}{COOKIES}/methods", "a visitor's word does not count"
    inside = scale.worker("app-1")
    with visitor(inside, PROXY) as proxy, visitor(inside, "127.0.0.7") as stranger:
        assert moved_to(proxy, **proto) == f"{inside.replace('http:', 'https:')}{COOKIES}/methods"
        assert moved_to(stranger, **proto) == f"{inside}{COOKIES}/methods"


def test_no_log_holds_a_code_of_an_email(scale: Deployment):
    """The proxys log holds no code of a mail and the workers keep none."""
    with visitor(scale.url) as client:
        client.get(f"{COOKIES}/magic-link/callback?code=hunter2hunter2")
    eventually(lambda: "/magic-link/callback" in scale.log("proxy"))
    assert not [name for name in scale.processes if "hunter2" in scale.log(name)]


def test_a_body_that_is_too_large_ends_at_the_proxy(scale: Deployment):
    with visitor(scale.url) as client:
        answer = client.post(f"{BODY}/password/sign-in", content=b"x" * 2_100_000)
    assert answer.status_code == 413
    assert "nginx/" not in answer.text + answer.headers["server"], "no version"


def test_workers_share_notes_through_postgresql(scale: Deployment):
    """A note written at one worker is in postgresql and shown live by the others."""
    with visitor(scale.url, "127.0.0.8") as browser:
        browser.post(f"{COOKIES}/password/sign-up", json={"email": "d@example.com", "password": PASSWORD})
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        address = scale.url.replace("http:", "ws:") + LIVE
        with connect(address, origin=Origin(scale.url), additional_headers={"cookie": cookies}) as live:
            assert "from worker" not in live.recv(WITHIN)
            for worker in WORKERS:
                written = browser.post(scale.worker(worker) + NOTES, data={"text": f"from worker {worker}"})
                assert written.status_code == 303, written.text
                while f"from worker {worker}" not in live.recv(WITHIN):
                    pass
    assert scale.database is not None
    rows = scale.database.sql("select text from notes where text like 'from worker%' order by id").splitlines()
    assert rows == [f"from worker {worker}" for worker in WORKERS]


def test_the_notes_of_a_deleted_account_are_gone(scale: Deployment):
    assert scale.database is not None
    with visitor(scale.url, "127.0.0.9") as browser:
        signed_up = browser.post(f"{COOKIES}/password/sign-up", json={"email": "e@example.com", "password": PASSWORD})
        mine = f"select count(*) from notes where author_id = '{signed_up.json()['user_id']}'"
        assert browser.post(NOTES, data={"text": "Only for me"}).status_code == 303
        assert scale.database.sql(mine).strip() == "1"
        deleted = browser.post(f"{COOKIES}/me/delete")
        assert deleted.is_success, deleted.text
    database = scale.database
    eventually(lambda: database.sql(mine).strip() == "0")  # a webhook tells a worker of it


# --- the demo ---


def test_behind_a_local_proxy_demo_visitors_count_separately(tmp_path: Path):
    """Behind a proxy on this machine visitors of the demo have their own attempts."""

    def forgot(client: httpx.Client, number: int, address: str) -> int:
        body = {"email": f"demo-{number}@example.com"}
        return client.post(f"{COOKIES}/password/forgot", json=body, headers={"x-forwarded-for": address}).status_code

    with (
        Deployment("demo", tmp_path, STACK_RATE_LIMIT_ADDRESS="2/hour") as demo,
        visitor(demo.url, GATEWAY) as outer,
        visitor(demo.url, "127.0.0.12") as forger,
    ):
        assert [forgot(outer, number, "203.0.113.1") for number in range(3)] == [204, 204, 429]
        assert forgot(outer, 3, "203.0.113.2") == 204
        assert [forgot(forger, 10 + number, f"203.0.113.{10 + number}") for number in range(3)] == [204, 204, 429]


async def test_the_demo_needs_the_public_issuer(tmp_path: Path):
    """The demo serves and would refuse its tokens without the public issuer."""
    with Deployment("demo", tmp_path) as demo, visitor(demo.url) as client:
        environment = demo.loopback.environment(demo.services["app"])
        assert environment["STACK_ISSUERS"] != environment["STACK_API_URL"], "outside and inside differ"
        mine = tokens(client, "ada@example.com")
        assert client.get(PROTECTED, headers=bearer(mine)).status_code == 200
        policy = client.get("/sign-in").headers["content-security-policy"]
        assert "form-action 'self'" in policy, "a page, not the form, goes on to where browsers find the auth server"
        stack = StackAuth(project_id=environment["STACK_PROJECT_ID"], base_url=environment["STACK_API_URL"])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(stack)), base_url="http://x") as inside:
            is_rejected = await inside.get("/me", headers=bearer(mine))
        assert (is_rejected.status_code, is_rejected.json()["code"]) == (401, "token_issuer_not_allowed")
        await stack.aclose()
