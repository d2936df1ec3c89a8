"""Templates of an app's own: what they may extend and show, and mistakes in them that stop the start."""

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template, nodes
from markupsafe import Markup

from fastapi_stackauth import StackAuth, Theme
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages.overrides import load_templates
from fastapi_stackauth.pages.values import SHARED, VALUES
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor
from tests.support.rows import rows

GUIDE = Path("docs/guides/pages.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\w+\.html)` \|[^|]*\|([^|]*)\|([^|]*)\|$", GUIDE, re.MULTILINE)
FUNCTIONS = {"_", "link", "name_provider", "provider_link"}


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return folder


# --- the documentation is the API ---


def _find_names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def test_the_guide_lists_every_template_with_its_blocks():
    """A template has its own blocks and those of `base.html`."""
    environment = load_templates()
    assert environment.loader is not None
    found = {}
    for name in VALUES:
        tree = environment.parse(environment.loader.get_source(environment, name)[0])
        found[name] = {block.name for block in tree.find_all(nodes.Block)}
    assert set(environment.list_templates()) - {each for each in environment.list_templates() if "/" in each} - set(
        VALUES
    ) == {"forms.html", "macros.html"}
    base = found["base.html"]
    assert {name: _find_names(blocks) for name, blocks, _ in ROWS} == {
        name: blocks if name == "base.html" else blocks - base for name, blocks in found.items()
    }


def test_the_guide_lists_every_value():
    """Each render compares the values that a view passes with the same table."""
    assert {name: _find_names(values) for name, _, values in ROWS} == {
        name: set(values) for name, values in VALUES.items()
    }
    shared = GUIDE.partition("Every template has these values")[2].partition("| template")[0]
    listed = [name for row in re.findall(r"^\| (`.*?) \|", shared, re.MULTILINE) for name in _find_names(row)]
    assert sorted(listed) == sorted(SHARED)


def test_templates_use_only_the_values_that_they_have(tmp_path: Path):
    """The check of an app's templates finds no mistake in those of the library."""
    package = Path("fastapi_stackauth/pages/templates")
    load_templates(_write(tmp_path, {name: (package / name).read_text("utf-8") for name in VALUES}))


# --- what an app writes ---


