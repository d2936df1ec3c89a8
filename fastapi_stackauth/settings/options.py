"""The settings as keyword arguments of `Settings` and `StackAuth`, before validation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import SecretStr


class Options(TypedDict, total=False):
    """All settings as keyword arguments of `StackAuth`. For their meaning, see `Settings`."""

    project_id: str | None
    publishable_client_key: str | SecretStr | None
    secret_server_key: str | SecretStr | None
    branch_id: str
    base_url: str
    issuers: Sequence[str]
    app_url: str | None
    cookie_name: str
    cookie_domain: str | None
    insecure_cookies: bool
    session_max_age: int | None
    cli_session_max_age: int
    after_sign_in: str
    after_sign_out: str | None
    sign_in_url: str | None
    redirect_urls: Sequence[str]
    rate_limit_address: str | None
    rate_limit_account: str | None
    max_body_size: int
    redis_url: str | SecretStr | None
    trusted_origins: Sequence[str]
    trusted_proxies: Sequence[str]
    authorization_servers: Sequence[str]
    leeway: float
    timeout: float
    keepalive_expiry: float
    optional_invalid: Literal["none", "error"]
    error_format: Literal["problem", "detail"]
    error_docs_url: str | None
    sdk_cookies: bool
    token_cache_size: int
    jwks: dict[str, Any] | Path | str | None
    jwks_max_age: float
    jwks_cooldown: float
    jwks_stale_limit: float
    jwks_timeout: float
    authorization_ttl: float
    unknown_team: Literal["permission_missing", "not_found"]
    api_key_ttl: float
    api_key_concurrency: int
    revocation_ttl: float
    revocation_outage: Literal["serve", "error"]
    webhook_secrets: Sequence[str | SecretStr]
    fallback_concurrency: int
    fallback_ttl: float
    telemetry: bool
