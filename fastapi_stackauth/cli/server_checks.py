"""`doctor`'s judgement of what the auth server, and Redis, answered. Pure; facts in, findings out."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from fastapi_stackauth.cli.facts import Facts, NoResponse, Outcome, find_project
from fastapi_stackauth.cli.report import Finding, error, note, ok, plain, warning
from fastapi_stackauth.cli.settings_checks import is_inner, is_loopback
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.models.account import ProjectConfig
from fastapi_stackauth.settings import to_origin
from fastapi_stackauth.verification.keys import read_key_set

_SAME_TIME = 2.0  # seconds: servers write the Date header ahead, once a second
_PUBLISHABLE_KEY_CODES = ("PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT", "CLIENT_AUTHENTICATION_REQUIRED")
_NO_PROJECT = ("CURRENT_PROJECT_NOT_FOUND", "PROJECT_NOT_FOUND")
_KEY_REFUSED = "The server does not take the {} key: it belongs to another project, or was revoked."


def is_auth_server(outcome: Outcome) -> bool:
    """Return whether the auth server answered: it names each exchange, or uses its own codes."""
    return isinstance(outcome, ApiResponse) and bool(
        outcome.request_id or outcome.known_error or (outcome.status == 200 and find_project(outcome))
    )


def check_reachability(facts: Facts) -> Iterator[Finding]:
    """Check whether the auth server answers, and is one."""
    url, outcome = facts.settings.base_url, facts.client
    if isinstance(outcome, NoResponse):
        yield from _not_reached(facts, outcome)
    elif 300 <= outcome.status < 400:
        target = plain(outcome.headers.get("location", "another address"))
        advice = "Set STACK_API_URL to where it leads: redirects are not followed, for keys would follow them."
        yield error("server_redirects", f"{url} redirects to {target}.", advice)
    elif outcome.status == 429:
        yield warning("server_limits", f"{url} asks for a pause (429).", "Wait a minute and try again.")
    elif outcome.status >= 500:
        message = f"{url} answers {outcome.status}."
        yield error("server_fails", message, "See the auth server's log, and the proxy's before it.")
    elif not is_auth_server(outcome):
        message = f"{url} answers {outcome.status}, but not as the auth server does."
        advice = "Set STACK_API_URL to the auth server's own address, without /api/v1 and another app's path."
        yield error("server_not_stack_auth", message, advice)
    else:
        yield ok("server_reached", f"The auth server answers at {url}.")


def _not_reached(facts: Facts, outcome: NoResponse) -> Iterator[Finding]:
    if outcome.cause != "unsent":  # else the setting has its own finding
        url = facts.settings.base_url
        detail = f" ({plain(outcome.detail)})" if outcome.detail else ""
        code, message, advice = _NOT_REACHED.get(outcome.cause, _NOT_REACHED["broken"])
        yield error(code, message.format(url=url, host=urlsplit(url).hostname, detail=detail), advice)
    if facts.by_proxy and outcome.cause not in ("unsent", "proxy", "authorities"):
        message = "What fails may be the proxy: the environment has this address asked for through one."
        advice = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the auth server in NO_PROXY."
        yield note("server_by_proxy", message, advice)


_NOT_REACHED = {
    "name": (
        "server_name_unknown",
        "The name {host} does not resolve.",
        "Check STACK_API_URL for a slip, and this machine's DNS.",
    ),
    "refused": (
        "server_refuses_connection",
        "Nothing listens at {url}.",
        "Start the auth server, or correct the port in STACK_API_URL.",
    ),
    "tls": (
        "server_tls",
        "The TLS connection to {url} failed{detail}.",
        "Renew its certificate, or let this machine trust its authority (SSL_CERT_FILE).",
    ),
    "plain_http": (
        "server_speaks_http",
        "{url} speaks http, not https.",
        "Set STACK_API_URL to http://, or to the port that speaks https.",
    ),
    "proxy": (
        "proxy_unusable",
        "A proxy that the environment names cannot be used, so the app cannot ask the auth server.",
        "Correct HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; a SOCKS proxy needs pip install 'httpx[socks]'.",
    ),
    "authorities": (
        "authorities_unreadable",
        "The trusted certificates that the environment names cannot be read, so nothing can be asked by https.",
        "Correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them.",
    ),
    "timeout": (
        "server_timeout",
        "{url} does not answer in time.",
        "Check that a firewall lets this machine through, and how the server is doing.",
    ),
    "broken": (
        "server_breaks_off",
        "{url} broke the connection off{detail}.",
        "Check that the port speaks HTTP.",
    ),
}


def _clock(facts: Facts) -> Iterator[Finding]:
    skew, leeway = facts.skew, facts.settings.leeway
    if skew is None:
        return
    if abs(skew) <= _SAME_TIME:
        yield ok("clock_right", "This machine's clock agrees with the server's.")
        return
    side = "behind" if skew > 0 else "ahead of"
    effect = "fresh tokens are not valid yet" if skew > 0 else "tokens expire early"
    message = f"This machine's clock is {abs(skew):.0f} s {side} the server's: {effect}."
    if abs(skew) <= leeway:
        yield note("clock_near", f"{message[:-1]}, within the {leeway:g} s of leeway.", "Let NTP set the clock.")
    else:
        advice = "Let NTP set the clock that is wrong; STACK_LEEWAY forgives 60 s at most."
        yield error("clock_wrong", message, advice)


def _project(facts: Facts) -> Iterator[Finding]:
    settings, outcome = facts.settings, facts.client
    if not settings.project_id or not isinstance(outcome, ApiResponse):
        return
    code = outcome.known_error
    if outcome.status == 200 and (found := find_project(outcome)):
        yield ok("project_found", f"The project is {plain(found.display_name)}.")
    elif code in _NO_PROJECT:
        message = f"The server at {settings.base_url} has no project {plain(settings.project_id)}."
        yield error("project_unknown", message, "Check STACK_PROJECT_ID, and that STACK_API_URL is its server.")
    elif code == "BRANCH_DOES_NOT_EXIST":
        message = f"The project has no branch {plain(settings.branch_id)}."
        yield error("branch_unknown", message, "Leave STACK_BRANCH_ID out: it is main.")
    elif code == "INVALID_PUBLISHABLE_CLIENT_KEY":
        advice = "Copy STACK_PUBLISHABLE_CLIENT_KEY from this project's dashboard, or leave it out."
        yield error("publishable_key_rejected", f"{_KEY_REFUSED.format('publishable')}", advice)
    elif code in _PUBLISHABLE_KEY_CODES:
        message, advice = "The project demands a publishable key, and none is set", "Set STACK_PUBLISHABLE_CLIENT_KEY."
        if settings.secret_server_key:
            yield warning("publishable_key_missing", f"{message}: OAuth sign-in will fail.", advice)
        else:
            yield error("publishable_key_missing", f"{message}.", advice)
    else:
        yield _refuses(outcome, "as a front end")


def _refuses(outcome: ApiResponse, who: str) -> Finding:
    code = f" with {plain(outcome.known_error)}" if outcome.known_error else ""
    message = f"The server refuses this app {who}: {outcome.status}{code}."
    return error("server_refuses_app", message, "Look the code up in docs/errors.md.")


def _config(facts: Facts) -> ProjectConfig | None:
    found = find_project(facts.client, facts.server)
    return found.config if found else None


def _secret_key(facts: Facts) -> Iterator[Finding]:
    outcome, config = facts.server, _config(facts)
    if facts.settings.project_id is None:
        return
    if facts.settings.secret_server_key is None:
        if config and (config.allow_user_api_keys or config.allow_team_api_keys):
            message = "No secret key is set: API keys, which this project allows, cannot be checked."
            advice = "Set STACK_SECRET_SERVER_KEY, if this app takes API keys or calls stack.client.as_server()."
            yield warning("secret_key_missing", message, advice)
        else:
            message = "No secret key is set; only what the app does in its own name needs one."
            yield note("secret_key_missing", message)
    elif isinstance(outcome, NoResponse) and outcome.cause == "timeout":
        message = "The secret key could not be checked: the server did not answer that in time."
        yield warning("secret_key_unchecked", message, "Run doctor again when the server is less busy.")
    elif isinstance(outcome, ApiResponse) and outcome.status == 200:
        yield ok("secret_key_taken", "The server takes the secret key.")
    elif isinstance(outcome, ApiResponse) and outcome.known_error == "INVALID_SECRET_SERVER_KEY":
        advice = "Copy STACK_SECRET_SERVER_KEY from this project's dashboard."
        yield error("secret_key_rejected", _KEY_REFUSED.format("secret"), advice)
    elif isinstance(outcome, ApiResponse) and outcome.known_error not in _NO_PROJECT:
        yield _refuses(outcome, "with its secret key")


def _signing_keys(facts: Facts) -> Iterator[Finding]:
    outcome = facts.keys
    if outcome is None or (isinstance(outcome, ApiResponse) and outcome.status == 404 and _config(facts) is None):
        return  # there is no such project, which `project` says
    if isinstance(outcome, NoResponse) and outcome.cause == "timeout":
        yield _keys_slow(facts, f"did not arrive within {facts.keys_seconds:.1f} s")
        return
    try:
        keys = read_key_set(outcome.json if isinstance(outcome, ApiResponse) else None)
    except ValueError:
        said = f"it answered {outcome.status}" if isinstance(outcome, ApiResponse) else outcome.cause
        message = f"The project's signing keys cannot be had: {said}."
        yield error("keys_unreadable", message, "Check what stands between this app and the server's jwks.json.")
        return
    yield ok("keys_fetched", f"{len(keys)} signing keys were fetched.")
    if facts.keys_seconds > facts.settings.jwks_timeout:
        yield _keys_slow(facts, f"took {facts.keys_seconds:.1f} s to arrive")
    if "anonymous" not in facts.flags:
        message = "The server is old: it has no keys of guests (before August 2025), and refuses to be asked for them."
        yield warning("server_without_guests", message, "Update the auth server; without guests all works as it is.")
    elif "restricted" not in facts.flags:
        message = "The server is old: it knows no restricted users (before January 2026)."
        yield note("server_without_restricted", message, "Update the auth server, should you want to restrict users.")
    yield from _fixed_keys(facts, frozenset(keys))


def _keys_slow(facts: Facts, how: str) -> Finding:
    patience = facts.settings.jwks_timeout
    message = f"The project's signing keys {how}; the app waits {patience:g} s for them."
    advice = "See how the auth server and the way to it are doing, or raise STACK_JWKS_TIMEOUT."
    return error("keys_slow", message, advice)


def fixed_keys_readable(facts: Facts) -> Iterator[Finding]:
    """Check whether the keys that the settings fix can be read."""
    if isinstance(fixed := facts.fixed_keys, str):
        yield error("fixed_keys_unreadable", f"STACK_JWKS: {plain(fixed)}.", "Name a file that holds the key set.")


def _fixed_keys(facts: Facts, published: frozenset[str]) -> Iterator[Finding]:
    fixed = facts.fixed_keys
    if fixed is None or isinstance(fixed, str):
        return
    if not fixed & published:
        message = "The keys that STACK_JWKS fixes are not this project's: every token will be refused."
        yield error("fixed_keys_differ", message, "Leave STACK_JWKS out, or write the server's key set there.")
    elif fixed < published:
        message = "STACK_JWKS fixes some of the project's keys: tokens of the others will be refused."
        yield warning("fixed_keys_lack", message, "Write the whole key set there, or leave STACK_JWKS out.")


def _issuers(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if _config(facts) is None:
        return
    accepted = " and ".join(sorted(origins := {to_origin(issuer) for issuer in settings.issuer_kinds}))
    own = facts.names_itself
    if own and own not in origins:
        message = f"The server calls itself {plain(own)} and names that in its tokens; this app accepts {accepted}."
        yield error("issuer_mismatch", message, f"Set STACK_ISSUERS to {plain(own)}.")
    elif own:
        yield ok("issuer_accepted", f"The server names {plain(own)} in its tokens, and this app accepts that.")
    else:
        host = urlsplit(settings.base_url).hostname or ""
        advice = "Give a token to see: fastapi-stackauth doctor --token < token.txt"
        if is_inner(host) and not is_loopback(host) and not settings.issuers:
            message = f"The server is check_reachability under the inner name {host}; its tokens may name an outer one."
            yield note("issuer_unknown", message, f"Set STACK_ISSUERS to the outer address. {advice}")
        else:
            message = f"Tokens may name {accepted} as issuer; what the server does name could not be seen."
            yield note("issuer_unknown", message, advice)


def _sign_in(facts: Facts) -> Iterator[Finding]:
    if (config := _config(facts)) is None:
        return
    methods = {
        "password": config.credential_enabled,
        "magic link": config.magic_link_enabled,
        "passkey": config.passkey_enabled,
    }
    on = [name for name, enabled in methods.items() if enabled]
    on += [plain(provider.id) for provider in config.enabled_oauth_providers]
    if not on:
        message = "Every sign-in method of the project is switched off: nobody can sign in."
        yield error("no_sign_in_method", message, "Switch one on in the auth server's dashboard.")
    else:
        yield ok("sign_in_methods", f"One can sign in by {', '.join(on)}.")
    if not config.sign_up_enabled:
        message = "The project takes no new accounts: signing up is refused."
        yield warning("sign_up_off", message, "Allow sign-ups in the auth server's dashboard, if users should sign up.")
    if on == ["passkey"]:
        message = "Passkeys are the only method, and a new account cannot begin with one."
        yield warning("passkey_alone", message, "Switch another method on as well.")


def trusted_domain(facts: Facts) -> Iterator[Finding]:
    """Check whether the project trusts this app's address; the server does not show whether it trusts loopback."""
    settings, config = facts.settings, _config(facts)
    if config is None or settings.app_url is None or settings.app_url_is_loopback:
        return
    if not any(_covers(entry.domain, settings.app_url) for entry in config.domains):
        message = (
            f"{settings.app_url} is none of the project's trusted domains: OAuth, mail links and passkeys are refused."
        )
        yield warning("app_url_not_trusted", message, "Add it to the domains in the auth server's dashboard.")


