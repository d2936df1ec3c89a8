"""The documentation site: built without a warning, complete, and whole by itself."""

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.async_api import Browser, Route

import fastapi_stackauth
import fastapi_stackauth.testing
from fastapi_stackauth import Settings, SignInMethods, errors
from fastapi_stackauth.settings import documented_name
from tests.docs.blocks import ROOT
from tests.support.once import make_once


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return make_once(tmp_path_factory, "site", build)


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr


class _Loaded(HTMLParser):
    """What a browser fetches by itself for a page, and the ids in it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        loads = tag in ("script", "img", "iframe", "source") or (tag == "link" and found.get("rel") != "canonical")
        self.addresses += [address for name in ("src", "href") if loads and (address := found.get(name))]


def read(page: Path) -> _Loaded:
    loaded = _Loaded()
    loaded.feed(page.read_text("utf-8"))
    return loaded


def test_nothing_of_it_is_fetched_from_elsewhere(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    elsewhere = {address for page in pages for address in read(page).addresses if "//" in address}
    assert elsewhere == set()


async def test_the_site_works_offline_and_search_finds_pages(site: Path, browser: Browser):
    """A browser that reaches nothing else shows it and searches it."""
    asked: list[str] = []

    async def answer(route: Route) -> None:
        address = route.request.url
        if not address.startswith("http://docs.test/"):
            asked.append(address)
            await route.abort()
            return
        path = site / address.removeprefix("http://docs.test/").split("?")[0].split("#")[0]
        await route.fulfill(path=path) if path.is_file() else await route.fulfill(status=404)

    page = await browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.route("**/*", answer)
    await page.goto("http://docs.test/index.html")
    await page.keyboard.press("/")
    await page.keyboard.type("cross_site_request")
    found = page.locator(".md-search-result__item a").first
    await found.wait_for()
    await found.click()
    await page.wait_for_url(re.compile(r"http://docs\.test/(?!index\.html).+"))
    await page.close()
    assert (asked, faults) == ([], [])


SEARCHES = {
    "logout": "revocation.html",
    "sign out": "guides/server-rendered.html",
    "roles": "authorization.html",
    "permissions": "authorization.html",
    "csrf": "explanation/cookies.html",
    "cors": "guides/spa-cookies.html",
    "gunicorn": "guides/running.html",
    "refresh token": "guides/mobile.html",
    "cookie": "sessions.html",
    "fastapi dev": "guides/running.html",
    "docker": "deploy.html",
    "redis": "guides/workers.html",
    "opentelemetry": "observability.html",
    "postman": "openapi.html",
    "curl": "tutorial.html",
    "401": "errors.html",
    "403": "errors.html",
}


def test_the_search_finds_the_words_of_the_field(site: Path):
    """The search index leads from the words that people search for to the page about them."""
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    found = {
        (words, entry["location"].split("#")[0])
        for entry in index["docs"]
        for words in SEARCHES
        if words in f"{entry['title']} {entry['text']}".lower()
    }
    assert set(SEARCHES.items()) - found == set()


def test_the_navigation_has_four_parts_of_seven_entries():
    """A reader chooses from few entries: by what they want first, then by topic."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    navigation = yaml.safe_load(text)["nav"]
    assert [name for entry in navigation for name in entry][1:] == [
        "Tutorial", "How-to guides", "Reference", "Explanation",
    ]  # fmt: skip

    def check(entries: list[dict[str, Any]]) -> None:
        assert len(entries) <= 7, entries
        for entry in entries:
            (below,) = entry.values()
            if isinstance(below, list):
                check(below)

    check(navigation)


def test_a_table_that_is_rendered_as_text_fails_the_build():
    """A blank line within a table, or no header, makes text of it."""
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    markdown: Any = importlib.import_module("markdown")  # it has no type hints
    render = partial(markdown.markdown, extensions=["tables", "fenced_code"])
    hooks = runpy.run_path(str(ROOT / "docs/hooks.py"))
    assert hooks["broken_tables"](render(f"{table}\n```\n| 1 | 2 |\n```\n")) == []
    for broken in (f"{table}\n| 3 | 4 |\n", f"Text:\n{table.replace('---', '')}", "- item\n| 3 | 4 |\n"):
        assert len(hooks["broken_tables"](render(broken))) == 1, broken


def test_every_problem_type_has_an_anchor_in_the_catalog(site: Path):
    """The type of every problem can point at its place in the error catalogue."""
    ids = read(site / "errors.html").ids
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    bases = {errors.StackAuthError.code, errors.AuthServerError.code}  # never raised as such
    codes = {getattr(kind, "code", None) for kind in classes} | set(errors.AUTH_CODES)
    own = {code for code in codes - bases if isinstance(code, str)}
    requests = set(errors.RequestError.codes)
    assert own | requests | set(errors.SERVER_CODES) <= ids


def test_each_code_of_the_catalogue_says_what_to_do():
    rows = [
        line.strip("| ").split(" | ")
        for line in (ROOT / "docs/errors.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    short = [row[0] for row in rows if len(row) < 4 or not all(len(cell) > 2 for cell in row)]
    assert len(rows) > 60
    assert short == []


def test_the_reference_has_everything_that_is_public(site: Path):
    """Each public name has an entry, and so have the parts of a stack, the client's resources and their models."""
    ids = set().union(*(read(page).ids for page in (site / "reference/python").glob("*.html")))
    names = {f"fastapi_stackauth.{name}" for name in fastapi_stackauth.__all__} - {"fastapi_stackauth.__version__"}
    names |= {f"fastapi_stackauth.testing.{name}" for name in fastapi_stackauth.testing.__all__}
    names |= {f"fastapi_stackauth.StackAuth.{name}" for name in ("client", "sessions", "events", "settings")}
    names |= {f"fastapi_stackauth.SignInMethods.{name}" for name in SignInMethods.model_fields}
    names |= {
        "fastapi_stackauth.models.ApiKeyCreate",
        "fastapi_stackauth.client.resources.api_keys.UserApiKeysApi.create",
    }
    assert names - ids == set()


def test_the_settings_table_is_the_models(site: Path):
    text = (site / "reference/settings.html").read_text("utf-8")
    for name in Settings.model_fields:
        assert f"<code>{name}</code>" in text
        assert f"<code>{documented_name(name)}</code>" in text
