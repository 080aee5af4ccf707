"""Signatures over model files: who is trusted, what was changed, and what the library's own tool says."""

import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from sqlalchemy import select, update

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import ArtifactSignatureError, InvalidNameError, ModelNotFoundError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import Workspace


def write_keys(folder, name, key=None, password=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept)
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))
    public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(*public))
    return folder / f"{name}.key", folder / f"{name}.pub"


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path, "ana")


@pytest.fixture
def registry(stores, classifier, iris):
    made = ModelRegistry(stores)
    made.register_model(ModelMetadata(name="iris"), classifier, input_example=iris[0].head(2))
    return made


@pytest.fixture
def reopened(registry, stores):
    """The same workspace with other settings."""
    opened = []

    def reopen(**settings):
        opened.append(store.open(stores.root, settings=config.load(**settings)))
        return ModelRegistry(opened[-1])

    yield reopen
    for one in opened:
        one.close()


def test_a_signature_agrees_with_its_key_and_with_the_libraries_own_tool(registry, keys, tmp_path):
    private, public = keys
    made = registry.sign_model("iris@1.0.0", private)
    checked = registry.verify_signature("iris@1.0.0", public)
    assert checked.public_key == str(public)
    assert checked.bundle == made.bundle
    assert "agrees with the files" in checked._repr_mimebundle_()["text/plain"]
    (tmp_path / "iris.sig").write_text(json.dumps(made.bundle))
    package = registry.fetch("iris@1.0.0", tmp_path / "package")
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(package)]
    arguments = ["--signature", str(tmp_path / "iris.sig"), "--public_key", str(public)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert registry.verify() is True
    assert set(registry.evidence("iris@1.0.0")["signature"]) == {"sha256", "key_sha256"}


def test_an_encrypted_key_takes_its_password(registry, tmp_path):
    private, public = write_keys(tmp_path, "bo", password=b"geheim")
    registry.sign_model("iris@1.0.0", private, password="geheim")
    assert registry.verify_signature("iris@1.0.0", public).public_key == str(public)
    for wrong in (None, "falsch"):
        with pytest.raises(ArtifactSignatureError, match="cannot be used to sign"):
            registry.sign_model("iris@1.0.0", private, password=wrong)


def test_only_what_a_trusted_key_vouches_for_is_loaded(registry, reopened, keys, tmp_path, iris):
    private, public = keys
    _, stranger = write_keys(tmp_path, "stranger")
    features = iris[0].head(2)
    strict = {"trusted_keys": f"{stranger}, {public}", "require_signature": True}
    with pytest.raises(ArtifactSignatureError, match="is not signed"):
        reopened(**strict).load_model("iris@1.0.0")
    registry.sign_model("iris@1.0.0", private)
    assert len(reopened(**strict).load_model("iris@1.0.0").predict(features).values) == 2
    with pytest.raises(ArtifactSignatureError, match=r"agrees with no trusted key. .*stranger.pub: Key mismatch"):
        reopened(trusted_keys=str(stranger)).load_model("iris@1.0.0")
    with pytest.raises(ArtifactSignatureError, match="no key is trusted"):
        reopened(require_signature=True).load_model("iris@1.0.0")
    with pytest.raises(ArtifactSignatureError):
        reopened(trusted_keys=str(stranger)).fetch("iris@1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArtifactSignatureError, match="No such file"):
        reopened(trusted_keys=str(tmp_path / "missing.pub")).load_model("iris@1.0.0")
    assert len(reopened().load_model("iris@1.0.0").predict(features).values) == 2  # as ever, where nobody asks


def test_what_is_not_signed_is_not_deployed_where_that_is_required(registry, stores, keys):
    settings = config.load(trusted_keys=str(keys[1]), require_signature=True)
    with store.open(stores.root, settings=settings) as strict:
        ws = Workspace(strict)
        with pytest.raises(ArtifactSignatureError, match="is not signed"):
            ws.deploy("iris@1.0.0")
        assert len(ws.serving.list_endpoints()) == 0
        ws.stop()


def test_a_signature_of_another_model_does_not_agree(registry, stores, keys, iris):
    from sklearn.linear_model import LogisticRegression

    private, public = keys
    other = LogisticRegression(C=0.1, max_iter=500).fit(*iris)
    registry.register_model(ModelMetadata(name="iris"), other, input_example=iris[0].head(2))
    registry.sign_model("iris@1.0.0", private)
    registry.sign_model("iris@1.1.0", private)
    table = schema.evidence
    with stores.metadata.transaction() as tx:
        first = registry.get_model("iris@1.0.0").id
        body = tx.execute(select(table.c.body).where(table.c.version_id == first)).scalar()
        tx.execute(update(table).where(table.c.version_id != first).values(body=body))
    with pytest.raises(ArtifactSignatureError, match="Signature mismatch"):
        registry.verify_signature("iris@1.1.0", public)
    assert registry.verify() is not True  # the row is not what its event says


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: bundle["dsseEnvelope"].update(payload="AAAA"),
        lambda bundle: bundle["dsseEnvelope"].update(signatures=[]),
        lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
        lambda bundle: bundle.pop("verificationMaterial"),
        lambda bundle: bundle.clear(),
    ],
)
def test_a_changed_signature_agrees_with_nothing(registry, stores, keys, change):
    private, public = keys
    registry.sign_model("iris@1.0.0", private)
    table = schema.evidence
    with stores.metadata.transaction() as tx:
        body = json.loads(tx.execute(select(table.c.body)).scalar())
        change(body["bundle"])
        tx.execute(update(table).values(body=json.dumps(body)))
    with pytest.raises(ArtifactSignatureError, match="agrees with no trusted key"):
        registry.verify_signature("iris@1.0.0", public)


