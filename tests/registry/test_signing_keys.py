"""Keys that cannot sign: why, and how to make one that can."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dwcp_jupyter.exceptions import ArtifactSignatureError
from dwcp_jupyter.registry import signing

KINDS = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_kind_is_refused_with_those_that_are_taken(tmp_path, kind):
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "model.key").write_bytes(KINDS[kind]().private_bytes(*form))
    with pytest.raises(ArtifactSignatureError) as caught:
        signing.make(tmp_path, tmp_path / "model.key", password=None)
    said = str(caught.value)
    assert "has no attribute" not in said
    assert ("secp256k1" if kind == "secp256k1" else "none of an elliptic curve") in said
    assert "secp384r1" in said
    assert "openssl ecparam -name prime256v1" in said
