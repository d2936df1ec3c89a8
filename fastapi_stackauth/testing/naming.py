"""Import the app under test."""

from importlib import import_module

from fastapi import FastAPI

from fastapi_stackauth.errors import ConfigurationError


def load_app(name: str) -> FastAPI:
    """Return the app with a name such as ``myapp.main:app``.

    Raises:
        ConfigurationError: The name has another form, or is not that of a FastAPI app.
        ImportError: There is no such module.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f'stack_app must be like "myapp.main:app", not {name!r}.')
    app = getattr(import_module(module), attribute, None)
    if not isinstance(app, FastAPI):
        raise ConfigurationError(
            f"stack_app names {name}, which is not a FastAPI app. For an app factory, override the fixture stack_app."
        )
    return app
