# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Public names of a package, imported when first used, so that `import trainers` pulls no library."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """
    `__all__`, `__getattr__` and `__dir__` of a package whose names are imported when first used.

    Args:
        package (`str`):
            The package's `__name__`.
        modules (`Mapping[str, Sequence[str]]`):
            Each module of the package, and the names that it gives.

    Returns:
        `tuple`: to be assigned to `__all__, __getattr__, __dir__` in the package's `__init__.py`.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    names = sorted(module_of)
    return names, get, lambda: names


__all__ = ["lazy_exports"]
