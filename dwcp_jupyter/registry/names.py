"""Names of models and aliases, and references such as ``churn@champion``.

A name becomes part of paths, URLs and references, so it has letters and digits of any script, ``_``, ``-`` and inner
dots only. It is kept in Unicode's composed form: two spellings that look the same are one name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dwcp_jupyter.exceptions import InvalidNameError, InvalidVersionError
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import Model, ModelVersion
from dwcp_jupyter.registry.versioning import SemanticVersion

__all__ = [
    "ModelReference",
    "Reference",
    "check_alias",
    "check_name",
    "folded",
    "parse_reference",
    "reference_of",
]

ModelReference = str | ModelVersion | Model
"""What calls take for a model or a version of it: a reference, or the value itself."""


_NAME = re.compile(r"\w(?:[\w\-]|\.(?!\.))*(?<!\.)")
_LIKE_VERSION = re.compile(r"v?\d+(?:\.|$)")
"""What can only be a version written wrong, such as ``1.0`` or ``v2``; ``2024-best`` is a name."""
_LONGEST = 128


def check_name(name: str, *, what: str = "model") -> str:
    """Return `name` in its kept form.

    Raises
    ------
    InvalidNameError
        If it cannot be the name of a `what`.
    """
    composed = unicodedata.normalize("NFC", name) if isinstance(name, str) else ""
    if not _NAME.fullmatch(composed) or len(composed) > _LONGEST:
        shown = repr(name if len(str(name)) <= 60 else f"{str(name)[:60]}…")
        raise InvalidNameError(
            f"{shown} is no {what} name: use 1 to {_LONGEST} letters, digits, '_', '-' and single inner dots, "
            "such as 'fraud_detector'."
        )
    return composed


def check_alias(alias: str) -> str:
    """Return `alias` in its kept form.

    Raises
    ------
    InvalidNameError
        If it cannot be one: what reads as a stage or a version, in any case or width, would make ``name@alias``
        ambiguous.
    """
    composed = check_name(alias, what="alias")
    read_as = folded(composed)
    if read_as in set(Stage) or _means_version(read_as):
        raise InvalidNameError(f"'{alias}' cannot be an alias: name@{alias} would be read as that stage or version.")
    return composed


def folded(name: str) -> str:
    """Return a name without its case and width: names that people take for one another are equal then."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def reference_of(said: object) -> str:
    """Return the reference that a text is, or that a version, or a model by its name, has.

    Raises
    ------
    TypeError
        For anything else.
    """
    found = said.name if isinstance(said, Model) else getattr(said, "reference", said)
    if isinstance(found, str):
        return found
    raise TypeError(
        f"A {type(said).__name__} names no model. Give 'NAME' or 'NAME@VERSION' as a text, or the ModelVersion itself."
    )


def _means_version(text: str) -> bool:
    return _is_version(text) or _LIKE_VERSION.match(text) is not None


def _is_version(text: str) -> bool:
    try:
        SemanticVersion.parse(text)
    except InvalidVersionError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What ``name``, ``name@1.2.0``, ``name@champion`` or ``name@production`` says; the selector follows the ``@``."""

    name: str
    selector: str | None = None
    version: SemanticVersion | None = None
    stage: Stage | None = None

    def __str__(self) -> str:
        return self.name if self.selector is None else f"{self.name}@{self.selector}"


def parse_reference(text: str) -> Reference:
    """Return the parts of a reference.

    Raises
    ------
    InvalidNameError, InvalidVersionError
        If a part cannot be one.
    """
    name, at, selector = str(text).partition("@")
    name = check_name(name)
    if not at:
        return Reference(name=name)
    if _is_version(selector):
        return Reference(name=name, selector=selector, version=SemanticVersion.parse(selector))
    if selector.lower() in set(Stage):
        return Reference(name=name, selector=selector, stage=Stage(selector.lower()))
    if _means_version(selector):
        SemanticVersion.parse(selector)  # raises, saying how versions are written
    return Reference(name=name, selector=check_name(selector, what="alias"))
