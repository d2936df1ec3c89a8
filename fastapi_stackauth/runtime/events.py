"""Events: `emit` counts what happens, writes its log line and notifies the app's hooks.

docs/observability.md explains each kind. Labels are few, of few values, so that they fit metrics.
Law: no field holds a token, code, password, key, address or the id of a user; log lines and metrics go to places where
none of them belongs.
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
"""The most combinations of labels that are counted for one kind; further ones are counted together, as `other`."""
_PLAIN = re.compile(r"[\w.:/+-]+", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        name: of the event, and the first word of its log line.
        area: the end of its logger's name, after ``fastapi_stackauth``.
        levels: the levels of its log lines, the usual one first; empty if it is never logged.
        labels: the fields that it is counted by.
        fields: its other fields.
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
)  # a question about a caller that the auth server left open
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
        name: the name of its kind (docs/observability.md).
        labels: the fields that it is counted by, for metrics; they have few values.
        fields: all fields, labels included, as numbers and texts. Durations are in seconds.
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
        """The event as its log line shows it."""
        return " ".join([self.name, *(f"{name}={_format_value(value)}" for name, value in self.fields.items())])


Hook = TypeVar("Hook", bound=Callable[[AuthEvent], object])
Hooks = list[Callable[[AuthEvent], object]]


class Tally:
    """How often an event happened with the same labels. `add` counts one that has no other fields and no log line.

    An increment calls nothing, so no thread switch falls into it: it is exact under the GIL. The verifier does what
    `add` does without the call.
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
    """The events of one `StackAuth`: counted since its start, logged, and passed to hooks.

    Several event loops and threads may use it at once; counts are exact.

    Example:
        >>> @stack.events.on("token_rejected", "rate_limited")
        ... def alarm(event: AuthEvent) -> None:
        ...     print(event.name, event.labels)

    Attributes:
        tracer: records spans; None without telemetry.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, dict[tuple[str, ...], Tally]] = {name: {} for name in KINDS}
        self._hooks: dict[str, Hooks] = {name: [] for name in KINDS}
        self._seen: set[str] = set()
        self.tracer: Tracer | None = None

    # --- for the app ---

    def on(self, *names: str) -> Callable[[Hook], Hook]:
        """Register a hook for events of these names; without names, for all.

        The library calls it at once, in the task of the request or in one of its own. So it must be quick, must not
        block, and may be called from several threads if several loops run. An exception is logged the first time and
        affects no request.

        Raises:
            ConfigurationError: there is no event of such a name, or the hook is async and would not be awaited.
        """
        if strange := [str(name) for name in names if name not in KINDS]:
            raise ConfigurationError(
                f"events: there is no event {', '.join(strange)}. "
                "Write @events.on() for all events, or @events.on(name, ...)."
            )

        def register(hook: Hook) -> Hook:
            if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
                raise ConfigurationError("events: a hook is a plain function; start a task in it for what must wait.")
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
        """Return how often each event has happened, by its name and its labels, sorted by theirs. A copy."""
        with self._lock:
            tallies = [tally for series in self._tallies.values() for tally in series.values()]
        events = ((tally.event, tally.count) for tally in tallies)
        return {(event.name, tuple(sorted(event.labels.items()))): count for event, count in events if count}

    # --- for the library ---

    def emit(
        self, kind: Kind, /, *, level: int | None = None, exc_info: Exception | None = None, **fields: Value
    ) -> None:
        """Count, log and pass on one occurrence.

        Args:
            kind: what happened; its labels must be among the fields.
            level: of the log line, if not the usual one.
            exc_info: an exception whose traceback is logged.
            **fields: the facts; None is left out.
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
            what: a name that the library makes; nothing of a request, so that the set stays small.
        """
        with self._lock:
            known = what in self._seen
            self._seen.add(what)
        return not known

    def tally(self, kind: Kind, **labels: str) -> Tally:
        """Prepare to count an event that happens on every request, always with these labels, and is never logged."""
        return self._tally(kind, tuple([labels[name] for name in kind.labels]))

    def span(self, name: str) -> Span:
        """Return a span of this name; it records nothing unless there is a tracer."""
        return NO_SPAN if self.tracer is None else self.tracer.start(name)

    def mark_rejection(self, error: StackAuthError) -> None:
        """Keep an error that is about to be raised from counting as the app's in a trace, if it is the caller's."""
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
            except Exception as error:  # noqa: BLE001 - an exception of a hook must not affect the request
                self._tally(EVENT_HOOK_FAILED, ()).count += 1  # counted alone: the same hook might hear of it
                if self.is_first(f"hook {id(hook)}"):
                    name = getattr(hook, "__qualname__", type(hook).__name__)
                    _log(EVENT_HOOK_FAILED, {"hook": name}, ERROR, error)


def get_error_code(error: StackAuthError) -> str:
    """Return an error's code as a label. Codes of the auth server that this library does not know are `unknown`.

    A redirect from a provider may carry any code that its sender makes up.
    """
    return "unknown" if isinstance(error, KnownApiError) and error.code not in SERVER_CODES else error.code


def _log(kind: Kind, fields: Mapping[str, Value], level: int, error: Exception | None) -> None:
    """Write the line: `name key=value ...`, with the same in the record's `stack_event` and `stack_fields`."""
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
    """A value as metrics write it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format_value(value: Value) -> str:
    """A value as a log line shows it: quoted and escaped if it is more than a word, so that lines stay lines."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _text(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
