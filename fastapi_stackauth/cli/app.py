"""The commands. Each reads input, calls pure functions, prints, and ends with an exit code (docs/cli.md)."""

import asyncio
import getpass
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import load_dotenv  # comes with pydantic-settings
from typer.core import TyperGroup

from fastapi_stackauth._version import __version__
from fastapi_stackauth.cli import diagnosis, probes
from fastapi_stackauth.cli.explanation import explain
from fastapi_stackauth.cli.output import Printer
from fastapi_stackauth.cli.report import Report, Severity
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.runtime.redaction import redact_tokens
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.keys import KeySet

OK, FAILED, USAGE, UNSURE = 0, 1, 2, 3
"""Exit codes."""

_AFTER_REPORT: dict[Severity, int] = {"ok": OK, "note": OK, "warning": UNSURE, "error": FAILED}
_AFTER_VERDICT = {"accepted": OK, "rejected": FAILED, "undecided": UNSURE}
_MOST_INPUT = 1_000_000  # characters
_WANTS_REPORT = f"{__name__}.wants_report"
_USAGE_ERRORS: Any = typer.BadParameter.__base__  # of the click that this typer brings or needs
_NEVER_AN_ARGUMENT = (
    "A token or key was passed as an argument: it is in your shell's history now, and other users of this machine may "
    "have seen it. End that session. Pass tokens on standard input: fastapi-stackauth explain < token.txt"
)


class _UsageError(typer.Exit):
    """An error in the arguments of the command, printed to standard error."""

    def __init__(self, message: str) -> None:
        typer.echo(f"fastapi-stackauth: {message}", err=True)
        super().__init__(USAGE)
        self.message = message


