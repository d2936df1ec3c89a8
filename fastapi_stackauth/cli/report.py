"""The findings of `doctor` as data, and foreign values as text that is safe to print on a terminal."""

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth._version import __version__

Severity = Literal["ok", "note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("ok", "note", "warning", "error")
"""From the best to the worst."""
_LONGEST = 200


class Finding(BaseModel):
    """The result of one check."""

    model_config = ConfigDict(frozen=True)

    severity: Severity = Field(
        description="`ok`; `note`: good to know; `warning`: some of it will not work; `error`: sign-ins will fail."
    )
    code: str = Field(description="A stable name for programs, such as `project_unknown`.")
    message: str = Field(description="What was found. Keys and tokens are masked.")
    advice: str = Field(default="", description="What to do; empty if there is nothing to do.")


class Report(BaseModel):
    """The findings of `doctor`."""

    model_config = ConfigDict(frozen=True)

    status: Severity = Field(description="The worst severity among the findings.")
    version: str = Field(default=__version__, description="The version of this library.")
    server: str | None = Field(default=None, description="The auth server's URL; null if the settings are wrong.")
    project_id: str | None = Field(default=None, description="The project's id.")
    findings: tuple[Finding, ...] = Field(description="All checks, in order.")

    @classmethod
    def of(cls, findings: Iterable[Finding], server: str | None = None, project_id: str | None = None) -> "Report":
        """Return a report of these findings."""
        found = tuple(findings)
        worst = max((finding.severity for finding in found), key=SEVERITIES.index, default="ok")
        return cls(status=worst, server=server, project_id=project_id, findings=found)


def ok(code: str, message: str) -> Finding:
    """Return a finding about something that works."""
    return Finding(severity="ok", code=code, message=message)


def note(code: str, message: str, advice: str = "") -> Finding:
    """Return a finding that is good to know."""
    return Finding(severity="note", code=code, message=message, advice=advice)


def warning(code: str, message: str, advice: str) -> Finding:
    """Return a finding about something that will not work."""
    return Finding(severity="warning", code=code, message=message, advice=advice)


def error(code: str, message: str, advice: str) -> Finding:
    """Return a finding that makes sign-ins or their verification fail."""
    return Finding(severity="error", code=code, message=message, advice=advice)


def printable(value: object) -> str:
    """Return a value in JSON, cut if it is long, with unprintable characters escaped."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    safe = "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}…"


def plain(text: str) -> str:
    """Return a text without its quotation marks, as safe as `printable`."""
    return printable(text)[1:-1] if len(text) <= _LONGEST else printable(text)[1:]
