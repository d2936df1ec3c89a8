"""`doctor`'s checks of the responses from the auth server and Redis. Pure functions from facts to findings."""

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

_SAME_TIME = 2.0  # in seconds, because servers update the Date header once a second
_PUBLISHABLE_KEY_CODES = ("PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT", "CLIENT_AUTHENTICATION_REQUIRED")
_NO_PROJECT = ("CURRENT_PROJECT_NOT_FOUND", "PROJECT_NOT_FOUND")
_KEY_REJECTED = "The server rejects the {} key: it belongs to another project, or was revoked."


def is_auth_server(outcome: Outcome) -> bool:
    """Return whether the response comes from the auth server, judged by its request id or its codes."""
    return isinstance(outcome, ApiResponse) and bool(
        outcome.request_id or outcome.known_error or (outcome.status == 200 and find_project(outcome))
    )


def check_reachability(facts: Facts) -> Iterator[Finding]:
    """Check whether an auth server responds."""
    url, outcome = facts.settings.base_url, facts.client
    if isinstance(outcome, NoResponse):
        yield from _not_reached(facts, outcome)
    elif 300 <= outcome.status < 400:
        target = plain(outcome.headers.get("location", "another address"))
        advice = (
            "Set STACK_API_URL to that URL. The library follows no redirects, because it would send the keys along."
        )
        yield error("server_redirects", f"{url} redirects to {target}.", advice)
    elif outcome.status == 429:
        yield warning("server_limits", f"{url} returns 429: too many requests.", "Wait a minute and try again.")
    elif outcome.status >= 500:
        message = f"{url} returns {outcome.status}."
        yield error("server_fails", message, "Check the logs of the auth server and of any proxy in front of it.")
    elif not is_auth_server(outcome):
        message = f"{url} returns {outcome.status}, but is not a Stack Auth server."
        advice = "Set STACK_API_URL to the URL of the auth server, without a path."
        yield error("server_not_stack_auth", message, advice)
    else:
        yield ok("server_reached", f"The auth server at {url} responds.")


def _not_reached(facts: Facts, outcome: NoResponse) -> Iterator[Finding]:
    if outcome.cause != "unsent":  # otherwise the setting has its own finding
        url = facts.settings.base_url
        detail = f" ({plain(outcome.detail)})" if outcome.detail else ""
        code, message, advice = _NOT_REACHED.get(outcome.cause, _NOT_REACHED["broken"])
        yield error(code, message.format(url=url, host=urlsplit(url).hostname, detail=detail), advice)
    if facts.by_proxy and outcome.cause not in ("unsent", "proxy", "authorities"):
        message = "The environment sets a proxy for this URL, which may be the cause."
        advice = "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the auth server in NO_PROXY."
        yield note("server_by_proxy", message, advice)


