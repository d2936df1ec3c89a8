"""The languages of the pages: which one a browser gets, that catalogs are complete, and an app's own texts."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth import StackAuth, Theme
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages.languages import CATALOG, LANGUAGES, Languages
from tests.pages import catalogs
from tests.pages.site import ORIGIN, Site, Visitor

PLACEHOLDER = re.compile(r"%\([a-z_]+\)s")
TAG = re.compile(r"<[^>]*>")


# --- the catalogs ---


def test_the_catalogs_are_current():
    """`make catalogs` would change nothing: all texts of the pages are there, and compiled."""
    stale = [
        str(path) for path, content in catalogs.build() if not path.exists() or not catalogs.is_same(path, content)
    ]
    assert stale == [], "run make catalogs"


def test_every_text_is_translated():
    wrong = []
    for tag in catalogs.TRANSLATED:
        for message in catalogs.read(tag):
            text, translated = str(message.id), str(message.string)
            same_tags = sorted(TAG.findall(text)) == sorted(TAG.findall(translated))
            same_values = sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(translated))
            plain = not {'"', "%"} & set(PLACEHOLDER.sub("", translated))  # they may stand in an attribute
            if text and (not translated or not same_tags or not same_values or not plain):
                wrong.append((tag, text, translated))
    assert wrong == []


def test_translations_end_like_the_english_text():
    """A sentence stays a sentence, a label a label; a missing full stop is mostly a cut text."""
    odd = [
        (tag, text, translated)
        for tag in catalogs.TRANSLATED
        for text, translated in ((str(each.id), str(each.string)) for each in catalogs.read(tag))
        if text and text[-1] in ".?:" and text[-1] != translated[-1]
    ]
    assert odd == []


# --- the choice ---


def _choose(cookie: str, accept: str, *tags: str) -> str:
    return Languages(tags or LANGUAGES, None).choose(cookie, accept).tag


def test_the_best_language_of_the_browser_is_chosen():
    rows = {
        "": "en",
        "de": "de",
        "de-AT,de;q=0.9,en;q=0.5": "de",
        "en;q=0.5, fr;q=0.8": "fr",
        "FR-ca": "fr",
        "ja, es;q=0.1": "es",
        "ja": "en",
        "*": "en",
        "de;q=0, es": "es",
        "de;q=abc, es;q=0.1": "es",
        ",,;;q=1,": "en",
        "x" * 1000 + ",de": "en",
    }
    assert {accept: _choose("", accept) for accept in rows} == rows


def test_the_choice_of_the_user_beats_the_browser():
    assert _choose("es", "de") == "es"
    assert _choose("../../etc", "de") == "de"
    assert _choose("es", "fr", "de", "fr") == "fr"  # a language that is not offered


@given(st.text(max_size=700), st.text(max_size=40))
def test_any_header_chooses_an_offered_language(accept: str, cookie: str):
    assert _choose(cookie, accept) in LANGUAGES


# --- the pages ---


async def test_pages_and_errors_are_in_the_language(visitor: Visitor):
    visitor.client.headers["accept-language"] = "de-AT,de;q=0.9,en;q=0.5"
    page = await visitor.open("/handler/sign-in")
    assert page.heading == "Anmelden"
    assert page.find(lang="de", dir="ltr")
    assert visitor.response.headers["content-language"] == "de"
    page = await visitor.submit(email="ada@example.com", password="wrong")
    assert "Die E-Mail-Adresse oder das Passwort ist falsch." in page.text


async def test_a_link_chooses_the_language_and_keeps_the_page(visitor: Visitor):
    page = await visitor.open("/handler/sign-up?return_to=/notes&by=code")
    link = page.find(hreflang="fr")["href"]
    page = await visitor.open(link)
    assert page.heading == "S\u2019inscrire"
    assert visitor.response.url.path == "/handler/sign-up"
    assert dict(visitor.response.url.params) == {"return_to": "/notes", "by": "code"}
    assert (await visitor.open("/handler/sign-in", **{"accept-language": "de"})).heading == "Se connecter"


async def test_the_choice_leads_nowhere_else(visitor: Visitor):
    """Neither to another site, nor to a page outside the prefix, nor to a language that is not offered."""
    for page in ("//evil.example", "https://evil.example", "/../x", "/sign-in?x", "", "/a" * 300):
        response = await visitor.client.get(
            "/handler/language/de", params={"page": page, "return_to": "//evil.example"}
        )
        assert (response.status_code, response.headers["location"]) == (303, "/handler/sign-in"), page
    response = await visitor.client.get("/handler/language/xx", params={"page": "/sign-up"})
    assert "set-cookie" not in response.headers


async def test_addresses_with_a_code_have_no_links(visitor: Visitor):
    """The links would repeat the code, or lose it."""
    page = await visitor.open("/handler/password-reset?code=secret-code")
    assert not any(found.get("hreflang") for _, found in page.tags)


async def test_one_language_needs_no_choice(server: Emulator):
    site = Site(server, pages={"languages": ["de"]})
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in", **{"accept-language": "fr"})
        assert page.heading == "Anmelden"
        assert not any(found.get("hreflang") for _, found in page.tags)
    await site.stack.aclose()


def test_a_text_of_no_catalog_is_escaped(tmp_path: Path):
    """A template that passes the name of a user to `_` by mistake shows it as text; values are escaped anyway."""
    catalogs.write_compiled(tmp_path, "de", {"Ours": "<b>Unser</b> %(name)s"})
    german = Languages(["de"], tmp_path).offered[0]
    rows = [
        ("<script>", {}, "&lt;script&gt;"),
        ("100 % of %(name)s", {}, "100 % of %(name)s"),
        ("<i>%(name)s</i>", {"name": "<x>"}, "&lt;i&gt;&lt;x&gt;&lt;/i&gt;"),
        ("Ours", {"name": "<x>"}, "<b>Unser</b> &lt;x&gt;"),
        ("Sign in", {}, "Anmelden"),
        ("This link signs in as <strong>%(address)s</strong>.", {"address": "<x>"}, "<strong>&lt;x&gt;</strong>"),
    ]
    wrong = [(text, shown) for text, values, part in rows if part not in (shown := str(german.fill(text, **values)))]
    assert wrong == []


# --- catalogs of an app ---


async def test_an_app_replaces_texts_and_adds_a_language(server: Emulator, tmp_path: Path):
    """Its texts come first, then those of the library; Hebrew is written from right to left."""
    catalogs.write_compiled(tmp_path, "de", {"Sign in": "Einloggen"})
    catalogs.write_compiled(tmp_path, "en", {"Sign in": "Log in"})
    catalogs.write_compiled(tmp_path, "he", {"Sign in": "כניסה"})
    site = Site(server, Theme(name="Acme"), pages={"languages": ["en", "de", "he"], "catalogs": tmp_path})
    async with site.visitor() as visitor:
        headings = {
            tag: (await visitor.open("/handler/sign-in", **{"accept-language": tag})).heading
            for tag in ("en", "de", "he")
        }
        page = await visitor.open("/handler/sign-in", **{"accept-language": "he"})
    assert headings == {"en": "Log in", "de": "Einloggen", "he": "כניסה"}
    assert page.find(lang="he", dir="rtl")
    assert "Email address" in page.text
    await site.stack.aclose()


def test_mistakes_are_errors_before_the_start(tmp_path: Path):
    catalogs.write_compiled(tmp_path, "it", {"Verify %(address)s": "Verifica %(adress)s"})
    broken = tmp_path / "nl" / "LC_MESSAGES" / CATALOG
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no catalog")
    rows = [
        ({"languages": "de"}, "languages must be a list of language tags"),
        ({"languages": []}, "languages must be a list of language tags"),
        ({"languages": ["en_US"]}, "must be language tags"),
        ({"languages": ["../de"]}, "must be language tags"),
        ({"languages": ["it"]}, 'no catalog for the language "it"'),
        ({"languages": ["it"], "catalogs": tmp_path}, "must have the placeholders %(address)s"),
        ({"languages": ["nl"], "catalogs": tmp_path}, "not a compiled gettext catalog"),
        ({"catalogs": tmp_path / "missing"}, "catalogs must be a folder"),
        ({"catalogs": 7}, "catalogs must be a folder"),
    ]
    for options, message in rows:
        with pytest.raises(ConfigurationError, match=re.escape(message)):
            StackAuth(app_url=ORIGIN).pages_router(prefix="/handler", **options)  # type: ignore[arg-type]


def test_the_texts_of_a_catalog_are_never_needed_to_show_a_page(tmp_path: Path):
    """A catalog with other texts leaves the pages in the library's own."""
    catalogs.write_compiled(tmp_path, "it", {"Something else": "Altro"})
    assert Languages(["it"], tmp_path).offered[0].translate("Sign in") == "Sign in"
