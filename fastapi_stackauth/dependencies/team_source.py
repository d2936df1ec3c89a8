"""Find the team id of a request in a path parameter, a query parameter, a header, or the user's selected team."""

from starlette.requests import HTTPConnection

from fastapi_stackauth.errors import AuthError, ConfigurationError, RequestInvalid
from fastapi_stackauth.models import User

SELECTED = "selected"
MAX_TEAM_ID = 100


def check_source(source: str) -> None:
    """Reject a source that is not valid.

    Raises:
        ConfigurationError: The source is not valid.
    """
    kind, separator, name = source.partition(":") if isinstance(source, str) else ("", "", "")
    if not kind or (separator and (kind not in ("query", "header") or not name)):
        raise ConfigurationError(
            f'team={source!r} is not a valid source: write "team_id" for a path parameter, "query:team_id", '
            f'"header:x-team-id" or "{SELECTED}".'
        )


def document_source(source: str | None) -> tuple[tuple[str, str], ...]:
    """Return the OpenAPI parameter for a source, as (place, name). There is none for the selected team."""
    if source is None or source == SELECTED:
        return ()
    kind, separator, name = source.partition(":")
    return ((kind, name) if separator else ("path", source),)


def find_team_id(connection: HTTPConnection, source: str, user: User) -> str:
    """Return the team id of a request.

    Args:
        connection: The request or WebSocket.
        source: The source of the id, see `check_source`.
        user: The user, for the source ``selected``.

    Raises:
        RequestInvalid: 400, the value is missing, repeated or not a valid id.
        AuthError: 403 `permission_missing`: the user has not selected a team.
        ConfigurationError: The route's path does not have this parameter.
    """
    if source == SELECTED:
        if user.selected_team_id is None:
            raise AuthError("permission_missing", reason="no team is selected")
        return user.selected_team_id
    kind, separator, name = source.partition(":")
    if not separator:
        if source not in connection.path_params:
            raise ConfigurationError(f"team={source!r}: the path of this route has no parameter of this name.")
        return _check_team_id([str(connection.path_params[source])], f"path.{source}")
    values = connection.query_params.getlist(name) if kind == "query" else connection.headers.getlist(name)
    return _check_team_id(values, f"{kind}.{name}")


def _check_team_id(values: list[str], where: str) -> str:
    if len(values) != 1:
        raise RequestInvalid(((where, "Missing" if not values else "Given more than once"),), status_code=400)
    (value,) = values
    if not value or len(value) > MAX_TEAM_ID or not value.isascii() or not value.isprintable():
        raise RequestInvalid(((where, "Not the id of a team"),), status_code=400)
    return value
