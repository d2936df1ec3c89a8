"""Remove codes, tokens and keys from the log lines of httpx and uvicorn.

Law: the work is linear in the length of a line, because the filter runs on the event loop and clients control what is
logged.
"""

import logging
import re
from collections.abc import Mapping

LOGGERS = ("httpx", "httpx2", "uvicorn.access", "uvicorn.error", "uvicorn.asgi")
REDACTED = "[redacted]"

_SECRETS = (
    "code", "state", "token", "access_token", "refresh_token", "id_token", "nonce", "code_verifier",
    "bot_challenge_token",
)  # fmt: skip
_PLAIN_HEADERS = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length",
        "content-type", "date", "forwarded", "host", "location", "origin", "pragma", "referer", "sec-fetch-dest",
        "sec-fetch-mode", "sec-fetch-site", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key",
        "sec-websocket-version", "server", "traceparent", "transfer-encoding", "upgrade", "user-agent", "vary", "via",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
    }
)  # fmt: skip
"""Headers with values that may be logged. Any other header may contain a credential, because apps choose the header."""
_ARROWS = ("< ", "> ")  # the prefix of the lines that `websockets` logs for a handshake, for uvicorn at DEBUG
_HEADER_LINE = re.compile(r"[<>] ([!#-'*+.^-`|~\w-]+): ?", re.ASCII)
_RUN = re.compile(r"[\w.-]+")
_KEY = re.compile(r"\b(?:(?:stackauth|hexclave)_[\w+/=-]{40,}|(?:[sp]k|[psa][csa]k)_\w{20,})")


class RedactingFilter(logging.Filter):
    """Replaces secrets in a record's message and arguments: query parameters, headers, tokens and keys.

    Args:
        parameters: Query parameters to redact, in addition to those of the auth server and OAuth.
    """

    def __init__(self, parameters: tuple[str, ...] = ()) -> None:
        super().__init__()
        names = "|".join(re.escape(name) for name in (*_SECRETS, *parameters))
        # uvicorn logs the ASGI scope at TRACE, where a quote precedes the first parameter. An address within a
        # parameter, such as `return_to=%2Finvitation%3Fcode%3D...`, has a query of its own.
        pattern = rf"((?:[?&;\"']|%3F|%26)(?:{names})(?:=|%3D))[^&\s#\"']+"
        self.pattern = re.compile(pattern, re.IGNORECASE)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record and let it pass."""
        if record.args and str(record.msg).startswith(_ARROWS):
            _merge(record)
        record.msg = self._redact(record.msg)
        if isinstance(record.args, Mapping):
            record.args = {name: self._redact(argument) for name, argument in record.args.items()}
        elif record.args:
            record.args = tuple(self._redact(argument) for argument in record.args)
        return True

    def same_as(self, other: "RedactingFilter") -> bool:
        """Whether both redact the same parameters."""
        return self.pattern == other.pattern

    def _redact(self, value: object) -> object:
        """Return a value without secrets. Anything except a number is converted to text first, as logging does."""
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        redacted = _redact_header(self.redact_query(text))
        return value if redacted == text else redacted

    def redact_query(self, text: str) -> str:
        """Return a text in which the query strings of URLs contain no secrets."""
        return redact_tokens(self.pattern.sub(rf"\1{REDACTED}", text))


def redact_tokens(text: str) -> str:
    """Return the text without access tokens, SDK bundles and keys, which are recognized by their form."""
    text = _KEY.sub(REDACTED, text)
    return _RUN.sub(_redact_token, text) if "eyJ" in text else text


def _redact_token(run: re.Match[str]) -> str:
    """Cut off a word where the first segment of a JWT begins: with `eyJ`, as every JSON object in base64url."""
    start = run[0].find("eyJ")
    is_token = start >= 0 and "." in run[0][start:]
    return run[0][:start] + REDACTED if is_token else run[0]


def _redact_header(text: str) -> str:
    line = _HEADER_LINE.match(text)
    return text if line is None or line[1].lower() in _PLAIN_HEADERS else line[0] + REDACTED


def _merge(record: logging.LogRecord) -> None:
    """Format a record's message and arguments, because the name and the value of a header are separate arguments."""
    try:
        record.msg = record.getMessage()
    except (TypeError, ValueError):  # `logging` reports the mistake itself
        return
    record.args = None


def install_redaction(parameters: tuple[str, ...] = ()) -> None:
    """Add the filter to the loggers that log URLs and headers, only once for the same parameters."""
    wanted = RedactingFilter(parameters)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(f, RedactingFilter) and f.same_as(wanted) for f in logger.filters):
            logger.addFilter(wanted)
