"""The store: a database with a table for each kind of data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi_stackauth.emulator.clock import Chance, Clock

from .api_keys import ApiKeys
from .cli_logins import CliLogins
from .codes import Codes
from .database import Database
from .emails import Mails
from .images import Images
from .oauth import OAuthTable
from .permissions import Permissions
from .projects import Projects
from .sessions import Sessions
from .teams import Teams
from .users import Channels, Passkeys, Users


class Store:
    """The server's data.

    Args:
        path: The SQLite file. None keeps the data in memory.
        clock: The clock for stored times.
        chance: The source of randomness for stored ids and secrets.
    """

    def __init__(self, path: Path | None, clock: Clock, chance: Chance) -> None:
        self.database = Database(path)
        self.projects = Projects(self.database, chance)
        self.users = Users(self.database, clock, chance)
        self.channels = Channels(self.database, clock, chance)
        self.passkeys = Passkeys(self.database)
        self.sessions = Sessions(self.database, clock, chance)
        self.codes = Codes(self.database, clock, chance)
        self.cli_logins = CliLogins(self.database, clock, chance)
        self.emails = Mails(self.database, clock, chance)
        self.oauth = OAuthTable(self.database, clock, chance)
        self.teams = Teams(self.database, clock, chance)
        self.permissions = Permissions(self.database)
        self.images = Images(self.database)
        self.api_keys = ApiKeys(self.database, clock, chance)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes within the block, or none of them."""
        with self.database.transaction():
            yield

    def close(self) -> None:
        """Close the file."""
        self.database.close()
