"""The emails that the emulator collects instead of sending them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # this needs an extra, but a TokenFactory does not


@dataclass(frozen=True)
class Email:
    """An email. The repr hides the link and the codes.

    Attributes:
        to: The recipient.
        kind: ``sign_in``, ``email_verification``, ``password_reset`` or ``team_invitation``.
        subject: The subject.
        sent_at: The time by the emulator's clock.
        body: The text.
        link: The link in the text.
        code: The code in the link.
        otp: The short code to type, in sign-in emails.
    """

    to: str
    kind: str
    subject: str = field(repr=False)
    sent_at: datetime
    body: str = field(repr=False)
    link: str = field(repr=False)
    code: str = field(repr=False)
    otp: str | None = field(repr=False)


class Outbox:
    """The emails of the project, newest first."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def __iter__(self) -> Iterator[Email]:
        return iter(self.emails())

    def __len__(self) -> int:
        return len(self.emails())

    def emails(self, to: str | None = None, *, kind: str | None = None) -> list[Email]:
        """Return the emails, newest first, optionally only those of a recipient or kind."""
        return [_read(email) for email in self._emulator.emails(to, kind)]

    def latest(self, to: str | None = None, *, kind: str | None = None) -> Email:
        """Return the newest email, optionally only of a recipient or kind.

        Raises:
            LookupError: There is no such email. The message lists the existing ones.
        """
        found = self.emails(to, kind=kind)
        if not found:
            existing = ", ".join(f"{email.kind} to {email.to}" for email in self) or "nothing"
            raise LookupError(f"no such email was sent; the outbox has: {existing}")
        return found[0]

    def clear(self) -> None:
        """Delete the emails."""
        self._emulator.store.emails.clear(self._emulator.project_id)


def _read(email: dict[str, Any]) -> Email:
    names = ("to", "kind", "subject", "body", "link", "code", "otp")
    sent_at = datetime.fromtimestamp(email["sent_at_millis"] / 1000, UTC)
    return Email(sent_at=sent_at, **{name: email[name] for name in names})
