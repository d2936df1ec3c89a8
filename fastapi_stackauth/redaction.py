"""Keeps codes and tokens in URLs out of log lines that other libraries write: httpx's, and uvicorn's access log."""

import logging
import re

LOGGERS = ("httpx", "uvicorn.access", "uvicorn.error")
_SECRETS = (
    "code", "state", "token", "access_token", "refresh_token", "id_token", "nonce", "code_verifier",
    "bot_challenge_token",
)  # fmt: skip


class RedactingFilter(logging.Filter):
    """Replaces the values of query parameters that carry secrets, in a record's message and arguments.

    Args:
        parameters: more names, beside those that the auth server and OAuth use.
    """

    def __init__(self, parameters: tuple[str, ...] = ()) -> None:
        super().__init__()
        names = "|".join(re.escape(name) for name in (*_SECRETS, *parameters))
        self._pattern = re.compile(rf"([?&](?:{names})=)[^&\s#\"']+", re.IGNORECASE)
        self._tokens = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")  # uvicorn at DEBUG logs the headers of WebSockets

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes, redacted."""
        record.msg = self._redact(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(self._redact(argument) for argument in record.args)
        return True

    def same_as(self, other: "RedactingFilter") -> bool:
        """Whether both redact the same parameters."""
        return self._pattern == other._pattern  # noqa: SLF001 - another of this class

    def _redact(self, value: object) -> object:
        """The value without secrets; whatever is no number is looked at as the text it would be logged as."""
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        redacted = self._tokens.sub("[redacted]", self._pattern.sub(r"\1[redacted]", text))
        return value if redacted == text else redacted


def install_redaction(parameters: tuple[str, ...] = ()) -> None:
    """Put the filter on the loggers that write URLs; once for the same parameters, however often it is called."""
    wanted = RedactingFilter(parameters)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(f, RedactingFilter) and f.same_as(wanted) for f in logger.filters):
            logger.addFilter(wanted)
