"""What need not be kept, since an installed package has it: as the statement that imports it.

Installed is what lies among the packages of an environment. A file beside the notebook does not, and neither does a
project installed in place for its developers: both change without a version, so their functions are kept by their
source.
"""

from __future__ import annotations

import importlib.util
import site
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from dwcp_jupyter.flavors.package import installed

__all__ = ["is_installed", "is_there", "statement_for", "submodules", "versions_of"]

_OURS = __name__.partition(".")[0]


def is_installed(module: str) -> bool:
    """Return whether a module is one of Python's, ours, or of an installed package."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == _OURS:
        return True
    return any(_is_for_packages(Path(place).parent) for place in _places(top))


def is_there(module: str) -> bool:
    """Return whether a module can be imported here, from wherever."""
    top = module.partition(".")[0]
    return top in sys.builtin_module_names or bool(_places(top))


def _places(top: str) -> list[str]:
    """Return the file or folders of a top-level module."""
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return []
    if spec is None:
        return []
    return [*spec.submodule_search_locations] if spec.submodule_search_locations else [str(spec.origin)]


def _is_for_packages(folder: Path) -> bool:
    known = {*site.getsitepackages(), site.getusersitepackages()}
    return str(folder) in known or any(folder.glob("*.dist-info"))


def statement_for(name: str, value: Any) -> str | None:
    """Return the statement that binds `name` to an installed module, or to what is in one; None where there is none.

    The shortest path is taken: what a library shows at its top is what it promises to keep.
    """
    if isinstance(value, ModuleType):
        module = value.__name__
        if sys.modules.get(module) is not value or not is_installed(module):
            return None
        return f"import {module}" if module == name else f"import {module} as {name}"
    for module, attribute in _homes(name, value):
        if getattr(sys.modules.get(module), attribute, None) is value and is_installed(module):
            what = attribute if attribute == name else f"{attribute} as {name}"
            return f"from {module} import {what}"
    return None


def _homes(name: str, value: Any) -> Iterator[tuple[str, str]]:
    attributes = dict.fromkeys([getattr(value, "__name__", name), name])
    for home in dict.fromkeys([getattr(value, "__module__", None), type(value).__module__]):
        parts = home.split(".") if isinstance(home, str) else []
        for count in range(1, len(parts) + 1):
            for attribute in attributes:
                if isinstance(attribute, str) and attribute.isidentifier():
                    yield ".".join(parts[:count]), attribute


def submodules(module: ModuleType, path: Iterable[str]) -> Iterator[str]:
    """Return the modules below `module` that a path of attributes passes, as long as it passes any."""
    for attribute in path:
        inner = getattr(module, attribute, None)
        if not isinstance(inner, ModuleType) or sys.modules.get(f"{module.__name__}.{attribute}") is not inner:
            return
        module = inner
        yield module.__name__


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the distributions that modules come from, by distribution."""
    tops = {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names}
    found = installed(*sorted(tops))  # most have the name of their module; to look for the others takes half a second
    others = tops - {*found}
    known = metadata.packages_distributions() if others else {}
    return found | installed(*sorted({name for top in others for name in known.get(top, ())}))
