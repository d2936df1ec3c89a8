"""The URLs that a project trusts for redirects and as origins of passkeys.

Law: pure. The rules are those of the real server (contract/tokens.md section 9).
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from .errors import KnownError
from .schema import DOMAIN
from .store.projects import Project

if TYPE_CHECKING:
    from .server import Server

LOCALHOST = re.compile(r"(.+\.)?localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}")
DEFAULT_PORTS = {"http": 80, "https": 443}
MOBILE_SCHEMES = ("stack-auth-mobile-oauth-url", "hexclave-mobile-oauth-url")
HOSTED_PAGES = (".built-with-hexclave.com", ".built-with-stack-auth.com")


def parse_port(parts: SplitResult) -> int | None:
    """Return the port of a URL, by default that of the scheme."""
    return parts.port or DEFAULT_PORTS.get(parts.scheme)


def host_matches(host: str, wanted: str) -> bool:
    """Return whether a host matches a trusted domain: `*` matches text without dots, `**` any text.

    This needs only one pass over the host, regardless of the number of wildcards.
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
    """Return these positions and those after wildcards that start there, because a wildcard may match nothing."""
    for at, part in enumerate(parts):
        if at in reached and part in ("*", "**"):
            reached.add(at + 1)
    return reached


def matches(address: SplitResult, domain: str) -> bool:
    """Return whether a URL is in a trusted domain. Its path does not matter."""
    trusted = DOMAIN.fullmatch(domain)
    if trusted is None or trusted["scheme"].lower() != address.scheme:
        return False
    port = trusted["port"] or DEFAULT_PORTS.get(address.scheme)
    if port != "*" and int(port or 0) != parse_port(address):
        return False
    return host_matches((address.hostname or "").lower(), trusted["host"].lower().strip("[]"))


def trusted_domains(server: "Server", project: Project) -> list[str]:
    """Return the trusted domains of a project: its own, and those of its pages hosted by the vendor."""
    hosted = HOSTED_PAGES if server.profile.trusts_hosted_pages else ()
    return [
        *(item["domain"] for item in project.config["domains"]),
        *(f"https://{project.id.lower()}{suffix}" for suffix in hosted),
    ]


def is_trusted(server: "Server", project: Project, address: str, *, mobile: bool = False) -> bool:
    """Return whether a project trusts a URL. `mobile` also allows the schemes of native apps."""
    try:
        parts = urlsplit(address)
        parse_port(parts)
    except ValueError:
        return False
    if mobile and parts.scheme in MOBILE_SCHEMES:
        return True
    if not parts.hostname or "\\" in address:  # browsers treat it as a slash, so the host would differ
        return False
    if project.config["allow_localhost"] and LOCALHOST.fullmatch(parts.hostname):
        return True
    return any(matches(parts, domain) for domain in trusted_domains(server, project))


def check_redirect(server: "Server", project: Project, address: str | None, *, mobile: bool = False) -> None:
    """Reject a URL that the project does not trust. None is allowed."""
    if address is not None and not is_trusted(server, project, address, mobile=mobile):
        details = {"redirect_url": address} if server.profile.names_rejected_redirect else {}
        raise KnownError("REDIRECT_URL_NOT_WHITELISTED", **details)
