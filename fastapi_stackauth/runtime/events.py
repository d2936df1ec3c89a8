"""Events: `emit` counts what happens, writes its log line and notifies the app's hooks.

docs/observability.md explains each kind. There are few labels and each has few values, as metrics require. Law: no
field contains a token, code, password, key, address or user id, because none of them belongs in logs and metrics.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import iscoroutinefunction
from logging import DEBUG, ERROR, INFO, WARNING
from types import MappingProxyType
from typing import TypeVar

from fastapi_stackauth.errors import SERVER_CODES, ConfigurationError, KnownApiError, StackAuthError
from fastapi_stackauth.runtime.spans import NO_SPAN, Span, Tracer

Value = str | int | float | bool | None
Labels = tuple[tuple[str, str], ...]

MOST_SERIES = 500
"""The maximum number of label combinations for one kind. Further ones are counted together as `other`."""
_PLAIN = re.compile(r"[\w.:/+-]+", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        name: The event's name, which is also the first word of its log line.
        area: The last part of its logger's name, after ``fastapi_stackauth``.
        levels: The levels of its log lines, the usual one first. Empty if it is never logged.
        labels: The fields by which it is counted.
        fields: The event's other fields.
    """

    name: str
    area: str = ""
    levels: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger of the event."""
        return logging.getLogger(f"fastapi_stackauth.{self.area}".rstrip("."))


# --- authentication ---
TOKEN_VERIFIED = Kind("token_verified", "verifier", labels=("cache", "source"))
TOKEN_REJECTED = Kind("token_rejected", "verifier", (INFO,), labels=("code",), fields=("reason",))
CREDENTIALS_REJECTED = Kind("credentials_rejected", "identity", (INFO,), labels=("code",), fields=("reason",))
API_KEY_VERIFIED = Kind("api_key_verified", "api_keys", labels=("cache", "owner"))
API_KEY_REJECTED = Kind("api_key_rejected", "api_keys", (INFO,), labels=("owner",), fields=("reason",))
CLOCK_SKEW = Kind("clock_skew", "sessions", (ERROR,), fields=("seconds",))
ERROR_RETURNED = Kind(
    "error_returned", "", (INFO, DEBUG, WARNING, ERROR), labels=("status", "code"), fields=("detail", "instance")
)

# --- sessions and signing in ---
SIGN_IN_SUCCEEDED = Kind("sign_in_succeeded", "routers", (INFO,), labels=("method", "new_user"))
SIGN_IN_FAILED = Kind("sign_in_failed", "routers", (INFO,), labels=("method", "code"))
MFA_REQUESTED = Kind("mfa_requested", "routers", (INFO,), labels=("method",))
RATE_LIMITED = Kind("rate_limited", "limits", (INFO,), labels=("action", "by"), fields=("retry_after",))
EMAIL_NOT_SENT = Kind("email_not_sent", "routers", (INFO, ERROR), labels=("code",), fields=("detail",))
SESSION_REFRESHED = Kind("session_refreshed", "sessions", (DEBUG,), labels=("delivery",))
SESSION_REFRESH_FAILED = Kind("session_refresh_failed", "sessions", (WARNING,), labels=("delivery", "code"))
SESSION_ENDED = Kind("session_ended", "sessions", (INFO,), labels=("reason",))
SESSION_END_FAILED = Kind("session_end_failed", "sessions", (WARNING,), labels=("code",), fields=("detail",))
SESSION_CHECK_FAILED = Kind("session_check_failed", "watch", (WARNING,), labels=("code",), fields=("detail",))

# --- the auth server ---
AUTH_SERVER_CALL = Kind(
    "auth_server_call", "client", (DEBUG,), labels=("operation", "status"), fields=("duration", "retries", "error")
)
KEYS_FETCHED = Kind("keys_fetched", "keys", (INFO,), fields=("duration", "keys"))
KEYS_SERVED_STALE = Kind("keys_served_stale", "keys")
KEYS_FETCH_FAILED = Kind("keys_fetch_failed", "keys", (WARNING,), labels=("reason",), fields=("duration", "detail"))
FALLBACK_CALLED = Kind("fallback_called", "fallback", (DEBUG,), labels=("outcome",), fields=("duration",))
LOOKUP_FAILED = Kind(
    "lookup_failed", "fallback", (WARNING, ERROR), labels=("about", "code"), fields=("detail",)
)  # the auth server did not decide about a caller
HEALTH_WITHOUT_KEYS = Kind("health_without_keys", "health", (INFO,))
WEBHOOK_HANDLED = Kind("webhook_handled", "webhooks", (INFO,), labels=("type",))
WEBHOOK_FAILED = Kind("webhook_failed", "webhooks", (WARNING,), labels=("type",))
WEBHOOK_REJECTED = Kind("webhook_rejected", "webhooks", (WARNING,), fields=("reason",))
WEBHOOK_STORAGE_UNAVAILABLE = Kind("webhook_storage_unavailable", "webhooks", (WARNING,))
TOOL_FAILED = Kind("tool_failed", "mcp", (ERROR,), fields=("error",))

# --- the other workers ---
REVOCATION_ADDED = Kind("revocation_added", "revocation", (INFO,), labels=("kind",))
REVOCATIONS_PUBLISHED = Kind("revocations_published", "revocation", (INFO,), fields=("attempts",))
REVOCATIONS_UNPUBLISHED = Kind("revocations_unpublished", "revocation", (WARNING,), fields=("count",))
REVOCATIONS_CONNECTED = Kind("revocations_connected", "revocation", (INFO,))
REVOCATIONS_DISCONNECTED = Kind("revocations_disconnected", "revocation", (WARNING,))
REVOCATIONS_CONNECT_FAILED = Kind("revocations_connect_failed", "revocation", (DEBUG, ERROR), labels=("reason",))
STORAGE_UNAVAILABLE = Kind("storage_unavailable", "storage", (WARNING,), labels=("operation", "reason"))
RATE_LIMITS_LOCAL = Kind("rate_limits_local", "limits", (WARNING,), labels=("reason",))

# --- the set-up ---
VARIABLES_CONFLICT = Kind("variables_conflict", "settings", (WARNING,), fields=("used", "ignored"))
COOKIES_ON_OTHER_HOST = Kind("cookies_on_other_host", "sessions", (WARNING,), fields=("seen", "app_url", "advice"))
SETTING_MISSING = Kind(
    "setting_missing", "settings", (ERROR,), labels=("setting",), fields=("variable", "routes", "advice")
)
SINGLE_WORKER = Kind("single_worker", "settings", (WARNING,), fields=("routes", "advice"))
MFA_NOT_MOUNTED = Kind("mfa_not_mounted", "settings", (WARNING,), fields=("routes", "advice"))

# --- hooks ---
EVENT_HOOK_FAILED = Kind("event_hook_failed", "events", (ERROR,), fields=("hook",))

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in tuple(globals().values()) if isinstance(kind, Kind)}
"""Every kind of event by its name."""


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """An event.

    Attributes:
        name: The name of its kind (docs/observability.md).
        labels: The fields by which it is counted, for metrics. They have few values.
        fields: All fields, including labels, as numbers and strings. Durations are in seconds.
    """

    name: str
    labels: Mapping[str, str]
    fields: Mapping[str, Value]

    @property
    def duration(self) -> float:
        """The duration in seconds; 0 if the event has none."""
        seconds = self.fields.get("duration")
        return seconds if isinstance(seconds, float) else 0.0

    def __str__(self) -> str:
        """Return the event's log line."""
        return " ".join([self.name, *(f"{name}={_format_value(value)}" for name, value in self.fields.items())])


