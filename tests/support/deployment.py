"""A profile of docker-compose.yml, started by hand: the same commands and environment, as processes on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import compose_env as env
from tests.install_tools import server_program
from tests.support import compose
from tests.support.nginx import proxy_command
from tests.support.postgres import PATIENCE, PostgresServer

PORTS = {"redis": 6379, "notes-db": 5432, "emulator": 8102, "proxy": 8080}  # all others are apps
OURS = ("STACK_", "HEXCLAVE_", "NEXT_PUBLIC_", "EMULATOR_", "DATABASE_", "FORWARDED_")


class Deployment:
    """The processes of one profile; `with` starts them in the order that `depends_on` gives, and ends them."""

    def __init__(self, profile: str, folder: Path, **extra: str) -> None:
        """`extra` is added to the environment of each app."""
        self.folder, self.extra = folder, extra
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.database: PostgresServer | None = None
        variables = dict(env.variables())
        addresses = [f"{name}:{PORTS.get(name, 8000)}" for name in compose.services(profile)]
        self.loopback = compose.Loopback.of(addresses, folder, variables["NETWORK_PREFIX"])
        for name, service in compose.services(profile).items():
            for alias in compose.aliases(service):  # of the services that share one, one stands for all
                self.loopback.ports[f"{alias}:{PORTS.get(name, 8000)}"] = self.port(name)
        front = self.port("proxy" if profile == "scale" else "app")
        self.variables = {
            **variables,
            "APP_URL": f"http://localhost:{front}",
            "AUTH_URL": f"http://localhost:{self.port('emulator')}",
        }
        self.services = compose.services(profile, self.variables)
        self.proxy_timeout = "20s"
        written = dict(env.secret_files())
        for name, secret in compose.document()["secrets"].items():
            self.loopback.write_secret(name, written[Path(secret["file"]).name])

    def port(self, name: str) -> int:
        """The loopback port of a service."""
        return self.loopback.port(f"{name}:{PORTS.get(name, 8000)}")

    @property
    def url(self) -> str:
        """Where browsers find the app."""
        return self.variables["APP_URL"]

    def worker(self, name: str) -> str:
        """Where one worker listens, past the proxy."""
        return f"http://localhost:{self.port(name)}"

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        try:
            while waiting := [name for name in self.services if not self._running(name)]:
                ready = [name for name in waiting if all(map(self._running, self.services[name].get("depends_on", {})))]
                for name in ready:
                    self.start(name)
                for name in ready:
                    self.await_health(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.processes)):
            self.kill(name)
        if self.database is not None:
            self.database.stop()

    def _running(self, name: str) -> bool:
        return name in self.processes or (name == "notes-db" and self.database is not None)

    def start(self, name: str) -> None:
        """Start one service."""
        service = self.services[name]
        if name == "notes-db":
            given = self.loopback.environment(service)
            self.database = PostgresServer(
                given["POSTGRES_USER"], given["POSTGRES_PASSWORD"], given["POSTGRES_DB"], self.port(name)
            )
            self.database.start()
            return
        command = self._proxy_command() if name == "proxy" else self.loopback.command(name, service)
        extra = self.extra if service["image"] == compose.IMAGE and name != "emulator" else {}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                _program(command),
                cwd=compose.ROOT,
                env={**_read_environment(), **self.loopback.environment(service), **extra},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_health(self, name: str) -> None:
        """Wait until a service's own health check passes, where it is one that can run here."""
        deadline = time.monotonic() + PATIENCE
        while not self._healthy(name):
            assert self.processes[name].poll() is None, f"{name} ended: {self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not well: {self.log(name)}"
            time.sleep(0.05)

    def _healthy(self, name: str) -> bool:
        if name == "notes-db":
            return True  # waited for already
        if not _listens(self.port(name)):
            return False
        words: list[str] = self.services[name]["healthcheck"]["test"][1:]
        if words[0] != "python":
            return True
        inner = f"127.0.0.1:{PORTS.get(name, 8000)}"
        assert inner in words[-1]
        check = [sys.executable, *words[1:-1], words[-1].replace(inner, f"127.0.0.1:{self.port(name)}")]
        return subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode == 0

    def restart_proxy(self, timeout: str) -> None:
        """Start the proxy anew with another short timeout."""
        self.kill("proxy")
        self.proxy_timeout = timeout
        self.start("proxy")
        self.await_health("proxy")

    def freeze(self, name: str) -> None:
        """Let a service hang: its port takes connections, and nothing answers."""
        os.killpg(self.processes[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        os.killpg(self.processes[name].pid, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a service at once, with all that it started, as a crash would."""
        process = self.processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _proxy_command(self) -> list[str]:
        workers = {address: port for address, port in self.loopback.ports.items() if address.startswith("app-")}
        return proxy_command(self.folder, self.port("proxy"), workers, timeout=self.proxy_timeout)


def _program(command: list[str]) -> list[str]:
    name, *words = command
    if name == "python":
        return [sys.executable, *words]
    if name == "uvicorn":
        return [sys.executable, "-m", "uvicorn", *words]
    return [server_program(name) or name, *words, *(["--bind", "127.0.0.1"] if name == "redis-server" else [])]


def _read_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
