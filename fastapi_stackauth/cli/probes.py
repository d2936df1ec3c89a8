"""The I/O of the command line: calls the auth server and Redis, and returns the results as facts.

Law: a failed probe is a fact, never an exception. The probes change nothing on the server, with one exception: they
start an OAuth sign-in that never finishes, to learn which public URL the server has.
"""

import asyncio
import hashlib
import json
import secrets
import socket
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from fastapi_stackauth.cli.explanation import Frame, explain
from fastapi_stackauth.cli.facts import Cause, Facts, NoResponse, Outcome, find_project
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.caller import AccessType, Caller, build_headers, is_sendable
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.errors import ConfigurationError, StackAuthError
from fastapi_stackauth.runtime.storage import redis_pool, require_redis
from fastapi_stackauth.settings import Settings, to_origin, variables_conflict, variables_unread
from fastapi_stackauth.verification.claims import Binding
from fastapi_stackauth.verification.keys import KeySet, read_key_set

_LARGEST = 1_000_000  # the maximum size of a response in bytes; a key set has 2,000
_CURRENT = ApiRequest("GET", "/projects/current", rights="user")
_NAMES_US = "x-stack-client-version"  # it may contain spaces
_FLAG_SETS = (("anonymous", "restricted"), ("anonymous",), ())
_CALLBACK = "/auth/oauth/callback/"
_REDIS_SECONDS = 3.0


def open_client(seconds: float) -> httpx.AsyncClient | NoResponse:
    """Return an HTTP client, or the reason why the environment prevents one."""
    # So that a server that closes idle connections causes no finding.
    limits = httpx.Limits(max_keepalive_connections=0)
    try:
        return httpx.AsyncClient(timeout=seconds, follow_redirects=False, limits=limits)
    except OSError:
        return NoResponse("authorities")
    except (ValueError, httpx.InvalidURL, ImportError):
        return NoResponse("proxy")


def _uses_proxy(url: str) -> bool:
    """Return whether the environment sends requests for this address through a proxy."""
    parts, proxies = urlsplit(url), getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.hostname or "")


async def ask(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str] | None = None, seconds: float = 10.0
) -> Outcome:
    """Return the response to a GET, or the reason why there is none. Redirects are not followed."""
    try:
        async with (
            asyncio.timeout(seconds),
            http.stream("GET", url, headers=headers, timeout=seconds) as response,
        ):
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST:
                    return NoResponse("broken", "the answer is too large")
            return ApiResponse.from_http(response.status_code, response.headers, body)
    except Exception as failure:  # noqa: BLE001 - see the law above; failures under load have many types
        return no_response(failure)


def no_response(failure: BaseException) -> NoResponse:
    """Return the reason for a missing response from an exception and its causes."""
    if isinstance(failure, httpx.ProtocolError):  # the response is not HTTP
        return _BROKEN
    causes = list(_causes(failure))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoResponse("tls", cause.verify_message)
        if isinstance(cause, ssl.SSLError):
            plain = cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
            return NoResponse("plain_http" if plain else "tls", (cause.reason or "").replace("_", " ").lower())
    found = (cause for cause, types in _CAUSES for one in causes if isinstance(one, types))
    return NoResponse(next(found, "broken"))


_BROKEN = NoResponse("broken")
_CAUSES: tuple[tuple[Cause, tuple[type[BaseException], ...]], ...] = (
    ("name", (socket.gaierror, UnicodeError, httpx.InvalidURL)),
    ("refused", (ConnectionRefusedError,)),
    ("timeout", (TimeoutError, httpx.TimeoutException)),
)


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    while failure is not None:
        yield failure
        if isinstance(failure, BaseExceptionGroup):
            for one in failure.exceptions:
                yield from _causes(one)
        failure = failure.__cause__ or failure.__context__


async def gather(settings: Settings, token: str | None = None, clock: Callable[[], float] = time.time) -> Facts:
    """Collect all facts for `doctor`.

    Args:
        settings: The settings, from the environment.
        token: A text with an access token to check.
        clock: Unix time in seconds.
    """
    facts = Facts(
        settings,
        client=_BROKEN,
        by_proxy=_uses_proxy(settings.base_url),
        at_odds=variables_conflict(),
        unread=variables_unread(),
        redis=await _redis(settings.redis_url),
        fixed_keys=_fixed_keys(settings.jwks),
    )
    opened = open_client(settings.timeout)
    if isinstance(opened, NoResponse):
        facts.client = opened
    else:
        async with opened as http:
            await _ask_server(facts, _Asking(http, settings), clock)
    if token is not None:
        facts.token = explain(token, build_frame(settings, clock(), _key_set(facts.keys), "no keys could be fetched"))
    return facts


async def _ask_server(facts: Facts, asking: "_Asking", clock: Callable[[], float]) -> None:
    settings, began = facts.settings, clock()
    facts.client = await asking.current(Caller())
    if isinstance(facts.client, NoResponse):
        return
    facts.skew = measure_skew(facts.client, began, clock())
    if not settings.project_id:
        return
    if settings.secret_server_key:
        facts.server = await asking.current(Caller(as_server=True))
    began_keys = time.monotonic()
    facts.keys, facts.flags = await asking.keys()
    facts.keys_seconds = time.monotonic() - began_keys
    facts.names_itself = await _names_itself(settings, facts.client, facts.server)


