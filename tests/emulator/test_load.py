"""Many at once, and a sudden end: nothing fails that should not, nothing acknowledged is lost."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator, emulator

from .api import PASSWORD

WORKERS = 50
TURNS = 4
KILLED_AFTER = 20


class Crowd:
    """People who sign up, sign in and refresh, all at once; counts what was acknowledged."""

    def __init__(self, running: Emulator) -> None:
        limits = httpx.Limits(max_connections=WORKERS)
        headers = {"x-stack-access-type": "client", "x-stack-project-id": running.project_id}
        base_url = f"{running.url}/api/v1"
        self.http = httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits, timeout=60)
        self.users: dict[str, str] = {}
        self.sessions: list[str] = []
        self.statuses: set[int] = set()
        self.shared_wins = 0

    async def post(self, path: str, body: Any = None, **headers: str) -> dict[str, Any] | None:
        answer = await self.http.post(path, json=body, headers=headers)
        self.statuses.add(answer.status_code)
        return dict(answer.json()) if answer.status_code == 200 else None

    async def person(self, number: int) -> None:
        """One of them."""
        for turn in range(TURNS):
            body = {"email": f"user{number}-{turn}@example.com", "password": PASSWORD}
            shared = {"email": f"shared{turn}@example.com", "password": PASSWORD}
            won = await self.post("/auth/password/sign-up", shared) is not None
            self.shared_wins += won
            signed_up = await self.post("/auth/password/sign-up", body)
            assert signed_up is not None
            self.users[body["email"]] = signed_up["user_id"]
            signed_in = await self.post("/auth/password/sign-in", body)
            assert signed_in is not None
            assert signed_in["user_id"] == signed_up["user_id"]
            self.sessions.append(signed_in["refresh_token"])
            refresh = {"x-stack-refresh-token": signed_in["refresh_token"]}
            assert await self.post("/auth/sessions/current/refresh", **refresh) is not None


async def test_fifty_at_once_lose_nothing(tmp_path: Path) -> None:
    async with emulator(data=tmp_path / "load.sqlite3", fast_hashes=True) as running:
        crowd = Crowd(running)
        await asyncio.gather(*(crowd.person(number) for number in range(WORKERS)))
        await crowd.http.aclose()
        database = running.store.database
        assert crowd.statuses <= {200, 409}, crowd.statuses
        emails = {row["value"]: row["user_id"] for row in database.all("select value, user_id from contact_channels")}
        own = {email: user_id for email, user_id in emails.items() if not email.startswith("shared")}
        assert own == crowd.users
        assert len(emails) - len(own) == crowd.shared_wins
        tokens = {row["refresh_token"] for row in database.all("select refresh_token from sessions")}
        assert set(crowd.sessions) <= tokens
        assert database.all("pragma integrity_check") == [{"integrity_check": "ok"}]
        assert database.all("pragma foreign_key_check") == []
        assert database.one("select count(*) as n from users") == {"n": len(emails)}


def start_emulator(data: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start an emulator on a data file in its own process."""
    command = [sys.executable, "-m", "fastapi_stackauth.emulator", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = itertools.takewhile(lambda line: not line.startswith("Stop with"), process.stdout)
    return process, dict(line.rstrip().split("=", 1) for line in lines if line.startswith("STACK_"))


def sign_up_forever(environment: dict[str, str], name: str, acknowledged: list[str]) -> None:
    """Sign people up until the server is gone; keep every refresh token it acknowledged."""
    headers = {"x-stack-access-type": "client", "x-stack-project-id": environment["STACK_PROJECT_ID"]}
    with httpx.Client(base_url=f"{environment['STACK_API_URL']}/api/v1", headers=headers) as http:
        for number in itertools.count():
            body = {"email": f"{name}-{number}@example.com", "password": PASSWORD}
            try:
                acknowledged.append(http.post("/auth/password/sign-up", json=body).json()["refresh_token"])
            except httpx.HTTPError:
                return


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process at once")
def test_a_killed_server_has_lost_nothing_it_acknowledged(tmp_path: Path) -> None:
    process, environment = start_emulator(tmp_path / "killed.sqlite3")
    acknowledged: list[str] = []
    names = ("ada", "eve", "bob", "joe")
    people = [threading.Thread(target=sign_up_forever, args=(environment, name, acknowledged)) for name in names]
    for person in people:
        person.start()
    while len(acknowledged) < KILLED_AFTER:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    for person in people:
        person.join()
    process.communicate()
    process, environment = start_emulator(tmp_path / "killed.sqlite3")
    try:
        headers = {"x-stack-access-type": "client", "x-stack-project-id": environment["STACK_PROJECT_ID"]}
        with httpx.Client(base_url=f"{environment['STACK_API_URL']}/api/v1", headers=headers) as http:
            answers = {
                http.post("/auth/sessions/current/refresh", headers={"x-stack-refresh-token": token}).status_code
                for token in acknowledged
            }
        assert answers == {200}
    finally:
        process.terminate()
        process.communicate()
