"""Names of a package that are loaded when they are first asked for (PEP 562), so that importing it stays quick."""

import importlib
import sys
from collections.abc import Callable, Sequence


def loaded_late(
    package: str, modules: Sequence[str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its name.
        modules: its modules with the names, in the order of the search.
        public: the names that may be asked for: the package's `__all__`.
    """

    def find(name: str) -> object:
        if name in public:
            for module in modules:
                loaded = importlib.import_module(f"{package}.{module}")
                if hasattr(loaded, name):
                    return getattr(loaded, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *public})

    return find, names
