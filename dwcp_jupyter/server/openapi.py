"""The OpenAPI document of the server's routes, kept beside them as ``openapi.yaml``.

It is written by hand, since it is what users read, and held to the truth by tests: its paths are the routes, and real
answers fit its schemas.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

__all__ = ["load_document"]


def load_document() -> dict[str, Any]:
    """Return the document as plain dictionaries."""
    text = resources.files(__package__).joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document
