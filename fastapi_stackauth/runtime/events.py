"""What happens, said once: `emit` counts an event, writes its log line, and tells it to whoever listens.

The kinds declared here are all there are; docs/observability.md explains each. Labels are few, of few values, so that
they fit metrics. No field holds a token, code, password, key, address or the id of a user: log lines and metrics go to
places where none of them belongs, and an app that wants to know who, knows it from its own request.
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

Value = str | int | float | bool | None
Labels = tuple[tuple[str, str], ...]

MOST_SERIES = 500
"""How many combinations of labels are counted for one kind; further ones are counted together, as `other`."""
OTHER = "other"
_PLAIN = re.compile(r"[\w.:/+-]+", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """A kind of event, as it is declared.

    Attributes:
        name: of the event, and the first word of its log line.
        area: the end of its logger's name, after ``fastapi_stackauth``.
        levels: that it is logged at, the usual one first; empty for one that is counted and told, and never logged.
        labels: the fields that it is counted by.
        fields: what else it may tell.
    """

    name: str
    area: str = ""
    levels: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @cached_property
    def logger(self) -> logging.Logger:
        """Where it is logged."""
        return logging.getLogger(f"fastapi_stackauth.{self.area}".rstrip("."))


# --- who is calling ---
TOKEN_VERIFIED = Kind("token_verified", "verifier", labels=("cache", "source"))
TOKEN_REFUSED = Kind("token_refused", "verifier", (INFO,), labels=("code",), fields=("reason",))
CREDENTIALS_REFUSED = Kind("credentials_refused", "identity", (INFO,), labels=("code",), fields=("reason",))
API_KEY_VERIFIED = Kind("api_key_verified", "api_keys", labels=("cache", "owner"))
API_KEY_REFUSED = Kind("api_key_refused", "api_keys", (INFO,), labels=("owner",), fields=("reason",))
CLOCK_SKEW = Kind("clock_skew", "sessions", (ERROR,), fields=("seconds",))
ERROR_ANSWERED = Kind(
    "error_answered", "", (INFO, DEBUG, WARNING, ERROR), labels=("status", "code"), fields=("detail", "instance")
)

# --- sessions and signing in ---
SIGN_IN_SUCCEEDED = Kind("sign_in_succeeded", "routers", (INFO,), labels=("method", "new_user"))
SIGN_IN_FAILED = Kind("sign_in_failed", "routers", (INFO,), labels=("method", "code"))
SECOND_FACTOR_ASKED = Kind("second_factor_asked", "routers", (INFO,), labels=("method",))
RATE_LIMITED = Kind("rate_limited", "limits", (INFO,), labels=("action", "by"), fields=("retry_after",))
MAIL_NOT_SENT = Kind("mail_not_sent", "routers", (INFO, ERROR), labels=("code",), fields=("detail",))
SESSION_RENEWED = Kind("session_renewed", "sessions", (DEBUG,), labels=("delivery",))
SESSION_RENEWAL_FAILED = Kind("session_renewal_failed", "sessions", (WARNING,), labels=("delivery", "code"))
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
FALLBACK_ASKED = Kind("fallback_asked", "fallback", (DEBUG,), labels=("outcome",), fields=("duration",))
QUESTION_FAILED = Kind(
    "question_failed", "fallback", (WARNING, ERROR), labels=("about", "code"), fields=("detail",)
)  # a question about a caller that the auth server left open
HEALTH_WITHOUT_KEYS = Kind("health_without_keys", "health", (INFO,))
WEBHOOK_HANDLED = Kind("webhook_handled", "webhooks", (INFO,), labels=("type",))
WEBHOOK_FAILED = Kind("webhook_failed", "webhooks", (WARNING,), labels=("type",))
WEBHOOK_REFUSED = Kind("webhook_refused", "webhooks", (WARNING,), fields=("reason",))
WEBHOOK_NOT_SHARED = Kind("webhook_not_shared", "webhooks", (WARNING,))

# --- the other workers ---
REVOCATION_ADDED = Kind("revocation_added", "revocation", (INFO,), labels=("of",))
REVOCATIONS_TOLD = Kind("revocations_told", "revocation", (INFO,), fields=("attempts",))
REVOCATIONS_UNTOLD = Kind("revocations_untold", "revocation", (WARNING,), fields=("count",))
REVOCATIONS_LINKED = Kind("revocations_linked", "revocation", (INFO,))
REVOCATIONS_LINK_LOST = Kind("revocations_link_lost", "revocation", (WARNING,))
REVOCATIONS_LINK_FAILED = Kind("revocations_link_failed", "revocation", (DEBUG, ERROR), labels=("reason",))
STORAGE_UNAVAILABLE = Kind("storage_unavailable", "storage", (WARNING,), labels=("operation", "reason"))
RATE_LIMITS_LOCAL = Kind("rate_limits_local", "limits", (WARNING,), labels=("reason",))

# --- the set-up ---
VARIABLES_AT_ODDS = Kind("variables_at_odds", "settings", (WARNING,), fields=("used", "ignored"))
COOKIES_ON_OTHER_HOST = Kind("cookies_on_other_host", "sessions", (WARNING,), fields=("seen", "app_url", "advice"))
SETTING_MISSING = Kind(
    "setting_missing", "settings", (ERROR,), labels=("setting",), fields=("variable", "routes", "advice")
)

# --- those who listen ---
EVENT_HOOK_FAILED = Kind("event_hook_failed", "events", (ERROR,), fields=("hook",))

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in tuple(globals().values()) if isinstance(kind, Kind)}
"""Every kind of event by its name."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        name: which kind it is, as docs/observability.md lists them.
        labels: what it is counted by, for metrics; few values, whatever callers send.
        fields: all that it tells, its labels included, as numbers and texts. Durations are in seconds.
    """

    name: str
    labels: Mapping[str, str]
    fields: Mapping[str, Value]

    @property
    def duration(self) -> float:
        """Seconds that it took; 0 for what takes none."""
        seconds = self.fields.get("duration")
        return seconds if isinstance(seconds, float) else 0.0

    def __str__(self) -> str:
        """As its log line says it."""
        return " ".join([self.name, *(f"{name}={_shown(value)}" for name, value in self.fields.items())])


Hook = TypeVar("Hook", bound=Callable[[Event], object])


class Tally:
    """An event that is always the same, prepared for where it happens on every request: `add` costs an increment.

    The increment calls nothing, so no thread switch falls into it: it is exact under the GIL.
    """

    __slots__ = ("_event", "_hooks", "_tell", "count")

    def __init__(self, event: Event, hooks: list[Callable[[Event], object]], tell: Callable[[Event], None]) -> None:
        self._event = event
        self._hooks = hooks
        self._tell = tell
        self.count = 0

    def add(self) -> None:
        """It happened."""
        self.count += 1
        if self._hooks:
            self._tell(self._event)


class Events:
    """What happens in one `StackAuth`: counted since its start, logged, and told to its hooks.

    It may be used from several event loops and threads at once, and loses no count.

    Example:
        >>> @stack.events.on("token_refused", "rate_limited")
        ... def alarm(event: Event) -> None:
        ...     print(event.name, event.labels)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        self._tallies: list[tuple[Kind, Tally]] = []
        self._hooks: dict[str, list[Callable[[Event], object]]] = {name: [] for name in KINDS}
        self._failed_hooks: set[int] = set()
        self._seen: set[str] = set()

    # --- for the app ---

    def on(self, *names: str) -> Callable[[Hook], Hook]:
        """Register a hook for events of these names; for all without any.

        It is called at once, where the event happens: in the request's own task and context, or in a task of the
        library's. So it must be quick, must not block, and may be called from several threads where several loops run.
        Where it raises, that is logged the first time and harms nobody.

        Raises:
            ConfigurationError: there is no event of such a name, or the hook is async: nobody would await it.
        """
        if strange := [str(name) for name in names if name not in KINDS]:
            raise ConfigurationError(
                f"events: there is no {', '.join(strange)}: @events.on() or @events.on(name, ...)."
            )

        def register(hook: Hook) -> Hook:
            if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
                raise ConfigurationError("events: a hook is a plain function; start a task in it for what must wait.")
            for name in dict.fromkeys(names or KINDS):
                self._hooks[name].append(hook)
            return hook

        return register

    def off(self, hook: Callable[[Event], object]) -> None:
        """Call a hook no more."""
        for hooks in self._hooks.values():
            while hook in hooks:
                hooks.remove(hook)

    def counts(self) -> dict[tuple[str, Labels], int]:
        """How often what has happened so far: by an event's name and its labels, sorted by theirs. A copy."""
        with self._lock:
            found = [(KINDS[name], values, n) for name, series in self._counts.items() for values, n in series.items()]
        found += [(kind, tuple(tally._event.labels.values()), tally.count) for kind, tally in self._tallies]  # noqa: SLF001 - of this file
        totals: dict[tuple[str, Labels], int] = {}
        for kind, values, count in found:
            if count:
                key = kind.name, tuple(sorted(zip(kind.labels, values, strict=True)))
                totals[key] = totals.get(key, 0) + count
        return totals

    # --- for the library ---

    def emit(self, kind: Kind, *, level: int | None = None, exc_info: Exception | None = None, **fields: Value) -> None:
        """Something happened.

        Args:
            kind: what; its labels must be among the fields.
            level: where it is not the usual one.
            exc_info: an exception whose traceback belongs into the log.
            **fields: what is to be told of it; None is left out.
        """
        values = self._count(kind, fields)
        if kind.levels:
            _log(kind, fields, level or kind.levels[0], exc_info)
        if self._hooks[kind.name]:
            self._tell(_event(kind, values, fields))

    def is_first(self, what: str) -> bool:
        """Return whether this is asked for the first time, so that what repeats with each request is logged once.

        Args:
            what: a name that the library makes; nothing of a request, so that the set stays small.
        """
        with self._lock:
            known = what in self._seen
            self._seen.add(what)
        return not known

    def tally(self, kind: Kind, **fields: str) -> Tally:
        """An event that is always the same, prepared; it is never logged."""
        event = _event(kind, tuple([fields[name] for name in kind.labels]), fields)
        tally = Tally(event, self._hooks[kind.name], self._tell)
        self._tallies.append((kind, tally))
        return tally

    # --- inside ---

    def _count(self, kind: Kind, fields: Mapping[str, Value]) -> tuple[str, ...]:
        """Count one; the values of the labels that it was counted by."""
        values = tuple([_text(fields[name]) for name in kind.labels])
        with self._lock:
            series = self._counts.setdefault(kind.name, {})
            if values not in series and len(series) >= MOST_SERIES:
                values = (OTHER,) * len(values)
            series[values] = series.get(values, 0) + 1
        return values

    def _tell(self, event: Event) -> None:
        for hook in tuple(self._hooks[event.name]):
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - whatever a hook does, the request goes on
                self._hook_failed(hook, error)

    def _hook_failed(self, hook: Callable[[Event], object], error: Exception) -> None:
        """Count it, and log it the first time; it is not told, since the same hook might hear it."""
        self._count(EVENT_HOOK_FAILED, {})
        if id(hook) not in self._failed_hooks:
            self._failed_hooks.add(id(hook))
            name = getattr(hook, "__qualname__", type(hook).__name__)
            _log(EVENT_HOOK_FAILED, {"hook": name}, ERROR, error)


