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
from fastapi_stackauth.settings import environment_names


def listen(name: str, default: int) -> tuple[int, socket]:
    """Bind the port that a variable names."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        sys.exit(f"demo: {name} must be a port number, but is {value!r}")
    try:
        return int(value), bind("127.0.0.1", int(value))
    except PortTaken as error:
        sys.exit(f"demo: {error}. Choose another one: {name}={int(value) + 1000} make demo")


def make_auth_server(port: int, app_port: int) -> Emulator:
    """Make an auth server with sample users, and put its settings into the environment."""
    webhooks = f"http://localhost:{app_port}/webhooks/stack-auth"
    emulator = Emulator(f"http://localhost:{port}", webhook_url=webhooks)
    emulator.seed(SEED)
    for name, value in emulator.environment().items():
        newer = name.replace("STACK_", "HEXCLAVE_", 1)
        for other in (newer, f"{newer}_FILE", f"{name}_FILE"):  # they would take precedence or conflict
            os.environ.pop(other, None)
        os.environ[name] = value
    return emulator


def main() -> None:
    """Bind the ports, start the servers, and print their URLs."""
    app_port, app_socket = listen("PORT", 8000)
    emulator = None
    served: list[Served] = []
    if not any(map(os.environ.get, environment_names("project_id"))):
        port, emulator_socket = listen("EMULATOR_PORT", 8102)
        emulator = make_auth_server(port, app_port)
        served.append((emulator.app, emulator_socket))
    if not any(map(os.environ.get, environment_names("app_url"))):
        # Only on loopback: over plain http, Safari does not store Secure cookies.
        os.environ.update(STACK_APP_URL=f"http://localhost:{app_port}", STACK_INSECURE_COOKIES="true")
    with TemporaryDirectory(prefix="notes-") as folder:
        if emulator:
            os.environ.setdefault("DATABASE_URL", f"sqlite+aiosqlite:///{folder}/notes.sqlite3")
        from example_app.main import app, stack  # noqa: PLC0415 - it reads the environment that was just set

        print(f"Example app   http://localhost:{app_port}\nAPI docs      http://localhost:{app_port}/docs")
        if emulator:
            print(f"Auth server   {emulator.url}   (embedded, in memory; shows users, emails, settings)")
            print(f"Emails        {emulator.url}/emulator/outbox")
            print(f"\nSign in as one of these with the password “{PASSWORD}”, or sign up:")
            print("\n".join(f"  {email:<20} {what}" for email, what in ABOUT.items()) + "\n")
        else:
            print(f"Auth server   {stack.settings.base_url}   (project {stack.settings.project_id})")
        print("Stop with Ctrl-C.", flush=True)
        asyncio.run(run([*served, (app, app_socket)], samples=emulator is not None))


async def run(served: list[Served], *, samples: bool) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    if samples:
        await write_notes()
    await serve(served)


if __name__ == "__main__":
    main()
