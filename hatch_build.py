"""Make the README's links absolute when the package is built, so that they work on a package index's page.

Links stay relative until `pyproject.toml` has the address of the repository, as `Repository` in `[project.urls]`.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_TARGET = re.compile(r"(!\[[^\]]*)?\]\((?!https?:|mailto:|#)")


def make_absolute(markdown: str, repository: str) -> str:
    """Return a page of the repository's root with absolute links: images to the raw file, others to its page."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[0]}{repository.rstrip('/')}/{'raw' if match[1] else 'blob'}/HEAD/"

    return _TARGET.sub(replace, markdown)


class ReadmeHook(MetadataHookInterface):
    """Read the README as the long description of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the metadata."""
        text = Path(self.root, "README.md").read_text("utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        text = make_absolute(text, repository) if repository else text
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
