"""docs/cli.md is true: its sample outputs, options, codes and fields are those of the command."""

import ast
import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from fastapi_stackauth.cli import diagnosis
from fastapi_stackauth.cli.app import app
from fastapi_stackauth.cli.explanation import Check, Explanation
from fastapi_stackauth.cli.report import Finding, Report
from fastapi_stackauth.emulator.__main__ import arguments
from fastapi_stackauth.settings import Settings, environment_names
from tests.cli.servers import run_behind, with_clock

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cli.md").read_text("utf-8")
VECTORS = json.loads((ROOT / "tests/data/token-vectors.json").read_text("utf-8"))
NOTHING = {name: None for field in Settings.model_fields for name in environment_names(field)}
PROJECT = "6fbd2f27-6d4f-4a3a-9d39-0d6a1b1d3a55"


def sample(command: str) -> str:
    """The output that the page shows under a command."""
    blocks = re.findall(r"^```console\n([^\n]*)\n```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(str(output) for shown, output in blocks if shown.startswith(command))


async def doctors_sample() -> str:
    async with run_behind(with_clock(0), project_id=PROJECT) as environment:
        url = environment["STACK_API_URL"]
        del environment["STACK_SECRET_SERVER_KEY"]
        env = {**NOTHING, **environment, "STACK_APP_URL": "http://notes.example.com"}
        result = await asyncio.to_thread(CliRunner().invoke, app, ["doctor"], env=env)
    return result.output.replace(url, "http://localhost:8102")


def explains_sample(folder: Path) -> str:
    (folder / "jwks.json").write_text(json.dumps(VECTORS["jwks"]), "utf-8")
    command = re.search(r"^fastapi-stackauth (explain --keys jwks.json --at .*) < token.txt$", PAGE, re.MULTILINE)
    assert command
    words = command[1].replace("jwks.json", str(folder / "jwks.json")).split()
    env = {**NOTHING, "STACK_PROJECT_ID": VECTORS["project_id"], "STACK_API_URL": VECTORS["base_url"]}
    recorded = next(token for token in VECTORS["tokens"] if token["kind"] == "normal")
    return CliRunner().invoke(app, words, input=recorded["token"], env=env).output


async def test_doctors_sample_output_is_what_it_prints():
    assert sample("fastapi-stackauth doctor") == await doctors_sample()


def test_explains_sample_output_is_what_it_prints(tmp_path: Path):
    assert sample("fastapi-stackauth explain") == explains_sample(tmp_path)


def test_every_option_stands_in_the_docs():
    group = typer.main.get_command(app)
    commands = [group, *group.commands.values()]  # type: ignore[attr-defined]  # it is a group
    options = {name for command in commands for option in command.params for name in option.opts if name[:2] == "--"}
    assert {"--json", "--token", "--show-claims"} <= options
    assert [name for name in sorted(options) if f"`{name}" not in PAGE and f" {name}" not in PAGE] == []
    emulators = (ROOT / "docs/emulator.md").read_text("utf-8")
    names = [name for action in arguments()._actions for name in action.option_strings if name[:2] == "--"]
    assert [name for name in names if name not in emulators] == []


@pytest.mark.parametrize("model", [Report, Finding, Explanation, Check])
def test_every_field_of_the_json_stands_in_the_docs(model: type[BaseModel]):
    for name, field in model.model_fields.items():
        where = "`[]." if model in (Finding, Check) else "`"
        assert f"{where}{name}` | {field.description}" in PAGE.replace("findings[]", "[]").replace("checks[]", "[]")


def codes() -> Iterator[str]:
    """The codes of all findings, from the source: the first argument of what makes one."""
    for path in sorted(Path(diagnosis.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            first: ast.expr | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = node.args[0] if node.func.id in ("ok", "note", "warning", "error") and node.args else None
            elif isinstance(node, ast.Tuple) and len(node.elts) == 3:
                first = node.elts[0]
            if isinstance(first, ast.Constant) and re.fullmatch(r"[a-z]+(_[a-z]+)+", str(first.value)):
                yield str(first.value)


def test_every_code_of_a_finding_stands_in_the_docs():
    known = set(codes())
    assert {"project_unknown", "server_tls", "issuer_mismatch", "redis_unusable"} <= known
    shown = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE))
    assert known - shown == set()
