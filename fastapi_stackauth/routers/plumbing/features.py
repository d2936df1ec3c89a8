"""Choose the routes of a router by the names of features in `include=` and `exclude=`."""

from collections.abc import Collection, Mapping

from fastapi_stackauth.errors import ConfigurationError


def choose_features(
    known: Collection[str],
    include: Collection[str] | None,
    exclude: Collection[str] | None,
    *,
    options: Mapping[str, str] | None = None,
    may_be_empty: bool = False,
) -> frozenset[str]:
    """Return the features that a router mounts.

    Args:
        known: The features of the router.
        include: The only features to mount.
        exclude: The features to leave out.
        options: The other options that the app passes, each with its feature.
        may_be_empty: Whether the router also has other routes.

    Raises:
        ConfigurationError: A name is unknown, both arguments are given, one of them is a string, no feature is left, or
            an option is for a feature that is left out.
    """
    if include is not None and exclude is not None:
        raise ConfigurationError("include and exclude exclude each other: pass one of them.")
    for option, names in (("include", include), ("exclude", exclude)):
        if isinstance(names, str) or not isinstance(names, Collection | None):
            raise ConfigurationError(f"{option} must be a list of features; got {names!r}. Pass {option}=[...].")
        if unknown := [name for name in names or () if name not in known]:
            raise ConfigurationError(
                f"{option}: {', '.join(map(repr, unknown))} is not one of {', '.join(known)}. Choose among these."
            )
    chosen = frozenset(known) - frozenset(exclude or ()) if include is None else frozenset(include)
    if not chosen and not may_be_empty:
        raise ConfigurationError(
            "The router has no routes, because no feature is left. Include at least one, or do not mount the router."
        )
    for option, feature in (options or {}).items():
        if feature not in chosen:
            raise ConfigurationError(
                f'{option} has no effect, because the feature "{feature}" is left out. Include it, or drop {option}.'
            )
    return chosen
