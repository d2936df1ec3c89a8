"""What people see of the client: every type named, every error named, no module over its size."""

import builtins
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

import fastapi_stackauth.client as package
from fastapi_stackauth import errors, models
from fastapi_stackauth.client import Listing, Page, StackAuthClient
from fastapi_stackauth.client.transport import Transport
from tests.client.table import resource_classes
from tests.support.rows import rows

RESOURCES = resource_classes().values()


def functions() -> Iterator[tuple[str, object]]:
    for owner in [StackAuthClient, Transport, Listing, Page, *RESOURCES]:
        for name, value in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_") and value.__module__.startswith("fastapi_stackauth.client"):
                yield f"{owner.__name__}.{name}", value


FUNCTIONS = dict(functions())
VALUES = [getattr(models, name) for name in models.__all__]
MODELS = [value for value in VALUES if inspect.isclass(value) and issubclass(value, BaseModel)]


def mentions_any(annotation: object) -> bool:
    return annotation is typing.Any or any(mentions_any(part) for part in typing.get_args(annotation))


@rows("name", FUNCTIONS)
def test_no_public_signature_says_any(name: str):
    hints = typing.get_type_hints(FUNCTIONS[name], include_extras=True)
    assert "return" in hints
    assert not [parameter for parameter, hint in hints.items() if mentions_any(hint)]


@rows("model", [model for model in MODELS if model is not models.User], ids=lambda model: model.__name__)
def test_no_model_s_field_is_any(model: type[BaseModel]):
    """Metadata are JSON values; `User.claims` alone, which are not this server's answer, are whatever a token says."""
    assert not [name for name, field in model.model_fields.items() if mentions_any(field.annotation)]


def test_every_error_that_a_docstring_names_exists():
    for name, function in FUNCTIONS.items():
        raises = re.sub(r"`[^`]*`", "", (inspect.getdoc(function) or "").partition("Raises:")[2])
        for error in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", raises):
            assert hasattr(errors, error) or hasattr(builtins, error), f"{name}: {error}"


def test_files_stay_small():
    for path in Path(package.__file__).parent.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 350, path.name
