"""Print reports: as text, colored on a terminal, or as JSON for programs.

Law: rich decides about color (a terminal, `NO_COLOR`, `FORCE_COLOR`, `TERM=dumb`). Texts are never parsed as markup.
"""

import io
import json
import sys
import textwrap

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from fastapi_stackauth.cli.explanation import Explanation
from fastapi_stackauth.cli.report import SEVERITIES, Finding, Report, Severity, plain, printable

_WIDEST = 100
_FINDING_STYLES: dict[Severity, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}
_MARKS = {"pass": ("pass", "green"), "fail": ("FAIL", "bold red"), "not_checked": ("not checked", "yellow")}
_VERDICTS = {"accepted": "bold green", "rejected": "bold red", "undecided": "bold yellow"}
_MARK, _NAME = 9, 17
_CHECKED = 13


class Printer:
    """Writes to standard output."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # do not fail in a locale without "…"
        self._console = Console(highlight=False, markup=False, emoji=False)

    def json(self, value: BaseModel) -> None:
        """Print a value as JSON without color."""
        # An environment variable may hold bytes that are not UTF-8, which JSON cannot represent.
        text = json.dumps(value.model_dump(mode="json"), ensure_ascii=False).encode(errors="replace")
        self._console.file.write(json.dumps(json.loads(text), indent=2) + "\n")

    def report(self, report: Report) -> None:
        """Print the findings of `doctor`."""
        for finding in report.findings:
            self._finding(finding)
        counts = {severity: sum(one.severity == severity for one in report.findings) for severity in SEVERITIES}
        parts = [_count(number, severity) for severity, number in reversed(counts.items()) if number]
        self._line(Text(", ".join(parts) + ".", style=_FINDING_STYLES[report.status]))

    def _finding(self, finding: Finding) -> None:
        self._block(finding.severity, _FINDING_STYLES[finding.severity], f"{finding.message} [{finding.code}]")
        if finding.advice:
            self._block("", "", f"-> {finding.advice}")

    def explanation(self, explanation: Explanation) -> None:
        """Print the findings of `explain`."""
        for check in explanation.checks:
            mark, style = _MARKS[check.status]
            self._block(mark, style, f"{check.name:<{_NAME}}{check.detail}", _CHECKED, hanging=_NAME)
            if check.advice:
                self._block("", "", f"{'':<{_NAME}}-> {check.advice}", _CHECKED, hanging=_NAME)
        if explanation.claims:
            self._line(Text())
            for name, value in explanation.claims.items():
                self._block("", "", f"{plain(name):<{_NAME}} {printable(value)}", _CHECKED, hanging=_NAME)
        self._line(Text())
        self._line(Text(_verdict(explanation), style=_VERDICTS[explanation.verdict]))

    def _block(self, mark: str, style: str, text: str, margin: int = _MARK, hanging: int = 0) -> None:
        """Print a mark and a paragraph next to it, wrapped on a terminal and as one line for a pipe."""
        lines = [text]
        if self._console.is_terminal:
            width = max(min(self._console.width, _WIDEST) - margin, 40)
            start = text[: len(text) - len(text.lstrip())]  # textwrap drops leading whitespace of a paragraph
            folded = textwrap.wrap(
                text.lstrip(),
                width,
                initial_indent=start,
                subsequent_indent=" " * hanging,
                break_long_words=False,
                break_on_hyphens=False,
            )
            lines = folded or [""]
        for number, line in enumerate(lines):
            self._line(Text.assemble((f"{mark if number == 0 else '':<{margin}}", style), line))

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _count(number: int, severity: Severity) -> str:
    return f"{number} {severity}" + ("s" if number != 1 and severity != "ok" else "")


_KINDS = {
    "normal": "the token of a full user.",
    "restricted": "the token of a restricted user. current_user returns 403 unless the route allows restricted users.",
    "anonymous": "the token of an anonymous user. current_user returns 403 unless the route allows anonymous users.",
}


def _verdict(explanation: Explanation) -> str:
    return {
        "accepted": f"Accepted: {_KINDS.get(explanation.kind or '', '')}",
        "rejected": f"Rejected: {explanation.code}.",
        "undecided": "Undecided: nothing failed, but not everything was checked.",
    }[explanation.verdict]
