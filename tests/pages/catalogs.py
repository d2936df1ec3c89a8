"""Writes the catalogs of the pages: `make catalogs` after a text has changed, or a translation.

The texts are found in the templates, and in the tables of `messages.py`. A new text has an empty translation, which
`tests/pages/test_languages.py` reports. Texts that no longer exist go.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from fastapi_stackauth import pages
from fastapi_stackauth.pages.languages import CATALOG, LANGUAGES
from fastapi_stackauth.pages.messages import collect_texts

PAGES = Path(pages.__file__).parent  # of the installed package, if the tests run without the source tree
FOLDER, TEMPLATES = PAGES / "locale", PAGES / "templates"
DOMAIN = CATALOG.removesuffix(".mo")
TRANSLATED = tuple(tag for tag in LANGUAGES if tag != "en")
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)  # files with the same texts are the same files
_HEADERS = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")


class _Catalog(Catalog):
    """A catalog without the headers that depend on who wrote it, and with what."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in super().mime_headers if name in _HEADERS]


def find_texts() -> dict[str, list[str]]:
    """Return every text of the pages with the files that show it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TEMPLATES.glob("**/*.html")):
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ["_"], [], {"silent": "false"}):
                text = str(message if isinstance(message, str) else (message or ("",))[0])  # a tuple if it has values
                found.setdefault(text, []).append(path.name)
    for text in collect_texts():
        found.setdefault(text, []).append("messages.py")
    return found


def _new_catalog(tag: str | None) -> Catalog:
    catalog = _Catalog(
        locale=tag,
        header_comment="# Texts of the prebuilt pages of fastapi-stackauth.",
        creation_date=_BEGIN,
        revision_date=_BEGIN,
        fuzzy=False,
    )
    for text, places in find_texts().items():
        catalog.add(text, locations=[(place, 0) for place in dict.fromkeys(places)])
    return catalog


def read(tag: str) -> Catalog:
    """Return the translations of a language as they are in its file."""
    with _path(tag).open("rb") as file:
        return read_po(file, locale=tag)


def build() -> Iterator[tuple[Path, bytes]]:
    """Return every file of the catalogs with what it should hold."""
    yield FOLDER / "texts.json", (json.dumps(list(find_texts()), ensure_ascii=False, indent=0) + "\n").encode()
    yield FOLDER / f"{DOMAIN}.pot", _to_po(_new_catalog(None))
    for tag in TRANSLATED:
        catalog = _new_catalog(tag)
        if _path(tag).exists():
            for message in read(tag):
                if message.id in catalog and message.id:
                    catalog[message.id].string = message.string
        compiled = BytesIO()
        write_mo(compiled, catalog)
        yield _path(tag), _to_po(catalog)
        yield _path(tag).with_name(CATALOG), compiled.getvalue()


def is_same(path: Path, content: bytes) -> bool:
    """Return whether a file has the same texts as this content, which another release of Babel may write otherwise."""
    if path.suffix == ".json":
        return path.read_bytes() == content
    reader = read_mo if path.suffix == ".mo" else read_po
    written, wanted = [reader(BytesIO(each)) for each in (path.read_bytes(), content)]
    texts = [[(each.id, each.string) for each in catalog if each.id] for catalog in (written, wanted)]
    return texts[0] == texts[1]


def write_compiled(folder: Path, tag: str, texts: dict[str, str]) -> None:
    """Write a catalog of an app, as `pybabel compile` does."""
    catalog = Catalog(locale=tag.replace("-", "_"))
    for text, translated in texts.items():
        catalog.add(text, translated)
    path = folder / tag.replace("-", "_") / "LC_MESSAGES" / CATALOG
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, catalog)


def _path(tag: str) -> Path:
    return FOLDER / tag / "LC_MESSAGES" / f"{DOMAIN}.po"


def _to_po(catalog: Catalog) -> bytes:
    written = BytesIO()
    write_po(written, catalog, width=120, include_lineno=False)
    return written.getvalue()


def main() -> None:
    """Write the files."""
    for path, content in build():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
