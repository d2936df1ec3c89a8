"""Checks that a webhook message is from the auth server and fresh: Standard Webhooks (contract/webhooks.md). Pure."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.datastructures import Headers

from fastapi_stackauth.errors import WebhookInvalid

WINDOW_SECONDS = 300
"""The most that the time of a message may differ from the clock."""
_PREFIXES = ("svix", "webhook")
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)  # without the dot that separates it from the timestamp
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_SIGNATURES = 20


@dataclass(frozen=True)
class Envelope:
    """The headers of a message: which, when, and what proves it.

    Attributes:
        message_id: the same at each attempt to deliver the message.
        timestamp: when this attempt was made, in seconds of unix time, as it was written and signed.
        signatures: several while a secret is replaced.
    """

    message_id: str
    timestamp: str
    signatures: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, headers: Headers) -> "Envelope":
        """Read the envelope from the ``svix-*`` headers, or from ``webhook-*`` if those are missing.

        Raises:
            WebhookInvalid: a header is missing, repeated or malformed.
        """
        prefix = next((prefix for prefix in _PREFIXES if f"{prefix}-id" in headers), None)
        if prefix is None:
            raise WebhookInvalid("no svix-id and no webhook-id header")
        message_id, timestamp, signature = (
            _one(headers, f"{prefix}-{name}") for name in ("id", "timestamp", "signature")
        )
        if not _ID.fullmatch(message_id) or not _SECONDS.fullmatch(timestamp):
            raise WebhookInvalid("a header of another form")
        versioned = (each.partition(",") for each in signature.split(" ")[:_MAX_SIGNATURES])
        signatures = tuple(value.encode() for version, _, value in versioned if version == "v1" and value)
        return cls(message_id, timestamp, signatures)

    @property
    def at(self) -> datetime:
        """When this attempt was made."""
        return datetime.fromtimestamp(int(self.timestamp), UTC)

    def check_age(self, now: float) -> None:
        """Check that the message is recent.

        Raises:
            WebhookInvalid: it is older than the window, or further ahead of the clock.
        """
        if abs(now - int(self.timestamp)) > WINDOW_SECONDS:
            raise WebhookInvalid("sent too long ago, or the clocks disagree")

    def check_signature(self, body: bytes, keys: Sequence[bytes]) -> bytes:
        """The key that signed this very body, id and time.

        Raises:
            WebhookInvalid: none did.
        """
        signed = f"{self.message_id}.{self.timestamp}.".encode() + body
        for key in keys:
            expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
            if any(hmac.compare_digest(expected, signature) for signature in self.signatures):
                return key
        raise WebhookInvalid("no signature fits")


def _one(headers: Headers, name: str) -> str:
    values = headers.getlist(name)
    if len(values) != 1:
        raise WebhookInvalid(f"{name} is missing or doubled")
    return values[0]