_NOT_REACHED = {
    "name": (
        "server_name_unresolved",
        "The name {host} does not resolve.",
        "Check STACK_API_URL for a typo, and this machine's DNS.",
    ),
    "refused": (
        "server_connection_refused",
        "The connection to {url} was refused: nothing listens there.",
        "Start the auth server, or correct the port in STACK_API_URL.",
    ),
    "tls": (
        "server_tls",
        "The TLS connection to {url} failed{detail}.",
        "Replace its certificate, or set SSL_CERT_FILE to a CA bundle that this machine can trust.",
    ),
    "plain_http": (
        "server_speaks_http",
        "{url} uses http, not https.",
        "Set STACK_API_URL to http://, or to the port for https.",
    ),
    "proxy": (
        "proxy_unusable",
        "The proxy in the environment cannot be used, so the app cannot call the auth server.",
        "Correct HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; a SOCKS proxy needs pip install 'httpx[socks]'.",
    ),
    "authorities": (
        "certificates_unreadable",
        "The trusted certificates in the environment cannot be read, so https does not work.",
        "Correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them.",
    ),
    "timeout": (
        "server_timeout",
        "{url} does not respond in time.",
        "Check the firewall and the load of the server.",
    ),
    "broken": (
        "server_connection_broken",
        "{url} closed the connection{detail}.",
        "Check that the port uses HTTP.",
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
    effect = "new tokens are not valid yet" if skew > 0 else "tokens expire early"
    message = f"This machine's clock is {abs(skew):.0f} s {side} the server's: {effect}."
    if abs(skew) <= leeway:
        yield note("clock_near", f"{message[:-1]}, within the {leeway:g} s of leeway.", "Set the clock by NTP.")
    else:
        advice = "Set the wrong clock by NTP; STACK_LEEWAY allows 60 s at most."
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
        yield error("branch_unknown", message, "Unset STACK_BRANCH_ID; the default is main.")
    elif code == "INVALID_PUBLISHABLE_CLIENT_KEY":
        advice = "Copy STACK_PUBLISHABLE_CLIENT_KEY from this project's dashboard, or unset it."
        yield error("publishable_key_rejected", f"{_KEY_REJECTED.format('publishable')}", advice)
    elif code in _PUBLISHABLE_KEY_CODES:
        message, advice = "The project requires a publishable key, and none is set", "Set STACK_PUBLISHABLE_CLIENT_KEY."
        if settings.secret_server_key:
            yield warning("publishable_key_missing", f"{message}: OAuth sign-in will fail.", advice)
        else:
            yield error("publishable_key_missing", f"{message}.", advice)
    else:
        yield _rejects(outcome, "with access type client")


def _rejects(outcome: ApiResponse, who: str) -> Finding:
    code = f" with {plain(outcome.known_error)}" if outcome.known_error else ""
    message = f"The server rejects this app {who}: {outcome.status}{code}."
    return error("server_rejects_app", message, "Look the code up in docs/errors.md.")


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
            advice = "Set STACK_SECRET_SERVER_KEY if this app accepts API keys or calls stack.client.as_server()."
            yield warning("secret_key_missing", message, advice)
        else:
            message = "No secret key is set. Only calls made as the server need one."
            yield note("secret_key_missing", message)
    elif isinstance(outcome, NoResponse) and outcome.cause == "timeout":
        message = "The secret key could not be checked: the server did not respond in time."
        yield warning("secret_key_unchecked", message, "Run doctor again when the server is less busy.")
    elif isinstance(outcome, ApiResponse) and outcome.status == 200:
        yield ok("secret_key_accepted", "The server accepts the secret key.")
    elif isinstance(outcome, ApiResponse) and outcome.known_error == "INVALID_SECRET_SERVER_KEY":
        advice = "Copy STACK_SECRET_SERVER_KEY from this project's dashboard."
        yield error("secret_key_rejected", _KEY_REJECTED.format("secret"), advice)
    elif isinstance(outcome, ApiResponse) and outcome.known_error not in _NO_PROJECT:
        yield _rejects(outcome, "with its secret key")


def _signing_keys(facts: Facts) -> Iterator[Finding]:
    outcome = facts.keys
    if outcome is None or (isinstance(outcome, ApiResponse) and outcome.status == 404 and _config(facts) is None):
        return  # there is no such project, which another finding reports
    if isinstance(outcome, NoResponse) and outcome.cause == "timeout":
        yield _keys_slow(facts, f"did not arrive within {facts.keys_seconds:.1f} s")
        return
    try:
        keys = read_key_set(outcome.json if isinstance(outcome, ApiResponse) else None)
    except ValueError:
        cause = f"the response was {outcome.status}" if isinstance(outcome, ApiResponse) else outcome.cause
        message = f"The project's signing keys cannot be fetched: {cause}."
        yield error("keys_unreadable", message, "Check any proxies between this app and the server's jwks.json.")
        return
    yield ok("keys_fetched", f"The server has {len(keys)} signing keys.")
    if facts.keys_seconds > facts.settings.jwks_timeout:
        yield _keys_slow(facts, f"took {facts.keys_seconds:.1f} s to arrive")
    if "anonymous" not in facts.flags:
        message = "The server dates from before August 2025 and rejects requests for the keys of anonymous users."
        yield warning("server_without_anonymous", message, "Update the auth server if the app has anonymous users.")
    elif "restricted" not in facts.flags:
        message = "The server dates from before January 2026 and has no restricted users."
        yield note("server_without_restricted", message, "Update the auth server if you want to restrict users.")
    yield from _fixed_keys(facts, frozenset(keys))


def _keys_slow(facts: Facts, how: str) -> Finding:
    limit = facts.settings.jwks_timeout
    message = f"The project's signing keys {how}; the app waits {limit:g} s for them."
    advice = "Check the load of the auth server and the network, or raise STACK_JWKS_TIMEOUT."
    return error("keys_slow", message, advice)


def fixed_keys_readable(facts: Facts) -> Iterator[Finding]:
    """Check whether the keys in the settings can be read."""
    if isinstance(fixed := facts.fixed_keys, str):
        yield error("fixed_keys_unreadable", f"STACK_JWKS: {plain(fixed)}.", "Set it to a file with the key set.")


def _fixed_keys(facts: Facts, published: frozenset[str]) -> Iterator[Finding]:
    fixed = facts.fixed_keys
    if fixed is None or isinstance(fixed, str):
        return
    if not fixed & published:
        message = "The keys in STACK_JWKS do not belong to this project, so the app will reject every token."
        yield error("fixed_keys_differ", message, "Unset STACK_JWKS, or set it to the server's key set.")
    elif fixed < published:
        message = (
            "STACK_JWKS contains only some of the project's keys, so the app will reject tokens signed with the others."
        )
        yield warning("fixed_keys_incomplete", message, "Set it to the whole key set, or unset it.")


def _issuers(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if _config(facts) is None:
        return
    accepted = " and ".join(sorted(origins := {to_origin(issuer) for issuer in settings.issuer_kinds}))
    own = facts.names_itself
    if own and own not in origins:
        message = f"The server names {plain(own)} as the issuer of its tokens; this app accepts {accepted}."
        yield error("issuer_mismatch", message, f"Set STACK_ISSUERS to {plain(own)}.")
    elif own:
        yield ok(
            "issuer_accepted", f"The server names {plain(own)} as the issuer of its tokens, and this app accepts it."
        )
    else:
        host = urlsplit(settings.base_url).hostname or ""
        advice = "Check with a token: fastapi-stackauth doctor --token < token.txt"
        if is_inner(host) and not is_loopback(host) and not settings.issuers:
            message = f"The app uses the internal name {host} of the server; its tokens may name a public one."
            yield note("issuer_unknown", message, f"Set STACK_ISSUERS to the public URL. {advice}")
        else:
            message = f"This app accepts {accepted} as issuer; the issuer of the server is unknown."
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
        message = "Every sign-in method of the project is disabled: no user can sign in."
        yield error("no_sign_in_method", message, "Enable one in the auth server's dashboard.")
    else:
        yield ok("sign_in_methods", f"Users can sign in by {', '.join(on)}.")
    if not config.sign_up_enabled:
        message = "The project accepts no new accounts, because sign-up is disabled."
        yield warning("sign_up_off", message, "Enable sign-up in the auth server's dashboard if users should sign up.")
    if on == ["passkey"]:
        message = (
            "Passkeys are the only sign-in method, but a new account needs another method before it can have a passkey."
        )
        yield warning("passkey_alone", message, "Enable another method.")


def trusted_domain(facts: Facts) -> Iterator[Finding]:
    """Check whether the project trusts this app's URL. The server does not reveal whether it trusts loopback."""
    settings, config = facts.settings, _config(facts)
    if config is None or settings.app_url is None or settings.app_url_is_loopback:
        return
    if not any(_covers(entry.domain, settings.app_url) for entry in config.domains):
        message = (
            f"{settings.app_url} is not a trusted domain of the project, which rejects OAuth, email links and passkeys."
        )
        yield warning("app_url_not_trusted", message, "Add it to the domains in the auth server's dashboard.")


def _covers(domain: str, app_url: str) -> bool:
    """Return whether a trusted domain, which may contain wildcards, covers this origin."""
    scheme, _, rest = domain.partition("://")
    host, own = rest.partition("/")[0].lower(), urlsplit(app_url)
    pattern = re.escape(host).replace(r"\*\*", ".*").replace(r"\*", "[^.]*")
    default = {"https": ":443", "http": ":80"}.get(own.scheme, "")
    spellings = (own.netloc, own.netloc if own.port else own.netloc + default)
    return scheme == own.scheme and any(re.fullmatch(pattern, spelling) for spelling in spellings)


def redis(facts: Facts) -> Iterator[Finding]:
    """Check whether Redis can be used, if it is configured."""
    if facts.redis is None or facts.settings.redis_url is None:
        return
    parts = urlsplit(facts.settings.redis_url.get_secret_value())
    where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    if facts.redis == "connected":
        yield ok("redis_connected", f"Redis at {where} responds.")
        return
    causes = {
        "name": (f"the name {parts.hostname} does not resolve", "Check STACK_REDIS_URL for a typo."),
        "refused": (f"nothing listens at {where}", "Start Redis, or correct STACK_REDIS_URL."),
        "timeout": (f"{where} does not respond in time", "Check the firewall."),
        "login": (f"{where} rejects the login", "Correct the user and password in STACK_REDIS_URL."),
        "extra": ("its package is not installed", "pip install 'fastapi-stackauth[redis]'"),
        "tls": (f"the TLS connection to {where} failed", "Replace its certificate, or use redis:// without TLS."),
    }
    cause, advice = causes.get(facts.redis.cause, (f"{where} closed the connection", "Check STACK_REDIS_URL."))
    rejects = facts.settings.revocation_outage == "error"
    outage = "no request is served" if rejects else "workers do not share revocations"
    yield error("redis_unusable", f"Redis is set, and {cause}: {outage}.", advice)


def token(facts: Facts) -> Iterator[Finding]:
    """Check whether the verifier accepts the given token."""
    if (explanation := facts.token) is None:
        return
    failed = next((check for check in explanation.checks if check.status == "fail"), None)
    if failed:
        message = f"The token fails the check {failed.name}: {failed.detail}."
        yield error(str(failed.code), message, failed.advice)
    elif explanation.verdict == "accepted":
        yield ok("token_accepted", "The app accepts the token.")
    else:
        yield note("token_undecided", "Not every check of the token was possible.")


SERVER = (_clock, _project, _secret_key, _signing_keys, _issuers, _sign_in)