def _plain(value: object) -> bool:
    """Whether it is data alone: it leads to no object of the library."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _plain(each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return all(_plain(each) for each in value)
    return value is None or type(value) in (str, int, bool, Markup, Theme)


async def test_templates_get_plain_values_alone(site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch):
    """On every page that a user opens: data, the theme, and four functions."""
    odd: dict[str, object] = {}
    render = Template.render

    def look(template: Template, values: dict[str, Any]) -> str:
        functions = {name for name, value in values.items() if callable(value)}
        odd.update({name: value for name, value in values.items() if name not in FUNCTIONS and not _plain(value)})
        assert functions == FUNCTIONS
        return render(template, values)

    monkeypatch.setattr(Template, "render", look)  # a template cannot list its values
    for path in (
        "sign-in",
        "sign-up",
        "forgot-password",
        "password-reset?code=x",
        "magic-link-callback",
        "mfa",
        "error",
    ):
        await visitor.open(f"/handler/{path}")
    await visitor.sign_up()
    signed_in = (
        "sign-in",
        "sign-out",
        "account-settings",
        "account-settings/two-factor",
        "teams",
        "email-verification",
    )
    for path in signed_in:
        await visitor.open(f"/handler/{path}")
    assert odd == {}


async def test_a_block_and_the_layout_are_extended(server: Emulator, tmp_path: Path):
    folder = _write(
        tmp_path,
        {
            "base.html": '{% extends "fastapi_stackauth/base.html" %}'
            '{% block header %}{% include "parts/_nav.txt" %}{{ super() }}{% endblock %}',
            "parts/_nav.txt": "<nav>{{ user.name if user else site_name }}</nav>",
            "sign_in.html": '{% extends "fastapi_stackauth/sign_in.html" %}'
            "{% block providers %}<p>Welcome back, {{ return_to }}</p>{% endblock %}",
            ".DS_Store": "{% not a template",
        },
    )
    site = Site(server, Theme(name="<b>Acme</b>"), pages={"templates": folder})
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in?return_to=/notes%3Fa%3D<b>")
        assert "<nav>&lt;b&gt;Acme&lt;/b&gt;</nav>" in visitor.response.text
        assert "Welcome back, " in page.text
        assert len(page.forms) == 1
        await visitor.open("/handler/forgot-password")
        assert "<nav>" in visitor.response.text
    await site.stack.aclose()


@rows("ending", ["html", "txt", "svg", "js", "jinja"])
def test_every_file_escapes(ending: str, tmp_path: Path):
    folder = _write(tmp_path, {"base.html": f'{{% include "_part.{ending}" %}}{_BLOCKS}', f"_part.{ending}": "{{ x }}"})
    environment = load_templates(folder)
    assert environment.get_template(f"_part.{ending}").render(x="<script>") == "&lt;script&gt;"


_BLOCKS = "{% block title %}{% endblock %}{% block width %}{% endblock %}{% block content %}{% endblock %}"


async def test_a_page_may_be_written_anew(server: Emulator, tmp_path: Path):
    """In a layout of the app, with a form of the page."""
    folder = _write(
        tmp_path,
        {
            "base.html": "<title>{{ self.title() }}</title>" + _BLOCKS,
            "sign_in.html": '{% extends "_layout.html" %}{% set text = _("Sign in") %}{% block body %}'
            '<form method="post" action="{{ link("/sign-in", return_to=return_to) }}"><input name="email">'
            '<input name="password"><button>{{ text }}</button></form>{% for each in errors %}{{ errors[each] }}'
            "{% endfor %}{% endblock %}",
            "_layout.html": "<main>{% block body %}{% endblock %}</main>",
        },
    )
    site = Site(server, pages={"templates": folder})
    async with site.visitor() as visitor:
        await visitor.sign_up()
        await visitor.sign_out()
        await visitor.open("/handler/sign-in?return_to=/notes")
        assert visitor.response.text.startswith("<main><form")
        await visitor.submit(email=EMAIL, password=PASSWORD)
        assert visitor.path == "/notes"
    await site.stack.aclose()


# --- mistakes ---

EXTEND = '{% extends "fastapi_stackauth/sign_in.html" %}'


@rows(
    ("files", "message"),
    [
        ({"signin.html": ""}, 'template "signin.html" .* no page .* Write "sign_in.html"'),
        ({"macros.html": ""}, 'template "macros.html" .* no page'),
        ({"sign_in.html": "{% if %}"}, 'template "sign_in.html" has a mistake: line 1: Expected an expression'),
        ({"_part.html": "\n{{ x | nofilter }}"}, '"_part.html" has a mistake: line 2: No filter named'),
        ({"sign_in.html": '{% extends "sign_in.html" %}'}, 'is itself. .*fastapi_stackauth/sign_in.html"'),
        ({"sign_in.html": '{% extends "fastapi_stackauth/signin.html" %}'}, 'no template "fastapi_stackauth/signin'),
        ({"sign_in.html": '{% include "_nav.html" %}'}, 'there is no template "_nav.html"'),
        ({"sign_in.html": "{% extends theme.name %}"}, "by an expression"),
        ({"sign_in.html": EXTEND + EXTEND}, "extends several templates"),
        ({"sign_in.html": EXTEND + "{% block provider %}{% endblock %}"}, 'no block "provider". Write "providers"'),
        ({"base.html": "{% block title %}{% endblock %}"}, '"base.html" .* block "(width|content)" is missing'),
        ({"sign_in.html": "{{ usr.name }}"}, 'no value "usr". Write "user"'),
        ({"sign_in.html": EXTEND + "{% block forms %}{{ sessions }}{% endblock %}"}, 'no value "sessions"'),
        ({"base.html": "{{ request.url }}" + _BLOCKS}, 'no value "request"'),
        ({"base.html": "{{ settings }}" + _BLOCKS}, 'no value "settings"'),
    ],
)
def test_mistakes_are_errors_when_the_router_is_built(files: dict[str, str], message: str, tmp_path_factory: Any):
    folder = _write(tmp_path_factory.mktemp("templates"), files)
    with pytest.raises(ConfigurationError, match=f"pages_router: .*{message}"):
        StackAuth(app_url=ORIGIN).pages_router(prefix="/handler", templates=folder)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path):
    (tmp_path / "sign_in.html").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read as UTF-8"):
        StackAuth(app_url=ORIGIN).pages_router(prefix="/handler", templates=tmp_path)


@rows("folder", ["/nowhere/at/all", "", 5, b"x", "pyproject.toml"])
def test_templates_must_be_a_folder(folder: Any):
    with pytest.raises(ConfigurationError, match="templates must be a folder that exists; got"):
        StackAuth(app_url=ORIGIN).pages_router(prefix="/handler", templates=folder)
