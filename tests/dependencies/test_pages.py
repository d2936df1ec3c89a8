"""What docs/verification.md says beside its table: its examples run, and the trap it warns of is one."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI

from fastapi_stackauth import ConfigurationError, Settings
from tests.support.asgi import bearer, call
from tests.support.forge import Signer
from tests.support.world import World

PAGE = (Path(__file__).parents[2] / "docs/verification.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

_TRAP = """
from __future__ import annotations
from fastapi_stackauth import CurrentUser

def add(app):
    Alias = CurrentUser

    @app.get("/local")
    async def local(user: Alias): ...
"""


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_examples_run_as_they_stand_in_an_empty_environment(block: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("STACK_PROJECT_ID", "HEXCLAVE_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(block, "docs/verification.md", "exec"), namespace)
    app = namespace["app"]
    assert isinstance(app, FastAPI)
    assert app.openapi()["openapi"]


def test_its_settings_exist_and_its_numbers_are_theirs():
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    named = set(re.findall(r"`((?:jwks|fallback|token|sdk)_\w+?)(?:=\w+)?`", PAGE)) - {"token_expired"}
    assert {"jwks_timeout", "jwks_stale_limit", "fallback_concurrency", "token_cache_size"} <= named
    assert named <= defaults.keys()
    assert (defaults["jwks_cooldown"], defaults["jwks_stale_limit"]) == (30, 24 * 3_600)
    assert (defaults["fallback_concurrency"], defaults["token_cache_size"]) == (8, 10_000)


async def test_postponed_annotations_are_the_documented_trap(world: World, signer: Signer):
    """Postponed annotations and a local alias are the trap it describes."""
    app = FastAPI()
    world.stack.install(app)
    namespace: dict[str, object] = {"__name__": "trap"}
    exec(compile(_TRAP, "trap.py", "exec"), namespace)
    add = namespace["add"]
    assert callable(add)
    add(app)
    with pytest.raises(ConfigurationError, match="GET /local: parameter `user` has the annotation 'Alias'"):
        await call(app, "/local", [bearer(signer.token())])
