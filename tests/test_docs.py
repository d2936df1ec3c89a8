"""What the docs say is true: their code runs, their tables are complete, their links lead somewhere."""

import re
import tomllib
from pathlib import Path

from fastapi import FastAPI

from fastapi_stackauth import errors
from fastapi_stackauth.testing import emulate, signed_in
from hatch_build import make_absolute
from tests.support.rows import rows

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


async def test_the_readmes_integration_is_short_and_works_as_it_stands():
    (block,) = code_blocks("README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) <= 15
    namespace: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), namespace)
    app = namespace["app"]
    assert isinstance(app, FastAPI)
    with emulate(app):
        async with signed_in(app) as client:
            credentials = {"email": "ada@example.com", "password": "correct horse"}
            tokens = (await client.post("/auth/password/sign-up", json=credentials)).json()
            headers = {"authorization": f"Bearer {tokens['access_token']}"}
            assert (await client.get("/me", headers=headers)).json()["email"] == "ada@example.com"
            assert (await client.get("/hello", headers=headers)).json() == "Hello, ada@example.com"
            assert (await client.get("/hello")).json() == "Hello, stranger"


def test_every_code_and_class_is_in_the_error_catalog():
    """Every code and every error class stands in the error catalogue."""
    text = (ROOT / "docs/errors.md").read_text("utf-8")
    for code, (status, _) in {**errors.AUTH_CODES, **errors.RequestError.codes}.items():
        assert f"| `{code}` | {status}" in text
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    missing = [kind.__name__ for kind in classes if f"`{kind.__name__}`" not in text]
    assert missing == []
    assert [code for code in errors.SERVER_CODES if f"`{code}`" not in text] == []


@rows("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_the_readmes_links_work_on_an_index_page():
    """Once the repository has an address, the package is built with absolute links: images raw, others as pages."""
    page = "![a](docs/a.png) [b](docs/b.md#c) [d](https://example.com) [e](#f) [![g](h.svg)](i.md)"
    address = "https://git.example.com/stack"
    assert make_absolute(page, f"{address}/") == (
        f"![a]({address}/raw/HEAD/docs/a.png) [b]({address}/blob/HEAD/docs/b.md#c) [d](https://example.com) [e](#f) "
        f"[![g]({address}/raw/HEAD/h.svg)]({address}/blob/HEAD/i.md)"
    )
    made = make_absolute((ROOT / "README.md").read_text("utf-8"), address)
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", made) == []


def test_the_readmes_commands_exist_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(code_blocks("README.md", "console"))))
    assert {"demo", "test"} <= named <= targets


def test_the_examples_integration_is_one_short_file():
    """What is not in it may use what it names, but neither signs anybody in nor looks at a token."""
    folder = ROOT / "example_app"
    assert len((folder / "auth.py").read_text("utf-8").splitlines()) <= 80
    inside = re.compile(r"StackAuth\(|\bRequire\(|\.router\(|access_token|refresh_token|Authorization|set_cookie")
    others = [path for path in folder.glob("*.py") if path.name != "auth.py"]
    assert [path.name for path in others if inside.search(path.read_text("utf-8"))] == []


@rows("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_filled_in(page: Path):
    assert re.findall(r"@@|FIGURES-|TODO|FIXME", page.read_text("utf-8")) == []


def test_the_badges_are_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    versions = [each.rpartition(" :: ")[2] for each in project["project"]["classifiers"] if "Python :: 3." in each]
    facts = {
        "python": f"python: {versions[0]} to {versions[-1]}",
        "types": "types: mypy strict" if project["tool"]["mypy"]["strict"] else "",
        "license": f"license: {project['project']['license']}",
    }
    for name, fact in facts.items():
        assert f"<title>{fact}</title>" in (ROOT / f"docs/badges/{name}.svg").read_text("utf-8")


@rows("page", ["README.md", "docs/index.md", "docs/tutorial.md", "docs/reference/settings.md"])
def test_a_search_for_either_brand_finds_the_project(page: str):
    """The first line names both, or the first sentence of a page whose title says what the page is about."""
    lines = [line for line in (ROOT / page).read_text("utf-8").splitlines() if line.strip()][:2]
    assert any("Stack Auth" in line and "Hexclave" in line for line in lines)
