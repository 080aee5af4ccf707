"""skops, imported without PyTorch.

`skops.io` looks through every module of scikit-learn for estimators, and so imports the one by which scikit-learn
computes on PyTorch's arrays, and with it PyTorch, where that is installed: two seconds and 200 MB for a model that has
nothing to do with it. That module holds no estimator; it is hidden while skops looks.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

__all__ = ["load_skops"]

_HIDDEN = "sklearn.externals.array_api_compat.torch"


def load_skops() -> ModuleType:
    """Return the module `skops.io`."""
    is_hidden = "skops.io" not in sys.modules and "torch" not in sys.modules and _HIDDEN not in sys.modules
    if is_hidden:
        sys.modules.update({_HIDDEN: cast("ModuleType", None)})  # by which an import is refused
    try:
        import skops.io
    finally:
        if is_hidden:
            del sys.modules[_HIDDEN]
    found: ModuleType = skops.io
    return found
