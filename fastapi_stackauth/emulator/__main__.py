"""The command line: `python -m fastapi_stackauth.emulator`.

Law: it prints the settings for an app and serves until Ctrl-C. It reports a mistake in one line, never as a traceback.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path

from .clock import Chance
from .emulator import DEFAULT_PORT, LOOPBACK, Emulator
from .guard import is_loopback
from .json_schema import seed_schema
from .reading import parse_json
from .server_profile import NEWEST, PROFILES
from .serving import PortTaken, bind, serve

PROGRAM = "python -m fastapi_stackauth.emulator"


ENV_MARK = "# Written by the emulator for development, at each start."


def arguments(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser for the command line. `program` is the command that the user typed."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="A Stack Auth (Hexclave) server for development and tests. It shows its secrets "
        "and sends no email. Never use it in production.",
        epilog="In the environment, EMULATOR_PUBLISHABLE_CLIENT_KEY and EMULATOR_SECRET_SERVER_KEY fix the keys, "
        "EMULATOR_WEBHOOK_SECRET the secret that signs webhooks, EMULATOR_DASHBOARD_TOKEN the token for the "
        "dashboard, and EMULATOR_PROFILE the profile.",
    )
    parser.add_argument("--project-id", help="id of the project (default: the one in --data, else a new one)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument(
        "--dashboard-token",
        help="token that opens the dashboard and the control API to other machines (default: "
        "EMULATOR_DASHBOARD_TOKEN, else a new one if --host is not a loopback address)",
    )
    parser.add_argument(
        "--public-url", help="address under which apps reach it, in links and issuers (default: http://localhost:PORT)"
    )
    parser.add_argument("--data", type=Path, help="SQLite file that keeps project, keys, users and sessions")
    parser.add_argument(
        "--seed", type=Path, help="JSON file with the settings, permissions, users and teams to begin with"
    )
    parser.add_argument("--webhook-url", help="URL that gets webhooks, signed as the vendor signs them (default: none)")
    parser.add_argument(
        "--env-file", type=Path, help="file to write the lines for the app's environment into, for `uvicorn --env-file`"
    )
    parser.add_argument(
        "--profile",
        help=f"version of the real auth server to play: {' or '.join(PROFILES)} (default: {NEWEST.name})",
    )
    parser.add_argument("--seed-schema", action="store_true", help="print the JSON schema of such a file, and stop")
    parser.add_argument(
        "--rotate-keys",
        action="store_true",
        help="create new signing keys; tokens that were signed before become invalid",
    )
    return parser


def choose_dashboard_token(options: argparse.Namespace) -> str | None:
    """Return the dashboard token: the given one, or a new one if other machines can reach the server, or None."""
    given = options.dashboard_token or os.environ.get("EMULATOR_DASHBOARD_TOKEN") or None
    return given if given or is_loopback(options.host) else Chance().code()


def start_emulator(options: argparse.Namespace, port: int) -> Emulator:
    """Return an emulator with these options and its seed."""
    seed = parse_json(options.seed.read_bytes()) if options.seed else {}
    emulator = Emulator(
        options.public_url or f"http://localhost:{port}",
        project_id=options.project_id,
        data=options.data,
        rotate_keys=options.rotate_keys,
        webhook_url=options.webhook_url,
        profile=options.profile or os.environ.get("EMULATOR_PROFILE") or NEWEST,
        publishable_client_key=os.environ.get("EMULATOR_PUBLISHABLE_CLIENT_KEY") or None,
        secret_server_key=os.environ.get("EMULATOR_SECRET_SERVER_KEY") or None,
        webhook_secret=os.environ.get("EMULATOR_WEBHOOK_SECRET") or None,
        dashboard_token=choose_dashboard_token(options),
    )
    try:
        emulator.seed(seed)
    except ValueError:
        emulator.close()
        raise
    return emulator


def write_environment(path: Path, emulator: Emulator) -> None:
    """Write the app's environment to a file that only its owner can read. It never replaces a file of another program.

    Raises:
        OSError: The file cannot be written, or another program has written it.
    """
    if path.exists() and not path.read_text("utf-8").startswith(ENV_MARK):
        raise FileExistsError(f"{path} is there already, and not written by the emulator: choose another --env-file")
    lines = [ENV_MARK, *(f"{name}={value}" for name, value in emulator.environment().items())]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def greeting(emulator: Emulator, address: str) -> str:
    """Return the message to print at start-up."""
    lines = [f"{name}={value}" for name, value in emulator.environment().items()]
    return "\n".join([
        f"Stack Auth emulator on {address} - for development and tests, not for production.",
        f"Look inside: {emulator.dashboard_url}",
        "For your environment file:",
        "",
        *lines,
        "",
        "Stop with Ctrl-C.",
    ])  # fmt: skip


def main(words: list[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command line. Return 0 after a clean stop, or 1 if it could not start."""
    options = arguments(program).parse_args(words)
    if options.seed_schema:
        print(json.dumps(seed_schema(), indent=2))
        return 0
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(bind(options.host, options.port))
            emulator = stack.enter_context(contextlib.closing(start_emulator(options, listener.getsockname()[1])))
            if options.env_file:
                write_environment(options.env_file, emulator)
        except (PortTaken, ValueError, OSError, sqlite3.Error) as error:
            print(f"emulator: {error}", file=sys.stderr)
            return 1
        print(greeting(emulator, "{}:{}".format(*listener.getsockname()[:2])), flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # if the loop has no signal handlers
            asyncio.run(serve([(emulator.app, listener)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
