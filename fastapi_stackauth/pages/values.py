"""The values of templates. They are part of the API, because apps write their own templates (docs/guides/pages.md)."""

from collections.abc import Mapping

SHARED = (
    "_",
    "account",
    "direction",
    "errors",
    "first_error",
    "language",
    "languages",
    "link",
    "name_provider",
    "notice",
    "once",
    "problem",
    "provider_link",
    "return_to",
    "script",
    "script_texts",
    "site_name",
    "stylesheet",
    "target",
    "theme",
    "typed",
    "user",
)
"""The values that every page has."""

_KEYS = ("expiries", "has_keys", "keys")
_SIGN_IN = ("after_link", "by_code", "complete", "email", "methods")

VALUES: Mapping[str, tuple[str, ...]] = {
    "account.html": (
        *_KEYS,
        "addresses",
        "back",
        "connected",
        "failed",
        "has_picture",
        "has_teams",
        "invitations",
        "max_picture",
        "methods",
        "picture_rule",
        "picture_url",
        "profile",
        "sessions",
        "teams",
    ),
    "base.html": (),
    "code.html": (),
    "device.html": ("start",),
    "device_decision.html": ("address", "device", "requested", "user_code"),
    "device_done.html": (),
    "email_verification.html": ("code", "step"),
    "error.html": ("action", "heading", "message"),
    "forgot_password.html": (),
    "magic_link.html": ("address", "code"),
    "mfa.html": ("over",),
    "new_key.html": ("back", "secret", "value"),
    "oauth_failed.html": ("message",),
    "onward.html": ("address",),
    "password_reset.html": ("code",),
    "sign_in.html": (*_SIGN_IN, "prompt"),
    "sign_out.html": (),
    "sign_up.html": _SIGN_IN,
    "signed_in.html": (),
    "team.html": (*_KEYS, "form", "invitations", "is_verified", "may", "members", "own_name", "team"),
    "team_invitation.html": ("code", "is_restricted", "over", "team"),
    "teams.html": ("invitations", "is_anonymous", "may_create", "teams"),
    "two_factor.html": ("qr_code", "secret"),
}
"""The templates that an app may replace or extend, each with the additional values of its page."""


def list_values(template: str) -> frozenset[str]:
    """Return the names of all values of a template."""
    return frozenset((*SHARED, *VALUES[template]))
