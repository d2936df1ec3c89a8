"""Every problem that an app answers while tests run is looked up in the schema that the app itself publishes.

What is missing there fails the run at its end, though each test has passed: a test seldom thinks of the docs.
"""

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from fastapi_stackauth.errors.problems import PROBLEM_MEDIA_TYPE
from fastapi_stackauth.http.openapi import EnrichedOpenApi
from tests.support.openapi import inline_references

_KEY = "undocumented"
_OF_OAUTH = ("invalid_request", "server_error", "temporarily_unavailable")  # what other errors are to OAuth clients
_OWN_WORDS = "*"
CATALOGUE = frozenset(re.findall(r"`(\w+)`", (Path(__file__).parents[2] / "docs" / "errors.md").read_text("utf-8")))


class Collector:
    """A pytest plugin: looks at what apps answer, and tells the run's end what their schemas do not say."""

    def __init__(self) -> None:
        self._documented: dict[str, dict[str, set[tuple[int, str]]]] = {}
        self._schemas: WeakKeyDictionary[FastAPI, dict[str, set[tuple[int, str]]]] = WeakKeyDictionary()
        self._module = ""
        self.missing: set[str] = set()

    # --- while tests run ---

    def enter(self, node_id: str) -> None:
        """Know which file the apps of the next answers come from."""
        self._module = node_id.partition("::")[0]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Know which file the apps of this test come from."""
        self.enter(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Look at every answer of every app in this process."""
        serve, collector = FastAPI.__call__, self

        async def serve_and_look(app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not isinstance(app.openapi, EnrichedOpenApi):
                await serve(app, scope, receive, send)
                return
            answer = _Answer()

            async def look(message: Message) -> None:
                answer.take(message)
                await send(message)

            await serve(app, scope, receive, look)
            if answer.is_problem:
                collector.check(app, scope, answer)

        FastAPI.__call__ = serve_and_look  # type: ignore[method-assign, assignment]  # in this process, while tests run
        try:
            return (yield)
        finally:
            FastAPI.__call__ = serve  # type: ignore[method-assign]

    def check(self, app: FastAPI, scope: Scope, answer: "_Answer") -> None:
        """Look an answer up; the schemas of one file's apps are so alike that most are known from the first."""
        route = scope.get("route")
        name = getattr(route, "unique_id", None)
        document = json.loads(answer.body)
        code = document.get("code", document.get("error")) if isinstance(document, dict) else None
        if name is None or not getattr(route, "include_in_schema", True):
            return
        if code not in {*CATALOGUE, *_OF_OAUTH} or answer.status == 500 or self._module.startswith("tests/fuzz/"):
            return  # or what a later server answers, or what none would
        known = self._documented.setdefault(self._module, {})
        wanted = {(answer.status, code), (answer.status, _OWN_WORDS)}
        if not wanted & known.get(name, set()):
            if app not in self._schemas:
                self._schemas[app] = _read_documented(app)
            for other, answers in self._schemas[app].items():
                known.setdefault(other, set()).update(answers)
        if name in known and not wanted & known[name]:
            self.missing.add(f"{name}: {answer.status} {code} (in {self._module})")

    # --- at the end ---

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was found, or fail the run for it."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_KEY] = sorted(self.missing)
        elif self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what one of several processes has found."""
        self.missing |= set(getattr(node, "workeroutput", {}).get(_KEY, ()))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what is missing."""
        if self.missing:
            terminalreporter.section("answers that the schema does not have", red=True)
            for line in sorted(self.missing):
                terminalreporter.line(line)


class _Answer:
    def __init__(self) -> None:
        self.status, self.body, self.is_problem = 0, b"", False

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
            # OAuth clients get errors as plain JSON.
            self.is_problem = PROBLEM_MEDIA_TYPE.encode() in kinds or (
                self.status >= 400 and b"application/json" in kinds
            )
        elif self.is_problem:
            self.body += message.get("body", b"")


def _read_documented(app: FastAPI) -> dict[str, set[tuple[int, str]]]:
    """The statuses and codes of each operation in an app's schema; nothing where that cannot be made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            schema = inline_references(app.openapi())
        except Exception:  # noqa: BLE001 - what it is belongs to the tests of that app
            return {}
    operations = [each for item in schema.get("paths", {}).values() for each in item.values() if isinstance(each, dict)]
    return {operation["operationId"]: set(_answers(operation)) for operation in operations}


def _answers(operation: dict[str, Any]) -> Iterator[tuple[int, str]]:
    for status, answer in operation["responses"].items():
        if status == "default":  # of routes for OAuth clients, whose other statuses have examples
            continue
        content = answer.get("content", {})
        examples = content.get(PROBLEM_MEDIA_TYPE, {}).get("examples")
        if examples is None and int(status) >= 400:  # of OAuth
            examples = content.get("application/json", {}).get("examples")
        for code in [_OWN_WORDS] if examples is None else examples:
            yield int(status), code
