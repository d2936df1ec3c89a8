"""`doctor`'s judgement as a whole: facts in, a report out. Pure.

Law: a finding names the cause and what to do. Nothing shows a key; what others wrote goes through `texts.py`.
"""

from collections.abc import Iterator

from pydantic import ValidationError

from fastapi_stackauth.cli import server_checks as of_server
from fastapi_stackauth.cli import settings_checks as of_settings
from fastapi_stackauth.cli.facts import Facts
from fastapi_stackauth.cli.findings import Finding, Report, error
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.settings import Settings, documented_name, variables_in_use


def diagnose(facts: Facts) -> Report:
    """Everything that there is to say of a set-up."""
    return Report.of(_findings(facts), facts.settings.base_url, facts.settings.project_id)


def misread(fault: ValidationError) -> Report:
    """What there is to say of settings that cannot be read. The values are never shown."""
    faults = fault.errors(include_input=False, include_url=False, include_context=False)
    return Report.of(_setting_fault(".".join(map(str, one["loc"])), one["msg"]) for one in faults)


def misused(message: str) -> Report:
    """Return a report of a mistake in how the command was called."""
    return Report.of([error("usage", message, "See fastapi-stackauth doctor --help.")])


def unusable(fault: ConfigurationError) -> Report:
    """Return a report of settings that cannot be read or used at all."""
    return Report.of([error("setting_invalid", fault.message, "Correct it: the app does not start with it.")])


def failed(failure: BaseException) -> Report:
    """Return a report of a failure of `doctor` itself; only its type is shown, for its text may hold a key."""
    message = f"The examination itself failed: {type(failure).__name__}."
    advice = "Run it again. If it fails again, report it with the versions of Python and of this library."
    return Report.of([error("doctor_failed", message, advice)])


def _setting_fault(place: str, message: str) -> Finding:
    field = place.partition(".")[0]
    name = variables_in_use().get(field, (documented_name(field),))[0]
    where = f"{name}: " if field in Settings.model_fields else ""
    advice = "Correct it: the app does not start with it."
    return error("setting_invalid", where + message.removeprefix("Value error, "), advice)


def _findings(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    yield from of_settings.environment(facts.variables)
    yield from of_settings.project_id(settings)
    yield from of_settings.key_forms(settings)
    yield from of_settings.address(settings)
    yield from of_server.fixed_keys_readable(facts)
    yield from of_server.reached(facts)
    if of_server.speaks_for_itself(facts.client):
        yield from of_server.clock(facts)
        yield from of_server.project(facts)
        yield from of_server.secret_key(facts)
        yield from of_server.signing_keys(facts)
        yield from of_server.issuers(facts)
        yield from of_server.sign_in(facts)
    yield from of_settings.cookies(settings)
    yield from of_settings.other_origins(settings)
    yield from of_server.trusted_domain(facts)
    yield from of_server.redis(facts)
    yield from of_server.token(facts)
