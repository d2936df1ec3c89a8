"""Turn a request into a call: read the body, check the caller and the schema, and call the operation.

Law: the checks have the order of the real server (contract/tokens.md section 5). An operation declares its access types
and schemas, so that its handler receives valid values.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .bodies import read_bytes
from .credentials import Asker, identify
from .errors import KnownError, OAuthError, PlainError
from .reading import parse_json
from .schema import MISSING, Check, Problems, Record
from .server_profile import ServerProfile
from .store.database import Row
from .store.projects import Project

if TYPE_CHECKING:
    from .server import Server

ALL = ("client", "server", "admin")
SERVER = ("server", "admin")
NOBODY = ("none",)
ANYBODY = ("none", *ALL)
Forms = Mapping[str, Check]


@dataclass
class Call:
    """A request that passed all checks."""

    server: "Server"
    request: Request
    asker: Asker
    path: dict[str, Any]
    query: dict[str, Any]
    body: dict[str, Any]

    @property
    def project(self) -> Project:
        """The project of the request."""
        assert self.asker.project is not None  # noqa: S101 - only operations without a project have none
        return self.asker.project

    @property
    def is_client(self) -> bool:
        """Whether the request has client access, not server access."""
        return self.asker.access == "client"

    @property
    def user(self) -> Row | None:
        """The current data of the access token's user."""
        return self.asker.user

    @property
    def signed_in(self) -> Row:
        """The user, for an operation that requires one."""
        if self.asker.user is None:
            raise schema_error(self.request, ["auth.user must be defined"])
        return self.asker.user

    def header(self, name: str) -> str | None:
        """Return an x-stack header."""
        return self.request.headers.get(f"x-stack-{name}")

    def tell(self, event: str, data: Mapping[str, Any]) -> None:
        """Send an event to the project's webhook URL."""
        self.server.webhooks.tell(self.project.id, event, data)

    def only_own(self, user_id: str | None, sentence: str) -> None:
        """Reject a client without a user, and a client's request about another user."""
        if not self.is_client:
            return
        if self.user is None:
            raise KnownError("CANNOT_GET_OWN_USER_WITHOUT_USER")
        if self.user["id"] != user_id:
            raise PlainError(403, sentence)


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Operation:
    """An endpoint: its path, access types, schemas and function."""

    method: str
    path: str
    handler: Handler
    access: tuple[str, ...] = ALL
    body: Forms | Mapping[str, Forms] | None = None
    query: Forms | Callable[[ServerProfile], Forms] = field(default_factory=dict)
    params: Forms = field(default_factory=dict)
    open_query: bool = False
    open_body: bool = False
    optional_body: bool = False
    status: int = 200

    def query_fields(self, profile: ServerProfile) -> Forms:
        """Return the fields that the query may have."""
        return self.query(profile) if callable(self.query) else self.query

    def body_form(self, access: str | None) -> Record | None:
        """Return the schema of the body for an access type. None means that the body is ignored."""
        if self.body is None:
            return None
        forms = self.body.get(access or "", self.body) if "client" in self.body else self.body
        return Record(fields=forms, open=self.open_body)  # type: ignore[arg-type]  # either one form, or one for each access type


OPERATIONS: list[Operation] = []


def operation(method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:  # noqa: ANN401 - see Operation
    """Register a handler; the options are the fields of `Operation`."""

    def register(handler: Handler) -> Handler:
        OPERATIONS.append(Operation(method, path, handler, **options))
        return handler

    return register


async def read_body(request: Request, profile: ServerProfile) -> Any:  # noqa: ANN401 - JSON from outside
    """Return the body, parsed according to its content type. MISSING without a body."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.method in ("GET", "HEAD") or kind == "":
        return MISSING
    raw = await read_bytes(request, profile)
    if kind == "application/json":
        return read_json(raw)
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
    if kind in ("text/plain", "application/octet-stream"):
        return raw.decode(errors="replace")
    raise KnownError("BODY_PARSING_ERROR", "The content type of the body is not supported.")


def read_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON from outside
    """Parse JSON, or raise."""
    try:
        return parse_json(raw)
    except ValueError:
        raise KnownError("BODY_PARSING_ERROR", "The body is not valid JSON.") from None


def schema_error(request: Request, problems: list[str]) -> KnownError:
    """Return SCHEMA_ERROR for these problems, without repeating values of the request."""
    lines = "".join(f"\n  - {problem}" for problem in problems)
    message = f"{request.method} {request.url.path} cannot be answered:{lines}"
    return KnownError("SCHEMA_ERROR", message, message=message)


def check_access(operation: Operation, asker: Asker) -> None:
    """Reject an access type that the operation does not accept."""
    if "none" in operation.access:
        return
    if asker.access is None:
        raise KnownError("ACCESS_TYPE_REQUIRED")
    if asker.access not in operation.access:
        details: Any = {"actual_access_type": asker.access, "allowed_access_types": list(operation.access)}
        raise KnownError("INSUFFICIENT_ACCESS_TYPE", **details)


def read_forms(
    operation: Operation,
    request: Request,
    asker: Asker,
    body: Any,  # noqa: ANN401 - JSON from outside
    profile: ServerProfile,
) -> list[dict[str, Any]]:
    """Return path, query and body for the handler."""
    problems = Problems(me=asker.user["id"] if asker.user else None)
    form = operation.body_form(asker.access)
    body = {} if body is MISSING and operation.optional_body else body
    query = Record(fields=operation.query_fields(profile), open=operation.open_query)
    read = [
        Record(fields=operation.params).read(dict(request.path_params), "params", problems),
        query.read(dict(request.query_params), "query", problems),
        form.read(body, "body", problems) if form else {},
    ]
    if problems.me_without_user:
        raise KnownError("CANNOT_GET_OWN_USER_WITHOUT_USER")
    if problems.found:
        raise schema_error(request, problems.found)
    return read


async def dispatch(server: "Server", operation: Operation, request: Request) -> Response:
    """Serve a request."""
    try:
        body = await read_body(request, server.profile)
        asker = Asker() if operation.access == NOBODY else identify(server, request.headers)
        check_access(operation, asker)
        path, query, fields = read_forms(operation, request, asker, body, server.profile)
        answer = await operation.handler(Call(server, request, asker, path, query, fields))
    except (KnownError, PlainError, OAuthError) as error:
        return to_response(error)
    return answer if isinstance(answer, Response) else json_response(answer, operation.status)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:  # noqa: ANN401
    """Return a JSON response."""
    return JSONResponse(body, status, {"content-type": "application/json; charset=utf-8", **(headers or {})})


def to_response(error: KnownError | PlainError | OAuthError) -> Response:
    """Return the response for an error."""
    if isinstance(error, KnownError):
        return json_response(error.body(), error.status, {"x-stack-known-error": error.code})
    if isinstance(error, OAuthError):
        return json_response({"error": error.error, "error_description": error.description}, error.status)
    return PlainTextResponse(error.text, error.status)
