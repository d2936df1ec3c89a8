"""Lazy imports: names of a package that are imported on first use (PEP 562).

With it, `import fastapi_stackauth` takes 60 ms more than its dependencies (the benchmark "imports"). It saves 54 ms for
the routers, 7 ms for the webhooks, and 12 ms for the models and resources of API keys, connections, OAuth, contact
channels and passkeys.
"""

import importlib
import sys
from collections.abc import Callable, Sequence


def load_late(
    package: str, modules: Sequence[str], public: Sequence[str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package.

    Args:
        package: The name of the package.
        modules: The modules that contain the names, in search order.
        public: The names to find, which are the package's `__all__`.
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
