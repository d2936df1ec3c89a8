"""Which addresses a project trusts to return to, and as origins of passkeys.

Law: pure. The rule is the real server's (contract/tokens.md section 9).
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .errors import KnownError

LOCALHOST = re.compile(r"(.+\.)?localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}")
DEFAULT_PORTS = {"http": 80, "https": 443}
MOBILE_SCHEMES = ("stack-auth-mobile-oauth-url", "hexclave-mobile-oauth-url")


def port_of(parts: SplitResult) -> int | None:
    """Return the port of an address, the scheme's own where none is written."""
    return parts.port or DEFAULT_PORTS.get(parts.scheme)


def host_matches(host: str, wanted: str) -> bool:
    """Return whether a host is what a trusted domain names: `*` stands for text without dots, `**` for any text.

    It takes one pass over the host, however many wildcards there are.
    """
    parts = [part for part in re.split(r"(\*\*|\*|[^*])", wanted) if part]
    reached = _past_wildcards(parts, {0})
    for character in host:
        stay = {at for at in reached if at < len(parts) and _spans(parts[at], character)}
        step = {at + 1 for at in reached if at < len(parts) and parts[at] == character != "*"}
        reached = _past_wildcards(parts, stay | step)
    return len(parts) in reached


def _spans(part: str, character: str) -> bool:
    return part == "**" or (part == "*" and character != ".")


def _past_wildcards(parts: list[str], reached: set[int]) -> set[int]:
    """Return these places and those behind the wildcards that begin there: a wildcard may stand for nothing."""
    for at, part in enumerate(parts):
        if at in reached and part in ("*", "**"):
            reached.add(at + 1)
    return reached


def matches(address: SplitResult, domain: str) -> bool:
    """Return whether an address lies in a trusted domain; its path does not matter."""
    trusted = urlsplit(domain)
    if trusted.scheme != address.scheme or port_of(trusted) != port_of(address):
        return False
    return host_matches((address.hostname or "").lower(), (trusted.hostname or "").lower())


def is_trusted(config: Mapping[str, Any], address: str, *, mobile: bool = False) -> bool:
    """Return whether a project trusts an address; `mobile` lets the schemes of native apps through."""
    try:
        parts = urlsplit(address)
        port_of(parts)
    except ValueError:
        return False
    if mobile and parts.scheme in MOBILE_SCHEMES:
        return True
    if not parts.hostname:
        return False
    if config["allow_localhost"] and LOCALHOST.fullmatch(parts.hostname):
        return True
    return any(matches(parts, item["domain"]) for item in config["domains"])


def check_redirect(config: Mapping[str, Any], address: str | None, *, mobile: bool = False) -> None:
    """Refuse an address that the project does not trust; None is fine."""
    if address is not None and not is_trusted(config, address, mobile=mobile):
        raise KnownError("REDIRECT_URL_NOT_WHITELISTED")