@dataclass(frozen=True)
class _Asking:
    http: httpx.AsyncClient
    settings: Settings

    async def current(self, caller: Caller) -> Outcome:
        """Request the project, even without a project id."""
        access: AccessType = "server" if caller.as_server else "client"
        headers = build_headers(caller, _CURRENT, self.settings, access, None) if self.settings.project_id else {}
        sendable = all(is_sendable(value) for name, value in headers.items() if name != _NAMES_US)
        return await self._get("/projects/current", headers) if sendable else NoResponse("unsent")

    async def keys(self) -> tuple[Outcome, tuple[str, ...]]:
        """Request the key set. Return it, and the flags that the server accepted."""
        # It waits longer than an app would, to distinguish a slow server from a broken one.
        patience = max(self.settings.timeout, 2 * self.settings.jwks_timeout)
        path = f"/projects/{quote(self.settings.require_project_id(), safe='')}/.well-known/jwks.json"
        for flags in _FLAG_SETS:
            query = "&".join(f"include_{flag}=true" for flag in flags)
            outcome = await self._get(f"{path}?{query}" if query else path, seconds=patience)
            if isinstance(outcome, NoResponse) or outcome.known_error != "SCHEMA_ERROR":
                break
        return outcome, flags

    async def _get(self, path: str, headers: Mapping[str, str] | None = None, *, seconds: float = 0.0) -> Outcome:
        url = f"{self.settings.base_url}/api/v1{path}"
        return await ask(self.http, url, headers, seconds or self.settings.timeout)


def measure_skew(answer: ApiResponse, asked: float, answered: float) -> float | None:
    """Return the seconds by which this machine's clock is behind the server's. Negative if it is ahead.

    The Date header (RFC 9110 §6.6.1) has whole seconds and was set at some moment between both times. A difference that
    this explains is ignored. None if the server sends no time.
    """
    try:
        moment = parsedate_to_datetime(answer.headers["date"]).timestamp()
        moment += float(answer.headers.get("age", "0"))  # the age of a cached response (RFC 9111 §5.1)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    least, most = moment - answered, moment + 1 - asked
    return least if least > 0 else most if most < 0 else 0.0


async def _names_itself(settings: Settings, *answers: Outcome | None) -> str | None:
    """Return the server's own origin, to which a provider redirects the browser."""
    project = find_project(*answers)
    providers = project.config.enabled_oauth_providers if project else ()
    if not providers:
        return None
    challenge = urlsafe_b64encode(hashlib.sha256(secrets.token_bytes()).digest()).rstrip(b"=").decode()
    try:
        async with StackAuthClient(settings) as client:
            flow = await client.oauth.authorize(
                providers[0].id,
                redirect_uri=f"{settings.app_url or to_origin(settings.base_url)}/",
                state=secrets.token_urlsafe(),
                code_challenge=challenge,
            )
    except StackAuthError:
        return None
    try:
        back = parse_qs(urlsplit(flow.location).query).get("redirect_uri", [""])[0]
        return to_origin(back) if _CALLBACK in back else None
    except ValueError:
        return None


def _fixed_keys(source: dict[str, Any] | Path | None) -> frozenset[str] | str | None:
    if source is None:
        return None
    try:
        return frozenset(read_keys(source))
    except ValueError as fault:
        return str(fault)


def read_keys(source: dict[str, Any] | Path) -> KeySet:
    """Read the keys of a key set, or of a file with one.

    Raises:
        ValueError: The file cannot be read, or contains no usable key.
    """
    try:
        document = json.loads(source.read_text("utf-8")) if isinstance(source, Path) else source
    except OSError as fault:
        raise ValueError(f"the file cannot be read: {fault.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError("the file is not JSON") from None
    return read_key_set(document)


def _key_set(outcome: Outcome | None) -> KeySet | None:
    try:
        return read_key_set(outcome.json) if isinstance(outcome, ApiResponse) else None
    except ValueError:
        return None


async def _redis(url: SecretStr | None) -> NoResponse | Literal["connected"] | None:
    if url is None:
        return None
    try:
        require_redis()
    except ConfigurationError:
        return NoResponse("extra")
    from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    from redis.exceptions import AuthenticationError, ResponseError  # noqa: PLC0415

    try:
        async with asyncio.timeout(_REDIS_SECONDS), Redis.from_pool(redis_pool(url.get_secret_value())) as redis:
            await redis.ping()
    except (AuthenticationError, ResponseError):
        return NoResponse("login")
    except Exception as failure:  # noqa: BLE001 - the law above
        return no_response(failure)
    return "connected"


def build_frame(settings: Settings, now: float, keys: KeySet | None, no_keys: str = "") -> Frame:
    """Return the expected values of a token for these settings, this time and these keys."""
    binding = None
    if settings.project_id:
        binding = Binding(settings.project_id, settings.branch_id, settings.issuer_kinds, settings.audience_kinds)
    return Frame(now, settings.leeway, binding, keys, no_keys)


async def fetch_keys(settings: Settings) -> tuple[KeySet | None, str]:
    """Return the server's keys, or None and the reason."""
    if not settings.project_id:
        return None, "no project id is set, so no keys were fetched"
    outcome: Outcome | httpx.AsyncClient = open_client(settings.timeout)
    if isinstance(outcome, httpx.AsyncClient):
        async with outcome as http:
            outcome, _ = await _Asking(http, settings).keys()
    if isinstance(outcome, NoResponse):
        why = "they did not arrive in time" if outcome.cause == "timeout" else outcome.cause
        return None, f"no keys from {settings.base_url}: {why}"
    keys = _key_set(outcome)
    return keys, "" if keys else f"no keys from {settings.base_url}: it answered {outcome.status}"
