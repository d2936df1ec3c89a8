"""The mails that the emulator would have sent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # needs an extra, which a TokenFactory alone does without


@dataclass(frozen=True)
class Mail:
    """One mail. The repr shows neither link nor code.

    Attributes:
        to: the recipient.
        kind: ``sign_in``, ``email_verification``, ``password_reset`` or ``team_invitation``.
        subject: its subject.
        sent_at: when, by the emulator's clock.
        body: its text.
        link: the link it leads to.
        code: the code in the link.
        otp: the short code to type, in sign-in mails.
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
    """The mails of the project, newest first."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    def __iter__(self) -> Iterator[Mail]:
        return iter(self.mails())

    def __len__(self) -> int:
        return len(self.mails())

    def mails(self, to: str | None = None, *, kind: str | None = None) -> list[Mail]:
        """The mails, newest first, perhaps of one recipient or kind."""
        return [_read(mail) for mail in self._emulator.mails(to, kind)]

    def latest(self, to: str | None = None, *, kind: str | None = None) -> Mail:
        """The newest mail, perhaps of one recipient or kind.

        Raises:
            LookupError: there is none; it says which there are.
        """
        found = self.mails(to, kind=kind)
        if not found:
            there = ", ".join(f"{mail.kind} to {mail.to}" for mail in self) or "none at all"
            raise LookupError(f"no such mail was sent; in the outbox: {there}")
        return found[0]

    def clear(self) -> None:
        """Throw the mails away."""
        self._emulator.store.mails.clear(self._emulator.project_id)


def _read(mail: dict[str, Any]) -> Mail:
    names = ("to", "kind", "subject", "body", "link", "code", "otp")
    sent_at = datetime.fromtimestamp(mail["sent_at_millis"] / 1000, UTC)
    return Mail(sent_at=sent_at, **{name: mail[name] for name in names})
