"""Sign-ins that wait for a second factor, and the account that their first step named.

Guesses of second factors count for that account, not for each attempt: whoever knows a password can begin as many
attempts as they like. The account is known by a hash, from the storage that the workers share, and from the browser's
flow cookie, which is sealed with the secret key.
"""

import hashlib
import hmac

from fastapi import Request

from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.routers.plumbing import flows
from fastapi_stackauth.runtime.storage import seal

MFA_FLOW = "mfa"
MFA_SECONDS = 900
"""How long an attempt is kept: longer than the auth server does, which can so say that it has expired."""


def account_key(kind: str, *values: str) -> str:
    """Return the hash that stands for an account, such as ``account_key("email", "ada@example.com")``."""
    named = "\n".join((kind, *(value.strip().lower() for value in values)))
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()


async def keep_attempt(
    request: Request, stack: InstalledStack, attempt: str, account: str, *, in_browser: bool
) -> None:
    """Keep the account of an attempt in the storage, and both in the browser if the attempt travels in its cookie."""
    await stack.storage.set(_storage_key(attempt), account, MFA_SECONDS)
    if not in_browser:
        return
    facts = {"attempt": attempt}
    if stack.settings.secret_server_key:
        facts |= {"account": account, "seal": _seal(stack, attempt, account)}
    flows.remember(request, stack, MFA_FLOW, facts, MFA_SECONDS)


async def find_account(stack: InstalledStack, attempt: str) -> str | None:
    """Return the account of an attempt, or None if this worker and the storage do not know it."""
    return await stack.storage.get(_storage_key(attempt))


def recall_attempt(request: Request, stack: InstalledStack) -> tuple[str, str | None]:
    """Return the attempt that this browser keeps, and its account if the seal proves it.

    With a secret key, an attempt without its seal is none: else a guesser would leave out the account.
    """
    facts = flows.recall(request, stack, MFA_FLOW)
    attempt, account = facts.get("attempt", ""), facts.get("account", "")
    if not stack.settings.secret_server_key:
        return attempt, None
    sealed = hmac.compare_digest(facts.get("seal", "").encode(), _seal(stack, attempt, account).encode())
    return (attempt, account) if sealed else ("", None)


def _seal(stack: InstalledStack, attempt: str, account: str) -> str:
    return seal(stack.settings, f"mfa-attempt\n{attempt}\n{account}")


def _storage_key(attempt: str) -> str:
    return "mfa-attempt:" + hashlib.sha256(attempt.encode("utf-8", "replace")).hexdigest()
