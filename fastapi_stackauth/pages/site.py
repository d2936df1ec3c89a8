"""`Site`: what all pages of one router share: prefix, theme, templates, and the files that they load."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from fastapi_stackauth.pages.languages import LANGUAGES, Language, Languages
from fastapi_stackauth.pages.messages import SCRIPT_TEXTS
from fastapi_stackauth.pages.overrides import load_templates
from fastapi_stackauth.pages.theme import Theme
from fastapi_stackauth.pages.values import list_values
from fastapi_stackauth.routers.plumbing.context import Mount

_PROVIDERS = {"github": "GitHub", "gitlab": "GitLab", "linkedin": "LinkedIn", "bitbucket": "Bitbucket", "x": "X"}
_HASH_LENGTH = 16


@dataclass(frozen=True)
class Asset:
    """A file that the pages load. Its address has its hash, so browsers may keep it.

    Attributes:
        name: its name, without the hash.
        media_type: its media type.
        content: its bytes.
    """

    name: str
    media_type: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """The beginning of its SHA-256."""
        return hashlib.sha256(self.content).hexdigest()[:_HASH_LENGTH]

    @property
    def path(self) -> str:
        """Its path, after the prefix."""
        stem, _, ending = self.name.partition(".")
        return f"/{stem}-{self.digest}.{ending}"


class Site:
    """The pages of one router.

    Args:
        prefix: the prefix of their paths.
        theme: how they look.
        languages: the languages that they have; by default those of the library.
        templates: the folder with the app's own templates.

    Raises:
        ConfigurationError: the extra `pages` is not installed, or a template has a mistake.
    """

    def __init__(self, prefix: str, theme: Theme, languages: Languages | None = None, templates: object = None) -> None:
        self.prefix = prefix
        self.theme = theme
        self.languages = languages or Languages(LANGUAGES, None)
        self.stylesheet = Asset("style.css", "text/css", _read("static/style.css") + theme.to_css().encode())
        passkey = files("fastapi_stackauth.routers.methods").joinpath("passkey.js").read_bytes()
        self.script = Asset("script.js", "text/javascript", passkey + _read("static/pages.js"))
        self.environment = load_templates(templates)

    def link(self, path: str, **query: str) -> str:
        """Return the address of a page. Empty values are left out of the query."""
        given = {name: value for name, value in query.items() if value}
        return self.prefix + path + (f"?{urlencode(given)}" if given else "")

    def render(self, template: str, values: Mapping[str, Any], language: Language) -> str:
        """Return a page from a template, in a language."""
        shared = {
            "_": language.fill,
            "language": language.tag,
            "direction": language.direction,
            "theme": self.theme,
            "link": self.link,
            "name_provider": name_provider,
            "provider_link": self.provider_link,
            "stylesheet": self.prefix + self.stylesheet.path,
            "script": self.prefix + self.script.path,
            "script_texts": json.dumps({code: language.translate(text) for code, text in SCRIPT_TEXTS.items()}),
        }
        given = {**shared, **values}
        assert given.keys() == list_values(template), given.keys() ^ list_values(template)  # noqa: S101 - they are API
        return self.environment.get_template(template).render(given)

    def provider_link(self, provider: str, return_to: str) -> str:
        """Return the address that starts a sign-in at a provider, which comes back to the page `oauth-callback`."""
        back = self.link("/oauth-callback", return_to=return_to)
        return self.link(f"/oauth/{quote(provider, safe='')}/authorize", return_to=back)

    def headers(
        self, language: Language, *, form_target: str | None = None, picture: str | None = None
    ) -> dict[str, str]:
        """Return the headers of every page: nothing from elsewhere, no frames, not stored.

        The referrer is the origin alone, because the addresses of some pages hold a code. It is not `no-referrer`,
        because forms of such a page post `Origin: null` (design decision 12).

        Args:
            language: of the page.
            picture: another origin that the page shows a picture of.
            form_target: another origin that a form may lead to, because browsers apply the policy to redirects too.
        """
        elsewhere = "".join(f" {origin}" for origin in self.theme.origins)
        policy = (
            "default-src 'none'",
            f"style-src 'self'{elsewhere}",
            f"img-src 'self' data:{elsewhere}{f' {picture}' if picture else ''}",
            f"font-src 'self'{elsewhere}",
            "script-src 'self'",
            "connect-src 'self'",
            f"form-action 'self'{f' {form_target}' if form_target else ''}",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
        return {
            "content-security-policy": "; ".join(policy),
            "referrer-policy": "strict-origin",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "content-language": language.tag,
        }


@dataclass(frozen=True)
class PagesMount(Mount):
    """The choices with which a router of pages was built.

    Attributes:
        site: what its pages share.
    """

    site: Any = None  # a Site; dataclasses need a default here


def name_provider(provider: str) -> str:
    """Return the name of a provider, as users know it."""
    return _PROVIDERS.get(provider, provider[:1].upper() + provider[1:])


def _read(path: str) -> bytes:
    return files("fastapi_stackauth.pages").joinpath(path).read_bytes()
