"""Check the words of the project: `python -m tests.words`, a part of `make check`.

It reads the docstrings, comments and sentences of the package and of the example, the docs, and the names of functions
(those of tests as well). It knows the phrases that made our texts hard to read; a text without them may still be bad.
CONTRIBUTING.md has the rules.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

PHRASES: Mapping[str, str] = {
    r"(?:^|[.;:] )who(?! (?:is|are) (?:signed|you))|\bwhoever\b|\bwhom\b": "name the user, caller or app",
    r"\b(?:no|any|some|every)body\b": "name the user, caller or client; for none of them: no user, anonymous",
    r"\b(?:persons?|peoples?)\b": "users",
    r"\bwhere (?:there|it|that|none|one|they|this) (?:is|are|has|have|was|can|does|do)\b": "if",
    r"\b(?:be|were) it\b|\bfor want of\b|\bin the place of\b|\blest\b|\bhereby\b|\bheed(?:s|ed)?\b|\bneed not\b":
        "a plain conjunction or verb: if, because there is no, instead of, so that",
    r"\b(?:is|are|was|were) (?:asked|told|had|lent|looked at|held to|met with)\b":
        "active voice: the library fetches, calls, notifies, checks",
    r"\b(?:mend|lend)(?:s|ed|ing)?\b|\blent\b": "fix; use the key of",
    r"\bgives? up the\b|\bcomes? back from\b|\bno way back\b|\bat odds\b|\b(?:is|are) none (?:of|there)\b":
        "delete; return; cannot be undone; conflict; is not one",
    r"\be-mails?\b|(?<![\w./-])mails?\b": "email",
    r"\brefus(?:e|es|ed|al|als|ing)\b": "reject, rejection, error",
    r"\brenew(?:s|ed|al|als|ing)?\b": "refresh",
    r"\bdemand(?:s|ed|ing)?\b": "require, requirement",
    r"\bguests?\b": "anonymous user",
    r"\b(?:answers?|answered) (?:a |an |with )?[1-5]\d\d\b": "return, respond with",
    r"\blicences?\b|\benrol(?:s|ments?)?\b|\bbehaviours?\b|\bauthoris\w+|\brecognis\w+|\bhonour\w*|\bcolours?\b"
    r"|\bcancelled\b|\bcatalogues?\b": "American spelling",
}  # fmt: skip
"""Each phrase, as a pattern, and what to write."""

_MARKUP = re.compile(r"`[^`]*`|<[^>]*>|\{\{.*?\}\}|\{%.*?%\}|\]\([^)]*\)")
_IRREGULAR = (
    "told|sent|kept|lent|made|found|begun|said|shown|known|given|taken|held|built|written|chosen|meant|left|gone|lost"
    "|heard|drawn"
)
_BAD_NAME = re.compile(rf"(?!.*(?:feed|seed|succeed)$)[a-z]+ed|{_IRREGULAR}|of_\w+|\w+_of")


class Allowed(NamedTuple):
    """A place where a phrase is right."""

    path: str
    text: str
    reason: str


ALLOWED: tuple[Allowed, ...] = (
    Allowed("docs/example.md", "continue as a guest", "the button of the example"),
    Allowed("docs/cli.md", "a refused connection", "the term for ECONNREFUSED"),
    Allowed("fastapi_stackauth/cli/server_checks.py", "was refused: nothing listens", "the term for ECONNREFUSED"),
    Allowed("fastapi_stackauth/routers/methods/otp.py", "as a guest", "how a page speaks to an anonymous user"),
    Allowed("example_app/templates/home.html", "You are a guest", "how a page speaks to an anonymous user"),
    Allowed("example_app/templates/home.html", "Try it as a guest", "how a page speaks to an anonymous user"),
    Allowed("example_app/templates/notebook.html", "You are a guest", "how a page speaks to an anonymous user"),
    Allowed("fastapi_stackauth/emulator/store/database.py", "table mails", "the table's name in users' data files"),
    Allowed("fastapi_stackauth/emulator/store/emails.py", "from mails", "the table's name in users' data files"),
    Allowed(
        "fastapi_stackauth/emulator/operations/password_reset.py",
        "maybe, only if user with e-mail exists",
        "a value of the auth server's contract",
    ),
)


class Finding(NamedTuple):
    """A phrase or a name that breaks a rule."""

    path: str
    line: int
    text: str
    advice: str


def check(root: Path) -> list[Finding]:
    """Return what is wrong in the tracked files below a folder."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout.split()
    return [finding for path in listed for finding in check_file(root, path)]


def check_file(root: Path, path: str) -> Iterator[Finding]:
    """Yield the findings of one file: phrases outside of tests, names everywhere."""
    if not path.endswith((".py", ".md", ".html")) or path.startswith(("tests/data/", "tests/interop/made/")):
        return
    text = (root / path).read_text("utf-8")
    if not path.startswith("tests/"):
        yield from check_prose(path, text)
    if path.endswith(".py"):
        yield from check_names(path, text)


def check_prose(path: str, text: str) -> Iterator[Finding]:
    """Yield the phrases of one text that stand in the table and not among the exceptions."""
    allowed = [exception.text for exception in ALLOWED if exception.path == path]
    for number, line in find_sentences(path, text):
        words = _MARKUP.sub("", line)
        for pattern, advice in PHRASES.items():
            for match in re.finditer(pattern, words, re.IGNORECASE):
                if not any(text in line for text in allowed):
                    yield Finding(path, number, match[0].strip(), advice)


def check_names(path: str, text: str) -> Iterator[Finding]:
    """Yield the functions whose names are a participle alone, or `x_of`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if _BAD_NAME.fullmatch(node.name.strip("_")):
            yield Finding(path, node.lineno, node.name, "a verb: find_x, to_x, x_from_y; is_x for a predicate")


def find_sentences(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that a reader reads, with their numbers: no code."""
    if path.endswith(".py"):
        yield from _find_python_sentences(text)
        return
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, line


def _find_python_sentences(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


if __name__ == "__main__":
    findings = [f"{path}:{line}: {text!r}: write {advice}" for path, line, text, advice in check(ROOT)]
    sys.exit("\n".join(findings) or None)
