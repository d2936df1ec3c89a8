"""The three kinds of users a token may speak for, and how issuer and audience name them (contract/tokens.md §1)."""

import enum


class TokenKind(enum.StrEnum):
    """The kind of user that a token belongs to."""

    NORMAL = "normal"
    RESTRICTED = "restricted"
    ANONYMOUS = "anonymous"


ISSUER_PATHS = {
    TokenKind.NORMAL: "/api/v1/projects/",
    TokenKind.RESTRICTED: "/api/v1/projects-restricted-users/",
    TokenKind.ANONYMOUS: "/api/v1/projects-anonymous-users/",
}
AUDIENCE_SUFFIXES = {TokenKind.NORMAL: "", TokenKind.RESTRICTED: ":restricted", TokenKind.ANONYMOUS: ":anon"}
