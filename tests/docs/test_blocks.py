"""Every code block of the docs is run, or where nothing can run it, read by what would read it."""

import inspect
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml
from fastapi import FastAPI
from jinja2 import Environment

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from tests.docs.blocks import PAGES, ROOT, Block, blocks, run
from tests.pages.catalogs import write_compiled

WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page.name != "testing.md"]  # see tests/testing
WITHOUT_PYTHON = [block for page in PAGES for block in blocks(page) if block.language != "python"]


def name(value: object) -> str:
    return str(value.relative_to(ROOT) if isinstance(value, Path) else value)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
async def test_the_python_of_each_page_runs_from_top_to_bottom(
    page: Path, server: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for variable, value in server.environment().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    write_compiled(tmp_path / "locale", "it", {"Sign in": "Accedi"})  # of docs/guides/pages.md
    (tmp_path / "auth_templates").mkdir()  # likewise
    for block in blocks(page, "jinja"):
        (tmp_path / "auth_templates" / "base.html").write_text(block.text, encoding="utf-8")
    for made in (await run(page)).values():
        close = getattr(made, "aclose", None)
        if inspect.iscoroutinefunction(close) and not isinstance(made, type):
            await close()


# --- other languages -------------------------------------------------------------------------------------


def _json(block: Block) -> None:
    json.loads(block.text)


def _yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


def _toml(block: Block) -> None:
    assert tomllib.loads(block.text)


def _ini(block: Block) -> None:
    for line in block.text.splitlines():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*=\S+|#.*|", line), line


def _console(block: Block) -> None:
    lines = block.text.replace("\\\n", " ").splitlines()
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]  # with what it prints below
    for command in shown or lines:
        assert all(_is_known(part.strip()) for part in command.split("#")[0].split(" | ")), command


def _is_known(command: str) -> bool:
    """Whether a command can be had: a target of the Makefile, a module of ours, an extra that exists, a common tool."""
    words = re.sub(r"^(?:[A-Z_]+=\S+ )*", "", command).removeprefix(".venv/bin/").split()
    if re.match(r"[A-Z]+=\$\(", command):
        return True
    match words:
        case ["make", target, *_]:
            return re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE) is not None
        case ["pip", "install", *_]:
            return _extras() >= set(re.findall(r"[\w-]+", "".join(re.findall(r"fastapi-stackauth\[(.*?)\]", command))))
        case ["python" | "python3", "-m", module, *_]:
            return module in ("venv", "fastapi_stackauth.emulator", "fastapi_stackauth", "pytest")
        case [program, *_]:
            return program in COMMON
    return False


COMMON = (
    "make", "curl", "uvicorn", "gunicorn", "fastapi", "fastapi-stackauth", "pytest", "git", "cd", "docker", "set",
    "claude", "pybabel",
)  # fmt: skip


def _extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return set(project["optional-dependencies"])


def _nginx(block: Block) -> None:
    assert block.text.count("{") == block.text.count("}")
    assert all(line.strip().endswith((";", "{", "}")) for line in block.text.splitlines() if line.strip())


def _js(block: Block) -> None:
    """Its syntax, where there is Node to say so; that it works is shown where a page's script is run in a browser."""
    if node := shutil.which("node"):
        subprocess.run([node, "--input-type=module", "--check"], input=block.text, text=True, check=True)


class _Forms(HTMLParser):
    """The routes that a page's forms post to."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self.actions.append(dict(attrs)["action"] or "")


def _html(block: Block) -> None:
    """Its forms post to routes that there are, and say where the browser goes then."""
    app, stack = FastAPI(), StackAuth(app_url="http://localhost:8000")
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    forms = _Forms()
    forms.feed(block.text)
    for action in forms.actions:
        path, _, query = action.partition("?")
        assert "post" in app.openapi()["paths"][path]
        assert {"on_success", "on_error"} >= set(parse_qs(query)) >= {"on_success"}


def _jinja(block: Block) -> None:
    Environment().parse(block.text)


READERS: dict[str, Callable[[Block], None]] = {
    "json": _json, "yaml": _yaml, "toml": _toml, "ini": _ini, "console": _console, "nginx": _nginx, "js": _js,
    "html": _html, "jinja": _jinja,
}  # fmt: skip
DRAWINGS = ("", "text")


@pytest.mark.parametrize("block", [each for each in WITHOUT_PYTHON if each.language not in DRAWINGS], ids=name)
def test_what_is_not_python_is_what_it_claims_to_be(block: Block):
    READERS[block.language](block)
