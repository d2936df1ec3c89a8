"""Chooses the routes of a router: `include=` and `exclude=` take names of features, for every router."""

from collections.abc import Collection

from fastapi_stackauth.errors import ConfigurationError


def choose_features(
    known: Collection[str], include: Collection[str] | None, exclude: Collection[str] | None
) -> frozenset[str]:
    """Return the features that a router mounts.

    Args:
        known: the features that the router has.
        include: these and no others.
        exclude: all but these.

    Raises:
        ConfigurationError: a name is unknown, both are given, or one of them is a text.
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
    if include is not None:
        return frozenset(include)
    return frozenset(known) - frozenset(exclude or ())
