"""`doctor`'s checks of the settings. Pure, with a small function for each possible mistake."""

import difflib
import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from fastapi_stackauth.cli.facts import Facts
from fastapi_stackauth.cli.report import Finding, error, note, ok, plain, warning
from fastapi_stackauth.client.caller import is_sendable
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.sessions.cookies import CookiePolicy
from fastapi_stackauth.settings import Settings, documented_name, environment_names

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _variables(facts: Facts) -> Iterator[Finding]:
    for names in facts.at_odds.values():
        message = f"{' and '.join(names)} have different values; the app uses {names[0]}."
        yield warning("variables_conflict", message, f"Keep one of them: unset {', '.join(names[1:])}.")
    known = [name for field in Settings.model_fields for name in environment_names(field)]
    for name in facts.unread:
        prefix, _, field = name.lower().partition("_")
        names = environment_names(field) if field in Settings.model_fields else ()
        meant = [each for each in names if each.startswith(prefix.upper())]
        if meant := meant or difflib.get_close_matches(name, known, 1, 0.85):
            yield warning(
                "variable_unknown", f"{name} is set, but no setting has this name.", f"Did you mean {meant[0]}?"
            )


def _project_id(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if not settings.project_id:
        advice = "Set STACK_PROJECT_ID (or HEXCLAVE_PROJECT_ID) to the id that the auth server's dashboard shows."
        yield error("project_id_missing", "No project id is set.", advice)
    elif not (is_sendable(settings.project_id) and is_sendable(settings.branch_id)):
        message = "The project id or branch id contains a character that no id has, such as a space."
        yield error("project_id_form", message, "Copy STACK_PROJECT_ID from the auth server's dashboard.")
    elif settings.project_id != "internal" and not _UUID.fullmatch(settings.project_id):
        message = f"The project id {plain(settings.project_id)} is not a UUID, unlike the ids of the auth server."
        yield warning("project_id_form", message, "Copy STACK_PROJECT_ID from the auth server's dashboard.")


def _key_forms(facts: Facts) -> Iterator[Finding]:
    for field in ("publishable_client_key", "secret_server_key"):
        key: SecretStr | None = getattr(facts.settings, field)
        secret, name = key.get_secret_value() if key else "", documented_name(field)
        if secret and not is_sendable(secret):
            message = f"{name} contains a character that no key has, such as a space or a line break."
            yield error("key_unsendable", message, "Copy the key again, without quotation marks.")


def _address(facts: Facts) -> Iterator[Finding]:
    url = facts.settings.base_url
    parts = urlsplit(url)
    if parts.hostname in ("app.stack-auth.com", "app.hexclave.com"):
        right = f"https://{parts.hostname.replace('app.', 'api.')}"
        message = f"{url} is the dashboard, not the API."
        yield error("address_is_dashboard", message, f"Set STACK_API_URL to {right}, or unset it.")
    elif parts.scheme == "http" and not is_inner(parts.hostname or ""):
        message = f"{url} is plain http: keys, tokens and passwords are not encrypted."
        yield warning("address_not_encrypted", message, "Set STACK_API_URL to the https URL.")


def is_inner(host: str) -> bool:
    """Whether a host is this machine or in a private network, judged by its name."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".internal", ".local", ".lan", ".svc"))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    return host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")


def _cookies(facts: Facts) -> Iterator[Finding]:
    settings, app_url = facts.settings, facts.settings.app_url
    if app_url is None:
        message = "app_url is not set: cookie sessions, OAuth, email links and passkeys do not work."
        yield note("app_url_missing", message, "Set STACK_APP_URL to this app's public origin, if you need them.")
        return
    host = urlsplit(app_url).hostname or ""
    try:
        policy = CookiePolicy.of(settings)
    except ConfigurationError:
        message = f"{app_url} is plain http: browsers store no Secure cookies there, so users cannot stay signed in."
        yield error("cookies_impossible", message, "Serve the app over https, and set STACK_APP_URL to the https URL.")
        return
    domain = (settings.cookie_domain or "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        message = f"The cookie domain {domain} does not cover {host}: browsers reject such cookies."
        yield error("cookie_domain_foreign", message, "Set STACK_COOKIE_DOMAIN to a parent of app_url's host.")
    elif domain and "." not in domain:
        message = f"The cookie domain {domain} has one label: browsers reject such cookies."
        yield error("cookie_domain_foreign", message, "Unset STACK_COOKIE_DOMAIN.")
    elif settings.insecure_cookies:
        message = "insecure_cookies is set, so cookies are not Secure. Use it only in development."
        yield note("cookies_insecure", message, "Unset STACK_INSECURE_COOKIES in production.")
    else:
        yield ok("cookies_fit", f"The cookies work at {app_url}; their names start with {policy.prefix}.")
    if _is_address(host):
        message = f"app_url has the IP address {host}, for which browsers allow no passkeys."
        target = app_url.replace("127.0.0.1", "localhost") if settings.app_url_is_loopback else "a host name"
        yield note("app_url_is_address", message, f"Set STACK_APP_URL to {target} if you want passkeys.")


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _other_origins(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    own = urlsplit(settings.app_url or "")
    for origin in settings.trusted_origins if settings.app_url else ():
        other = urlsplit(origin)
        if other.scheme != own.scheme or _site(other.hostname or "") != _site(own.hostname or ""):
            message = (
                f"{plain(origin)} is trusted, but seems to be another site than {settings.app_url}: browsers send "
            )
            message += "no SameSite=Lax cookies from there."
            advice = 'Use a sub-domain of one site, or delivery="body" and bearer tokens for that front end.'
            yield warning("trusted_origin_other_site", message, advice)


def _site(host: str) -> str:
    """Return the last two labels, a guess of the registrable domain, or an IP address or a single label unchanged."""
    return host if _is_address(host) else ".".join(host.rsplit(".", 2)[-2:])


SETTINGS = (_variables, _project_id, _key_forms, _address)
COOKIES = (_cookies, _other_origins)
