"""No pattern of the package takes more than linear time: steps are counted for 1, 2, 4 and 8 times the length."""

import ast
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

import fastapi_stackauth
from fastapi_stackauth import AuthError, HeaderCredentials, OriginPolicy, QueryToken, SdkCookies, StackAuthError
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.http.signatures import Envelope
from fastapi_stackauth.routers.methods.mfa import SECRET_LENGTH
from fastapi_stackauth.routers.plumbing.inputs import UUID
from fastapi_stackauth.runtime.redaction import RedactingFilter
from fastapi_stackauth.sessions.cookies import SessionCookies
from fastapi_stackauth.sessions.credentials import read_credential
from fastapi_stackauth.verification.claims import parse_token
from tests.support.backtracking import Matcher, Mode, TooManySteps, atoms
from tests.support.rows import rows
from tests.support.work import lines_run

ROOT = Path(fastapi_stackauth.__file__).parent
LENGTH = 32
FUNCTIONS = ("compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer")
MODES: dict[str, Mode] = {"match": "match", "fullmatch": "fullmatch"}
"""How a function tries a pattern; all others try it at every place."""

MADE_AT_RUN_TIME: dict[str, tuple[str, Mode]] = {
    "runtime/redaction.py": (RedactingFilter(("client_secret",)).pattern.pattern, "search"),
    "pages/teams.py": (UUID, "fullmatch"),
    "routers/methods/mfa.py": (rf"[A-Z2-7]{{{SECRET_LENGTH}}}", "fullmatch"),
}
"""What is made where the source has no constant: an example by file."""
NOT_FROM_CALLERS = {
    "cli/server_checks.py": "the project's own trusted domains, matched with one's own app_url, at the command line",
}
MODE_OF_METHOD: dict[str, Mode] = {"match": "match", "fullmatch": "fullmatch"}
"""How a method tries a pattern. All others try it at every place."""
EVERY_SOURCE = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}


def patterns() -> Iterator[Any]:
    """Every pattern in the package, used in the most expensive way that any file uses it."""
    for place, source in EVERY_SOURCE.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                for number, (pattern, mode) in enumerate(uses(place, source, node)):
                    yield pytest.param(pattern, mode, id=f"{place}:{node.lineno}:{number}")


def uses(place: str, source: str, call: ast.Call) -> Iterator[tuple["re.Pattern[str]", Mode]]:
    """The patterns of one call: of a function of `re`, or of a `pattern=` for pydantic."""
    for keyword in call.keywords:
        if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant):
            yield re.compile(str(keyword.value.value)), "search"
    function = call.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re"):
        return
    if function.attr not in FUNCTIONS or place in NOT_FROM_CALLERS:
        return
    flags = re.IGNORECASE * ("re.IGNORECASE" in ast.unparse(call)) | re.ASCII * ("re.ASCII" in ast.unparse(call))
    if isinstance(call.args[0], ast.Constant):
        mode = mode_of_name(source, call) if function.attr == "compile" else MODE_OF_METHOD.get(function.attr, "search")
        yield re.compile(str(call.args[0].value), flags), mode
    else:
        text, mode = MADE_AT_RUN_TIME[place]
        yield re.compile(text, flags), mode


@cache
def methods_by_name() -> dict[str, set[str]]:
    """Return the functions of a pattern that the package calls on each name, such as `_pattern` or `self._pattern`."""
    found: dict[str, set[str]] = {}
    for text in EVERY_SOURCE.values():
        for expression, method in re.findall(rf"([\w.]+)\.({'|'.join(FUNCTIONS)})\(", text):
            parts = expression.split(".")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), set()).add(method)
    return found


def mode_of_name(source: str, call: ast.Call) -> Mode:
    """How a compiled pattern is used, wherever its name stands."""
    assigned = re.search(r"([\w.]+) = re\.compile", source.splitlines()[call.lineno - 1])
    if assigned is None:
        return "search"
    modes = {MODE_OF_METHOD.get(method, "search") for method in methods_by_name().get(assigned[1], ())}
    return modes.pop() if len(modes) == 1 else "search"


ALL = list(patterns())


def attacks(pattern: "re.Pattern[str]") -> Iterator[tuple[str, str, str]]:
    """Beginnings, parts to repeat and ends, from what the pattern speaks of."""
    parts = atoms(pattern)[:7]
    pumps = [*parts, *("".join(pair) for pair in product(parts, parts) if pair[0] != pair[1])]
    yield from product(["", *parts[3:5]], pumps, ["", "\x00"])