def _covers(domain: str, app_url: str) -> bool:
    """Return whether a trusted domain, perhaps with wildcards, covers this origin."""
    scheme, _, rest = domain.partition("://")
    host, own = rest.partition("/")[0].lower(), urlsplit(app_url)
    pattern = re.escape(host).replace(r"\*\*", ".*").replace(r"\*", "[^.]*")
    default = {"https": ":443", "http": ":80"}.get(own.scheme, "")
    spellings = (own.netloc, own.netloc if own.port else own.netloc + default)
    return scheme == own.scheme and any(re.fullmatch(pattern, spelling) for spelling in spellings)


def redis(facts: Facts) -> Iterator[Finding]:
    """Check whether Redis, if it is set, can be used."""
    if facts.redis is None or facts.settings.redis_url is None:
        return
    parts = urlsplit(facts.settings.redis_url.get_secret_value())
    where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    if facts.redis == "connected":
        yield ok("redis_connected", f"Redis answers at {where}.")
        return
    causes = {
        "name": (f"the name {parts.hostname} does not resolve", "Check STACK_REDIS_URL for a slip."),
        "refused": (f"nothing listens at {where}", "Start Redis, or correct STACK_REDIS_URL."),
        "timeout": (f"{where} does not answer in time", "Check that a firewall lets this machine through."),
        "login": (f"{where} does not take this login", "Correct user and password in STACK_REDIS_URL."),
        "extra": ("its package is not installed", "pip install 'fastapi-stackauth[redis]'"),
        "tls": (f"the TLS connection to {where} failed", "Renew its certificate, or use redis:// without TLS."),
    }
    cause, advice = causes.get(facts.redis.cause, (f"{where} broke the connection off", "Check STACK_REDIS_URL."))
    refuses = facts.settings.revocation_outage == "error"
    outage = "no request is served" if refuses else "workers do not hear of each other"
    yield error("redis_unusable", f"Redis is set, and {cause}: {outage}.", advice)


def token(facts: Facts) -> Iterator[Finding]:
    """Check whether the verifier accepts the given token."""
    if (explanation := facts.token) is None:
        return
    failed = next((check for check in explanation.checks if check.status == "fail"), None)
    if failed:
        message = f"The token is refused at the check {failed.name}: {failed.detail}."
        yield error(str(failed.code), message, failed.advice)
    elif explanation.verdict == "accepted":
        yield ok("token_accepted", "The token is accepted.")
    else:
        yield note("token_undecided", "The token could not be checked in full.")


SERVER = (_clock, _project, _secret_key, _signing_keys, _issuers, _sign_in)
