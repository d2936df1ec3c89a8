"""Extend mkdocs: anchors for error codes, tables from the models, no links out of the site, whole tables."""

import logging
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Protocol

import fastapi_stackauth
from fastapi_stackauth import Settings
from fastapi_stackauth.settings import documented_name

log = logging.getLogger("mkdocs.hooks.docs")  # below "mkdocs", so that --strict makes an error of a warning


class Page(Protocol):
    """The part of mkdocs' page that these hooks read."""

    file: Any


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Called by mkdocs with the text of each page."""
    if page.file.src_path == "errors.md":
        return with_anchors(markdown)
    if page.file.src_path == "reference/settings.md":
        return markdown.replace("{{ settings }}", settings_table())
    markdown = re.sub(r"\{\{ fields (\w+) \}\}", lambda match: fields_table(match[1]), markdown)
    return without_links_out(markdown, PurePosixPath(page.file.src_path).parent)


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Called by mkdocs with the HTML of each page; warns of broken tables."""
    for row in broken_tables(html):
        log.warning("%s: a table is rendered as text: %s", page.file.src_path, row)
    return html


def broken_tables(html: str) -> list[str]:
    """Return the first row of each table that became text: a blank line cuts it off its header, or it has none."""
    paragraphs: list[str] = re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", html, re.DOTALL)
    rows = (re.search(r"^\|.*\|$", paragraph, re.MULTILINE) for paragraph in paragraphs)
    return [row[0] for row in rows if row]


def without_links_out(markdown: str, folder: PurePosixPath) -> str:
    """The page, its links to files beside `docs/` being text: they lead somewhere in the repository alone."""

    def plain(match: re.Match[str]) -> str:
        climbs = match[2].split("/").count("..") > len(folder.parts)
        return match[1] if climbs else match[0]

    return re.sub(r"\[([^\]]+)\]\((\.\./[^)]+)\)", plain, markdown)


def with_anchors(markdown: str) -> str:
    """Return the error catalog with an anchor at the first table row of each code."""
    seen: set[str] = set()

    def add_anchor(match: re.Match[str]) -> str:
        code = match[1]
        if code in seen:
            return match[0]
        seen.add(code)
        return f'<span id="{code}"></span>`{code}`'

    return "\n".join(
        re.sub(r"`([a-z]+(?:_[a-z]+)+|[A-Z]+(?:_[A-Z]+)+)`", add_anchor, line) if line.startswith("| `") else line
        for line in markdown.splitlines()
    )


def fields_table(name: str) -> str:
    """Return a table of the fields of a public model, from the model itself."""
    model = getattr(fastapi_stackauth, name)
    rows = (
        f'| <span id="fastapi_stackauth.{name}.{field}"></span>`{field}` | {info.description} |'
        for field, info in model.model_fields.items()
    )
    return "\n".join(["| field | |", "|---|---|", *rows])


def settings_table() -> str:
    """Each setting: keyword argument, environment variable, meaning, default; from the model itself."""
    return "\n".join(["| setting | |", "|---|---|", *_rows()])


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        names = f'<span id="{name}"></span>`{name}`<br>`{documented_name(name)}`'
        default = "" if field.default in (None, ()) else f" Default: `{field.default!r}`."
        yield f"| {names} | {field.description}{default} |"
