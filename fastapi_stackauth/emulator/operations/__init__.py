"""The endpoints, with one file for each area. Importing this package registers all of them."""

from fastapi_stackauth.emulator.wire import OPERATIONS as OPERATIONS

from . import anonymous as anonymous
from . import api_keys as api_keys
from . import cli as cli
from . import connected_accounts as connected_accounts
from . import contact_channels as contact_channels
from . import mfa as mfa
from . import oauth_authorize as oauth_authorize
from . import oauth_callback as oauth_callback
from . import oauth_providers as oauth_providers
from . import oauth_token as oauth_token
from . import otp as otp
from . import passkeys as passkeys
from . import password as password
from . import password_reset as password_reset
from . import permission_definitions as permission_definitions
from . import permissions as permissions
from . import projects as projects
from . import root as root
from . import sessions as sessions
from . import team_invitations as team_invitations
from . import team_memberships as team_memberships
from . import teams as teams
from . import users as users
from . import users_me as users_me
