"""Who may run code here: the loader's decision on files that can.

A pickle runs what it says when it is read, and other formats can too. So the one who loads decides, by ``trust=`` or
``DWCP_TRUST``:

``own``
    a file that this user owns and nobody else can write, named by its path in Python: the same as calling
    ``joblib.load`` oneself (the default); of a folder that holds for everything in it;
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

from dwcp_jupyter import config
from dwcp_jupyter.exceptions import SettingError, UntrustedArtifactError
from dwcp_jupyter.flavors import packing

__all__ = ["Trust", "TrustDecision", "decide_trust", "weigh_trust"]

_SUM = re.compile(r"[0-9a-f]{64}")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


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
                f"trust='{text}' is no decision. Say 'own', 'none', or SHA-256 sums of 64 digits separated by commas."
            )
        return cls(own="own" in words, sums=sums)

    def __str__(self) -> str:
        return ",".join([*(["own"] if self.own else []), *sorted(self.sums)]) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDecision:
    """Whether a file may be loaded, and why; bound to its SHA-256.

    Attributes
    ----------
    policy : str
        The policy by which it was decided, as `Trust` writes it.
    reason : str
        Why, to follow "because".
    """

    sha256: str
    policy: str
    reason: str
    granted: bool = True


def weigh_trust(
    sha256: str, *, trust: Trust | str | None = None, path: str | os.PathLike[str] | None = None
) -> TrustDecision:
    """Return the decision on the unsafe file with this sum, granted or not.

    Parameters
    ----------
    sha256 : str
        Of the bytes that would be loaded.
    trust : Trust or str, optional
        The policy; the setting ``DWCP_TRUST`` where none is given.
    path : path, optional
        Where the user named the file in Python, or the folder that was packed into it; ``own`` counts only then.
    """
    policy = Trust.parse(trust)
    if sha256 in policy.sums:
        return TrustDecision(sha256=sha256, policy=str(policy), reason="its SHA-256 is named")
    why = _objection(policy, sha256, None if path is None else Path(path))
    if why is None:
        return TrustDecision(sha256=sha256, policy=str(policy), reason="a file of this user, named by its path")
    return TrustDecision(sha256=sha256, policy=str(policy), reason=why, granted=False)


def decide_trust(
    sha256: str,
    *,
    trust: Trust | str | None = None,
    path: str | os.PathLike[str] | None = None,
    call: str = "flavors.load_model(directory, trust='{sha256}')",
) -> TrustDecision:
    """Return the decision to load the unsafe file with this sum; see `weigh_trust`.

    Parameters
    ----------
    call : str
        The line that would allow it, for the error; ``{sha256}`` in it is filled in.

    Raises
    ------
    UntrustedArtifactError
        If the policy does not allow it.
    """
    decision = weigh_trust(sha256, trust=trust, path=path)
    if decision.granted:
        return decision
    line = call.replace("{sha256}", sha256)
    raise UntrustedArtifactError(
        f"The model file with SHA-256 {sha256} can run code when it is loaded, as a pickle does, and it is not "
        f"trusted because {decision.reason}. If you know who made it, allow these bytes with: {line}",
        sha256=sha256,
    )


def _objection(policy: Trust, sha256: str, path: Path | None) -> str | None:
    """Return why ``own`` does not cover a file; None where it does."""
    if not policy.own:
        return f"the policy is '{policy}'"
    if path is None:
        return "nobody named it by its path in Python"
    real = path.resolve()
    try:
        found = real.stat()
    except OSError as exc:
        return f"'{path}' cannot be looked at ({exc.strerror})"
    return (
        (_objection_to_content(real) if stat.S_ISDIR(found.st_mode) else _objection_to_file(path, found))
        or _objection_to_folders(real)
        or (None if packing.sha256(real) == sha256 else f"'{path}' holds other bytes than those to be loaded")
    )


def _objection_to_content(folder: Path) -> str | None:
    """Return why somebody else could have put something into a folder; all that lies in it counts."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        found = path.lstat()
        is_folder = stat.S_ISDIR(found.st_mode)
        objection = (_objection_to_rights if is_folder else _objection_to_file)(path, found, how="chmod -R go-w")
        if objection is not None:
            return objection
        waiting.extend(path.iterdir() if is_folder else ())
    return None


def _objection_to_file(path: Path, found: os.stat_result, *, how: str = "chmod go-w") -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return f"'{path}' is no regular file"
    return _objection_to_rights(path, found, how=how)


def _objection_to_rights(path: Path, found: os.stat_result, *, how: str) -> str | None:
    if found.st_uid != os.getuid():
        return f"'{path}' belongs to user id {found.st_uid}, not to you"
    if found.st_mode & _OTHERS_WRITE:
        mode = stat.filemode(found.st_mode)
        return f"others can write '{path}' (mode {mode}; after looking at it, `{how}` makes it yours alone)"
    return None


def _objection_to_folders(real: Path) -> str | None:
    """Return why somebody else could have put the file there: a folder above it that others can change."""
    for folder in real.parents:
        found = folder.stat()
        if found.st_uid not in {os.getuid(), 0}:
            return f"the folder '{folder}' above it belongs to user id {found.st_uid}"
        if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
            return f"others can exchange files in the folder '{folder}' (mode {stat.filemode(found.st_mode)})"
    return None
