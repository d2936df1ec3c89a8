"""The methods of `StackAuth` that return routers. A router is imported when an app asks for it."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from fastapi import APIRouter

from fastapi_stackauth import routers
from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.http.installed import add_router
from fastapi_stackauth.services import Stack


class MountsRouters(Stack):
    """A stack that has routers."""

    def router(
        self,
        *,
        delivery: "routers.Delivery" = "cookie",
        include: "Collection[routers.Feature] | None" = None,
        exclude: "Collection[routers.Feature] | None" = None,
        pages: "Mapping[routers.Page, str] | None" = None,
        oauth_scopes: Mapping[str, str] | None = None,
    ) -> APIRouter:
        """Return the sign-in routes, for `app.include_router(..., prefix=...)`. An app may include several.

        Args:
            delivery: ``cookie`` delivers tokens in HttpOnly cookies, for web front ends; this needs `app_url`. ``body``
                delivers them in request and response bodies, for mobile and command-line apps.
            include: Mount only these features: ``password``, ``sign_up`` (with a password), ``otp``, ``oauth``,
                ``passkey``, ``anonymous``, ``mfa``, ``sessions``, ``account``, ``account_deletion``,
                ``contact_channels``, ``connected_accounts``. `GET /methods`, refresh and sign-out are always mounted.
            exclude: Mount all features but these.
            pages: Your own pages, as paths or URLs, which links in emails open instead of the router's pages:
                ``password_reset``, ``verify_email``, ``magic_link``. They get the code as ``?code=``.
            oauth_scopes: Additional scopes to request at each sign-in, by provider, separated by spaces.

        Raises:
            ConfigurationError: The delivery, a feature or a page does not exist, browsers would not store cookies for
                `app_url`, or another stack of the app has the same `cookie_name`.
        """
        add_router(self)
        return routers.build_router(
            self, delivery=delivery, include=include, exclude=exclude, pages=pages, oauth_scopes=oauth_scopes
        )

    def teams_router(
        self,
        *,
        delivery: "routers.Delivery" = "cookie",
        include: "Collection[routers.TeamFeature] | None" = None,
        exclude: "Collection[routers.TeamFeature] | None" = None,
        pages: "Mapping[routers.TeamPage, str] | None" = None,
        create: Require | None = None,
        manage_permissions: "routers.Grants | None" = None,
    ) -> APIRouter:
        """Return the routes for teams, members, profiles and invitations, for `app.include_router(..., prefix=...)`.

        Args:
            delivery: As for `router`.
            include: Mount these features and no others: ``teams``, ``team_creation``, ``team_deletion``, ``members``,
                ``profiles``, ``permissions``, ``invitations``.
            exclude: Mount all features but these.
            pages: The app's own page that links of invitations open: ``team_invitation``. It gets ``?code=``.
            create: The requirements for creating a team, in addition to the project's setting.
            manage_permissions: The permissions that members may grant and revoke. Needs a secret key.

        Raises:
            ConfigurationError: The delivery, a feature or a page does not exist; `create` or `manage_permissions` is
                something else.
        """
        add_router(self)
        return routers.build_teams_router(
            self,
            delivery=delivery,
            include=include,
            exclude=exclude,
            pages=pages,
            create=create,
            manage_permissions=manage_permissions,
        )

    def api_keys_router(
        self,
        *,
        delivery: "routers.Delivery" = "cookie",
        include: "Collection[routers.ApiKeyFeature] | None" = None,
        exclude: "Collection[routers.ApiKeyFeature] | None" = None,
        max_age: timedelta | None = timedelta(hours=1),
    ) -> APIRouter:
        """Return the routes for API keys of users and their teams, for `app.include_router(..., prefix=...)`.

        Args:
            delivery: As for `router`.
            include: Mount these features and no others: ``user_api_keys``, ``team_api_keys``.
            exclude: Mount all features but these.
            max_age: The sign-in must be younger than this to create a key; None for any sign-in. Revoking a key never
                needs a recent sign-in.

        Raises:
            ConfigurationError: The delivery or a feature does not exist; `max_age` is not a positive timedelta.
        """
        add_router(self)
        return routers.build_api_keys_router(self, delivery=delivery, include=include, exclude=exclude, max_age=max_age)

    def cli_router(
        self,
        *,
        delivery: "routers.Delivery" = "cookie",
        pages: "Mapping[routers.CliPage, str] | None" = None,
        share_browser_session: bool = False,
    ) -> APIRouter:
        """Return the routes with which command-line tools sign in, for `app.include_router(..., prefix=...)`.

        They implement the device authorization grant (RFC 8628), for any OAuth client. The user confirms the sign-in on
        a page of the router. Without `redis_url`, this only works in a single worker. It needs the secret key.

        Args:
            delivery: As for `router`, for the session of the user who confirms. The tool always gets its tokens in the
                body.
            pages: The app's own page on which users type the code: ``device``. Needed for ``body``.
            share_browser_session: Give the tool the session of the confirming browser instead of a separate one. This
                needs no secret key, but signing out in one of them also signs out the other, and the session no longer
                counts as a recent sign-in.

        Raises:
            ConfigurationError: The delivery or the page does not exist; ``body`` has no page, or would share a session.
        """
        add_router(self)
        return routers.build_cli_router(
            self, delivery=delivery, pages=pages, share_browser_session=share_browser_session
        )
