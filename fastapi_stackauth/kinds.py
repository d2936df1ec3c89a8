"""The three kinds of users, and the issuers and audiences of their tokens (contract/tokens.md §1)."""

import enum


class TokenKind(enum.StrEnum):
    """The kind of a token's user."""

    NORMAL = "normal"
    RESTRICTED = "restricted"
    ANONYMOUS = "anonymous"


ISSUER_PATHS = {
    TokenKind.NORMAL: "/api/v1/projects/",
    TokenKind.RESTRICTED: "/api/v1/projects-restricted-users/",
    TokenKind.ANONYMOUS: "/api/v1/projects-anonymous-users/",
}
AUDIENCE_SUFFIXES = {TokenKind.NORMAL: "", TokenKind.RESTRICTED: ":restricted", TokenKind.ANONYMOUS: ":anon"}