@pytest.mark.parametrize("body", ["{}", "[]", '{"bundle": null}', '{"bundle": "x"}', "no JSON"])
def test_what_is_no_signature_any_more_lets_nothing_be_loaded_that_must_be_signed(
    registry, stores, reopened, keys, tmp_path, body
):
    private, public = keys
    registry.sign_model("iris@1.0.0", private)
    with stores.metadata.transaction() as tx:
        tx.execute(update(schema.evidence).values(body=body))
    for strict in ({"trusted_keys": str(public)}, {"trusted_keys": str(public), "require_signature": True}):
        with pytest.raises(ArtifactSignatureError, match=r"is no signature any more.*sign it again"):
            reopened(**strict).load_model("iris@1.0.0")
    with pytest.raises(ArtifactSignatureError):
        reopened(trusted_keys=str(public)).fetch("iris@1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArtifactSignatureError, match="is no signature any more"):
        registry.verify_signature("iris@1.0.0", public)


def test_wrong_keys_and_missing_signatures_are_told(registry, keys, tmp_path):
    private, public = keys
    with pytest.raises(ArtifactSignatureError, match="is not signed"):
        registry.verify_signature("iris@1.0.0", public)
    write_keys(tmp_path, "edwards", ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "text.key").write_text("no key")
    for wrong in ("edwards.key", "text.key", "missing.key", "ana.pub", "."):
        with pytest.raises(ArtifactSignatureError, match="openssl ecparam"):
            registry.sign_model("iris@1.0.0", tmp_path / wrong)
    registry.sign_model("iris@1.0.0", private)
    for wrong in ("edwards.pub", "text.key", "missing.pub", "."):
        with pytest.raises(ArtifactSignatureError, match="agrees with no trusted key"):
            registry.verify_signature("iris@1.0.0", tmp_path / wrong)
    with pytest.raises(ArtifactSignatureError, match="No key is given"):
        registry.verify_signature("iris@1.0.0")
    registry.create_version("iris", "9.0.0")
    with pytest.raises(ModelNotFoundError, match="draft"):
        registry.sign_model("iris@9.0.0", private)
    with pytest.raises(InvalidNameError, match="signature"):
        registry.record_evidence("iris@1.0.0", "signature", {"bundle": {}})
