"""`Site`: the shared parts of all pages of a router: prefix, theme, templates and files."""

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
    """A file that the pages load. Its URL contains its hash, so that browsers may cache it.

    Attributes:
        name: The name without the hash.
        media_type: The media type.
        content: The content as bytes.
    """

    name: str
    media_type: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """The beginning of the content's SHA-256."""
        return hashlib.sha256(self.content).hexdigest()[:_HASH_LENGTH]

    @property
    def path(self) -> str:
        """The path after the prefix."""
        stem, _, ending = self.name.partition(".")
        return f"/{stem}-{self.digest}.{ending}"


class Site:
    """The pages of one router.

    Args:
        prefix: The prefix of their paths.
        theme: The theme.
        languages: The languages. By default, those of the library.
        templates: The folder with the app's own templates.

    Raises:
        ConfigurationError: The extra `pages` is not installed, or a template has a mistake.
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
        """Return the URL of a page. Empty values are left out of the query."""
        given = {name: value for name, value in query.items() if value}
        return self.prefix + path + (f"?{urlencode(given)}" if given else "")

    def render(self, template: str, values: Mapping[str, Any], language: Language) -> str:
        """Render a template in a language."""
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
        assert given.keys() == list_values(template), given.keys() ^ list_values(template)  # noqa: S101 - they are part of the API
        return self.environment.get_template(template).render(given)

    def provider_link(self, provider: str, return_to: str) -> str:
        """Return the URL that starts a sign-in with a provider, which returns to the page `oauth-callback`."""
        back = self.link("/oauth-callback", return_to=return_to)
        return self.link(f"/oauth/{quote(provider, safe='')}/authorize", return_to=back)

    def headers(
        self, language: Language, *, form_target: str | None = None, picture: str | None = None
    ) -> dict[str, str]:
        """Return the headers of every page, which forbid external files, frames and storing.

        The referrer is only the origin, because the URLs of some pages contain a code. The policy is not `no-referrer`,
        because forms on such a page post `Origin: null` (design decision 12).

        Args:
            language: The language of the page.
            picture: The origin of a picture on the page.
            form_target: Another origin that a form may redirect to, because browsers apply the policy to redirects too.
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
    """The options with which a router of pages was built.

    Attributes:
        site: The shared parts of its pages.
    """

    site: Any = None  # a Site, but dataclasses need a default here


def name_provider(provider: str) -> str:
    """Return the display name of a provider."""
    return _PROVIDERS.get(provider, provider[:1].upper() + provider[1:])


def _read(path: str) -> bytes:
    return files("fastapi_stackauth.pages").joinpath(path).read_bytes()
