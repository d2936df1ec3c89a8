"""Check that a webhook message is recent and from the auth server: Standard Webhooks (contract/webhooks.md). Pure."""

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
"""The maximum difference between the time of a message and the clock."""
_PREFIXES = ("svix", "webhook")
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)  # without the dot that separates it from the timestamp
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_SIGNATURES = 20


@dataclass(frozen=True)
class Envelope:
    """The headers of a message: its id, its time and its signatures.

    Attributes:
        message_id: The id of the message, which is the same for each delivery attempt.
        timestamp: The Unix time of this attempt in seconds, as the text that was signed.
        signatures: The signatures. There are several while a secret is being rotated.
    """

    message_id: str
    timestamp: str
    signatures: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, headers: Headers) -> "Envelope":
        """Read the envelope from the ``svix-*`` headers, or from ``webhook-*`` if those are missing.

        Raises:
            WebhookInvalid: A header is missing, repeated or malformed.
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
        """The time of this delivery attempt."""
        return datetime.fromtimestamp(int(self.timestamp), UTC)

    def check_age(self, now: float) -> None:
        """Check that the message is recent.

        Raises:
            WebhookInvalid: It is too old, or too far ahead of the clock.
        """
        if abs(now - int(self.timestamp)) > WINDOW_SECONDS:
            raise WebhookInvalid("sent too long ago, or the clocks disagree")

    def check_signature(self, body: bytes, keys: Sequence[bytes]) -> bytes:
        """Return the key that signed this body, id and time.

        Raises:
            WebhookInvalid: None of the keys did.
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
