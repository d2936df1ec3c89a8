"""Every recorded exchange that the emulator does not answer exactly as the real server did, with the reason.

Law: an entry that no longer differs must go; a difference without an entry fails the replay.
"""

FAILS = "the real server fails with 500 here; the emulator rejects the request with the 4xx that is meant"
FAILS_LATER = "the real server stores a bad value and then fails with 500; the emulator rejects the bad value before"
DASHBOARD = "needs the vendor's dashboard project, which the emulator does not have"
PROVIDER = "a fault of the provider that the recorder used; the emulator's own provider does not have it"
MISSING = "depends on an operation that is not emulated"
PAGES = "outside the API are the emulator's own pages"

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("api-keys", "user-create-unknown-owner"): FAILS,
    ("api-keys", "team-create-unknown-owner"): FAILS,
    ("api-keys", "user-read-team-key"): FAILS,
    ("contact-channels", "create-unknown-user"): FAILS,
    ("contact-channels", "update-value-no-type"): FAILS,
    ("contact-channels", "list-bad-value"): FAILS_LATER,
    ("deleted-user", "sign-out"): FAILS,
    ("headers", "admin-token-ok"): DASHBOARD,
    ("headers", "admin-token-for-server"): DASHBOARD,
    ("headers", "admin-token-not-owner"): DASHBOARD,
    ("headers", "unknown-path-outside-api"): PAGES,
    ("impersonation", "create-zero"): FAILS,
    ("jwks", "internal"): DASHBOARD,
    ("mfa", "attempt-on-otp-sign-in"): FAILS,
    ("oauth", "no-iss-callback"): PROVIDER,
    ("oauth", "callback-no-code"): FAILS,
    ("oauth", "bad-response-type-callback"): FAILS,
    ("oauth", "cross-domain-token"): MISSING,
    ("passkey", "register-wrong-rp"): FAILS,
    ("passkey", "register-wrong-type"): FAILS,
    ("passkey", "register-empty-credential"): FAILS,
    ("passkey", "sign-in-wrong-rp"): FAILS,
    ("passkey", "sign-in-wrong-type"): FAILS,
    ("passkey", "sign-in-empty-response"): FAILS,
    ("projects", "current-internal"): DASHBOARD,
    ("sessions", "create-negative"): FAILS,
    ("sessions", "sign-out-twice"): FAILS,
    ("team-invitations", "send-unknown-team-server"): FAILS,
    ("team-invitations", "delete-again"): FAILS,
    ("users", "update-password-no-email"): FAILS,
}

NOT_EMULATED = {
    r"/auth/oauth/callback/apple/native": "Apple's native sign-in",
    r"/auth/oauth/cross-domain": "cross-domain sign-in",
    r"/check-version": "the check for new versions",
    r"/data-vault": "the data vault",
    r"/emails": "the email API",
    r"/webhooks": "the webhook API",
}
"""Operations that the emulator does not have, by the beginning of their path."""

DRAWN_ORDER = {("permissions", "list-server"), ("permissions", "list-server-team")}
"""Lists that come in the order of random ids: their items are compared, but not the order."""
