"""The version of the real auth server to emulate. All differences between versions are defined here.

Law: operations use the attributes of a profile and never compare names or versions.
"""

from dataclasses import dataclass, replace

MEBIBYTE = 1024 * 1024
MINUTE_MILLIS = 60 * 1000


@dataclass(frozen=True, kw_only=True)
class ServerProfile:
    """The differences between versions of the real auth server.

    Attributes:
        name: The name for the command line and for `Emulator(profile=...)`.
        uses_hexclave_headers: Requests may carry `x-hexclave-*` headers, and responses carry both families.
        allows_head: A path with GET also responds to HEAD. Otherwise every HEAD is 405.
        reads_compressed_bodies: Bodies with `Content-Encoding: gzip` or `deflate` are decompressed. Otherwise the
            header is ignored.
        body_limit: The maximum size of a decoded body, in bytes.
        user_page_limit: The maximum number of users on a page. None means no limit.
        cursor_is_exclusive: A page of users starts after its cursor, which is the last user of the previous page.
        user_orders: The fields by which a list of users can be ordered.
        excludes_email_domains: A list of users accepts `excluded_email_domains`.
        names_rejected_redirect: REDIRECT_URL_NOT_WHITELISTED repeats the URL as `details.redirect_url`.
        shows_development_fields: `projects/current` has the six fields that the newest JavaScript SDK reads.
        trusts_hosted_pages: Every project trusts the origins of the vendor's hosted pages for it.
        cli_login_millis: The default lifetime of a command-line sign-in.
        longest_cli_login_millis: The maximum lifetime that a request may set.
        expired_before_used: A poll for a command-line sign-in that is both used and expired returns `expired`.
        cli_needs_full_user: A session of a restricted or anonymous user cannot complete a command-line sign-in.
    """

    name: str
    uses_hexclave_headers: bool
    allows_head: bool
    reads_compressed_bodies: bool
    body_limit: int
    user_page_limit: int | None
    cursor_is_exclusive: bool
    user_orders: tuple[str, ...]
    excludes_email_domains: bool
    names_rejected_redirect: bool
    shows_development_fields: bool
    trusts_hosted_pages: bool
    cli_login_millis: int
    longest_cli_login_millis: int
    expired_before_used: bool
    cli_needs_full_user: bool


APRIL_2026 = ServerProfile(
    name="april-2026",
    uses_hexclave_headers=False,
    allows_head=False,
    reads_compressed_bodies=False,
    body_limit=64 * MEBIBYTE,  # a limit of the emulator, because this server has none
    user_page_limit=None,
    cursor_is_exclusive=False,
    user_orders=("signed_up_at",),
    excludes_email_domains=False,
    names_rejected_redirect=False,
    shows_development_fields=False,
    trusts_hosted_pages=False,
    cli_login_millis=2 * 60 * MINUTE_MILLIS,
    longest_cli_login_millis=24 * 60 * MINUTE_MILLIS,
    expired_before_used=True,
    cli_needs_full_user=False,
)
"""Version 2.8.86, for which there are recorded exchanges."""

NEWEST = replace(
    APRIL_2026,
    name="newest",
    uses_hexclave_headers=True,
    allows_head=True,
    reads_compressed_bodies=True,
    body_limit=8 * MEBIBYTE,
    user_page_limit=1000,
    cursor_is_exclusive=True,
    user_orders=("signed_up_at", "last_active_at"),
    excludes_email_domains=True,
    names_rejected_redirect=True,
    shows_development_fields=True,
    trusts_hosted_pages=True,
    # The next three are in the newest sources, but no merge is recorded. They are the stricter ones for an app.
    cli_login_millis=2 * MINUTE_MILLIS,
    longest_cli_login_millis=15 * MINUTE_MILLIS,
    expired_before_used=False,
    cli_needs_full_user=True,
)
"""The behavior that is merged or released in the newest sources, without proposals."""

PROFILES = {profile.name: profile for profile in (NEWEST, APRIL_2026)}


def find_profile(profile: ServerProfile | str) -> ServerProfile:
    """Return the profile with a name, or the given profile.

    Raises:
        ValueError: No profile has this name.
    """
    if isinstance(profile, ServerProfile):
        return profile
    if profile not in PROFILES:
        names = " or ".join(f'"{name}"' for name in PROFILES)
        raise ValueError(f'profile must be {names}; got "{profile[:80]}". Choose the auth server to play by its name.')
    return PROFILES[profile]
