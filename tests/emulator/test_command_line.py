"""`python -m fastapi_stackauth.emulator`: starts, says what an app needs, keeps its data, ends cleanly."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fastapi_stackauth.emulator.__main__ import main
from tests.support.rows import rows

COMMAND = [sys.executable, "-W", "error", "-m", "fastapi_stackauth.emulator", "--port", "0"]
SIGN_UP = {"email": "ada@example.com", "password": "Correct-Horse-7"}


class Running:
    """An emulator in its own process."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("Stop with"):
                break
        self.environment = dict(line.split("=", 1) for line in self.lines if line.startswith("STACK_"))

    def request(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        start = {"x-stack-access-type": "client", "x-stack-project-id": self.environment["STACK_PROJECT_ID"]}
        url = f"{self.environment['STACK_API_URL']}/api/v1{path}"
        return httpx.request(method, url, json=body, headers={**start, **headers})

    def stop(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@contextlib.contextmanager
def running(*words: str) -> Iterator[Running]:
    emulator = Running(*words)
    try:
        yield emulator
    finally:
        emulator.process.kill()
        emulator.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_an_environment_file_serves_and_stops_cleanly(number: int) -> None:
    with running() as emulator:
        assert "not for production" in emulator.lines[0]
        assert "127.0.0.1" in emulator.lines[0]
        names = {"API_URL", "PROJECT_ID", "PUBLISHABLE_CLIENT_KEY", "SECRET_SERVER_KEY", "WEBHOOK_SECRETS"}
        assert set(emulator.environment) == {f"STACK_{name}" for name in names}
        assert emulator.lines[1] == f"Look inside: {emulator.environment['STACK_API_URL']}"
        assert emulator.request("GET", "/projects/current").status_code == 200
        assert emulator.stop(number) == (0, "")


def test_every_address_prints_a_working_dashboard_link() -> None:
    """On every address it prints a link that opens the dashboard."""
    with running("--host", "0.0.0.0") as emulator:
        link = emulator.lines[1].removeprefix("Look inside: ")
        assert link.startswith(emulator.environment["STACK_API_URL"] + "/?token=")
        forwarded = {"x-forwarded-for": "192.0.2.7"}  # what another machine's request would bring through a proxy here
        with httpx.Client(headers=forwarded, follow_redirects=True) as browser:
            assert browser.get(emulator.environment["STACK_API_URL"]).status_code == 403
            assert emulator.environment["STACK_SECRET_SERVER_KEY"] in browser.get(link).text
            assert browser.get(emulator.environment["STACK_API_URL"]).status_code == 200


class Mistake:
    """Runs the command line with a mistake in it, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def report(self, *words: str) -> str:
        """Return the one line on stderr that the command line ends with."""
        assert main(["--port", "0", *words]) == 1
        printed = self.capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1), printed
        return printed.err


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]) -> Mistake:
    return Mistake(capsys)


def test_a_mistake_ends_the_process_with_1_and_one_line() -> None:
    """The process as a whole prints what the tests below see of `main`."""
    run = subprocess.run([*COMMAND, "--profile", "may-1999"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)


def test_a_malformed_dashboard_token_is_one_line_without_it(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard token of the wrong form gives one line that does not repeat it."""
    monkeypatch.setenv("EMULATOR_DASHBOARD_TOKEN", "hunter2")
    line = mistake.report()
    assert "dashboard_token" in line
    assert "hunter2" not in line


WEBHOOK_SECRET = "whsec_" + "c" * 32
KEYS = {"PUBLISHABLE_CLIENT_KEY": "pck_" + "a" * 20, "SECRET_SERVER_KEY": "ssk_" + "b" * 20}


def test_keys_from_the_environment_are_the_projects_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = str(tmp_path / "data.sqlite3")
    with running("--data", data) as emulator:
        drawn = emulator.environment
    for name, key in KEYS.items():
        monkeypatch.setenv(f"EMULATOR_{name}", key)
    with running("--data", data) as emulator:
        assert {name: emulator.environment[f"STACK_{name}"] for name in KEYS} == KEYS
        keys = {"x-stack-access-type": "server", "x-stack-secret-server-key": KEYS["SECRET_SERVER_KEY"]}
        assert emulator.request("GET", "/users", **keys).status_code == 200
        keys["x-stack-secret-server-key"] = drawn["STACK_SECRET_SERVER_KEY"]
        assert emulator.request("GET", "/users", **keys).status_code == 401
    for name in KEYS:
        monkeypatch.delenv(f"EMULATOR_{name}")
    with running("--data", data) as emulator:
        assert emulator.environment["STACK_SECRET_SERVER_KEY"] == KEYS["SECRET_SERVER_KEY"], "kept in the data file"


def test_what_signs_webhooks_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = str(tmp_path / "data.sqlite3")
    with running("--data", data) as emulator:
        assert emulator.environment["STACK_WEBHOOK_SECRETS"] != WEBHOOK_SECRET
    monkeypatch.setenv("EMULATOR_WEBHOOK_SECRET", WEBHOOK_SECRET)
    with running("--data", data) as emulator:
        assert emulator.environment["STACK_WEBHOOK_SECRETS"] == WEBHOOK_SECRET
    monkeypatch.delenv("EMULATOR_WEBHOOK_SECRET")
    with running("--data", data) as emulator:
        assert emulator.environment["STACK_WEBHOOK_SECRETS"] == WEBHOOK_SECRET, "kept in the data file"


@rows("wrong", ["hunter2hunter2hunter2", "whsec_hunter2hunter2", "whsec_hunter2!" + "a" * 26])
def test_a_malformed_webhook_secret_is_one_line_without_it(
    mistake: Mistake, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """A webhook secret of the wrong form gives one line that does not repeat it."""
    monkeypatch.setenv("EMULATOR_WEBHOOK_SECRET", wrong)
    line = mistake.report()
    assert "webhook_secret" in line
    assert "hunter2" not in line


def test_a_malformed_key_is_one_line_without_it(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the wrong form gives one line that does not repeat it."""
    monkeypatch.setenv("EMULATOR_SECRET_SERVER_KEY", "hunter2hunter2hunter2")
    line = mistake.report()
    assert "secret_server_key" in line
    assert "hunter2" not in line


def test_a_taken_port_gives_one_line(mistake: Mistake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert port in mistake.report("--port", port)


@rows(
    "content",
    [
        "{bad", "[]", '{"users": [{"foo": 1}]}', '{"project": {"config": {"foo": 1}}}', "[" * 200_000,
        '{"project": {"display_name": "\\ud800"}}', '{"users": [{"password": "1234567"}]}',
    ],
)  # fmt: skip
def test_a_bad_seed_gives_one_line(mistake: Mistake, tmp_path: Path, content: str) -> None:
    (tmp_path / "seed.json").write_text(content)
    assert mistake.report("--seed", str(tmp_path / "seed.json"))


def test_a_bad_data_file_gives_one_line(mistake: Mistake, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but a text that is long enough to be looked at" * 20)
    for data in (tmp_path / "text", tmp_path / "missing" / "file"):
        assert mistake.report("--data", str(data))


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for option in (
        "--project-id",
        "--port",
        "--host",
        "--public-url",
        "--data",
        "--seed",
        "--rotate-keys",
        "--profile",
    ):
        assert option in printed


def test_the_profile_comes_from_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, variable, status in (
        ((), "", 200),
        ((), "april-2026", 405),
        (("--profile", "newest"), "april-2026", 200),
    ):
        monkeypatch.setenv("EMULATOR_PROFILE", variable)
        with running(*words) as emulator:
            assert emulator.request("HEAD", "/projects/current").status_code == status


def test_an_unknown_profile_is_one_line_with_the_known(mistake: Mistake) -> None:
    """An unknown profile gives one line that names the known ones."""
    line = mistake.report("--profile", "may-1999")
    assert all(name in line for name in ("newest", "april-2026", "may-1999"))


def test_a_seed_brings_users_and_settings(tmp_path: Path) -> None:
    seed = {
        "project": {"display_name": "Shop", "config": {"magic_link_enabled": False}},
        "users": [{"primary_email": SIGN_UP["email"], "password": SIGN_UP["password"], "display_name": "Ada"}],
    }
    (tmp_path / "seed.json").write_text(json.dumps(seed))
    with running("--seed", str(tmp_path / "seed.json"), "--project-id", "my-shop") as emulator:
        assert emulator.environment["STACK_PROJECT_ID"] == "my-shop"
        project = emulator.request("GET", "/projects/current").json()
        assert (project["display_name"], project["config"]["magic_link_enabled"]) == ("Shop", False)
        assert emulator.request("POST", "/auth/password/sign-in", SIGN_UP).status_code == 200


def test_data_survives_and_new_keys_reject_old_tokens(tmp_path: Path) -> None:
    """A data file outlives the process and new keys refuse old tokens."""
    data = ("--data", str(tmp_path / "emulator.sqlite3"))
    with running(*data) as emulator:
        before = emulator.environment
        tokens = emulator.request("POST", "/auth/password/sign-up", SIGN_UP).json()
        emulator.process.kill()
        emulator.process.wait()
    with running(*data) as emulator:
        names = ("STACK_PROJECT_ID", "STACK_PUBLISHABLE_CLIENT_KEY", "STACK_SECRET_SERVER_KEY")
        assert [emulator.environment[name] for name in names] == [before[name] for name in names]
        refresh = {"x-stack-refresh-token": tokens["refresh_token"]}
        assert emulator.request("POST", "/auth/sessions/current/refresh", **refresh).status_code == 200
        assert emulator.request("POST", "/auth/password/sign-in", SIGN_UP).status_code == 200
    with running(*data, "--rotate-keys") as emulator:
        old = {"x-stack-access-token": tokens["access_token"]}
        assert emulator.request("GET", "/users/me", **old).json()["code"] == "UNPARSABLE_ACCESS_TOKEN"
        new = {
            "x-stack-access-token": emulator.request("POST", "/auth/sessions/current/refresh", **refresh).json()[
                "access_token"
            ]
        }
        assert emulator.request("GET", "/users/me", **new).status_code == 200


def test_the_env_file_replaces_no_file_of_others(mistake: Mistake, tmp_path: Path) -> None:
    """The environment file is written anew for its owner alone and replaces nobody elses."""
    path = tmp_path / "dev.env"
    for _ in range(2):
        with running("--env-file", str(path)) as emulator:
            lines = path.read_text("utf-8").splitlines()
            assert lines[0].startswith("#")
            assert dict(line.split("=", 1) for line in lines[1:]) == emulator.environment
            assert path.stat().st_mode & 0o077 == 0
    path.write_text("SECRET=mine\n")
    assert "not written by the emulator" in mistake.report("--env-file", str(path))
    assert path.read_text("utf-8") == "SECRET=mine\n"
