"""Accounts at OAuth providers: sign-in, sign-up, merging and linking.

Law: decisions only depend on the store, in a single transaction. Only this module implements the merge strategies.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from . import accounts
from .errors import KnownError
from .store.database import Row
from .wire import Call


@dataclass(frozen=True)
class Identity:
    """An identity at a provider."""

    provider: str
    account_id: str
    email: str | None
    email_verified: bool
    display_name: str | None
    scopes: list[str]


def email_taken_error(email: str, *, would_work_if_verified: bool) -> KnownError:
    """Return the error for an address that another user signs in with."""
    return KnownError(
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
        type="email",
        contact_channel_value=email,
        would_work_if_email_was_verified=would_work_if_verified,
    )


def connect_account(call: Call, identity: Identity, flow: dict[str, Any]) -> tuple[Row, bool]:
    """Return the user linked to an identity, and whether the user was just created.

    Raises:
        KnownError: Another user has the identity or its address, or the project does not allow sign-up.
    """
    store = call.server.store
    try:
        with store.transaction():
            if flow["type"] == "link":
                user, account, is_new = *link_account(call, identity, flow["user_id"]), False
            else:
                user, account, is_new = authenticate_identity(call, identity)
            store.oauth.grant(account, identity.scopes)
    except sqlite3.IntegrityError:
        raise KnownError("OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER") from None
    return user, is_new


def find_links(call: Call, identity: Identity) -> list[Row]:
    """Return the links to an account at a provider."""
    return call.server.store.oauth.same_account(call.project.id, identity.provider, identity.account_id)


def link_account(call: Call, identity: Identity, user_id: str) -> tuple[Row, Row]:
    """Link an identity to a signed-in user."""
    store = call.server.store
    user = store.users.get(call.project.id, user_id)
    if user is None:
        raise KnownError("USER_NOT_FOUND")
    links = find_links(call, identity)
    if any(link["user_id"] != user["id"] for link in links):
        raise KnownError("OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER")
    return user, links[0] if links else new_link(call, user, identity)


def new_link(call: Call, user: Row, identity: Identity) -> Row:
    """Link an account. It can be used to sign in unless the user already signs in with another one at this provider."""
    store = call.server.store
    signs_in = any(
        row["provider"] == identity.provider and row["allow_sign_in"] for row in store.oauth.accounts(user["id"])
    )
    fields = {"provider": identity.provider, "account_id": identity.account_id, "email": identity.email}
    return store.oauth.link(user, {**fields, "allow_sign_in": int(not signs_in), "allow_connected_accounts": 1})


def authenticate_identity(call: Call, identity: Identity) -> tuple[Row, Row, bool]:
    """Return the user for an identity: the linked one, the one with the same address, or a new one."""
    store = call.server.store
    for link in find_links(call, identity):
        user = store.users.get(call.project.id, link["user_id"])
        if link["allow_sign_in"] and user is not None:
            return user, link, False
    user = merge_account(call, identity)
    is_new = user is None
    if user is None:
        accounts.check_sign_up_open(call.project)
        user = signed_up(call, identity)
    return user, new_link(call, user, identity), is_new


def merge_account(call: Call, identity: Identity) -> Row | None:
    """Return the user with the identity's address if the project merges accounts."""
    if identity.email is None:
        return None
    store, strategy = call.server.store, call.project.config["oauth_account_merge_strategy"]
    user = store.users.by_auth_email(call.project.id, identity.email)
    if user is None or strategy == "allow_duplicates":
        return None
    if strategy == "raise_error":
        raise email_taken_error(identity.email, would_work_if_verified=False)
    channel = store.channels.with_value(user["id"], identity.email)
    if channel is None or not channel["is_verified"] or not identity.email_verified:
        raise email_taken_error(identity.email, would_work_if_verified=True)
    return user


def signed_up(call: Call, identity: Identity) -> Row:
    """Create a user for an identity. If another user signs in with its address, this user cannot."""
    store, email = call.server.store, identity.email
    columns: Row = {**accounts.apply_rules(call.project, email), "display_name": identity.display_name}
    known = accounts.upgrade_anonymous(call, columns)
    user = known or store.users.create(call.project.id, columns)
    if email is not None:
        free = store.users.by_auth_email(call.project.id, email) is None
        flags = {"is_verified": identity.email_verified, "used_for_auth": free}
        accounts.set_primary_email(call.server, user, email, flags)
    accounts.tell_signed_up(call, user, upgraded=known is not None)
    return accounts.with_own_team(call.server, call.project, user, renamed=known is not None)
