"""A decision to run what a file says is remembered for who made it, and proven: a name is nobody's proof."""

import pickle
import stat

import pytest

from dwcp_jupyter.events import Actor, local_actor
from dwcp_jupyter.exceptions import UntrustedArtifactError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where this user's key lies."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "ana"))
    return tmp_path / "ana"


@pytest.fixture
def pickled(classifier, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(classifier))
    path.chmod(0o600)
    return path


def decisions(registry):
    return registry._stores.metadata.events(kinds=["trust.decided"])


def test_who_decided_loads_again_in_a_later_process_too(registry, pickled):
    registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
    for again in (registry, ModelRegistry(registry._stores, actor=local_actor())):
        assert again.load_model("m").info.flavor == "sklearn"
    (decision,) = decisions(registry)
    assert decision.payload["host"]
    assert isinstance(decision.payload["uid"], int)


def test_another_user_of_the_same_name_makes_a_decision_of_their_own(registry, pickled, tmp_path, monkeypatch):
    victim = ModelRegistry(registry._stores, actor=Actor(name="victim"))
    victim.register_model(ModelMetadata(name="m"), artifact_path=pickled)  # as anybody may call themselves
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "real-victim"))
    with pytest.raises(UntrustedArtifactError) as caught:
        victim.load_model("m")
    assert victim.load_model("m", trust=caught.value.sha256).info.flavor == "sklearn"
    assert victim.load_model("m").info.flavor == "sklearn"
    assert len(decisions(registry)) == 2


@pytest.mark.parametrize("proof", [None, "0" * 64, 1, "ä"])
def test_an_event_that_does_not_prove_who_decided_allows_nothing(registry, pickled, proof):
    registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
    sha256 = decisions(registry)[0].payload["sha256"]
    kept = {key: value for key, value in decisions(registry)[0].payload.items() if key != "proof"}
    other = Actor(name="other")
    with registry._stores.metadata.transaction(other) as tx:
        tx.record("trust.decided", f"artifact:{sha256}", **kept, **({} if proof is None else {"proof": proof}))
    with pytest.raises(UntrustedArtifactError):
        ModelRegistry(registry._stores, actor=other).load_model("m")


def test_a_proof_is_good_for_its_own_bytes_only(registry, pickled, classifier, tmp_path):
    registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
    foreign = tmp_path / "foreign.pkl"
    foreign.write_bytes(pickle.dumps(classifier, protocol=2))
    foreign.chmod(0o666)
    with pytest.raises(UntrustedArtifactError) as caught:
        registry.register_model(ModelMetadata(name="n"), artifact_path=foreign)
    other = Actor(name="other")
    registered = ModelRegistry(registry._stores, actor=other)
    registered.register_model(ModelMetadata(name="n"), artifact_path=foreign, trust=caught.value.sha256)
    said = dict(decisions(registry)[0].payload) | {"sha256": caught.value.sha256}
    with registry._stores.metadata.transaction() as tx:
        tx.record("trust.decided", f"artifact:{caught.value.sha256}", **said)
    with pytest.raises(UntrustedArtifactError):
        registry.load_model("n")


def test_the_key_is_its_users_alone_and_no_other_counts(registry, pickled, home):
    registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
    key = home / "dwcp" / "trust.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["trust.key"]
    key.chmod(0o640)
    with pytest.raises(UntrustedArtifactError):
        registry.load_model("m")
    key.chmod(0o600)
    assert registry.load_model("m").info.flavor == "sklearn"
    key.write_bytes(b"")
    with pytest.raises(UntrustedArtifactError):
        registry.load_model("m")


def test_where_no_key_can_be_kept_each_loading_takes_a_decision(registry, pickled, home):
    home.write_text("a file where the folder would be")
    version = registry.register_model(ModelMetadata(name="m"), artifact_path=pickled)
    assert version.reference == "m@1.0.0"
    for _ in range(2):
        with pytest.raises(UntrustedArtifactError) as caught:
            registry.load_model("m")
        assert registry.load_model("m", trust=caught.value.sha256).info.flavor == "sklearn"
