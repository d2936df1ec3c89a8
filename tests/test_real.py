"""`make test-real` runs against a server of its own process, and says what was skipped and which option enables it."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, run_servers
from tests.support.inbucket import inbucket

ROOT = Path(__file__).parents[1]
CONTRACT = "tests/client/test_contract.py"


async def run(file: Path, *words: str) -> tuple[int, str]:
    """Run the contract tests as `make test-real` does; the exit code, and what is printed."""
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--real", str(file), *words)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.fixture
async def env_file(server: Emulator, tmp_path: Path) -> Path:
    file = tmp_path / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in server.environment().items()), "utf-8")
    return file


async def test_without_options_what_needs_them_is_skipped_and_listed(env_file: Path, server: Emulator):
    code, output = await run(env_file, CONTRACT)
    assert code == 0, output
    assert f"auth server: {server.url}" in output
    told = re.findall(r"^(\d+) skipped\. They need (\w+) in the env file", output, re.MULTILINE)
    assert told == [("2", "TEST_MAIL_URL"), ("1", "TEST_PROVIDER")]
    assert "test_contract.py::test_a_code_by_email_signs_in_once" in output
    admin = StackAuth(
        project_id=server.project_id, base_url=server.url, secret_server_key=server.secret_server_key
    ).client.as_server()
    assert len([user async for user in admin.users.list(query="contract-")]) > 3, "the tests ran at this server"
    await admin.aclose()


async def test_with_all_options_nothing_is_skipped(env_file: Path, server: Emulator):
    listener = bind("127.0.0.1", 0)
    with env_file.open("a", encoding="utf-8") as file:
        file.write(f"TEST_MAIL_URL=http://127.0.0.1:{listener.getsockname()[1]}\nTEST_PROVIDER=github\n")
    async with run_servers([(inbucket(server.url), listener)]):
        code, output = await run(env_file, CONTRACT)
    listener.close()
    assert code == 0, output
    assert "nothing was skipped" in output
    assert " skipped" not in output.splitlines()[-1]


async def test_each_switch_skips_what_the_project_does_not_allow(env_file: Path, server: Emulator):
    server.configure(credential_enabled=False)
    code, output = await run(env_file, CONTRACT)
    assert code == 0, output
    assert "They need a switch in the project's dashboard: allow sign-in with a password" in output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "ENV_FILE must name an env file"),
        ("STACK_API_URL=http://127.0.0.1:1\n", "must set one of HEXCLAVE_PROJECT_ID, STACK_PROJECT_ID"),
        ("STACK_API_URL=http://127.0.0.1:1\nSTACK_PROJECT_ID=p\n", "does not show the project"),
    ],
    ids=["no file", "no project", "no server"],
)
async def test_a_file_that_names_no_server_ends_the_run_with_a_reason(
    tmp_path: Path, content: str | None, message: str
):
    file = tmp_path / "env"
    if content is not None:
        file.write_text(content, "utf-8")
    code, output = await run(file, "--collect-only", CONTRACT)
    assert code != 0
    assert message in output
    assert "Traceback" not in output
