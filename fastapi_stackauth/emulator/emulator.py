"""`Emulator`: a server with one default project, its app, and its URL.

Law: only `run` and `emulator()` open a port. Arguments take precedence over the data file.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI

from .app import create_app
from .clock import Chance, Clock
from .control import mail_view
from .guard import check_dashboard_token
from .issuing import issue
from .seeding import add_team, add_user, join, password_hashes, plant, plant_permissions, read_seed
from .server import Server
from .server_profile import NEWEST, ServerProfile, find_profile
from .serving import bind, run_servers
from .store import Store
from .store.api_keys import Kind
from .store.database import Row
from .store.projects import FRIENDLY, Project
from .tokens import LIFETIME_SECONDS

DEFAULT_PORT = 8102
LOOPBACK = "127.0.0.1"


class Emulator:
    """An auth server in this process.

    Args:
        public_url: The URL under which apps reach the server, in links and issuers, without a trailing slash.
        project_id: The id of the default project. By default, the one in the data file, or a random one.
        config: Settings of the default project. A new project also gets those in `FRIENDLY` (see `store/projects.py`).
        data: An SQLite file for all data. None keeps it in memory.
        rotate_keys: Create new signing keys and delete the old ones.
        clock: The clock. By default, the system's.
        chance: The source of randomness. By default, the system's.
        token_lifetime: Seconds until an access token expires.
        webhook_url: The URL for the default project's webhooks. None for no webhooks.
        publishable_client_key: The default project's `pck_` key. By default, the one in the data file, or a random one.
        secret_server_key: Its `ssk_` key, with the same default.
        webhook_secret: The secret that signs its webhooks, `whsec_` and base64, with the same default.
        dashboard_token: Lets other machines use the dashboard and the control API. Without it, only this machine can.
        profile: The version of the real auth server to emulate, by name or as a value (see `server_profile.py`).
        fast_hashes: Hash passwords at the lowest cost, so that tests run faster. Use it only for made-up passwords.

    Raises:
        ValueError: A setting or the profile is unknown, a key or token is malformed, or the data file is from another
            version.
    """

    def __init__(
        self,
        public_url: str = f"http://localhost:{DEFAULT_PORT}",
        *,
        project_id: str | None = None,
        config: Mapping[str, Any] | None = None,
        data: Path | None = None,
        rotate_keys: bool = False,
        clock: Clock | None = None,
        chance: Chance | None = None,
        token_lifetime: int = LIFETIME_SECONDS,
        webhook_url: str | None = None,
        publishable_client_key: str | None = None,
        secret_server_key: str | None = None,
        webhook_secret: str | None = None,
        dashboard_token: str | None = None,
        profile: ServerProfile | str = NEWEST,
        fast_hashes: bool = False,
    ) -> None:
        self._dashboard_token = None if dashboard_token is None else check_dashboard_token(dashboard_token)
        keys = {"publishable_client_key": publishable_client_key, "secret_server_key": secret_server_key}
        self.server = Server(
            public_url, data, clock, chance, token_lifetime, find_profile(profile), fast_hashes=fast_hashes
        )
        if rotate_keys:
            self.server.store.projects.rotate_keys()
        self.project_id = self._open_project(project_id, config or {}, keys)
        self._config = self.project.config
        if webhook_secret is not None:
            self.store.projects.fix_webhook_secret(self.project_id, webhook_secret)
        if webhook_url is not None:
            self.server.webhooks.point(self.project_id, webhook_url)
        self.app: FastAPI = create_app(self.server, self.project_id, self._dashboard_token)

    def _open_project(self, project_id: str | None, config: Mapping[str, Any], keys: Mapping[str, str | None]) -> str:
        projects = self.store.projects
        with self.store.transaction():
            wanted = project_id or projects.default_id()
            project = projects.get(wanted) if wanted else None
            if project is None:
                project = projects.create({**FRIENDLY, **config}, id=wanted)
            elif config:
                project = projects.configure(project, config)
            project = projects.rekey(project, keys)
            projects.make_default(project.id)
        return project.id

    def for_project(self, project_id: str) -> Self:
        """Return a view of this server with another default project, which is created if necessary.

        Raises:
            ValueError: The id is malformed.
        """
        view = copy(self)
        view.project_id = project_id
        if self.store.projects.get(project_id) is None:
            self.store.projects.create(self._config, id=project_id)
        view._config = view.project.config  # noqa: SLF001 - a view has the same class
        return view

    @property
    def store(self) -> Store:
        """The server's data."""
        return self.server.store

    @property
    def clock(self) -> Clock:
        """The server's time."""
        return self.server.clock

    @property
    def url(self) -> str:
        """The URL under which apps reach the server."""
        return self.server.public_url

    @property
    def dashboard_url(self) -> str:
        """The URL of the dashboard, with the token for other machines if there is one."""
        return self.url if self._dashboard_token is None else f"{self.url}/?token={self._dashboard_token}"

    @property
    def project(self) -> Project:
        """The current state of the default project."""
        project = self.store.projects.get(self.project_id)
        assert project is not None  # noqa: S101 - projects are never deleted
        return project

    @property
    def publishable_client_key(self) -> str:
        """The default project's key for access type client."""
        return self.project.publishable_client_key

    @property
    def secret_server_key(self) -> str:
        """The default project's key for access type server."""
        return self.project.secret_server_key

    @property
    def super_secret_admin_key(self) -> str:
        """The default project's key for access type admin."""
        return self.project.super_secret_admin_key

    def configure(self, **changes: Any) -> None:  # noqa: ANN401 - see FRIENDLY in store/projects.py
        """Change settings of the default project, for example `magic_link_enabled=False`."""
        self.store.projects.configure(self.project, changes)

    def seed(self, value: Any) -> None:  # noqa: ANN401 - JSON from outside
        """Fill the default project with a seed (see `seeding.py`).

        Raises:
            ValueError: The seed does not match the schema.
        """
        read = read_seed(value)
        plant(self.server, self.project, read, password_hashes(self.server.passwords, read))

    def add_user(self, **fields: Any) -> str:  # noqa: ANN401 - as a seed's user
        """Create a user and return their id. The fields are those of a user in a seed. Permissions must be defined.

        Raises:
            ValueError: A field is not valid, or another user has the id or the address.
        """
        (read,) = read_seed({"users": [fields]})["users"]
        hashes = password_hashes(self.server.passwords, {"users": [read]})
        with self.store.transaction():
            return str(add_user(self.server, self.project, read, hashes[0])["id"])

    def add_team(self, display_name: str, **fields: Any) -> str:  # noqa: ANN401 - as a seed's team
        """Create a team and return its id. The fields are those of a team in a seed, except for members.

        Raises:
            ValueError: A field is not valid, or there is a team with this id.
        """
        (read,) = read_seed({"teams": [{"display_name": display_name, **fields}]})["teams"]
        return str(add_team(self.server, self.project, read)["id"])

    def join(self, team_id: str, user_id: str, permissions: Iterable[str] = ("team_member",)) -> None:
        """Add a user to a team with these permissions.

        Raises:
            ValueError: There is no such team, user or permission, or the user is already a member.
        """
        with self.store.transaction():
            join(self.server, self.project, team_id, user_id, permissions)

    def add_api_key(self, owner_id: str, *, kind: Kind = "user", expires_in: float | None = None) -> str:
        """Create an API key for a user or a team, and return the key.

        Raises:
            ValueError: There is no such owner, or the project does not allow such keys.
        """
        if not self.project.config[f"allow_{kind}_api_keys"]:
            raise ValueError(f"this project allows no API keys of {kind}s: configure(allow_{kind}_api_keys=True)")
        expires_at = None if expires_in is None else self.clock.millis() + int(expires_in * 1000)
        fields: Row = {"description": "test", "is_public": 0, "expires_at": expires_at}
        try:
            return self.store.api_keys.create(self.project_id, kind, owner_id, fields)[1]
        except sqlite3.IntegrityError:
            raise ValueError(f"there is no such {kind}") from None

    def define_permission(self, permission_id: str, *, scope: str = "team", contains: Iterable[str] = ()) -> None:
        """Define a permission of scope ``team`` or ``project``, or replace the one with this id.

        Raises:
            ValueError: The id is not valid, has another scope, or a contained permission is not defined.
        """
        wanted = {"id": permission_id, "scope": scope, "contained_permission_ids": list(contains)}
        read = read_seed({"permissions": [wanted]})
        with self.store.transaction():
            plant_permissions(self.server, self.project, read["permissions"])

    def reset(self) -> None:
        """Reset the server: delete all users, teams, emails, faults and other projects, and restore settings and time.

        The project's keys and the signing keys do not change.
        """
        with self.store.transaction():
            kept = (self.project_id, self.store.projects.default_id())
            for project in self.store.projects.all():
                self.store.projects.empty(project.id)
                if project.id not in kept:
                    self.store.projects.delete(project.id)
            self.store.projects.restore(self.project, self._config)
        self.server.webhooks.clear(self.project_id)
        self.server.calls.clear()
        self.server.faults.clear()
        self.clock.reset()

    def emails(self, to: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the default project's emails, newest first, optionally only those of a recipient or kind."""
        return [mail_view(mail) for mail in self.store.emails.find(self.project_id, to, kind)]

    def issue_token(self, **options: Any) -> dict[str, str]:  # noqa: ANN401 - see issuing.issue
        """Return `user_id`, `access_token` and `refresh_token` of a new session; see `issuing.issue` for options."""
        return issue(self.server, self.project, **options)

    @property
    def webhook_secret(self) -> str:
        """The secret that signs the default project's webhooks."""
        return self.server.webhooks.secret(self.project_id)

    def environment(self) -> dict[str, str]:
        """Return the environment variables for an app that uses this server."""
        return {
            "STACK_API_URL": self.url,
            "STACK_PROJECT_ID": self.project_id,
            "STACK_PUBLISHABLE_CLIENT_KEY": self.publishable_client_key,
            "STACK_SECRET_SERVER_KEY": self.secret_server_key,
            "STACK_WEBHOOK_SECRETS": self.webhook_secret,
        }

    def close(self) -> None:
        """Stop sending webhooks, and close the data file."""
        self.server.webhooks.close()
        self.store.close()


@contextlib.asynccontextmanager
async def emulator(*, port: int = 0, **options: Any) -> AsyncIterator[Emulator]:  # noqa: ANN401 - see Emulator
    """Run an emulator on a loopback port within the block.

    Args:
        port: The port. With 0, the system chooses one.
        options: Arguments of `Emulator`. By default, the public URL is the loopback address, and password hashes are
            fast unless there is a data file.
    """
    listener = bind(LOOPBACK, port)
    options.setdefault("public_url", f"http://{LOOPBACK}:{listener.getsockname()[1]}")
    options.setdefault("fast_hashes", options.get("data") is None)
    running = Emulator(**options)
    try:
        async with run_servers([(running.app, listener)]):
            yield running
    finally:
        listener.close()
        await running.server.webhooks.aclose()
        running.close()
