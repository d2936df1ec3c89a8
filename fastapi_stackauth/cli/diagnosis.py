"""The complete diagnosis of `doctor`: turn facts into a report. Pure.

Law: a finding contains the cause and the fix. It never shows a key, and texts of other systems go through `plain`.
"""

from collections.abc import Iterator

from pydantic import ValidationError

from fastapi_stackauth.cli import server_checks, settings_checks
from fastapi_stackauth.cli.facts import Facts
from fastapi_stackauth.cli.report import Finding, Report, error
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.settings import Settings, documented_name, variables_in_use

_CORRECT_IT = "Fix this setting: the app cannot start with its current value."


def diagnose(facts: Facts) -> Report:
    """Return all findings about a setup."""
    return Report.of(_findings(facts), facts.settings.base_url, facts.settings.project_id)


def _findings(facts: Facts) -> Iterator[Finding]:
    for check in (*settings_checks.SETTINGS, server_checks.fixed_keys_readable, server_checks.check_reachability):
        yield from check(facts)
    if server_checks.is_auth_server(facts.client):
        for check in server_checks.SERVER:
            yield from check(facts)
    for check in (*settings_checks.COOKIES, server_checks.trusted_domain, server_checks.redis, server_checks.token):
        yield from check(facts)


def report_usage(message: str) -> Report:
    """Return a report about wrong arguments of the command."""
    return Report.of([error("usage", message, "See fastapi-stackauth doctor --help.")])


def report_failure(failure: BaseException) -> Report:
    """Return a report about a failure that prevented the checks.

    It never shows values of settings, nor the text of an unexpected exception, which may contain a key.
    """
    if isinstance(failure, ValidationError):
        faults = failure.errors(include_input=False, include_url=False, include_context=False)
        return Report.of(_setting_fault(str(fault["loc"][0]) if fault["loc"] else "", fault["msg"]) for fault in faults)
    if isinstance(failure, ConfigurationError):
        return Report.of([error("setting_invalid", failure.message, _CORRECT_IT)])
    message = f"The examination itself failed: {type(failure).__name__}."
    advice = "Run it again. If it fails again, report it with the versions of Python and of this library."
    return Report.of([error("doctor_failed", message, advice)])


def _setting_fault(field: str, message: str) -> Finding:
    name = variables_in_use().get(field, (documented_name(field),))[0]
    where = f"{name}: " if field in Settings.model_fields else ""
    return error("setting_invalid", where + message.removeprefix("Value error, "), _CORRECT_IT)
