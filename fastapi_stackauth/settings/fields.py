"""`Settings`: all settings in a frozen model, and the URLs, issuers and audiences derived from them.

A missing setting is not an error when the settings are read, only at first use (`require_project_id`). So an app can be
imported, and can generate its OpenAPI schema, with an empty environment.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.kinds import AUDIENCE_SUFFIXES, ISSUER_PATHS, TokenKind
from fastapi_stackauth.settings.environment import Environment, find_unread, read_all_variables
from fastapi_stackauth.settings.options import Options
from fastapi_stackauth.settings.values import (
    AppUrl,
    AuthorizationServers,
    BaseUrl,
    Destination,
    Key,
    Networks,
    Origins,
    Page,
    ProjectId,
    RedirectUrls,
    RedisUrl,
    WebhookSecrets,
    signing_key,
    to_origin,
)

COOKIE_NAME = "stackauth"
_TWIN_HOSTS = {
    f"api{stage}.{old}": f"api{stage}.{new}"
    for stage in ("", ".dev", ".staging")
    for old, new in (("stack-auth.com", "hexclave.com"), ("hexclave.com", "stack-auth.com"))
}


class Settings(BaseSettings):
    """All settings. You can set each as a keyword argument of `StackAuth` or as an environment variable.

    A field ``app_url`` is read from ``HEXCLAVE_APP_URL`` or ``STACK_APP_URL``; ``base_url`` from ``HEXCLAVE_API_URL``
    or ``STACK_API_URL``. Project id, publishable key and API URL are also read under their ``NEXT_PUBLIC_`` names.
    ``HEXCLAVE_`` wins over ``STACK_``, and keyword arguments win over the environment.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project_id: ProjectId = Field(default=None, description="The project's id, from the auth server's dashboard.")
    publishable_client_key: Key = Field(
        default=None, description="The project's `pck_` key. It is only needed if the project requires it."
    )
    secret_server_key: Key = Field(
        default=None, description="The project's `ssk_` key. Only calls that the app makes as the server need it."
    )
    branch_id: str = Field(default="main", description="The project's branch that tokens must belong to.")
    base_url: BaseUrl = Field(
        default="https://api.stack-auth.com", description="The auth server's URL for this app, without `/api/v1`."
    )
    issuers: Origins = Field(
        default=(),
        description="More origins of the auth server to accept as issuers of tokens, such as the public one if "
        "`base_url` is internal. Browsers are redirected to the first one.",
    )
    app_url: AppUrl = Field(
        default=None, description="The public origin of this app. Cookies, links in emails and the CSRF check need it."
    )
    cookie_name: str = Field(
        default=COOKIE_NAME,
        pattern=r"^[A-Za-z0-9_]{1,40}$",
        description="The prefix of cookie names and, unless it is the default, of the routes' operation ids. Each "
        "additional `StackAuth` of an app needs its own.",
    )
    cookie_domain: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+$",
        description="The domain whose hosts share the cookies. If unset, only this app's own host receives them.",
    )
    insecure_cookies: bool = Field(
        default=False,
        description="Set cookies without `Secure`, as tests over HTTP and Safari on localhost require. Only allowed "
        "if `app_url` is http on loopback.",
    )
    session_max_age: int | None = Field(
        default=31_536_000,
        gt=0,
        description="How long a browser keeps a session, in seconds; None means until the browser is closed.",
    )
    cli_session_max_age: int = Field(
        default=2_592_000,
        gt=0,
        le=31_708_800,
        description="The lifetime of a command-line tool's session in seconds, at most 367 days.",
    )
    after_sign_in: Destination = Field(
        default="/", description="Where browsers are redirected after signing in, unless there is a `return_to`."
    )
    after_sign_out: Page = Field(
        default=None,
        description="Where the prebuilt pages redirect browsers after signing out, unless there is a `return_to`. If "
        "unset, a page confirms the sign-out.",
    )
    sign_in_url: Page = Field(
        default=None,
        description="Where browsers are sent, with `return_to`, if they open a page that needs a user and no user is "
        "signed in. If unset, they are sent to the prebuilt sign-in page if the app has one; else they get 401.",
    )
    redirect_urls: RedirectUrls = Field(
        default=(),
        description="Allowed redirect targets in addition to `app_url` and `trusted_origins`: origins, or full "
        "prefixes of custom app schemes such as `myapp://auth/`.",
    )
    rate_limit_address: str | None = Field(
        default="60/minute", description="How many sign-in attempts each client address may make. None means no limit."
    )
    rate_limit_account: str | None = Field(
        default="10/minute", description="How many sign-in attempts are allowed for each account. None means no limit."
    )
    max_body_size: int = Field(
        default=0,
        ge=0,
        description="Raises the limit of every request body of the library's own routes to at least this many bytes. "
        "Their limits are 16 KiB for routes that count attempts, 1.5 MiB for routes that take a picture, 4 MiB for "
        "webhooks and 64 KiB for all others.",
    )
    redis_url: RedisUrl = Field(
        default=None,
        description="The URL of a Redis server, such as `redis://localhost:6379/0`, through which this app's workers "
        "share revocations, API keys, webhooks and sign-in attempts. If unset, each worker keeps its own.",
    )
    trusted_origins: Origins = Field(
        default=(), description="Other origins that may send unsafe requests with this app's cookies."
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses and networks of the proxies in front of this app. If set, the end user's address is "
        "sent to the auth server.",
    )
    authorization_servers: AuthorizationServers = Field(
        default=(),
        description="Issuers of the OAuth authorization servers that issue this project's access tokens. MCP servers "
        "list them in their metadata (RFC 9728).",
    )
    leeway: float = Field(default=5.0, ge=0, le=60, description="How many seconds clocks may differ.")
    timeout: float = Field(
        default=10.0, gt=0, description="The total time that one call to the auth server may take, in seconds."
    )
    keepalive_expiry: float = Field(
        default=4.0,
        ge=0,
        le=300,
        description="How many seconds an idle connection to the auth server stays open; 0 uses each connection "
        "once. Keep it below the keep-alive time of the auth server or a proxy in front of it: Node's is 5 seconds.",
    )
    optional_invalid: Literal["none", "error"] = Field(
        default="none",
        description="What `optional_user` does with an invalid token: return None (`none`), or respond with 401 "
        "(`error`).",
    )
    error_docs_url: str | None = Field(
        default=None,
        description="The URL of a page about errors, such as `https://docs.example.com/errors#`. The `type` of a "
        "problem is this URL followed by the code. If unset, it is a URN.",
    )
    error_format: Literal["problem", "detail"] = Field(
        default="problem",
        description="Return errors as RFC 9457 problem documents, or in FastAPI's own `detail` shape.",
    )
    sdk_cookies: bool = Field(default=False, description="Also read the JavaScript SDK's cookies. Needs `app_url`.")
    token_cache_size: int = Field(default=10_000, ge=0, description="How many verified tokens are cached.")
    jwks: dict[str, Any] | Path | None = Field(
        default=None, description="A key set, or a file that contains one. If set, the library never fetches keys."
    )
    jwks_max_age: float = Field(
        default=3600.0, ge=60, le=86_400, description="The maximum number of seconds before keys are fetched again."
    )
    jwks_cooldown: float = Field(
        default=30.0,
        ge=1,
        description="The minimum number of seconds between fetches caused by unknown keys or failures.",
    )
    jwks_stale_limit: float = Field(
        default=86_400.0, ge=0, description="How many seconds fetched keys stay in use while the key server is down."
    )
    jwks_timeout: float = Field(
        default=5.0, gt=0, description="The total time that fetching the keys may take, in seconds."
    )
    authorization_ttl: float = Field(
        default=10.0,
        ge=0,
        le=300,
        description="How many seconds permissions, teams and the users of tokens bound to an MCP server are cached.",
    )
    unknown_team: Literal["permission_missing", "not_found"] = Field(
        default="permission_missing",
        description="The error for users who are not members of a team: 403 as for a missing permission, which hides "
        "whether the team exists, or 404.",
    )
    api_key_ttl: float = Field(
        default=10.0,
        ge=0,
        le=300,
        description='How many seconds the owner of an API key is cached, including "no such key".',
    )
    api_key_concurrency: int = Field(
        default=8, ge=1, description="How many API keys may be checked concurrently at the auth server."
    )
    revocation_ttl: float = Field(
        default=3600.0,
        ge=900,
        description="How many seconds a revocation is stored. This must be longer than the lifetime of a token.",
    )
    revocation_outage: Literal["serve", "error"] = Field(
        default="serve",
        description="What to do while the Redis server of `redis_url` is unavailable: continue with the known "
        "revocations (`serve`), or return 503 (`error`).",
    )
    webhook_secrets: WebhookSecrets = Field(
        default=(),
        description="The `whsec_` secrets of the project's webhook endpoint. Set both while you replace one.",
    )
    fallback_concurrency: int = Field(
        default=8,
        ge=0,
        description="How many tokens may be checked concurrently at `/users/me` while the keys are unavailable.",
    )
    fallback_ttl: float = Field(
        default=10.0, ge=0, le=60, description="How long to cache the result of `/users/me` for a token, in seconds."
    )
    telemetry: bool = Field(
        default=True,
        description="Create OpenTelemetry spans and metrics, if a provider is set when the app starts. Spans contain "
        "the user's id.",
    )

    if TYPE_CHECKING:  # a type checker without pydantic's plugin would require the fields' types for the arguments

        def __init__(self, **options: Unpack[Options]) -> None: ...

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: keyword arguments first, then environment variables and secret files."""
        return init_settings, Environment(settings_cls)

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.sdk_cookies and not self.app_url:
            raise ValueError("sdk_cookies needs app_url, to distinguish this site's requests from others")
        if self.insecure_cookies and not (self.app_url_is_loopback and urlsplit(self.app_url or "").scheme == "http"):
            raise ValueError("insecure_cookies is only for an http app_url on loopback")
        return self

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        """Create the settings from keyword arguments and the environment.

        Raises:
            ConfigurationError: A setting is invalid. The message names each such setting and the reason, never its
                value.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            faults = "; ".join(
                _describe_fault(".".join(map(str, fault["loc"])), fault["msg"])
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            )
            raise ConfigurationError(f"Wrong settings. {faults}.") from None

    def require_project_id(self) -> str:
        """Return the project's id.

        Raises:
            ConfigurationError: It is not set.
        """
        if not self.project_id:
            raise ConfigurationError(
                "project_id is not set: pass StackAuth(project_id=...), or set STACK_PROJECT_ID or "
                "HEXCLAVE_PROJECT_ID.",
                setting="project_id",
            )
        return self.project_id

    def require_app_url(self, purpose: str) -> str:
        """Return the app's public origin.

        Raises:
            ConfigurationError: It is not set. The message explains what needs it.
        """
        if not self.app_url:
            raise ConfigurationError(
                f"app_url is not set, and {purpose} need it: pass StackAuth(app_url=...) or set STACK_APP_URL.",
                setting="app_url",
            )
        return self.app_url

    def require_webhook_keys(self) -> tuple[bytes, ...]:
        """Return the keys with which the auth server signs webhook messages.

        Raises:
            ConfigurationError: No secret is set.
        """
        if not self.webhook_secrets:
            raise ConfigurationError(
                "webhook_secrets is not set: pass StackAuth(webhook_secrets=[...]) or set STACK_WEBHOOK_SECRETS.",
                setting="webhook_secrets",
            )
        return tuple(signing_key(secret.get_secret_value()) for secret in self.webhook_secrets)

    @property
    def cookies_possible(self) -> bool:
        """Whether browsers store this app's cookies, because its public origin is https or on loopback."""
        return bool(self.app_url) and (urlsplit(self.app_url or "").scheme == "https" or self.app_url_is_loopback)

    @property
    def app_url_is_loopback(self) -> bool:
        """Whether the app's public origin is on this machine."""
        host = urlsplit(self.app_url or "").hostname or ""
        return host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")

    @property
    def browser_url(self) -> str:
        """The auth server's URL for browsers, which may not be able to reach `base_url`."""
        return self.issuers[0] if self.issuers else self.base_url

    @property
    def user_access_type(self) -> Literal["client", "server"]:
        """The access type of requests for a signed-in user: ``server`` only if there is no other key."""
        return "server" if self.secret_server_key and not self.publishable_client_key else "client"

    @cached_property
    def issuer_kinds(self) -> Mapping[str, TokenKind]:
        """Each accepted issuer, with the kind of its tokens (contract/tokens.md §1).

        An issuer is a URL at the auth server's origin. A project may have tokens from its old and its new host.

        Raises:
            ConfigurationError: The project id is not set.
        """
        project = quote(self.require_project_id(), safe="")
        origins = {to_origin(self.base_url), *self.issuers}
        origins |= {twin for origin in origins if (twin := _find_twin(origin))}
        return {origin + path + project: kind for origin in origins for kind, path in ISSUER_PATHS.items()}

    @cached_property
    def audience_kinds(self) -> Mapping[str, TokenKind]:
        """Each accepted audience, with the kind of its tokens (contract/tokens.md §1)."""
        project = self.require_project_id()
        return {project + suffix: kind for kind, suffix in AUDIENCE_SUFFIXES.items()}


def variables_in_use() -> dict[str, tuple[str, ...]]:
    """Return the names of the environment variables that are set for each field. The first of each is used."""
    return {field: tuple(values) for field in Settings.model_fields if (values := read_all_variables(field))}


def variables_conflict() -> dict[str, tuple[str, ...]]:
    """Return the fields in `variables_in_use` for which several variables have different values."""
    values = {field: read_all_variables(field) for field in Settings.model_fields}
    return {field: tuple(found) for field, found in values.items() if len(set(found.values())) > 1}


def variables_unread() -> tuple[str, ...]:
    """Return the environment variables that have one of this library's prefixes but are not read."""
    return find_unread(Settings.model_fields)


def _describe_fault(setting: str, message: str) -> str:
    """Join the name of a setting and its error. Our messages continue from the name; pydantic's follow a colon."""
    own = message.removeprefix("Value error, ")
    return f"{setting} {own}".strip() if own != message else f"{setting}: {message}"


def _find_twin(origin: str) -> str | None:
    host = urlsplit(origin).netloc
    return origin.replace(host, _TWIN_HOSTS[host]) if host in _TWIN_HOSTS else None