Hook = TypeVar("Hook", bound=Callable[[AuthEvent], object])
Hooks = list[Callable[[AuthEvent], object]]


class Tally:
    """The number of occurrences of an event with the same labels. `add` counts one without other fields or a log line.

    An increment calls no function, so no thread switch can interrupt it, and the count is exact under the GIL. The
    verifier increments the count itself, without calling `add`.
    """

    __slots__ = ("count", "event", "hooks", "notify")

    def __init__(self, event: AuthEvent, hooks: Hooks, notify: Callable[[AuthEvent], None]) -> None:
        self.event = event
        self.hooks = hooks
        self.notify = notify
        self.count = 0

    def add(self) -> None:
        """Count one occurrence."""
        self.count += 1
        if self.hooks:
            self.notify(self.event)


class AuthEvents:
    """The events of a `StackAuth`. It counts them since the start, logs them and calls hooks.

    Several event loops and threads may use it concurrently. The counts are exact.

    Example:
        >>> @stack.events.on("token_rejected", "rate_limited")
        ... def alarm(event: AuthEvent) -> None:
        ...     print(event.name, event.labels)

    Attributes:
        tracer: Records spans. None without telemetry.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, dict[tuple[str, ...], Tally]] = {name: {} for name in KINDS}
        self._hooks: dict[str, Hooks] = {name: [] for name in KINDS}
        self._seen: set[str] = set()
        self.tracer: Tracer | None = None

    # --- for the app ---

    def on(self, *names: str) -> Callable[[Hook], Hook]:
        """Register a hook for events with these names, or for all events.

        The library calls the hook directly, often in the task of a request. The hook must be fast and must not block.
        If several event loops run, several threads may call it. The library logs the first exception of a hook, which
        does not affect the request.

        Raises:
            ConfigurationError: There is no event with such a name, or the hook is async, so it would not be awaited.
        """
        if strange := [str(name) for name in names if name not in KINDS]:
            raise ConfigurationError(
                f"events: there is no event {', '.join(strange)}. "
                "Write @events.on() for all events, or @events.on(name, ...)."
            )

        def register(hook: Hook) -> Hook:
            if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
                raise ConfigurationError("events: a hook is a plain function; start a task in it for longer work.")
            for name in dict.fromkeys(names or KINDS):
                self._hooks[name].append(hook)
            return hook

        return register

    def off(self, hook: Callable[[AuthEvent], object]) -> None:
        """Remove a hook."""
        for hooks in self._hooks.values():
            while hook in hooks:
                hooks.remove(hook)

    def counts(self) -> dict[tuple[str, Labels], int]:
        """Return a copy of the counts of all events, by name and labels."""
        with self._lock:
            tallies = [tally for series in self._tallies.values() for tally in series.values()]
        events = ((tally.event, tally.count) for tally in tallies)
        return {(event.name, tuple(sorted(event.labels.items()))): count for event, count in events if count}

    # --- for the library ---

    def emit(
        self, kind: Kind, /, *, level: int | None = None, exc_info: Exception | None = None, **fields: Value
    ) -> None:
        """Count and log an occurrence, and call the hooks.

        Args:
            kind: The kind of event. Its labels must be among the fields.
            level: The level of the log line, if it is not the usual one.
            exc_info: An exception. Its traceback is logged.
            **fields: The values of the event's fields. None is left out.
        """
        values = tuple([value if isinstance(value := fields[name], str) else _text(value) for name in kind.labels])
        tally = self._tallies[kind.name].get(values) or self._tally(kind, values)
        tally.count += 1
        if kind.levels:
            _log(kind, fields, level or kind.levels[0], exc_info)
        if self._hooks[kind.name]:
            self._notify(AuthEvent(kind.name, tally.event.labels, MappingProxyType(_present(fields))))

    def is_first(self, what: str) -> bool:
        """Return whether this is the first call with these arguments, so that a repeated event is logged once.

        Args:
            what: A name chosen by the library. It must not depend on a request, so that the set stays small.
        """
        with self._lock:
            known = what in self._seen
            self._seen.add(what)
        return not known

    def tally(self, kind: Kind, **labels: str) -> Tally:
        """Return a counter for a frequent event that always has these labels and is never logged."""
        return self._tally(kind, tuple([labels[name] for name in kind.labels]))

    def span(self, name: str) -> Span:
        """Return a span with this name. It records nothing unless there is a tracer."""
        return NO_SPAN if self.tracer is None else self.tracer.start(name)

    def mark_rejection(self, error: StackAuthError) -> None:
        """Keep client errors from being recorded as application errors in traces."""
        if self.tracer is not None:
            self.tracer.mark_rejection(error)

    # --- inside ---

    def _tally(self, kind: Kind, values: tuple[str, ...]) -> Tally:
        series = self._tallies[kind.name]
        with self._lock:
            if values not in series and len(series) >= MOST_SERIES:
                values = ("other",) * len(values)
            if values not in series:
                labels = MappingProxyType(dict(zip(kind.labels, values, strict=True)))
                series[values] = Tally(AuthEvent(kind.name, labels, labels), self._hooks[kind.name], self._notify)
            return series[values]

    def _notify(self, event: AuthEvent) -> None:
        for hook in tuple(self._hooks[event.name]):
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - an exception in a hook must not affect the request
                self._tally(EVENT_HOOK_FAILED, ()).count += 1  # `emit` might call the same hook again
                if self.is_first(f"hook {id(hook)}"):
                    name = getattr(hook, "__qualname__", type(hook).__name__)
                    _log(EVENT_HOOK_FAILED, {"hook": name}, ERROR, error)


def get_error_code(error: StackAuthError) -> str:
    """Return an error's code as a label. Codes that this library does not know become `unknown`.

    A redirect from a provider may contain any code, chosen by its sender.
    """
    return "unknown" if isinstance(error, KnownApiError) and error.code not in SERVER_CODES else error.code


def _log(kind: Kind, fields: Mapping[str, Value], level: int, error: Exception | None) -> None:
    """Write the log line `name key=value ...`. The record's `stack_event` and `stack_fields` contain the same data."""
    if not kind.logger.isEnabledFor(level):
        return
    present = _present(fields)
    line = " ".join([kind.name, *(f"{name}=%s" for name in present)])
    values = [_format_value(value) for value in present.values()]
    extra = {"stack_event": kind.name, "stack_fields": present}
    kind.logger.log(level, line, *values, extra=extra, exc_info=error, stacklevel=3)


def _present(fields: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Value) -> str:
    """Return a value as a string for metrics."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format_value(value: Value) -> str:
    """Return a value as a string for a log line: quoted and escaped, unless it is a single word."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _text(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
