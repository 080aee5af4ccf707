"""Who may run code here: the loader's decision on files that can.

A pickle runs what it says when it is read. So the one who loads decides, by ``trust=`` or ``DWCP_TRUST``:

``own``
    a file that this user owns and nobody else can write, named by its path in Python: the same as calling
    ``joblib.load`` oneself (the default);
``none``
    nothing;
one or more SHA-256 sums
    these bytes, wherever they lie.

Safe formats need no decision. A decision is a value bound to a sum, so that it can be recorded before loading and
honoured again for that sum alone.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dwcp_jupyter import config, hashing
from dwcp_jupyter.exceptions import SettingError, UntrustedArtifactError

__all__ = ["Trust", "TrustDecision", "decide_trust"]

_SUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A policy: ``own``, or the sums that may be loaded; without either, nothing may."""

    own: bool = False
    sums: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, policy: Trust | str | None) -> Trust | Self:
        """Return the policy that a text says; the setting ``DWCP_TRUST`` for None.

        Raises
        ------
        SettingError
            If it says none.

        Examples
        --------
        >>> Trust.parse("none")
        Trust(own=False, sums=frozenset())
        """
        if isinstance(policy, Trust):
            return policy
        text = config.load().trust if policy is None else str(policy)
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        sums = frozenset(word for word in words if _SUM.fullmatch(word))
        strange = [word for word in words if word not in sums and word not in {"own", "none"}]
        if strange or not words or ("none" in words and len(words) > 1):
            raise SettingError(
                f"trust='{text}' is no decision. Say 'own', 'none', or SHA-256 sums separated by commas."
            )
        return cls(own="own" in words, sums=sums)

    def __str__(self) -> str:
        return ",".join([*(["own"] if self.own else []), *sorted(self.sums)]) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDecision:
    """That a file may be loaded, and why; bound to its SHA-256."""

    sha256: str
    policy: str
    reason: str


def decide_trust(
    sha256: str,
    *,
    trust: Trust | str | None = None,
    path: str | os.PathLike[str] | None = None,
    call: str = "flavors.load_model(directory, trust='{sha256}')",
) -> TrustDecision:
    """Return the decision to load the unsafe file with this sum.

    Parameters
    ----------
    sha256 : str
        Of the file's bytes.
    path : path, optional
        Where the user named the file in Python; ``own`` counts only then.
    call : str
        The line that would allow it, for the error; ``{sha256}`` is filled in.

    Raises
    ------
    UntrustedArtifactError
        If the policy does not allow it.
    """
    policy = Trust.parse(trust)
    if sha256 in policy.sums:
        return TrustDecision(sha256=sha256, policy=str(policy), reason="its SHA-256 is named")
    why = "nobody decided to trust it"
    if policy.own:
        why = "it was not named by its path in Python" if path is None else _objection(Path(path))
        if not why and path is not None and hashing.sha256_file(Path(path)) == sha256:
            return TrustDecision(sha256=sha256, policy=str(policy), reason="a file of this user, named by path")
    line = call.format(sha256=sha256)
    raise UntrustedArtifactError(
        f"The model file with SHA-256 {sha256} is a pickle, which runs code when it is loaded, and "
        f"{why or 'its bytes changed'}. If you know where it comes from, allow these bytes with: {line}",
        sha256=sha256,
    )


def _objection(path: Path) -> str:
    """Return why a file is not this user's alone; empty if it is."""
    real = path.resolve()
    found = real.stat()
    if not stat.S_ISREG(found.st_mode):
        return f"'{path}' is not a regular file"
    if found.st_uid != os.getuid():
        return f"'{path}' belongs to user id {found.st_uid}, not to you"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write '{path}' (mode {stat.filemode(found.st_mode)})"
    folder = real.parent.stat()
    if folder.st_uid not in {os.getuid(), 0}:
        return f"the folder '{real.parent}' belongs to user id {folder.st_uid}, who could exchange the file"
    if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX:
        return f"others can exchange files in '{real.parent}' (mode {stat.filemode(folder.st_mode)})"
    return ""
