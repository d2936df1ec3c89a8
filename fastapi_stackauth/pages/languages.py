"""`Languages`: the languages of the pages, the choice for a browser, and the translated texts.

The texts are in gettext catalogs. `make catalogs` writes and compiles them for the standard library's `gettext`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fastapi_stackauth.errors import ConfigurationError

if TYPE_CHECKING:
    from markupsafe import Markup

LANGUAGES = ("en", "de", "fr", "es")
"""The languages that come with the library. The texts in the code are English."""
COOKIE = "stackauth_language"
"""The cookie with the tag of the language that the user chose. An app may set it too."""
CATALOG = "fastapi_stackauth.mo"
"""The name of a compiled catalog, in the folder `<language>/LC_MESSAGES`."""
_NAMES = {
    "ar": "العربية", "de": "Deutsch", "en": "English", "es": "Español", "fa": "فارسی", "fr": "Français",
    "he": "עברית", "it": "Italiano", "ja": "日本語", "ko": "한국어", "nl": "Nederlands", "pl": "Polski",
    "pt": "Português", "pt-BR": "Português (Brasil)", "tr": "Türkçe", "uk": "Українська", "ur": "اردو", "zh": "中文",
}  # fmt: skip
_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
_TAG = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")  # the subset of RFC 5646 that apps use
_PLACEHOLDER = re.compile(r"%\([a-z_]+\)s")
_MAX_HEADER = 500
"""The maximum number of characters of `Accept-Language` that are read."""
_MAX_RANGES = 20
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


class _Folder(Protocol):
    """A folder on disk or in the package."""

    def joinpath(self, *parts: str) -> Any:  # noqa: ANN401 - a path, or a file in an archive
        """Return a file in it."""


@dataclass(frozen=True)
class Language:
    """A language of the pages.

    Attributes:
        tag: The language tag (RFC 5646), such as ``de`` or ``pt-BR``.
        name: The name of the language in the language itself.
        catalog: The translated texts.
    """

    tag: str
    name: str
    catalog: NullTranslations = field(repr=False)

    @property
    def direction(self) -> str:
        """``ltr``, or ``rtl`` for languages that are written from right to left."""
        return "rtl" if self.tag.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"

    def translate(self, text: str) -> str:
        """Return a text of the library in this language, or in English if the catalog does not contain it."""
        return self.catalog.gettext(text) if text else ""

    def fill(self, text: str, **values: object) -> "Markup":
        """Return a text for a template, which calls this method `_`. The values are escaped.

        Markup is only allowed in texts of a catalog or of the library. Any other text is escaped, because a template
        may pass a user's name by mistake.
        """
        from markupsafe import Markup, escape  # noqa: PLC0415 - of the extra

        translated = self.translate(text)
        trusted = translated != text or text in _known_texts()
        marked = Markup(translated) if trusted else escape(text)  # noqa: S704 - a text of the library or of the app
        return marked % values if values else marked


class Languages:
    """The languages that an app offers.

    Args:
        tags: The language tags, with the default first.
        folder: The folder with the app's catalogs, which add a language or replace texts, or None.

    Raises:
        ConfigurationError: A tag is not valid, a language has no catalog, or a placeholder is missing in a translation.
    """

    def __init__(self, tags: Iterable[str], folder: Path | None) -> None:
        self.offered = tuple(_load(tag, folder) for tag in tags)

    def get(self, tag: str) -> Language | None:
        """Return the language with this tag, or None if it is not offered."""
        return next((each for each in self.offered if each.tag == tag), None)

    def choose(self, cookie: str, accept_language: str) -> Language:
        """Return the language for a browser.

        Args:
            cookie: The tag that the user chose, or an empty string.
            accept_language: The header `Accept-Language`.
        """
        if chosen := self.get(cookie):
            return chosen
        for wanted in _read_ranges(accept_language):
            if matching := next((each for each in self.offered if _matches(each.tag.lower(), wanted)), None):
                return matching
        return self.offered[0]


def _read_ranges(header: str) -> list[str]:
    """Return the language ranges of an `Accept-Language` header, the most preferred first (RFC 9110 §12.5.4)."""
    weighted: list[tuple[float, str]] = []
    for part in header[:_MAX_HEADER].split(",")[:_MAX_RANGES]:
        name, _, parameter = part.partition(";")
        quality = _QUALITY.fullmatch(parameter.strip()) if parameter else None
        weight = float(quality[1]) if quality else float(not parameter)
        if weight > 0:
            weighted.append((-weight, name.strip().lower()))
    return [name for _, name in sorted(weighted, key=lambda each: each[0])]


def _matches(tag: str, wanted: str) -> bool:
    """Return whether a language matches a range: `de` matches `de-AT`, and `pt-BR` matches `pt` (RFC 4647 §3)."""
    return bool(wanted) and (tag == wanted or wanted.startswith(f"{tag}-") or tag.startswith(f"{wanted}-"))


def _load(tag: str, folder: Path | None) -> Language:
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise ConfigurationError(
            f'pages_router: languages must be language tags, such as ("en", "pt-BR"); got {tag!r:.60}.'
        )
    ours = _read_catalog(files("fastapi_stackauth.pages").joinpath("locale"), tag)
    theirs = _read_catalog(folder, tag) if folder is not None else None
    if theirs is not None:
        _check_placeholders(tag, theirs)
        if ours is not None:
            theirs.add_fallback(ours)
    catalog = theirs or ours or (NullTranslations() if tag == "en" else None)
    if catalog is None:
        raise ConfigurationError(
            f'pages_router: there is no catalog for the language "{tag}". The library has {", ".join(LANGUAGES)}; '
            f"for another language, put {tag.replace('-', '_')}/LC_MESSAGES/{CATALOG} into the folder `catalogs`."
        )
    return Language(tag, _NAMES.get(tag, tag), catalog)


def _read_catalog(folder: _Folder, tag: str) -> GNUTranslations | None:
    """Return a compiled catalog, or None if there is none.

    Raises:
        ConfigurationError: The file is not a compiled catalog.
    """
    path = folder.joinpath(tag.replace("-", "_"), "LC_MESSAGES", CATALOG)
    if not path.is_file():
        return None
    with path.open("rb") as file, suppress(OSError, UnicodeError, ValueError):
        return GNUTranslations(file)
    raise ConfigurationError(f"pages_router: {path} is not a compiled gettext catalog. Make it with pybabel compile.")


def _check_placeholders(tag: str, catalog: GNUTranslations) -> None:
    for text in list_texts():
        translated, wanted = catalog.gettext(text), sorted(set(_PLACEHOLDER.findall(text)))
        if sorted(set(_PLACEHOLDER.findall(translated))) != wanted or "%" in _PLACEHOLDER.sub("", translated):
            raise ConfigurationError(
                f'pages_router: the translation of "{text}" into "{tag}" must have the placeholders '
                f"{', '.join(wanted) or '(none)'} and no other %; got {translated!r:.300}."
            )


@cache
def list_texts() -> tuple[str, ...]:
    """Return all texts of the pages, in English."""
    return tuple(_read_texts())


@cache
def _known_texts() -> frozenset[str]:
    return frozenset(list_texts())


def _read_texts() -> Iterator[str]:
    content = files("fastapi_stackauth.pages").joinpath("locale", "texts.json").read_text(encoding="utf-8")
    yield from json.loads(content)
