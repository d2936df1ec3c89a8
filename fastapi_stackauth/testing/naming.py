"""The app under test by its name."""

from importlib import import_module

from fastapi import FastAPI

from fastapi_stackauth.errors import ConfigurationError


def load_app(name: str) -> FastAPI:
    """The app that stands in a module: ``module:name``.

    Raises:
        ConfigurationError: the name has not this form, or is not a FastAPI app's.
        ImportError: there is no such module.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f'stack_app must be like "myapp.main:app", not {name!r}.')
    app = getattr(import_module(module), attribute, None)
    if not isinstance(app, FastAPI):
        raise ConfigurationError(
            f"stack_app names {name}, which is no FastAPI app. For a factory, override the fixture."
        )
    return app