class _Commands(TyperGroup):
    """The commands. An argument that looks like a token or key is rejected before it could be printed.

    For wrong arguments, `doctor --json` also prints a report, in addition to the text on standard error.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer brings its own click, or not
        ctx.meta[_WANTS_REPORT] = args[:1] == ["doctor"] and "--json" in args
        if any(redact_tokens(argument) != argument for argument in args):
            self._report(ctx, _NEVER_AN_ARGUMENT)
            raise _UsageError(_NEVER_AN_ARGUMENT)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super().invoke(ctx)
        except _USAGE_ERRORS as mistake:
            self._report(ctx, mistake.format_message())
            raise

    @staticmethod
    def _report(ctx: Any, message: str) -> None:  # noqa: ANN401 - as above
        if ctx.meta[_WANTS_REPORT]:
            Printer().json(diagnosis.report_usage(message))


app = typer.Typer(
    name="fastapi-stackauth",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Stack Auth (Hexclave) for FastAPI on the command line.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ProjectId = Annotated[str | None, typer.Option(help="The project, instead of STACK_PROJECT_ID.", metavar="ID")]
ApiUrl = Annotated[str | None, typer.Option(help="The auth server, instead of STACK_API_URL.", metavar="URL")]
EnvFile = Annotated[
    Path | None,
    typer.Option(help="Also read variables from this file; variables that are set win."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastapi-stackauth {__version__}")
        raise typer.Exit(OK)


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def emulator(context: typer.Context) -> None:
    """Run an auth server for development and tests (--help lists its options)."""
    try:
        from fastapi_stackauth.emulator.__main__ import main as run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fastapi_stackauth"):
            raise
        raise _UsageError("the emulator needs more packages: pip install 'fastapi-stackauth[emulator]'") from None
    raise typer.Exit(run(context.args, "fastapi-stackauth emulator"))


@app.command()
def doctor(
    json: Json = False,
    token: Annotated[
        bool, typer.Option("--token", help="Also read an access token from standard input, and check it.")
    ] = False,
    env_file: EnvFile = None,
) -> None:
    """Check the setup: settings, auth server, keys, clock, cookies, Redis."""
    try:
        report, code = _examine(env_file, token=token)
    except _UsageError as mistake:
        if not json:
            raise
        report, code = diagnosis.report_usage(mistake.message), USAGE
    printer = Printer()
    (printer.json if json else printer.report)(report)
    raise typer.Exit(code)


def _examine(env_file: Path | None, *, token: bool) -> tuple[Report, int]:
    """Return the report of `doctor` and its exit code. Every failure is a finding."""
    try:
        _load(env_file)
        text = _read_stdin() if token else None
        report = diagnosis.diagnose(asyncio.run(probes.gather(Settings(), text)))
    except _UsageError:
        raise
    except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - programs need a report, not a traceback
        report = diagnosis.report_failure(failure)
    return report, _AFTER_REPORT[report.status]


@app.command("explain")
def explain_command(
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="")] = None,
    json: Json = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not fetch keys, so that the signature is not checked.")
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(help="A file with the key set (JWKS), instead of fetching it.", exists=True, dir_okay=False),
    ] = None,
    show_claims: Annotated[bool, typer.Option("--show-claims", help="Show personal claims unmasked.")] = False,
    at: Annotated[
        str | None, typer.Option(help="Check as of this time: ISO 8601, or unix seconds.", metavar="TIME")
    ] = None,
    project_id: ProjectId = None,
    api_url: ApiUrl = None,
    issuer: Annotated[
        list[str] | None,
        typer.Option(help="An additional issuer to accept, besides those in STACK_ISSUERS.", metavar="URL"),
    ] = None,
    branch_id: Annotated[str | None, typer.Option(help="The branch, instead of STACK_BRANCH_ID.", metavar="ID")] = None,
    leeway: Annotated[float | None, typer.Option(help="Seconds of clock difference to allow.")] = None,
    env_file: EnvFile = None,
) -> None:
    """Show every check of the verifier on an access token, read from standard input."""
    if arguments:
        raise _UsageError(_NEVER_AN_ARGUMENT)
    _load(env_file)
    given = {"project_id": project_id, "base_url": api_url, "branch_id": branch_id, "leeway": leeway}
    settings = _settings({name: value for name, value in given.items() if value is not None}, issuer or [])
    now = _parse_time(at) if at else time.time()
    text = _read_stdin()
    found, why = _keys(settings, keys, offline=offline)
    explanation = explain(text, probes.build_frame(settings, now, found, why), show_claims=show_claims)
    printer = Printer()
    (printer.json if json else printer.explanation)(explanation)
    raise typer.Exit(_AFTER_VERDICT[explanation.verdict])


def _keys(settings: Settings, file: Path | None, *, offline: bool) -> tuple[KeySet | None, str]:
    source = file or settings.jwks
    if source is not None:
        try:
            return probes.read_keys(source), ""
        except ValueError as fault:
            raise _UsageError(f"the keys: {fault}") from None
    return (None, "offline, without keys") if offline else asyncio.run(probes.fetch_keys(settings))


def _settings(given: dict[str, Any], issuers: list[str]) -> Settings:
    try:
        settings = Settings.load(given)
        return Settings.load({**given, "issuers": (*settings.issuers, *issuers)}) if issuers else settings
    except ConfigurationError as fault:
        raise _UsageError(fault.message) from None


def _load(file: Path | None) -> None:
    if file is not None:
        if not file.is_file():
            raise _UsageError(f"--env-file: there is no file {str(file)!r}.")
        try:
            load_dotenv(file, override=False)
        except OSError as fault:
            raise _UsageError(f"--env-file: the file cannot be read: {fault.strerror}.") from None
        except ValueError:
            raise _UsageError("--env-file: the file is not UTF-8 text, or sets an invalid value.") from None


def _parse_time(text: str) -> float:
    with suppress(ValueError, OverflowError, OSError):  # not a number, or not a time
        return datetime.fromtimestamp(float(text), UTC).timestamp()
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise _UsageError("--at takes a time such as 2026-11-05T09:12:29Z, or unix seconds.")


def _read_stdin() -> str:
    """Return the text on standard input. On a terminal, prompt for it without showing it."""
    if sys.stdin is None:
        raise _UsageError("standard input is closed: fastapi-stackauth explain < token.txt")
    if sys.stdin.isatty():
        text = getpass.getpass("Access token (it is not shown): ")
    else:
        text = sys.stdin.buffer.read(_MOST_INPUT + 1).decode("utf-8", "surrogateescape")
    if len(text) > _MOST_INPUT:
        raise _UsageError("standard input contains far more than an access token.")
    if not text.strip():
        raise _UsageError("no token came on standard input: fastapi-stackauth explain < token.txt")
    return text
