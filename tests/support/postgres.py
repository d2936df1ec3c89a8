"""A real PostgreSQL server on a loopback port and in a folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.install_tools import server_program
from tests.support.redis_server import free_port

PATIENCE = 60.0  # a limit for waiting, and no measure


def _find_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; Debian's package makes a user for it."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class PostgresServer:
    """One server process with one user, who owns one database. Passwords are demanded, as of the real image."""

    user: str
    password: str
    database: str
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgres-")))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster, start the server, make the database."""
        if owner := _find_user():
            shutil.chown(self.folder, owner["user"], owner["group"])
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        self._run("initdb", "--pgdata", str(self.folder / "data"), "--username", self.user, "--auth", "scram-sha-256",
                  "--pwfile", str(password_file), "--no-sync")  # fmt: skip
        password_file.unlink()
        self.process = subprocess.Popen(
            [self._program("postgres"), "-D", self.folder / "data", "-p", str(self.port), "-h", "127.0.0.1",
             "-k", self.folder, "-F"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_find_user(),
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            assert self.process.poll() is None, "postgres did not start"
            assert time.monotonic() < deadline, "postgres does not answer"
            time.sleep(0.05)
        self.sql(f'create database "{self.database}"', database="postgres")

    def sql(self, statement: str, database: str | None = None) -> str:
        """What a statement gives, by `psql`, one row a line."""
        server = ("-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", database or self.database)
        return self._run("psql", *server, "-v", "ON_ERROR_STOP=1", "-Atc", statement)

    def stop(self) -> None:
        """End it and remove what it kept."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: without waiting for clients
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        command = [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, name: str, *words: str) -> str:
        environment = {**os.environ, "PGPASSWORD": self.password, "LC_ALL": "C.UTF-8"}
        command = [self._program(name), *words]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, check=True, env=environment, cwd="/", capture_output=True, text=True, **_find_user()
        )
        return done.stdout.strip()

    @staticmethod
    def _program(name: str) -> str:
        found = server_program(name)
        assert found, f"no {name}"
        return found
