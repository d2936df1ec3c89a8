"""Read settings from environment variables and secret files. No other module reads the environment."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from fastapi_stackauth.errors import ConfigurationError

_SECRET_FIELDS = ("publishable_client_key", "secret_server_key", "redis_url", "webhook_secrets")
_FRAMEWORK_PREFIXED = ("project_id", "publishable_client_key", "base_url")
_LONGEST_SECRET = 16_384  # bytes of a file


def environment_names(field: str) -> tuple[str, ...]:
    """Return the environment variables that set a field. The first one that is set is used.

    The newer brand name comes first, because an app that has migrated may still have an older variable.
    """
    stem = _stem(field)
    prefixes: tuple[str, ...] = ("HEXCLAVE_", "STACK_")
    if field in _FRAMEWORK_PREFIXED:
        prefixes += ("NEXT_PUBLIC_HEXCLAVE_", "NEXT_PUBLIC_STACK_")
    return tuple(prefix + stem for prefix in prefixes)


def documented_name(field: str) -> str:
    """Return the environment variable that messages and docs use for a field."""
    return f"STACK_{_stem(field)}"


def _stem(field: str) -> str:
    return {"base_url": "API_URL"}.get(field, field.upper())


def secret_file_names(field: str) -> tuple[str, ...]:
    """Return the environment variables that contain the path of a secret file. Only secret fields have any."""
    return tuple(f"{name}_FILE" for name in environment_names(field)) if field in _SECRET_FIELDS else ()


class Environment(PydanticBaseSettingsSource):
    """Reads environment variables by field name, so that a keyword argument for the same field takes precedence."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - parent's
        """Return the value of the first variable that is set for a field."""
        values = (_read_variable(field_name, name) for name in environment_names(field_name))
        return next((value for value in values if value is not None), None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that are set."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def _read_variable(field: str, name: str) -> str | None:
    """Return the value of an environment variable or of the file in its ``_FILE`` variable. None if neither is set.

    Raises:
        ConfigurationError: Both variables are set, the value is not UTF-8, or the file cannot be read.
    """
    path = os.environ.get(f"{name}_FILE") if field in _SECRET_FIELDS else None
    if not path:
        return _read_text(name) or None
    if os.environ.get(name):
        raise ConfigurationError(f"{name} and {name}_FILE are both set, but only one of them may be. Unset one.")
    try:
        return _read_file(path) or None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text of at most 16 KiB"
        raise ConfigurationError(
            f"{name}_FILE must name a readable text file that holds {field}; got {path!r}: {reason}. "
            "Correct the path, or let the user that runs this app read the file."
        ) from None


def _read_text(name: str) -> str:
    """Return the value of an environment variable, or None.

    Raises:
        ConfigurationError: The value is not UTF-8. Python would decode it to text that no URL, header or JSON can
            contain.
    """
    value = os.environ.get(name, "")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{name} must be text in UTF-8, but holds other bytes. Set it again, without characters from another "
            f"encoding."
        ) from None
    return value


def _read_file(path: str) -> str:
    """Return the text of a file without the white space around it.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is too long, or not UTF-8.
    """
    with Path(path).open("rb") as file:
        content = file.read(_LONGEST_SECRET + 1)
    if len(content) > _LONGEST_SECRET:
        raise ValueError("too long")
    return content.decode().strip()


def read_all_variables(field: str) -> dict[str, str | None]:
    """Return the variables that are set for a field and their values; None for a file that cannot be read."""
    found: dict[str, str | None] = {}
    for name in environment_names(field):
        file = f"{name}_FILE" if field in _SECRET_FIELDS and os.environ.get(f"{name}_FILE") else None
        if file or os.environ.get(name):
            try:
                value = _read_variable(field, name)
            except ConfigurationError:  # the error is raised when the settings are read, if this variable is used
                found[file or name] = None
            else:
                found |= {} if value is None else {file or name: value}  # an empty file is ignored
    return found


def find_unread(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the environment variables that have one of this library's prefixes but set none of these fields."""
    read = {name for field in fields for name in environment_names(field) + secret_file_names(field)}
    return tuple(sorted(name for name in os.environ if name.startswith(("STACK_", "HEXCLAVE_")) and name not in read))
