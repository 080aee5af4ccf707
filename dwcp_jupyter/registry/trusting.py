"""Decisions to load a model file that can run code, as the workspace remembers them.

The decision itself is made by `flavors.decide_trust`; here it becomes an event, before anything is loaded, and is
honoured again for the same bytes and the same person: nobody inherits what another one dared. A name is not enough for
that, since every process says its own, and a workspace may be shared or come from elsewhere. So the event carries a
proof that only this user of this machine can make, with a key in a file that nobody else can read. An event without
one, of an earlier release or from a home folder that cannot be written, allows nothing: the decision is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dwcp_jupyter import flavors
from dwcp_jupyter.events import Actor, local_actor
from dwcp_jupyter.exceptions import UntrustedArtifactError
from dwcp_jupyter.store import Stores

__all__ = ["of_import", "recorder", "refused_import", "was_granted"]

_KEY_BYTES = 32


def was_granted(stores: Stores, sha256: str, *, trust: flavors.Trust | str | None, actor: Actor | None) -> bool:
    """Return whether the policy is ``own`` and `actor`, as this user of this machine, decided to load these bytes."""
    if not flavors.Trust.parse(trust).own:
        return False
    name = (actor or local_actor()).name
    found = stores.metadata.events(kinds=["trust.decided"], subject=_subject(sha256))
    own = [event for event in found if event.actor.name == name]
    key = _read_key(_key_path()) if own else None
    return key is not None and any(_is_proof(event.payload.get("proof"), key, sha256) for event in own)


def recorder(stores: Stores, model: str, *, actor: Actor | None) -> Callable[[flavors.TrustDecision], None]:
    """Return what writes a granted decision down, for `flavors.load_model` and `flavors.adopt_file`.

    Parameters
    ----------
    model : str
        The model's name or reference for which it was decided.
    """

    def record(decision: flavors.TrustDecision) -> None:
        decider = _decider(decision.sha256)
        with stores.metadata.transaction(actor) as tx:
            tx.record(
                "trust.decided",
                _subject(decision.sha256),
                sha256=decision.sha256,
                policy=decision.policy,
                reason=decision.reason,
                model=model,
                **decider,
            )

    return record


def of_import(trust: flavors.Trust | str | None) -> flavors.Trust:
    """Return the policy for a file that was made elsewhere: the sums alone, since an unpacked download is one's own."""
    return flavors.Trust(sums=flavors.Trust.parse(trust).sums)


def refused_import(file: Path, folder: str | os.PathLike[str], exc: UntrustedArtifactError) -> UntrustedArtifactError:
    """Return the refusal of an imported file, with the line that would allow it."""
    is_source = file.suffix.lower() in {".py", ".zip"}
    what = "a function kept by its source" if is_source else "a pickle"
    line = f"registry.import_mlflow('{os.fspath(folder)}', metadata, trust='{exc.sha256}')"
    return UntrustedArtifactError(
        f"'{file.name}' of the model in '{os.fspath(folder)}' is {what}, with SHA-256 {exc.sha256}. It can run any "
        "code when it is loaded, and nobody named its sum. That the folder is yours does not count for an import: you "
        f"unpacked it, somebody else made it. If you know who did, allow these bytes with: {line}",
        sha256=exc.sha256,
    )


def _decider(sha256: str) -> dict[str, Any]:
    """Return who decides as the operating system knows it, and the proof by which this user is known again."""
    key = _ensure_key(_key_path())
    proof = None if key is None else _proof(key, sha256)
    return {"host": socket.gethostname(), "uid": os.getuid(), "proof": proof}


def _proof(key: bytes, sha256: str) -> str:
    return hmac.new(key, f"trust:{os.getuid()}:{sha256}".encode(), hashlib.sha256).hexdigest()


def _is_proof(said: Any, key: bytes, sha256: str) -> bool:
    return isinstance(said, str) and hmac.compare_digest(said.encode(), _proof(key, sha256).encode())


def _key_path() -> Path | None:
    """Return where this user's key lies, outside every workspace; None without a home folder."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "dwcp" / "trust.key"
    try:
        return Path.home() / ".local" / "state" / "dwcp" / "trust.key"
    except RuntimeError:
        return None


def _ensure_key(path: Path | None) -> bytes | None:
    """Return the key, made now if there is none; None where none can be kept."""
    key = _read_key(path)
    if path is None or key is not None:
        return key
    temporary = path.with_name(f"trust.key.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):  # another process was first: its key holds
            os.link(temporary, path)
        temporary.unlink()
    except OSError:
        return None
    return _read_key(path)


def _read_key(path: Path | None) -> bytes | None:
    """Return the key of a file that is this user's and that nobody else can read or write; else None."""
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            key = stream.read(_KEY_BYTES + 1)
    except OSError:
        return None
    is_private = found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077
    return key if is_private and len(key) == _KEY_BYTES else None


def _subject(sha256: str) -> str:
    return f"artifact:{sha256}"
