"""The command as people run it: real processes, a real terminal, and what a shell makes of it."""

import itertools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fastapi_stackauth._version import __version__
from fastapi_stackauth.cli import main
from fastapi_stackauth.cli.app import app
from fastapi_stackauth.cli.report import Report
from tests.support.forge import BASE, NOW, PROJECT, Signer, key_set

ROOT = Path(__file__).parents[2]
MODULE = [sys.executable, "-W", "error", "-m", "fastapi_stackauth"]
COLOUR = "\x1b["


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STACK_", "HEXCLAVE_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        kept.pop(name, None)
    return {**kept, "TERM": "xterm-256color", "STACK_PROJECT_ID": PROJECT, "STACK_API_URL": BASE, **more}


def run(*words: str, text: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    env = environment(**more)
    return subprocess.run([*MODULE, *words], input=text, capture_output=True, text=True, env=env, check=False)


def on_a_terminal(*words: str, typed: str | None = None, **more: str) -> tuple[int, str]:
    """Exit code and what a terminal shows; `typed` is typed once something is asked."""
    ours, theirs = pty.openpty()
    stdin = theirs if typed is not None else subprocess.DEVNULL
    process = subprocess.Popen(
        [*MODULE, *words], stdin=stdin, stdout=theirs, stderr=theirs, env=environment(**more), start_new_session=True
    )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            if not (part := _read(ours)):
                break
            shown += part
            if typed is not None and b": " in shown:
                while termios.tcgetattr(ours)[3] & termios.ECHO:  # what is typed before echo is off is thrown away
                    time.sleep(0.01)
                os.write(ours, typed.encode())
                typed = None
        return process.wait(60), shown.decode()
    finally:
        process.kill()
        os.close(ours)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_the_command_is_installed_under_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts == {"fastapi-stackauth": "fastapi_stackauth.cli:main"}
    command = Path(sys.executable).with_name("fastapi-stackauth")
    if not command.exists():
        pytest.skip("the package was installed before it had a command: pip install -e .")
    result = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"fastapi-stackauth {__version__}\n"


def test_explain_runs_as_a_process_and_is_plain_through_a_pipe(signer: Signer, tmp_path: Path):
    (tmp_path / "jwks.json").write_text(json.dumps(key_set(signer)), "utf-8")
    words = ("explain", "--keys", str(tmp_path / "jwks.json"), "--at", str(NOW))
    result = run(*words, text=signer.token(), PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\\u2026" in result.stdout
    assert COLOUR not in result.stdout


def test_doctor_is_coloured_on_a_terminal():
    code, shown = on_a_terminal("doctor", STACK_API_URL="http://127.0.0.1:1")
    assert code == 1
    assert COLOUR in shown
    assert "was refused" in shown


def test_no_colour_on_a_terminal_that_wants_none():
    _, shown = on_a_terminal("doctor", STACK_API_URL="http://127.0.0.1:1", NO_COLOR="1")
    assert "was refused" in shown
    assert "\x1b[3" not in shown


def test_a_token_typed_at_a_terminal_is_not_shown(signer: Signer):
    token = signer.token()
    code, shown = on_a_terminal("explain", "--offline", "--at", str(NOW), typed=f"{token}\n")
    assert code == 3
    assert "it is not shown" in shown
    assert token[:30] not in shown


def test_the_emulator_starts_by_this_command():
    emulator = subprocess.Popen(
        [*MODULE, "emulator", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert emulator.stdout is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("Stop with"), emulator.stdout))
        url = next(line.split()[-1] for line in lines if line.startswith("Look inside"))
        assert httpx.get(url).status_code == 200
        emulator.send_signal(signal.SIGINT)
        _, errors = emulator.communicate(timeout=60)
        assert (emulator.returncode, errors) == (0, "")
    finally:
        emulator.kill()


def test_the_emulators_options_are_those_of_the_older_command():
    result = CliRunner().invoke(app, ["emulator", "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("usage: fastapi-stackauth emulator ")
    assert "--rotate-keys" in result.output
    assert CliRunner().invoke(app, ["emulator", "--port", "many"]).exit_code == 2


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for module in [name for name in sys.modules if name.startswith("fastapi_stackauth.cli.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert "pip install 'fastapi-stackauth[cli]'" in shown.err


def test_the_emulator_without_its_extra_says_what_to_install():
    script = "import sys; sys.modules['jinja2'] = None; from fastapi_stackauth.cli import main; main()"
    words = [sys.executable, "-c", script, "emulator"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "pip install 'fastapi-stackauth[emulator]'" in result.stderr


@pytest.mark.parametrize("words", [["explain"], ["doctor"], [], ["nonsense"], ["emulator"]])
def test_tokens_and_keys_among_the_arguments_are_never_repeated(signer: Signer, words: list[str]):
    for secret in (signer.token(), "ssk_" + "x" * 45, "sk_" + "x" * 45, f"stackauth_{'Q' * 60}"):
        result = CliRunner().invoke(app, [*words, secret])
        assert result.exit_code == 2
        assert secret[5:30] not in result.output


@pytest.mark.parametrize(
    "words",
    [("--nope",), ("more",), ("--env-file",), ("--token", "pck_" + "a" * 40)],
    ids=["unknown option", "argument", "no value", "key"],
)
def test_doctor_called_wrongly_reports_it_as_json(words: tuple[str, ...]):
    done = run("doctor", "--json", *words)
    report = Report.model_validate_json(done.stdout)
    assert [finding.code for finding in report.findings] == ["usage"]
    assert (done.returncode, "pck_" in done.stdout, bool(done.stderr)) == (2, False, True)


@pytest.mark.parametrize("name", ["STACK_PROJECT_ID", "STACK_API_URL", "STACK_APP_URL"])
def test_doctors_json_survives_variables_that_are_no_utf_8(name: str):
    done = run("doctor", "--json", **{name: "http://127.0.0.1:9/\udcff"})
    assert Report.model_validate_json(done.stdout).status == "error"
    assert "Traceback" not in done.stderr


def test_doctors_json_survives_a_closed_standard_input():
    command = [sys.executable, "-c", "import os, sys; os.close(0); os.execv(sys.argv[1], sys.argv[1:])"]
    done = subprocess.run(
        [*command, *MODULE, "doctor", "--json", "--token"],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert [finding.code for finding in Report.model_validate_json(done.stdout).findings] == ["usage"]
    assert done.returncode == 2


def test_a_shell_can_complete_it():
    variable = "_FASTAPI_STACKAUTH_COMPLETE"
    result = run(**{variable: "source_bash"})
    assert result.returncode == 0
    assert variable in result.stdout
