"""The public API is what `__all__` lists: sorted, documented, importable."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import fastapi_stackauth
import fastapi_stackauth.testing
from fastapi_stackauth import http, models, routers
from fastapi_stackauth.client import resources


def test_the_list_is_sorted_and_complete():
    names = fastapi_stackauth.__all__
    assert list(names) == sorted(names)
    public = {name for name in vars(fastapi_stackauth) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(fastapi_stackauth, name))}
    loaded_late = {name for name in names if name not in vars(fastapi_stackauth) and hasattr(fastapi_stackauth, name)}
    found = (public | loaded_late) - modules - {"Annotated", "Depends", "SecretStr", "TYPE_CHECKING"}
    assert found == set(names) - {"__version__"}


def test_verification_alone_loads_only_what_it_needs():
    """Neither the sign-in routes nor the webhooks, nor the models of what few apps ask the auth server for."""
    program = "import sys, fastapi_stackauth; fastapi_stackauth.StackAuth(project_id='p'); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    late = (
        "routers.router",
        "http.webhooks",
        "models.webhooks",
        "models.api_keys",
        "models.connections",
        "models.passkeys",
        "client.resources.oauth",
    )
    assert "fastapi_stackauth.models.user" in output.split()
    assert not {f"fastapi_stackauth.{module}" for module in late} & set(output.split())


@pytest.mark.parametrize(
    "package", [fastapi_stackauth, http, models, resources, routers], ids=lambda package: package.__name__
)
def test_lazy_names_exist_and_unknown_names_do_not(package: ModuleType):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_everything_in_it_is_documented():
    source = ast.parse(Path(fastapi_stackauth.__file__).read_text("utf-8"))
    after = {
        target.id
        for node, following in zip(source.body, source.body[1:], strict=False)
        if isinstance(node, ast.Assign) and isinstance(following, ast.Expr)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    undocumented = [
        name
        for name in fastapi_stackauth.__all__
        if name not in after and name != "__version__" and not inspect.getdoc(getattr(fastapi_stackauth, name))
    ]
    assert undocumented == []


def test_the_package_says_that_it_is_typed():
    assert (Path(fastapi_stackauth.__file__).parent / "py.typed").is_file()


def test_so_is_what_tests_of_apps_may_use():
    names = fastapi_stackauth.testing.__all__
    assert list(names) == sorted(names)
    assert all(inspect.getdoc(getattr(fastapi_stackauth.testing, name)) for name in names)
    members = [vars(getattr(fastapi_stackauth.testing, name)) for name in names]
    functions = [member for public in members for name, member in public.items() if name[0] != "_"]
    assert [member for member in functions if callable(member) and not inspect.getdoc(member)] == []
