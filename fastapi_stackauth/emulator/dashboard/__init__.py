"""The dashboard; importing its modules registers their pages and forms."""

from . import activity as activity
from . import cli_logins as cli_logins
from . import settings as settings
from . import teams as teams
from . import users as users
from .dashboard import Dashboard as Dashboard
