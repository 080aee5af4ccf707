"""Sums of bytes, files and records.

One algorithm everywhere (SHA-256, lower-case hex), and one canonical JSON: sorted keys, no spaces, UTF-8,
no NaN. Two processes that write the same record write the same bytes, which the event chain relies on.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["canonical_json", "sha256_bytes", "sha256_file"]

_BLOCK_BYTES = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex.

    Examples
    --------
    >>> sha256_bytes(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file's bytes in hex, read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    r"""Return the one JSON text of `value` as UTF-8 bytes.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON does not have.
    TypeError
        For what JSON cannot hold.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": "é"})
    b'{"a":"\xc3\xa9","b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", errors="strict")
