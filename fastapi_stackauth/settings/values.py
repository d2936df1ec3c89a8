"""Checks for the values of settings. Each raises a ValueError with a message that continues from the setting's name."""

import base64
import binascii
import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from fastapi_stackauth.settings.environment import documented_name

_KEY_SORTS = {"pck_": "publishable client key", "ssk_": "secret server key", "sak_": "super secret admin key"}
_KEY_PREFIXES = {"publishable_client_key": "pck_", "secret_server_key": "ssk_"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BARE_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")


def to_origin(url: str) -> str:
    """Return scheme, host and port of a URL without default ports, as browsers write origins (RFC 6454 §6.2).

    Raises:
        ValueError: The URL is not an http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = {"http": 80, "https": 443}[parts.scheme]
    try:
        port = parts.port
    except ValueError:  # the message of this error may quote part of a password
        raise ValueError("has no valid port") from None
    return f"{parts.scheme}://{host}" + ("" if port in (None, default_port) else f":{port}")


def _to_sent_origin(url: str) -> str:
    """Return the origin of a URL as browsers send it in the `Origin` header, which is ASCII (RFC 6454 §6.2).

    Raises:
        ValueError: It is not an http or https URL, or its host is not ASCII.
    """
    origin = to_origin(url)
    if not origin.isascii() or not origin.isprintable() or " " in origin:
        raise ValueError("must have a host in ASCII: write an international domain name as browsers send it, xn--...")
    return origin


def signing_key(secret: str) -> bytes:
    """Return the key of a ``whsec_`` secret.

    Raises:
        ValueError: The value does not have this form.
    """
    if not secret.startswith("whsec_"):
        raise ValueError("must begin with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 after whsec_") from None
    if len(key) < 16:
        raise ValueError("must contain at least 16 bytes")
    return key


def _check_key_sort(value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
    """Reject a key of the wrong kind. The message never shows the key."""
    field = info.field_name or ""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
    own = _KEY_PREFIXES.get(field)
    for prefix, sort in _KEY_SORTS.items():
        if prefix != own and text.startswith(prefix):
            expected = f"the {own}... key" if own else "the id that the auth server's dashboard shows"
            raise ValueError(f"holds a {sort} ({prefix}...). Put {expected} into {documented_name(field)}")
    return value


def _check_scheme(value: str, advice: str) -> None:
    """Reject an address without a scheme. The message shows the value only if it looks like a host."""
    if _BARE_HOST.fullmatch(value):
        scheme = "http" if value.startswith(("localhost", "127.")) else "https"
        raise ValueError(f'must include a scheme, such as "{scheme}://{value}"; got "{value}". {advice}')


def _clean_base_url(value: str) -> str:
    _check_scheme(value, f"Set {documented_name('base_url')} to the address of the auth server")
    to_origin(value)
    if "@" in urlsplit(value).netloc:
        raise ValueError("must not contain a user name or password, because addresses are logged and shown")
    return value.rstrip("/").removesuffix("/api/v1").rstrip("/")


def _clean_app_url(value: str | None) -> str | None:
    if not value:
        return value
    advice = f"Set {documented_name('app_url')} to the public origin of this app"
    _check_scheme(value, advice)
    try:
        origin = to_origin(value)
    except ValueError:
        raise ValueError(f'must be an http or https origin, such as "https://app.example.com". {advice}') from None
    parts = urlsplit(value)
    _to_sent_origin(origin)
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f'must be an origin alone, "{origin}", without path, query or user name. {advice}')
    return origin


def _check_destination(value: str | None) -> str | None:
    """Reject a redirect target that is neither a path of this app nor a complete URL."""
    if not value or (value.startswith("/") and not value.startswith("//")):
        return value
    try:
        to_origin(value)
    except ValueError:
        raise ValueError('must be a path such as "/notes", or a whole http or https address') from None
    return value


def check_issuer(address: str) -> None:
    """Reject a value that is not an issuer identifier (RFC 8414 §2).

    Raises:
        ValueError: The value is not an issuer identifier.
    """
    parts = urlsplit(address)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    to_origin(address)
    if parts.scheme != "https" and not loopback:
        raise ValueError("must be https addresses; http is only allowed on loopback")
    if parts.query or parts.fragment or "@" in parts.netloc or not address.isprintable() or " " in address:
        raise ValueError("must not contain a query, a fragment or a user name")


def _check_authorization_servers(value: tuple[str, ...]) -> tuple[str, ...]:
    for address in value:
        check_issuer(address)
    return value


def _check_redirect_urls(value: tuple[str, ...]) -> tuple[str, ...]:
    for address in value:
        if address.startswith(("http://", "https://")):
            to_origin(address)
        elif not _SCHEME.match(address) or _BARE_HOST.fullmatch(address):
            raise ValueError(
                'must be origins such as "https://app.example.com", or prefixes of app schemes such as '
                '"myapp://auth/". Write the scheme before each address'
            )
    return value


def _check_redis_url(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return value
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a redis://, rediss:// or unix:// address")
    try:
        _ = parts.port
    except ValueError:  # the message may contain a part of the password
        raise ValueError("has no valid port; in a password write /, ?, # and @ as %2F, %3F, %23 and %40") from None
    return value


def _check_webhook_secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for secret in value:
        signing_key(secret.get_secret_value())
    return value


def _split_at_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


COMMA_SEPARATED = BeforeValidator(_split_at_commas)

ProjectId = Annotated[str | None, AfterValidator(_check_key_sort)]
Key = Annotated[SecretStr | None, AfterValidator(_check_key_sort)]
BaseUrl = Annotated[str, AfterValidator(_clean_base_url)]
AppUrl = Annotated[str | None, AfterValidator(_clean_app_url)]
Destination = Annotated[str, AfterValidator(_check_destination)]
Page = Annotated[str | None, AfterValidator(_check_destination)]
RedisUrl = Annotated[SecretStr | None, AfterValidator(_check_redis_url)]
Origins = Annotated[tuple[str, ...], COMMA_SEPARATED, AfterValidator(lambda value: tuple(map(_to_sent_origin, value)))]
AuthorizationServers = Annotated[tuple[str, ...], COMMA_SEPARATED, AfterValidator(_check_authorization_servers)]
RedirectUrls = Annotated[tuple[str, ...], COMMA_SEPARATED, AfterValidator(_check_redirect_urls)]
Networks = Annotated[
    tuple[str, ...],
    COMMA_SEPARATED,
    AfterValidator(lambda value: tuple(str(ip_network(network, strict=False)) for network in value)),
]
WebhookSecrets = Annotated[tuple[SecretStr, ...], COMMA_SEPARATED, AfterValidator(_check_webhook_secrets)]
