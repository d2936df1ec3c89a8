"""The one place of lazy imports: a package's names that are imported on first use (PEP 562).

It keeps `import fastapi_stackauth` at 60 ms over its dependencies (the benchmarks' row "imports"). It saves, in ms: the
routers 54, the webhooks 7, the models and resources of API keys, connections, OAuth, contact channels and passkeys 12.
"""

import importlib
import sys
from collections.abc import Callable, Sequence


def load_late(
    package: str, modules: Sequence[str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package.

    Args:
        package: its name.
        modules: its modules with the names, in the order of the search.
        public: the names to find: the package's `__all__`.
    """

    def find(name: str) -> object:
        if name in public:
            for module in modules:
                loaded = importlib.import_module(f"{package}.{module}")
                if hasattr(loaded, name):
                    return getattr(loaded, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *public})

    return find, list_names
