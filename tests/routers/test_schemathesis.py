"""The example app does what its own schema says: schemathesis asks it everything it can think of."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.redis_server import free_port

BROWSERS = "^/(auth|api/hello|api/me)"
EXCLUDED = (
    "positive_data_acceptance",  # a code from a mail, or a flow begun in a browser, cannot be made up from a schema
    "allow_header_conformance",  # where a path has several routes, Starlette's 405 names the methods of the first alone
)
# Schemathesis' own statuses for invalid data do not have 413: a body can be invalid and too large at once.
# Without the parameters of security schemes: a made-up token beside the real one is 401 `credentials_conflict`.
CONFIGURATION = """
[generation]
with-security-parameters = false

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"""


@pytest.fixture
def example(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The example app on its embedded auth server, as `make demo` runs them: the addresses of both."""
    ports = free_port(), free_port()
    environment = {**os.environ, "PORT": str(ports[0]), "EMULATOR_PORT": str(ports[1])}
    environment["DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/notes.sqlite3"  # another run has its own
    with subprocess.Popen([sys.executable, "-m", "example_app"], env=environment, stdout=subprocess.DEVNULL) as process:
        app, server = (f"http://localhost:{port}" for port in ports)
        try:
            while not _answers(f"{app}/openapi.json"):  # the test's own timeout is the limit
                assert process.poll() is None, "the example app did not start"
                time.sleep(0.1)
            yield app, server
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False


def schemathesis(app: str, folder: Path, *options: str) -> None:
    command = ["run", f"{app}/openapi.json", "--checks", "all", "--exclude-checks", ",".join(EXCLUDED), "--no-color"]
    command += ["--generation-database", "none", "--workers", "1", "--seed", "1", *options]
    folder.joinpath("schemathesis.toml").write_text(CONFIGURATION, "utf-8")
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run([program, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


@pytest.mark.timeout(400)
def test_nobody_meets_an_answer_that_the_schema_does_not_have(example: tuple[str, str], tmp_path: Path):
    options = (
        "--phases",
        "examples,coverage",
        "--max-examples",
        "5",
        "--include-path-regex",
        "^/(auth|api/hello|api/me)",
    )
    schemathesis(example[0], tmp_path, *options)


@pytest.mark.timeout(400)
def test_somebody_who_is_signed_in_meets_none_either(example: tuple[str, str], tmp_path: Path):
    app, server = example
    token = httpx.post(f"{server}/emulator/tokens", json={"expires_in_seconds": 3600}).json()["access_token"]
    options = ("--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--include-path-regex", "^/api/")
    deleting = ("--exclude-path", "/api/auth/me")  # else nobody is there any more for the rest
    schemathesis(app, tmp_path, *options, *deleting, "-H", f"Authorization: Bearer {token}")
