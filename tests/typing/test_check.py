"""The check of types finds what it should, and the consumer leaves nothing of the public API out."""

import ast
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import get_args

from pydantic import BaseModel

import fastapi_stackauth
from fastapi_stackauth import client, errors, models, testing
from fastapi_stackauth.settings import Options
from tests.client.table import resource_classes
from tests.docs.blocks import PAGES, blocks
from tests.typing.check import CONSUMER, documented_code, is_unknown, project, run_mypy, run_pyright
from tests.typing.pages import modules

CALLS = [
    node
    for path in sorted(CONSUMER.glob("uses_*.py"))
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.Call)
]
GIVEN = {
    "CredentialSource": "a protocol",
    "SessionCheck": "a protocol",
    "SessionWatch": "endpoints are given it",
    "TokenKind": "an enumeration",
    "ApiModel": "a base of models",
    "ApiRequestBody": "a base of models",
}


def find_calls(name: str) -> list[ast.Call]:
    """Calls of a class or function by its own name, `Class[T](...)` included."""
    functions = [(call, call.func.value if isinstance(call.func, ast.Subscript) else call.func) for call in CALLS]
    return [call for call, function in functions if isinstance(function, ast.Name) and function.id == name]


def classes(*packages: ModuleType) -> dict[str, type]:
    found = {name: getattr(package, name) for package in packages for name in package.__all__}
    return {name: value for name, value in found.items() if inspect.isclass(value)}


PACKAGE = Path(fastapi_stackauth.__file__).parent
PACKAGES = ("client", "emulator", "errors", "mcp", "models", "testing")
PUBLIC = classes(fastapi_stackauth, client, models, testing)


def test_every_public_class_is_made():
    assert len(PUBLIC) > 100
    assert [name for name in PUBLIC if not find_calls(name) and name not in GIVEN] == []
    assert all(find_calls(name) for name in ("Emulator", "EmulatorClock", "Chance"))


def test_every_model_is_made_with_every_field():
    of_models = {name: value for name, value in PUBLIC.items() if issubclass(value, BaseModel) and name not in GIVEN}
    missing = {
        name: own_fields(value) - {keyword.arg for call in find_calls(name) for keyword in call.keywords}
        for name, value in of_models.items()
    }
    assert {name: fields for name, fields in missing.items() if fields} == {}


def own_fields(model: type[BaseModel]) -> set[str]:
    """The fields that no public model, which is made too, hands down."""
    bases = [base for base in model.__mro__[1:] if base in PUBLIC.values() and issubclass(base, BaseModel)]
    return set(model.model_fields) - {field for base in bases for field in base.model_fields}


def test_every_option_is_passed():
    assert set(Options.__annotations__) <= {
        keyword.arg for call in find_calls("StackAuth") for keyword in call.keywords
    }


def test_every_error_with_arguments_of_its_own_is_made():
    found = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    own = [
        name for name, value in found.items() if issubclass(value, errors.StackAuthError) and "__init__" in vars(value)
    ]
    assert "RequestError" in own
    assert [name for name in own if not find_calls(name)] == []


def test_every_call_of_the_client_is_made():
    used = {
        (call.func.value.attr, call.func.attr)
        for call in CALLS
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Attribute)
    }
    resources = resource_classes().items()
    methods = {(name, method) for name, resource in resources for method in vars(resource) if method[0] != "_"}
    assert len(methods) > 80
    assert methods - used == set()


def test_what_a_public_model_holds_is_public_too():
    public = set(classes(models, fastapi_stackauth).values())
    nested = {
        held
        for model in public
        if issubclass(model, BaseModel)
        for field in model.model_fields.values()
        for held in parts(field.annotation)
        if inspect.isclass(held) and held.__module__.startswith("fastapi_stackauth.")
    }
    assert {held.__name__ for held in nested - public} == set()


def parts(annotation: object) -> Iterable[object]:
    yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


def test_every_block_of_the_docs_is_read():
    pages = [module for page in PAGES for module in modules(page)]
    assert len({module.name for module in pages}) == len(pages) == len(documented_code()) - 1
    assert [str(block) for module in pages for block in module.blocks] == [
        str(block) for page in PAGES for block in blocks(page, "python")
    ]


def test_a_block_that_uses_names_of_an_earlier_one_follows_it():
    page = next(page for page in PAGES if page.name == "client.md")
    (module,) = modules(page)
    assert len(module.blocks) == len(blocks(page, "python"))
    assert "async def page() -> None:" in module.text
    lines = page.read_text("utf-8").splitlines()
    assert all(
        line.strip() == lines[n].strip() for n, line in enumerate(module.text.splitlines()) if line[:4] == " " * 4
    )


def test_docs_and_consumer_import_public_packages_only():
    """The docs and the consumer import from public packages alone."""
    public = {"fastapi_stackauth", *(f"fastapi_stackauth.{name}" for name in PACKAGES)}
    sources = [*documented_code().values(), *(path.read_text("utf-8") for path in CONSUMER.glob("*.py"))]
    imported = {
        node.module
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fastapi_stackauth")
    }
    assert imported == public


def test_no_field_has_a_positional_default():
    """Only pydantic reads one, and so does its mypy plugin; other checkers then think that the field is required."""
    makers = {"Field", "Query", "Header", "Cookie", "Body", "Form", "File"}
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers and node.args
    ]
    assert found == []


WRONG = """
from fastapi_stackauth import User

def mail(user: User) -> str:
    return user.email

User(email="ada@example.com")
"""


def test_both_checkers_report_a_mistake():
    with project({"wrong": WRONG, "right": "from fastapi_stackauth import User\nUser(id='ada')\n"}) as folder:
        for report in (run_mypy(folder), run_pyright(folder)):
            assert "wrong.py:5" in report
            assert "wrong.py:7" in report
            assert "right.py" not in report


def test_unknown_types_differ_from_inferred_ones():
    """Types that are unknown are told from those that are inferred."""
    symbol = {"isExported": True, "isTypeKnown": False, "isTypeAmbiguous": False}
    assert is_unknown(symbol)
    assert not is_unknown(symbol | {"isTypeAmbiguous": True})
    assert not is_unknown(symbol | {"isExported": False})
