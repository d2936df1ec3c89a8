"""The pytest plugin in strangers' projects, and in those that have nothing to do with it."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from fastapi_stackauth import ConfigurationError
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import emulate
from fastapi_stackauth.testing.kit import new_emulator

pytest_plugins = ["pytester"]
LOADED = (Emulator, emulate)  # pytester forgets what an inner run imports first

APP = """
    from fastapi import FastAPI

    from fastapi_stackauth import CurrentUser, StackAuth

    stack = StackAuth()
    app = FastAPI()
    stack.install(app)


    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id
"""
INI = """
    [pytest]
    stack_app = myapp:app
    asyncio_default_fixture_loop_scope = function
    filterwarnings = error
"""
ASYNC = """
    import pytest
    import pytest_asyncio

    {mark}


    @pytest_asyncio.fixture(loop_scope="{scope}", scope="{scope}")
    async def number():
        return 1


    async def test_one(number, stack_user, stack_client):
        ada = stack_user(email="ada@example.com")
        async with stack_client(ada) as client:
            assert (await client.get("/me")).json() == ada.id


    async def test_two(number, stack_user, stack_client, stack_sync_client):
        ada = stack_user(email="ada@example.com")
        assert (await stack_client(ada, by="cookie").get("/me")).json() == ada.id
        assert stack_sync_client(ada).get("/me").json() == ada.id
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A stranger's app, named in the pytest settings."""
    pytester.makepyfile(myapp=APP)
    pytester.makeini(INI)
    return pytester


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_pytest_asyncio_in_each_mode_and_loop_scope(project: pytest.Pytester, mode: str, scope: str):
    mark = f'pytestmark = pytest.mark.asyncio(loop_scope="{scope}")'
    project.makepyfile(test_it=ASYNC.format(mark=mark, scope=scope))
    project.runpytest_inprocess(f"--asyncio-mode={mode}").assert_outcomes(passed=2)


def test_an_app_fixture_may_be_async_too(project: pytest.Pytester):
    project.makepyfile(
        test_it="""
        import pytest_asyncio


        @pytest_asyncio.fixture
        async def stack_app():
            from myapp import app

            return app


        async def test_it(stack_user, stack_client):
            assert (await stack_client(stack_user()).get("/me")).status_code == 200
        """
    )
    project.runpytest_inprocess("--asyncio-mode=auto").assert_outcomes(passed=1)


def test_workers_of_xdist_have_emulators_of_their_own(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.makeini(INI.replace("asyncio_default_fixture_loop_scope = function", ""))
    project.makepyfile(
        test_it="""
        import pytest


        @pytest.mark.parametrize("_", range(4))
        def test_it(stack_user, stack_sync_client, _):
            ada = stack_user(email="ada@example.com")
            assert stack_sync_client(ada).get("/me").json() == ada.id
        """
    )
    project.runpytest_subprocess("-p", "xdist", "-p", "pytest_fastapi_stackauth", "-n", "2").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("", "override the fixture stack_app"),
        ("myapp", "must be an import string"),
        ("myapp:stack", "is not a FastAPI app"),
        ("nowhere:app", "No module named 'nowhere'"),
    ],
)
def test_an_app_that_cannot_be_found_is_explained(project: pytest.Pytester, named: str, complaint: str):
    project.makepyfile(test_it="def test_it(stack_client): stack_client()")
    result = project.runpytest_inprocess("-o", f"stack_app={named}")
    assert complaint in result.stdout.str()
    assert not {"passed"} & set(result.parseoutcomes())


@pytest.mark.parametrize(("options", "name"), [((), "newest"), (("-o", "stack_profile=april-2026"), "april-2026")])
def test_the_settings_choose_the_auth_server_that_is_played(
    project: pytest.Pytester, options: tuple[str, ...], name: str
):
    project.makepyfile(test_it=f"def test_it(stack_emulator): assert stack_emulator.server.profile.name == {name!r}")
    project.runpytest_inprocess(*options).assert_outcomes(passed=1)


def test_an_emulator_needs_its_extra_and_says_so(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith("fastapi_stackauth.emulator")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(ConfigurationError, match=r"argon2.*fastapi-stackauth\[emulator\]"):
        new_emulator()


def test_the_fixtures_are_explained_by_pytest_itself(project: pytest.Pytester):
    project.makepyfile(test_it="")
    shown = project.runpytest_inprocess("--fixtures").stdout.str()
    for name in ("app", "kit", "emulator", "user", "client", "sync_client", "outbox", "clock"):
        assert f"stack_{name} -- " in shown
    assert (
        "no docstring" not in shown.partition("fixtures defined from pytest_fastapi_stackauth")[2].partition("---")[0]
    )


def test_the_plugin_comes_with_the_package():
    (ours,) = [entry for entry in entry_points(group="pytest11") if entry.name == "fastapi_stackauth"]
    assert ours.value == "pytest_fastapi_stackauth"


def test_who_does_not_use_it_does_not_notice_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import sys


        def test_it():
            assert "pytest_fastapi_stackauth" in sys.modules
            assert {name.partition(".")[0] for name in sys.modules} & set(HEAVY) == set()


        HEAVY = ["fastapi_stackauth", "fastapi", "starlette", "httpx", "pydantic", "cryptography", "jose", "anyio"]
        """
    )
    command = [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "-p", "pytest_fastapi_stackauth"]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
