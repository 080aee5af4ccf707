"""Keras and TensorFlow, imported without their notices.

TensorFlow's C++ part writes to the process's standard error while it is imported, past Python: which instructions the
processor has, that results may differ by rounding. In a notebook this lands in the cell. ``TF_CPP_MIN_LOG_LEVEL`` is
given a default, which silences it from then on unless the user said otherwise; the lines written before TensorFlow
reads that are held back here, and anything among them that is no notice is written afterwards. Where the user has
imported TensorFlow already, nothing is touched.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import MissingExtraError

__all__ = ["load_keras", "load_tensorflow"]

_PURPOSE = "A model of TensorFlow"
_STDERR = 2
_NOTICE = re.compile(
    rb"I\d{4} |\d{4}-\d\d-\d\d [\d:.]+: I |WARNING: All log messages before absl|To enable the following instructions|$"
)


def load_keras() -> Any:
    """Return Keras, with whichever back end it is set to."""
    return _load("keras")


def load_tensorflow() -> Any:
    """Return TensorFlow."""
    return _load("tensorflow")


def _load(name: str) -> Any:
    if name in sys.modules:
        return extras.require(name, extra="tensorflow", purpose=_PURPOSE)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without_notices():
        try:
            return extras.require(name, extra="tensorflow", purpose=_PURPOSE)
        except ModuleNotFoundError as exc:  # the library is there, and its back end is not
            raise MissingExtraError(purpose=_PURPOSE, package=str(exc.name), extra="tensorflow") from exc


@contextmanager
def _without_notices() -> Iterator[None]:
    with tempfile.TemporaryFile() as held:
        usual = os.dup(_STDERR)
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(usual, _STDERR)
            os.close(usual)
            held.seek(0)
            os.write(_STDERR, b"".join(line for line in held if not _NOTICE.match(line)))
