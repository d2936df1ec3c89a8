"""A theme is checked before it reaches a page, and keeps text readable."""

import re

import pytest

from fastapi_stackauth import Theme
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages.colors import BLACK, WHITE, find_text_color, make_readable, measure_contrast
from tests.pages.site import Site
from tests.support.rows import rows


@rows("name, value", [
    ("accent", "red"),
    ("accent", "#0f766e; background: url(//evil.example)"),
    ("accent", "#12345"),
    ("accent", "#0f766e\n"),
    ("accent", None),
    ("accent_dark", "rgb(0,0,0)"),
    ("background", "url(#a)"),
    ("radius", "8"),
    ("radius", "calc(1px)"),
    ("radius", 8),
    ("font", 'a"; } body { display: none'),
    ("font", "a; b"),
    ("font", "url(x)"),
    ("font", "a\\62"),
    ("font", "'a"),
    ("logo", "javascript:alert(1)"),
    ("logo", "//evil.example/logo.svg"),
    ("logo", "http://example.com/logo.svg"),
    ("logo", "https://a b"),
    ("logo", "https://user@example.com/a"),
    ("logo", "logo.svg"),
    ("stylesheet", "/a;b"),
    ("terms_url", "javascript:alert(1)"),
    ("privacy_url", 'https://example.com/"'),
    ("name", ""),
    ("name", "a" * 101),
    ("name", "a\nb"),
    ("name", 3),
])  # fmt: skip
def test_a_value_of_another_form_is_an_error_that_names_it(name: str, value: object):
    with pytest.raises(ConfigurationError, match=f"Theme: {name} must be"):
        Theme(**{name: value})  # type: ignore[arg-type]


@rows("name, color", [("background", "#444444"), ("background_dark", "#999999")])
def test_a_background_on_which_text_is_unreadable_is_an_error(name: str, color: str):
    with pytest.raises(ConfigurationError, match="has a contrast ratio of"):
        Theme(**{name: color})


def test_values_of_the_form_are_taken():
    theme = Theme(
        name="Acme <b>", logo="/logo.svg", logo_dark="https://cdn.example.com:8443/l.svg?v=1", accent="#abc",
        accent_dark="#aabbcc", radius="0.5rem", font='Inter, "Segoe UI", sans-serif', terms_url="/terms#a",
        privacy_url="https://example.com/privacy", stylesheet="/own.css",
    )  # fmt: skip
    assert "--radius: 0.5rem;" in theme.to_css()
    assert theme.origins == ("https://cdn.example.com:8443",)


def test_contrast_is_that_of_wcag():
    assert measure_contrast(BLACK, WHITE) == pytest.approx(21)
    assert measure_contrast("#777777", WHITE) == pytest.approx(4.48, abs=0.01)  # the example of the guidelines


@pytest.mark.parametrize("accent", ["#ffff00", "#000", "#fff", "#0f766e", "#ff0000", "#7f7f7f", "#0000ff"])
def test_text_in_and_on_the_accent_is_readable(accent: str):
    """Whatever color an app chooses, in light and in dark mode."""
    theme = Theme(accent=accent)
    for background in (theme.background, theme.background_dark):
        assert measure_contrast(make_readable(accent, background), background) >= 4.5
    assert measure_contrast(accent, find_text_color(accent)) >= 4.5
    colors = re.findall(r"#[0-9a-f]{3,6}", theme.to_css())
    assert find_text_color(accent) in colors


async def test_pages_show_the_theme(server: Emulator):
    """The name, both logos, the links, and a stylesheet of the app's own; the policy allows their sites alone."""
    theme = Theme(
        name="Acme & Söhne", logo="https://cdn.example.com/logo.svg", logo_dark="/dark.svg", accent="#ff6600",
        terms_url="/terms", privacy_url="https://example.com/privacy", stylesheet="/own.css",
    )  # fmt: skip
    site = Site(server, theme)
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in")
        assert page.find(alt="Acme & Söhne")["src"] == "https://cdn.example.com/logo.svg"
        assert page.find(media="(prefers-color-scheme: dark)")["srcset"] == "/dark.svg"
        assert {"/terms", "https://example.com/privacy"} <= set(page.links())
        sheets = [found["href"] for tag, found in page.tags if tag == "link"]
        assert sheets[1:] == ["/own.css"]
        policy = visitor.response.headers["content-security-policy"]
        assert "img-src 'self' data: https://cdn.example.com;" in policy
        assert "example.com/privacy" not in policy
        css = await visitor.client.get(sheets[0])
    assert "--accent: light-dark(#ff6600, #ff6600);" in css.text
    assert css.headers["cache-control"] == "public, max-age=31536000, immutable"
    await site.stack.aclose()
