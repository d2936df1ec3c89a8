"""Import the app under test."""

from importlib import import_module

from fastapi import FastAPI

from fastapi_stackauth.errors import ConfigurationError


def load_app(name: str) -> FastAPI:
    """Return the FastAPI app for an import string such as ``myapp.main:app``.

    Raises:
        ConfigurationError: The string has no colon, or it does not refer to a FastAPI app.
        ImportError: The module cannot be imported.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f'stack_app must be an import string such as "myapp.main:app"; got {name!r}.')
    app = getattr(import_module(module), attribute, None)
    if not isinstance(app, FastAPI):
        raise ConfigurationError(
            f"stack_app refers to {name}, which is not a FastAPI app. "
            "For an app factory, override the fixture stack_app."
        )
    return app