def steps(pattern: "re.Pattern[str]", mode: Mode, attack: tuple[str, str, str], times: int) -> int:
    """Steps for a text of about `times` the length.

    Raises:
        TooManySteps: they are so many that they can only grow faster than the text.
    """
    beginning, pump, end = attack
    text = beginning + pump * (-(-LENGTH // len(pump)) * times) + end
    matcher = Matcher(pattern, text, limit=400 * len(text))
    with deep_enough():
        matcher.run(mode)
    return matcher.steps


def superlinear(pattern: "re.Pattern[str]", mode: Mode) -> Iterator[tuple[str, str, str]]:
    """The attacks whose steps grow faster than the text: doubling the text may double them, and add a little."""
    for attack in attacks(pattern):
        try:
            counts = [steps(pattern, mode, attack, times) for times in (1, 2, 4, 8)]
            # A bounded repetition grows faster up to its bound, so growth must go on.
            if grows(*counts[2:]) and grows(counts[3], steps(pattern, mode, attack, 16)):
                yield attack
        except TooManySteps:
            yield attack


def grows(few: int, more: int) -> bool:
    """Whether twice the text takes more than twice the steps, and a little."""
    return more > 2.4 * few + 4 * LENGTH


@contextmanager
def deep_enough() -> Iterator[None]:
    """The matcher recurses once for each repetition of a group."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@rows(("pattern", "mode"), ALL)
def test_every_pattern_is_linear(pattern: "re.Pattern[str]", mode: Mode):
    assert list(superlinear(pattern, mode)) == []


@rows(
    ("pattern", "mode"),
    [
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", "search"),
        (r"(a+)+$", "match"),
        (r"(a|a)*b", "fullmatch"),
        (r"[^.]+(\.[^.]+)*@.*\.[^.][^.]+", "fullmatch"),
        (r"\s+$", "search"),
        (r".*?=.*?=x", "match"),
    ],
)
def test_a_pattern_that_is_not_linear_is_found(pattern: str, mode: Mode):
    """The first one stood in the log filter: a URL of 60 KB stalled a worker for 13 seconds."""
    assert next(superlinear(re.compile(pattern), mode), None)


@given(st.data())
def test_the_matcher_finds_what_re_finds(data: st.DataObject):
    """So that the steps which it counts are those of the same search."""
    pattern, mode = data.draw(st.sampled_from([(each.values[0], each.values[1]) for each in ALL]))
    text = "".join(data.draw(st.lists(st.sampled_from(atoms(pattern)) | st.characters(max_codepoint=255), max_size=20)))
    found = Matcher(pattern, text, limit=10**6).run(mode)
    if mode == "search":
        assert found == [match.span() for match in pattern.finditer(text)]
    else:
        match = getattr(pattern, mode)(text)
        assert found == ([match.span()] if match else [])


# --- what is no pattern ---

SITE = OriginPolicy("https://app.example.com")
COOKIE_SOURCES = (SessionCookies(SITE, "access", "refresh"), SdkCookies(SITE, "p"))


def build_scope(**headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "GET", "headers": pairs, "query_string": headers.get("query", "").encode()}


def read(sources: Any, **headers: str) -> object:
    with suppress(AuthError):
        return read_credential(build_scope(**headers), sources)
    return None


def log(line: str, *arguments: object) -> bool:
    return RedactingFilter().filter(logging.LogRecord("uvicorn.error", logging.DEBUG, "", 1, line, arguments, None))


PARSERS: dict[str, Callable[[int], object]] = {
    "a URL in the access log": lambda n: log('%s - "%s %s"', "192.0.2.1", "GET", "/" + "-eyJ" * n),
    "a URL of many parameters": lambda n: log("%s", "/?code=a&state=b&" * n),
    "a header of a handshake": lambda n: log("< %s: %s", "x-api-key" * n, "sk_" * n),
    "dotted text": lambda n: log("%s", "eyJ." * n + " " + "a.b" * n),
    "cookies of one name": lambda n: read(COOKIE_SOURCES, cookie="access=a; " * n),
    "refresh cookies of the SDK": lambda n: read(
        COOKIE_SOURCES, cookie='hexclave-access=["r","a"]; ' + 'hexclave-refresh-p--x={"refresh_token":"r"}; ' * n
    ),
    "authorization headers": lambda n: read((HeaderCredentials(),), authorization="Bearer " + "stackauth_e30" * n),
    "a bundle of brackets": lambda n: read((HeaderCredentials(),), x_stack_auth="[" * n),
    "a query of many tokens": lambda n: read((QueryToken(),), query="access_token=a&" * n),
    "hops of trusted proxies": lambda n: end_user_address("10.0.0.1", "10.0.0.1:80," * n, ["10.0.0.0/8"]),
    "hops that are no addresses": lambda n: end_user_address("10.0.0.1", "[[::]:" * n, ["10.0.0.0/8"]),
    "a token of dots": lambda n: suppress_errors(parse_token, "." * n),
    "a token of one segment": lambda n: suppress_errors(parse_token, "eyJ" * n),
    "signatures of a webhook": lambda n: suppress_errors(
        Envelope.read, Headers({"svix-id": "m" * n, "svix-timestamp": "1" * n, "svix-signature": "v1,AAAA " * n})
    ),
}


def suppress_errors(parse: Callable[[Any], object], value: object) -> object:
    with suppress(StackAuthError):
        return parse(value)
    return None


@rows("name", PARSERS)
def test_every_parser_of_what_a_caller_sends_is_linear(name: str):
    """Lines of Python are counted. What C code does inside a line (splitting, searching, JSON) is linear by itself."""
    counts = [lines_run(lambda n=50 * times: PARSERS[name](n)) for times in (1, 2, 4, 8)]  # type: ignore[misc]
    assert all(more <= 2.4 * few + 50 for few, more in pairwise(counts)), counts