def code_of(error: StackAuthError) -> str:
    """An error's code, as a label. Codes of the auth server that this library does not know are `unknown`.

    In a redirect from a provider, anybody can make some up.
    """
    return "unknown" if isinstance(error, KnownApiError) and error.code not in SERVER_CODES else error.code


def _event(kind: Kind, values: tuple[str, ...], fields: Mapping[str, Value]) -> Event:
    labels = dict(zip(kind.labels, values, strict=True))
    return Event(kind.name, MappingProxyType(labels), MappingProxyType(_present(fields)))


def _log(kind: Kind, fields: Mapping[str, Value], level: int, error: Exception | None) -> None:
    """Write the line: `name key=value ...`, with the same in the record's `stack_event` and `stack_fields`."""
    if not kind.logger.isEnabledFor(level):
        return
    present = _present(fields)
    line = " ".join([kind.name, *(f"{name}=%s" for name in present)])
    values = [_shown(value) for value in present.values()]
    extra = {"stack_event": kind.name, "stack_fields": present}
    kind.logger.log(level, line, *values, extra=extra, exc_info=error, stacklevel=3)


def _present(fields: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Value) -> str:
    """A value as metrics write it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Value) -> str:
    """A value as a log line shows it: quoted and escaped where it is more than a word, so that lines stay lines."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _text(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
