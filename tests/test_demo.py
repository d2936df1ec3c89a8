"""The demo and the two servers started by hand: real processes, talking HTTP, stopped by signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent
SIGN_UP = {"email": "ada@example.com", "password": "correct horse battery"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own group, so that nothing it starts can outlive the test."""
    names = ("STACK_", "HEXCLAVE_", "NEXT_PUBLIC_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    running = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def until_up(url: str, running: "subprocess.Popen[str]") -> None:
    for _ in range(600):
        assert running.poll() is None, running.communicate()[0]
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")


def stop(running: "subprocess.Popen[str]", number: int = signal.SIGINT) -> str:
    """Stop as Ctrl-C would; what it printed."""
    running.send_signal(number)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 0, output
    return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_signs_up_protects_and_stops_cleanly(number: int):
    port, emulator_port = free_port(), free_port()
    app = f"http://127.0.0.1:{port}"
    with process("-m", "example_app", PORT=str(port), EMULATOR_PORT=str(emulator_port)) as running:
        until_up(f"{app}/api/hello", running)
        tokens = httpx.post(f"{app}/api/auth/password/sign-up", json=SIGN_UP).json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert httpx.get(f"{app}/api/me", headers=headers).json()["id"] == tokens["user_id"]
        anonymous = httpx.get(f"{app}/api/me")
        assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.get(f"{app}/api/hello", headers=headers).json() == {"message": "Hello, ada@example.com!"}
        assert httpx.get(f"{app}/api/hello").json() == {"message": "Hello, stranger!"}
        assert "Notes for you and your team" in httpx.get(app).text
        assert httpx.get(f"{app}/health/ready").json()["status"] == "ok"
        with httpx.Client(base_url=f"http://localhost:{port}", headers={"sec-fetch-site": "same-origin"}) as browser:
            assert "access_token" not in browser.post("/auth/password/sign-in", json=SIGN_UP).json()
            assert browser.get("/api/me").json()["id"] == tokens["user_id"]
        assert httpx.get(f"{app}/docs").status_code == 200
        output = stop(running, number)
    assert f"http://localhost:{port}" in output
    assert f"http://localhost:{emulator_port}" in output
    assert "Traceback" not in output
    for each in (port, emulator_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", each)) != 0


@pytest.mark.parametrize("name", ["PORT", "EMULATOR_PORT"])
def test_a_taken_port_is_one_clear_line(name: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"PORT": str(free_port()), "EMULATOR_PORT": str(free_port())}
        ports[name] = str(taken.getsockname()[1])
        with process("-m", "example_app", **ports) as running:
            output, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert ports[name] in output.splitlines()[-1]
    assert f"{name}=" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("value", ["abc", "0", "70000"])
def test_a_port_that_is_none_is_one_clear_line(value: str):
    with process("-m", "example_app", PORT=value) as running:
        output, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert output.startswith("demo: PORT must be a port number")


@pytest.mark.parametrize("name", ["STACK_PROJECT_ID", "HEXCLAVE_PROJECT_ID"])
def test_with_a_project_the_demo_starts_no_server(name: str, tmp_path: Path):
    """With a project configured the demo starts no server of its own."""
    port, emulator_port = free_port(), free_port()
    with emulator_process(emulator_port, tmp_path / "data.sqlite3") as (settings, _):
        settings[name] = settings.pop("STACK_PROJECT_ID")
        settings |= {"PORT": str(port), "EMULATOR_PORT": str(emulator_port)}
        settings["DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/notes.sqlite3"
        with process("-m", "example_app", **settings) as running:
            app = f"http://127.0.0.1:{port}"
            until_up(f"{app}/api/hello", running)
            assert httpx.post(f"{app}/api/auth/password/sign-up", json=SIGN_UP).status_code == 200
            output = stop(running)
    assert f"Auth server   {settings['STACK_API_URL']}" in output


@contextmanager
def emulator_process(port: int, data: Path, *more: str) -> Iterator[tuple[dict[str, str], "subprocess.Popen[str]"]]:
    """The emulator started by hand, and the environment it prints for others to use."""
    arguments = ("-m", "fastapi_stackauth.emulator", "--port", str(port), "--data", str(data), *more)
    with process(*arguments) as running:
        until_up(f"http://127.0.0.1:{port}/api/v1", running)
        assert running.stdout is not None
        printed = {}
        for line in running.stdout:
            name, separator, value = line.strip().partition("=")
            if separator and name.startswith("STACK_"):
                printed[name] = value
            if line.startswith("Stop with"):
                break
        yield printed, running


def test_an_app_survives_a_restart_with_new_keys(tmp_path: Path):
    """An app runs on while its auth server restarts with fresh keys."""
    data, port, app_port = tmp_path / "data.sqlite3", free_port(), free_port()
    app = f"http://127.0.0.1:{app_port}"

    def sign_in() -> dict[str, str]:
        return dict(httpx.post(f"{app}/api/auth/password/sign-in", json=SIGN_UP).json())

    def fetch_status(tokens: dict[str, str]) -> int:
        return httpx.get(f"{app}/api/me", headers={"authorization": f"Bearer {tokens['access_token']}"}).status_code

    with emulator_process(port, data) as (settings, first):
        uvicorn = ("-m", "uvicorn", "example_app.main:app", "--port", str(app_port), "--log-level", "warning")
        database = f"sqlite+aiosqlite:///{tmp_path}/notes.sqlite3"
        with process(*uvicorn, **settings, DATABASE_URL=database) as running:
            until_up(f"{app}/api/hello", running)
            old = dict(httpx.post(f"{app}/api/auth/password/sign-up", json=SIGN_UP).json())
            assert fetch_status(old) == 200
            stop(first)
            assert fetch_status(old) == 200, "a known key serves while the auth server is away"
            assert httpx.post(f"{app}/api/auth/password/sign-in", json=SIGN_UP).status_code == 503
            with emulator_process(port, data, "--rotate-keys") as (again, _):
                assert again == settings
                new = sign_in()
                assert new["user_id"] == old["user_id"]
                assert fetch_status(new) == 200
                assert fetch_status(old) == 401
                body = {"refresh_token": new["refresh_token"]}
                assert httpx.post(f"{app}/api/auth/sign-out", json=body).status_code == 204
                assert httpx.post(f"{app}/api/auth/session/refresh", json=body).status_code == 401
