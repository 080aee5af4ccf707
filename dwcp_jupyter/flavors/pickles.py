"""Pickles, which run whatever code they hold: read only after the loader decided so (`trust`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib

__all__ = ["EXTENSIONS", "FORMATS", "load"]

EXTENSIONS: Mapping[str, str] = {".pkl": "pickle", ".pickle": "pickle", ".joblib": "joblib"}
FORMATS = frozenset(EXTENSIONS.values())


def load(path: Path) -> Any:
    """Return the object in a file whose trust was decided; joblib reads plain pickles too."""
    return joblib.load(path)
