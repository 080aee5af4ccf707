"""Signatures over model files, by the keys of people: who vouches for the bytes, beside what the bytes are.

A sum says that a file is what was registered; whoever can write the workspace can register. A signature says that the
holder of a private key, which lies elsewhere, vouched for exactly these files. Its form is that of OpenSSF's
model-signing (a Sigstore bundle over the sums of all files of the package), which the ``model_signing`` tool can check.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_jupyter import clock, config, extras
from dwcp_jupyter.exceptions import ArtifactSignatureError
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Displayed, Facts, Mark, View
from dwcp_jupyter.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["KIND", "ModelSignature", "as_evidence", "check_loaded", "find", "make", "trusted_keys", "verify"]

KIND = "signature"
"""The kind of evidence as which signatures are kept."""

_CURVES = "curve secp256r1, which OpenSSL calls prime256v1, secp384r1 or secp521r1"
_MAKE_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out model.key, and openssl ec -in model.key -pubout"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSignature(Displayed):
    """A signature that was checked.

    Attributes
    ----------
    reference : str
        ``name@version``.
    public_key : str
        The file with the key that it agrees with.
    signed_by : str
        The actor who kept it here, as far as the workspace knows.
    bundle : mapping
        The signature itself, as JSON; written to a file it is what ``model_signing verify key`` takes.
    """

    reference: str
    public_key: str
    signed_by: str
    signed_at: datetime
    bundle: Mapping[str, Any]

    def _view(self) -> View:
        return View(
            f"Signature of {self.reference}",
            [
                Facts(
                    {
                        "Signature": Mark("agrees with the files", "success"),
                        "Key": self.public_key,
                        "Kept by": self.signed_by,
                        "Kept": self.signed_at,
                    }
                )
            ],
        )


def make(package: Path, private_key: str | os.PathLike[str], *, password: str | None) -> dict[str, Any]:
    """Return the signature over all files of a package.

    Raises
    ------
    ArtifactSignatureError
        If the key cannot be used.
    """
    library = _library("signing")
    try:
        secret = None if password is None else password.encode()  # the library hands it on as it is
        signer = library.Config().use_elliptic_key_signer(private_key=Path(private_key), password=secret)
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise ArtifactSignatureError(
            f"'{private_key}' cannot be used to sign: {_sentence(exc)}. It must be the PEM file of an elliptic key "
            f"({_CURVES}), with its password if it has one; {_MAKE_KEY} make a pair."
        ) from exc
    with tempfile.TemporaryDirectory(prefix="dwcp-signature-") as folder:
        place = Path(folder) / "model.sig"
        signer.sign(package, place)
        signed: dict[str, Any] = json.loads(place.read_bytes())
    return signed


def verify(package: Path, bundle: Mapping[str, Any], public_keys: Iterable[str | os.PathLike[str]], *, of: str) -> str:
    """Return the key with which a signature over a package agrees.

    Raises
    ------
    ArtifactSignatureError
        If it agrees with none; it says why.
    """
    from cryptography.exceptions import InvalidSignature

    if not bundle:
        raise ArtifactSignatureError(
            f"The signature of '{of}' agrees with no trusted key: what the workspace keeps of it is no signature any "
            "more, so somebody changed it there. Do not load the model before you know why; then let its owner sign it "
            f"again: registry.sign_model('{of}', 'model.key')"
        )
    library = _library("verifying")
    reasons = []
    with tempfile.TemporaryDirectory(prefix="dwcp-signature-") as folder:
        place = Path(folder) / "model.sig"
        place.write_text(json.dumps(bundle))
        for key in public_keys:
            try:
                library.Config().use_elliptic_key_verifier(public_key=Path(key)).verify(package, place)
            except InvalidSignature:
                reasons.append(f"{key}: the signature was not made with this key, or was changed")
            except (OSError, ValueError, TypeError, LookupError, AttributeError) as exc:
                reasons.append(f"{key}: {_sentence(exc)}")
            else:
                return os.fspath(key)
    raise ArtifactSignatureError(
        f"The signature of '{of}' agrees with no trusted key. {'; '.join(reasons)}. Do not load the model before you "
        "know why; sign it again, or name the signer's public key, if you know them."
    )


def as_evidence(bundle: Mapping[str, Any], version: ModelVersion) -> dict[str, Any]:
    """Return how a signature is kept."""
    key = bundle.get("verificationMaterial", {}).get("publicKey", {}).get("hint")
    return {"bundle": bundle, "sha256": version.sha256, "key_sha256": key}


def find(connection: Connection, version: ModelVersion) -> ModelSignature | None:
    """Return a version's signature as it is kept, agreeing with no key yet; None where it has none."""
    table = schema.evidence
    query = table.select().where((table.c.version_id == version.id) & (table.c.kind == KIND))
    row = connection.execute(query).first()
    if row is None:
        return None
    return ModelSignature(
        reference=version.reference,
        public_key="",
        signed_by=row.recorded_by,
        signed_at=clock.from_text(row.recorded_at),
        bundle=_kept_bundle(row.body),
    )


def _kept_bundle(body: str) -> Mapping[str, Any]:
    """Return the bundle that a row holds; an empty one, which agrees with no key, where it holds none."""
    try:
        kept = schema.load(body)
    except ValueError:
        return {}
    bundle = kept.get("bundle") if isinstance(kept, Mapping) else None
    return bundle if isinstance(bundle, Mapping) else {}


def trusted_keys(settings: config.Dwcp) -> list[str]:
    """Return the files of the setting."""
    return [part.strip() for part in settings.trusted_keys.split(",") if part.strip()]


def check_loaded(version: ModelVersion, package: Path, found: ModelSignature | None, settings: config.Dwcp) -> None:
    """Raise unless a fetched package may be loaded, by the settings ``trusted_keys`` and ``require_signature``.

    Where it may not, it is removed.

    Raises
    ------
    ArtifactSignatureError
        If its signature agrees with no trusted key, or a signature is required and there is none.
    """
    try:
        keys = trusted_keys(settings)
        if found is not None and keys:
            verify(package, found.bundle, keys, of=version.reference)
        elif settings.require_signature:
            raise ArtifactSignatureError(
                f"'{version.reference}' is not signed, and DWCP_REQUIRE_SIGNATURE asks for it. Let its owner sign it: "
                f"registry.sign_model('{version.reference}', 'model.key')"
                if found is None
                else f"DWCP_REQUIRE_SIGNATURE asks for a signature, and no key is trusted that could check the one of "
                f"'{version.reference}'. Name the signer's public key by DWCP_TRUSTED_KEYS."
            )
    except BaseException:
        shutil.rmtree(package, ignore_errors=True)
        raise


def _library(part: str) -> Any:
    return extras.require(f"model_signing.{part}", extra="sign", purpose="Signing model files")


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, AttributeError) and "'curve'" in str(exc):  # the library asks every key for its curve
        return "its key is none of an elliptic curve, but RSA, Ed25519 or another kind"
    text = str(exc).split(". See https", maxsplit=1)[0].strip().rstrip(".")
    return text or type(exc).__name__
