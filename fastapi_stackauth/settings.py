"""Every setting, in one frozen value. The only reader of the environment; derives every URL and issuer.

Reading it never fails for what is missing: that is said by name at first use (`require_project_id`),
so that an app imports, and draws its OpenAPI schema, with an empty environment.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Unpack
from urllib.parse import quote, urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.kinds import AUDIENCE_SUFFIXES, ISSUER_PATHS, TokenKind
from fastapi_stackauth.options import Options

DEFAULT_BASE_URL = "https://api.stack-auth.com"
COOKIE_NAME = "stackauth"
_TWIN_HOSTS = {
    f"api{stage}.{old}": f"api{stage}.{new}"
    for stage in ("", ".dev", ".staging")
    for old, new in (("stack-auth.com", "hexclave.com"), ("hexclave.com", "stack-auth.com"))
}
_SECRET_FIELDS = ("publishable_client_key", "secret_server_key", "redis_url", "webhook_secrets")
_LONGEST_SECRET = 16_384  # bytes of a file
_FRAMEWORK_PREFIXED = ("project_id", "publishable_client_key", "base_url")


def environment_names(field: str) -> tuple[str, ...]:
    """Return the environment variables that set a field; the first one that is set wins.

    The newer brand comes first: an app that has moved on may still have a variable of the older one lying about.
    """
    stem = _stem(field)
    prefixes: tuple[str, ...] = ("HEXCLAVE_", "STACK_")
    if field in _FRAMEWORK_PREFIXED:
        prefixes += ("NEXT_PUBLIC_HEXCLAVE_", "NEXT_PUBLIC_STACK_")
    return tuple(prefix + stem for prefix in prefixes)


def documented_name(field: str) -> str:
    """Return the variable that messages and docs name for a field."""
    return f"STACK_{_stem(field)}"


def _stem(field: str) -> str:
    return {"base_url": "API_URL"}.get(field, field.upper())


def secret_file_names(field: str) -> tuple[str, ...]:
    """Return the environment variables that name a file with the value of a secret field; none for other fields."""
    return tuple(f"{name}_FILE" for name in environment_names(field)) if field in _SECRET_FIELDS else ()


def _read_variable(field: str, name: str) -> str | None:
    """Return the value of an environment variable, or of the file that its ``_FILE`` variable names; None if unset.

    Raises:
        ConfigurationError: both variables are set, the value is not UTF-8, or the file cannot be read.
    """
    path = os.environ.get(f"{name}_FILE") if field in _SECRET_FIELDS else None
    if not path:
        return _read_text(name) or None
    if os.environ.get(name):
        raise ConfigurationError(f"{name} and {name}_FILE are both set, but only one of them may be. Unset one.")
    try:
        return _read_secret(path) or None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text of at most 16 KiB"
        raise ConfigurationError(
            f"{name}_FILE must name a readable text file that holds {field}; got {path!r}: {reason}. "
            "Correct the path, or let the user that runs this app read the file."
        ) from None


def _read_text(name: str) -> str:
    """Return the value of an environment variable, or nothing.

    Raises:
        ConfigurationError: it is not UTF-8. No URL, header or JSON could hold what Python makes of it.
    """
    value = os.environ.get(name, "")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{name} must be text in UTF-8, but holds other bytes. Set it anew, without characters that came from "
            "another encoding."
        ) from None
    return value


def _read_secret(path: str) -> str:
    """Return the text of a file without the white space around it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too long, or not UTF-8.
    """
    with Path(path).open("rb") as file:
        content = file.read(_LONGEST_SECRET + 1)
    if len(content) > _LONGEST_SECRET:
        raise ValueError("too long")
    return content.decode().strip()


def variables_in_use() -> dict[str, tuple[str, ...]]:
    """By field, the environment variables that are set for it, the one that counts first. Never their values."""
    return {field: tuple(values) for field in Settings.model_fields if (values := _values_set(field))}


def variables_at_odds() -> dict[str, tuple[str, ...]]:
    """Those fields of `variables_in_use` whose variables hold different values."""
    values = {field: _values_set(field) for field in Settings.model_fields}
    return {field: tuple(found) for field, found in values.items() if len(set(found.values())) > 1}


def _values_set(field: str) -> dict[str, str | None]:
    """Return the values of a field by the variables that are set for it; None for a file that cannot be read."""
    found: dict[str, str | None] = {}
    for name in environment_names(field):
        file = f"{name}_FILE" if field in _SECRET_FIELDS and os.environ.get(f"{name}_FILE") else None
        if file or os.environ.get(name):
            try:
                value = _read_variable(field, name)
            except ConfigurationError:  # of a variable that counts, it is raised when the settings are read
                found[file or name] = None
            else:
                found |= {} if value is None else {file or name: value}  # an empty file counts as absent
    return found


def variables_unread() -> tuple[str, ...]:
    """Environment variables that begin as those of this library do, and that it does not read."""
    fields = Settings.model_fields
    read = {name for field in fields for name in environment_names(field) + secret_file_names(field)}
    return tuple(sorted(name for name in os.environ if name.startswith(("STACK_", "HEXCLAVE_")) and name not in read))


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, default ports left out, as browsers write origins (RFC 6454 §6.2).

    Raises:
        ValueError: when it is no http or https address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = {"http": 80, "https": 443}[parts.scheme]
    try:
        port = parts.port
    except ValueError:  # its text quotes what stands there, which may be half a password
        raise ValueError("has no valid port") from None
    return f"{parts.scheme}://{host}" + ("" if port in (None, default_port) else f":{port}")


def _signing_key(secret: str) -> bytes:
    """The key that a ``whsec_`` secret stands for.

    Raises:
        ValueError: it is no such secret.
    """
    if not secret.startswith("whsec_"):
        raise ValueError("must begin with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 after whsec_") from None
    if len(key) < 16:
        raise ValueError("must hold at least 16 bytes")
    return key


Addresses = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]

_KEY_SORTS = {"pck_": "publishable client key", "ssk_": "secret server key", "sak_": "super secret admin key"}
_KEY_PREFIXES = {"publishable_client_key": "pck_", "secret_server_key": "ssk_"}
_BARE_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _check_key_sort(field: str, value: str) -> None:
    """Reject a key of another sort; the message never shows it.

    Raises:
        ValueError: the value begins as another sort of key does.
    """
    own = _KEY_PREFIXES.get(field)
    for prefix, sort in _KEY_SORTS.items():
        if prefix != own and value.startswith(prefix):
            expected = f"the {own}... key" if own else "the id that the auth server's dashboard shows"
            raise ValueError(f"holds a {sort} ({prefix}...). Put {expected} into {documented_name(field)}")


def _check_scheme(value: str, advice: str) -> None:
    """Reject an address without a scheme. Only what has the form of a host is shown.

    Raises:
        ValueError: the scheme is missing.
    """
    if _BARE_HOST.fullmatch(value):
        scheme = "http" if value.startswith(("localhost", "127.")) else "https"
        raise ValueError(f'must include a scheme, such as "{scheme}://{value}"; got "{value}". {advice}')


def _check_app_url(value: str) -> None:
    """Reject what is no public origin.

    Raises:
        ValueError: the scheme is missing or is not http or https, or there is a path.
    """
    advice = f"Set {documented_name('app_url')} to the public origin of this app"
    _check_scheme(value, advice)
    try:
        origin = origin_of(value)
    except ValueError:
        raise ValueError(f'must be an http or https origin, such as "https://app.example.com". {advice}') from None
    parts = urlsplit(value)
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f'must be an origin alone, "{origin}", without path, query or user name. {advice}')


def _check_destination(address: str) -> None:
    """Reject what is neither a path of this app nor a whole address.

    Raises:
        ValueError: a redirect to it would lead nowhere.
    """
    if address.startswith("/") and not address.startswith("//"):
        return
    try:
        origin_of(address)
    except ValueError:
        raise ValueError('must be a path such as "/notes", or a whole http or https address') from None


class _Environment(PydanticBaseSettingsSource):
    """Reads the environment into field names, so that a keyword argument of the same field wins."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - parent's
        values = (_read_variable(field_name, name) for name in environment_names(field_name))
        return next((value for value in values if value is not None), None), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """All settings. Each is a keyword argument of `StackAuth` and an environment variable.

    A field ``app_url`` is read from ``HEXCLAVE_APP_URL`` or ``STACK_APP_URL``; ``base_url`` from ``HEXCLAVE_API_URL``
    or ``STACK_API_URL``. Project id, publishable key and API URL are also read under their ``NEXT_PUBLIC_`` names.
    ``HEXCLAVE_`` wins over ``STACK_``, and keyword arguments win over the environment.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project_id: str | None = Field(default=None, description="The project's id, from the auth server's dashboard.")
    publishable_client_key: SecretStr | None = Field(
        default=None, description="The `pck_` key. Optional unless the project demands it."
    )
    secret_server_key: SecretStr | None = Field(
        default=None, description="The `ssk_` key. Only needed for what the app does in its own name."
    )
    branch_id: str = Field(default="main", description="The project's branch that tokens must belong to.")
    base_url: str = Field(
        default=DEFAULT_BASE_URL, description="Where this app reaches the auth server, without `/api/v1`."
    )
    issuers: Addresses = Field(
        default=(),
        description="More addresses of the auth server that its tokens may name as issuer, such as the public one "
        "when `base_url` is internal. Only scheme, host and port count. Browsers that have to go there are sent to the "
        "first one.",
    )
    app_url: str | None = Field(
        default=None,
        description="The public origin under which this app is reached. Cookies, mail links and the check against "
        "other sites need it.",
    )
    cookie_name: str = Field(
        default=COOKIE_NAME,
        pattern=r"^[A-Za-z0-9_]{1,40}$",
        description="What this app's cookie names begin with; another one for each further `StackAuth`, whose routes' "
        "operation ids begin with it too.",
    )
    cookie_domain: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+$",
        description="A domain whose hosts share the cookies. Without it they belong to this app's host alone.",
    )
    insecure_cookies: bool = Field(
        default=False,
        description="Cookies without `Secure`, for an http `app_url` on loopback: HTTP tests, Safari in development.",
    )
    session_max_age: int | None = Field(
        default=31_536_000, gt=0, description="Seconds that a browser keeps a session; None: until it is closed."
    )
    after_sign_in: str = Field(default="/", description="Where a browser goes after a sign-in that named no place.")
    sign_in_url: str | None = Field(
        default=None,
        description="Where a page that needs a user sends browsers that have none, with `return_to`, instead of 401.",
    )
    redirect_urls: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = Field(
        default=(),
        description="Addresses beside `app_url` and `trusted_origins` that redirects may lead to: origins, or custom "
        "app schemes as full prefixes such as `myapp://auth/`.",
    )
    rate_limit_address: str | None = Field(
        default="60/minute", description="Sign-in attempts that one client address may make; None for no limit."
    )
    rate_limit_account: str | None = Field(
        default="10/minute", description="Sign-in attempts that may be made for one account; None for no limit."
    )
    max_body_size: int = Field(
        default=0,
        ge=0,
        description="Raises the limit of every request body that the library's own routes take to at least this many "
        "bytes. Their own limits are 16 KiB for routes that count attempts, 1.5 MiB for routes that take a picture, "
        "4 MiB for webhooks and 64 KiB for all others.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="A Redis server that the workers of this app share, such as `redis://localhost:6379/0`: for "
        "revocations, API keys, webhooks and sign-in attempts. Without it each worker is on its own.",
    )
    trusted_origins: Addresses = Field(
        default=(), description="Other origins whose pages may send this app's cookies with unsafe requests."
    )
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_comma_separated)] = Field(
        default=(),
        description="Addresses and networks of the proxies before this app. With them, the auth server is told the "
        "end user's address.",
    )
    leeway: float = Field(default=5.0, ge=0, le=60, description="Seconds of clock difference that are forgiven.")
    timeout: float = Field(default=10.0, gt=0, description="Seconds that one call of the auth server may take in all.")
    keepalive_expiry: float = Field(
        default=4.0,
        ge=0,
        le=300,
        description="Seconds after which an idle connection to the auth server is closed; 0 uses each for one call. "
        "Keep it below the time after which the auth server, or a proxy before it, closes them: Node's is 5 seconds.",
    )
    optional_invalid: Literal["none", "error"] = Field(
        default="none", description="What `optional_user` makes of a bad token: nobody (`none`), or 401 (`error`)."
    )
    error_docs_url: str | None = Field(
        default=None,
        description="Where this app explains its errors, such as `https://docs.example.com/errors#`: the `type` of a "
        "problem is its code at the end of that. A URN by default.",
    )
    error_format: Literal["problem", "detail"] = Field(
        default="problem", description="Errors as RFC 9457 problem documents, or in FastAPI's own `detail` shape."
    )
    sdk_cookies: bool = Field(default=False, description="Also read the JavaScript SDK's cookies. Needs `app_url`.")
    token_cache_size: int = Field(default=10_000, ge=0, description="How many verified tokens are remembered.")
    jwks: dict[str, Any] | Path | None = Field(
        default=None, description="A key set, or a file that holds one. The network is then never asked for keys."
    )
    jwks_max_age: float = Field(
        default=3600.0, ge=60, le=86_400, description="Seconds after which keys are fetched anew, at the latest."
    )
    jwks_cooldown: float = Field(
        default=30.0, ge=1, description="Seconds between two fetches that unknown keys, or failures, may cause."
    )
    jwks_stale_limit: float = Field(
        default=86_400.0, ge=0, description="Seconds that fetched keys go on serving while new ones cannot be had."
    )
    jwks_timeout: float = Field(default=5.0, gt=0, description="Seconds that one fetch of keys may take in all.")
    authorization_ttl: float = Field(
        default=10.0, ge=0, le=300, description="Seconds that what a user may do, and a team, are remembered."
    )
    unknown_team: Literal["permission_missing", "not_found"] = Field(
        default="permission_missing",
        description="What who is not in a team is answered: 403 as if a permission were missing, so that teams cannot "
        "be probed, or 404.",
    )
    api_key_ttl: float = Field(
        default=10.0,
        ge=0,
        le=300,
        description="Seconds that whose an API key is, or that it is nobody's, is remembered.",
    )
    api_key_concurrency: int = Field(
        default=8, ge=1, description="How many API keys may be checked at the auth server at once."
    )
    revocation_ttl: float = Field(
        default=3600.0,
        ge=900,
        description="Seconds that a revoked session or user is remembered; longer than tokens live.",
    )
    revocation_outage: Literal["serve", "refuse"] = Field(
        default="serve",
        description="With `redis_url`, while Redis is out of reach: go on with the revocations that are known "
        "(`serve`), or answer 503 (`refuse`).",
    )
    webhook_secrets: Annotated[tuple[SecretStr, ...], BeforeValidator(_comma_separated)] = Field(
        default=(), description="The `whsec_` secrets of the project's webhook endpoint; several while one is replaced."
    )
    fallback_concurrency: int = Field(
        default=8,
        ge=0,
        description="How many tokens may be checked at `/users/me` at once while keys are out of reach.",
    )
    fallback_ttl: float = Field(
        default=10.0, ge=0, le=60, description="Seconds that an answer of `/users/me` to a token is remembered."
    )

    if (
        TYPE_CHECKING
    ):  # pydantic converts arguments; a checker without its plugin takes the fields' own types for theirs

        def __init__(self, **options: Unpack[Options]) -> None: ...

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - names are the parent's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keyword arguments first, then the environment under all its names, with the files that it names."""
        return init_settings, _Environment(settings_cls)

    @field_validator("base_url", mode="before")
    @classmethod
    def _base_url(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        _check_scheme(value, f"Set {documented_name('base_url')} to the address of the auth server")
        origin_of(value)
        if "@" in urlsplit(value).netloc:
            raise ValueError("must not hold a user name or password: addresses are logged and shown")
        return value.rstrip("/").removesuffix("/api/v1").rstrip("/")

    @field_validator("app_url", mode="after")
    @classmethod
    def _app_url(cls, value: str | None) -> str | None:
        if value is not None:
            _check_app_url(value)
        return value and origin_of(value)

    @field_validator("project_id", mode="after")
    @classmethod
    def _project_id(cls, value: str | None) -> str | None:
        _check_key_sort("project_id", value or "")
        return value

    @field_validator("publishable_client_key", "secret_server_key", mode="after")
    @classmethod
    def _keys(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        _check_key_sort(info.field_name or "", value.get_secret_value() if value else "")
        return value

    @field_validator("after_sign_in", "sign_in_url", mode="after")
    @classmethod
    def _destinations(cls, value: str | None) -> str | None:
        if value:
            _check_destination(value)
        return value

    @field_validator("redirect_urls", mode="after")
    @classmethod
    def _redirect_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if address.startswith(("http://", "https://")):
                origin_of(address)
            elif not _SCHEME.match(address) or _BARE_HOST.fullmatch(address):
                raise ValueError(
                    'must be origins such as "https://app.example.com", or prefixes of app schemes such as '
                    '"myapp://auth/". Write the scheme before each address'
                )
        return value

    @field_validator("issuers", "trusted_origins", mode="after")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(origin_of(address) for address in value)

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(network, strict=False)) for network in value)

    @field_validator("redis_url", mode="after")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("must be a redis://, rediss:// or unix:// address")
        try:
            _ = parts.port
        except ValueError:  # whose text may hold half a password
            raise ValueError("has no valid port; in a password write /, ?, # and @ as %2F, %3F, %23 and %40") from None
        return value

    @field_validator("webhook_secrets", mode="after")
    @classmethod
    def _webhook_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            _signing_key(secret.get_secret_value())
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sdk_cookies and not self.app_url:
            raise ValueError("sdk_cookies needs app_url, to tell this site's requests from others'")
        if self.insecure_cookies and not (self.app_url_is_loopback and urlsplit(self.app_url or "").scheme == "http"):
            raise ValueError("insecure_cookies is for an http app_url on loopback alone")
        return self

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        """Settings from keyword arguments and the environment.

        Raises:
            ConfigurationError: names each setting that is wrong and why, never its value.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            faults = "; ".join(
                _fault_text(".".join(map(str, fault["loc"])), fault["msg"])
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            )
            raise ConfigurationError(f"Wrong settings. {faults}.") from None

    def require_project_id(self) -> str:
        """The project's id.

        Raises:
            ConfigurationError: where it is not set.
        """
        if not self.project_id:
            raise ConfigurationError(
                "project_id is not set: pass StackAuth(project_id=...), or set STACK_PROJECT_ID or "
                "HEXCLAVE_PROJECT_ID.",
                setting="project_id",
            )
        return self.project_id

    def require_app_url(self, purpose: str) -> str:
        """The app's public origin.

        Raises:
            ConfigurationError: where it is not set; it names what needs it.
        """
        if not self.app_url:
            raise ConfigurationError(
                f"app_url is not set, and {purpose} need it: pass StackAuth(app_url=...) or set STACK_APP_URL.",
                setting="app_url",
            )
        return self.app_url

    def require_webhook_keys(self) -> tuple[bytes, ...]:
        """What webhook messages are signed with.

        Raises:
            ConfigurationError: where no secret is set.
        """
        if not self.webhook_secrets:
            raise ConfigurationError(
                "webhook_secrets is not set: pass StackAuth(webhook_secrets=[...]) or set STACK_WEBHOOK_SECRETS.",
                setting="webhook_secrets",
            )
        return self._webhook_keys

    @cached_property
    def _webhook_keys(self) -> tuple[bytes, ...]:
        return tuple(_signing_key(secret.get_secret_value()) for secret in self.webhook_secrets)

    @property
    def cookies_possible(self) -> bool:
        """Whether browsers keep this app's cookies: its public origin is https, or loopback."""
        return bool(self.app_url) and (urlsplit(self.app_url or "").scheme == "https" or self.app_url_is_loopback)

    @property
    def app_url_is_loopback(self) -> bool:
        """Whether the app's public origin is this very machine."""
        host = urlsplit(self.app_url or "").hostname or ""
        return host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")

    @property
    def browser_url(self) -> str:
        """Where browsers reach the auth server: `base_url` may be a name that only this app's network knows."""
        return self.issuers[0] if self.issuers else self.base_url

    @property
    def user_access_type(self) -> Literal["client", "server"]:
        """As what a signed-in person's own requests are made: ``server`` only where no other key is configured."""
        return "server" if self.secret_server_key and not self.publishable_client_key else "client"

    @cached_property
    def issuer_kinds(self) -> Mapping[str, TokenKind]:
        """Every issuer a token may name, and the kind of token it stands for (contract/tokens.md §1).

        The issuer is built from the server's origin; a project serves tokens under its old and its new host.

        Raises:
            ConfigurationError: where the project id is not set.
        """
        project = quote(self.require_project_id(), safe="")
        origins = {origin_of(self.base_url), *self.issuers}
        origins |= {twin for origin in origins if (twin := _twin_of(origin))}
        return {origin + path + project: kind for origin in origins for kind, path in ISSUER_PATHS.items()}

    @cached_property
    def audience_kinds(self) -> Mapping[str, TokenKind]:
        """Every audience a token may name, and the kind of token it stands for (contract/tokens.md §1)."""
        project = self.require_project_id()
        return {project + suffix: kind for kind, suffix in AUDIENCE_SUFFIXES.items()}


def _fault_text(setting: str, message: str) -> str:
    """Join a setting and what is wrong with it: our own sentences go on from the name, pydantic's follow a colon."""
    own = message.removeprefix("Value error, ")
    return f"{setting} {own}".strip() if own != message else f"{setting}: {message}"


def _twin_of(origin: str) -> str | None:
    host = urlsplit(origin).netloc
    return origin.replace(host, _TWIN_HOSTS[host]) if host in _TWIN_HOSTS else None
