"""`make demo`: the example app with an embedded auth server. Both are real servers in one process; Ctrl-C stops both.

If STACK_PROJECT_ID (or HEXCLAVE_PROJECT_ID) is set, the app uses that project's server, and no other one is started.
Without DATABASE_URL, notes are lost at the end, like the embedded server's users.
"""

import asyncio
import os
import sys
from socket import socket
from tempfile import TemporaryDirectory

from example_app.samples import ABOUT, PASSWORD, SEED, write_notes
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import PortTaken, Served, bind, serve

LOOPBACK = "127.0.0.1"
APP_URLS = ("STACK_APP_URL", "HEXCLAVE_APP_URL")
PROJECT_IDS = (
    "HEXCLAVE_PROJECT_ID",
    "STACK_PROJECT_ID",
    "NEXT_PUBLIC_HEXCLAVE_PROJECT_ID",
    "NEXT_PUBLIC_STACK_PROJECT_ID",
)


def port_from(name: str, default: int) -> int:
    """Return a port from the environment."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        sys.exit(f"demo: {name} must be a port number, but is {value!r}")
    return int(value)


def listener(name: str, default: int) -> tuple[int, socket]:
    """Bind a port and return its socket."""
    port = port_from(name, default)
    try:
        return port, bind(LOOPBACK, port)
    except PortTaken as error:
        sys.exit(f"demo: {error}. Choose another one: {name}={port + 1000} make demo")


def start_emulator(app_port: int) -> tuple[str, Served]:
    """Start an auth server with sample users, put its settings into the environment, and return its URL."""
    port, emulator_socket = listener("EMULATOR_PORT", 8102)
    webhooks = f"http://localhost:{app_port}/webhooks/stack-auth"
    emulator = Emulator(f"http://localhost:{port}", webhook_url=webhooks)
    emulator.seed(SEED)
    for name, value in emulator.environment().items():
        os.environ[name] = value
        newer = name.replace("STACK_", "HEXCLAVE_", 1)
        for other in (newer, f"{newer}_FILE", f"{name}_FILE"):  # they would take precedence or conflict
            os.environ.pop(other, None)
    return emulator.url, (emulator.app, emulator_socket)


def main() -> None:
    """Bind the ports, start the servers, and print their URLs."""
    app_port, app_socket = listener("PORT", 8000)
    auth_server = None if any(map(os.environ.get, PROJECT_IDS)) else start_emulator(app_port)
    if not any(map(os.environ.get, APP_URLS)):
        # Only on loopback: over plain http, Safari does not store Secure cookies.
        os.environ.update(STACK_APP_URL=f"http://localhost:{app_port}", STACK_INSECURE_COOKIES="true")
    with TemporaryDirectory(prefix="notes-") as folder:
        if auth_server:
            os.environ.setdefault("DATABASE_URL", f"sqlite+aiosqlite:///{folder}/notes.sqlite3")
        from example_app.main import app, stack  # noqa: PLC0415 - it reads the environment that was just set

        print(f"Example app   http://localhost:{app_port}")
        print(f"API docs      http://localhost:{app_port}/docs")
        if auth_server:
            tell(auth_server[0])
        else:
            print(f"Auth server   {stack.settings.base_url}   (project {stack.settings.project_id})")
        print("Stop with Ctrl-C.", flush=True)
        served = [auth_server[1]] if auth_server else []
        asyncio.run(run([*served, (app, app_socket)], samples=bool(auth_server)))


def tell(address: str) -> None:
    """Print the URL of the embedded server, and its users."""
    print(f"Auth server   {address}   (embedded, in memory; shows users, emails, settings)")
    print(f"Emails        {address}/emulator/outbox")
    print(f"\nSign in as one of these with the password “{PASSWORD}”, or sign up:")
    for email, what in ABOUT.items():
        print(f"  {email:<20} {what}")
    print()


async def run(served: list[Served], *, samples: bool) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    if samples:
        await write_notes()
    await serve(served)


if __name__ == "__main__":
    main()
