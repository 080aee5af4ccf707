"""SavedModels of TensorFlow: programs, which are loaded by trust and answer as before."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter.exceptions import FlavorError, IntegrityError, SignatureError, UntrustedArtifactError
from dwcp_jupyter.flavors import ColumnType, Framework, adopt_file, load_model, packing
from dwcp_jupyter.flavors.keras.library import load_keras, load_tensorflow

keras, tf = load_keras(), load_tensorflow()
layers = keras.layers
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(7, 3))
TEXTS = ["the cat sat", "a dog ran off", "unheard of"]


def exported(model, folder):
    model.export(folder, verbose=False)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def dense():
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax")])


@pytest.fixture(scope="module")
def model():
    return dense()


@pytest.fixture
def folder(model, tmp_path):
    return exported(model, tmp_path / "model")


def adopted(folder, target, **how):
    info = adopt_file(folder, target, framework=Framework.TENSORFLOW, **how)
    return load_model(target, trust=info.sha256)


def test_a_folder_is_kept_as_one_file_and_answers_as_before(model, folder, tmp_path):
    decisions = []
    loaded = adopted(folder, tmp_path / "package", on_trust=decisions.append)
    info = loaded.info
    assert (info.format, info.framework, info.is_safe, info.task) == ("savedmodel", "tensorflow", False, None)
    assert [decision.sha256 for decision in decisions] == [info.sha256] == [packing.sha256(folder)]
    assert info.framework_version == tf.__version__
    shutil.rmtree(folder)
    expected = model.predict_on_batch(ROWS.astype("float32"))
    np.testing.assert_allclose(loaded.predict(ROWS).values, expected, rtol=1e-5)
    assert [column.name for column in loaded.signature.inputs] == ["x0", "x1", "x2"]


def test_an_example_names_the_columns(folder, tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    loaded = adopted(folder, tmp_path / "package", input_example=frame)
    np.testing.assert_array_equal(loaded.predict(frame[["c", "a", "b"]]).values, loaded.predict(frame).values)
    with pytest.raises(SignatureError, match="'b' is missing"):
        loaded.predict(frame[["a", "c"]])


def test_an_example_of_another_width_is_refused(folder, tmp_path):
    with pytest.raises(SignatureError, match="takes 3 columns, and was given 2"):
        adopt_file(folder, tmp_path / "package", input_example=ROWS[:, :2])
    assert not (tmp_path / "package").exists()


def test_it_takes_a_decision_that_names_its_sum(folder, tmp_path):
    info = adopt_file(folder, tmp_path / "package")
    for trust in (None, "own", "none", "f" * 64):
        with pytest.raises(UntrustedArtifactError) as caught:
            load_model(tmp_path / "package", trust=trust)
        assert f"trust='{info.sha256}'" in str(caught.value)


def test_a_folder_that_others_can_change_is_refused_with_the_line_that_allows_it(folder, tmp_path):
    (folder / "variables" / "variables.index").chmod(0o666)
    with pytest.raises(UntrustedArtifactError, match="others can write") as caught:
        adopt_file(folder, tmp_path / "package")
    assert f"flavors.adopt_file('{folder}', directory, trust='{packing.sha256(folder)}')" in str(caught.value)
    assert not (tmp_path / "package").exists()
    assert adopt_file(folder, tmp_path / "package", trust=caught.value.sha256).sha256 == caught.value.sha256


class Marking(tf.saved_model.experimental.TrackableResource):
    """Writes a file as soon as the graph that it is part of is loaded."""

    def __init__(self, marker):
        super().__init__()
        self._marker = str(marker)

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=self._marker)

    def _initialize(self):
        tf.io.write_file(self._marker, "was here")


class Evil(tf.Module):
    def __init__(self, marker):
        super().__init__()
        self.resource = Marking(marker)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    def __call__(self, values):
        handle = self.resource.resource_handle
        with tf.control_dependencies([tf.identity(handle)]):
            return values * 2


def test_an_untrusted_model_runs_nothing(tmp_path):
    marker = tmp_path / "was here"
    module = Evil(marker)
    tf.saved_model.save(module, tmp_path / "model", signatures=module.__call__)
    marker.unlink(missing_ok=True)
    for trust in ("none", "f" * 64):
        with pytest.raises(UntrustedArtifactError):
            adopt_file(tmp_path / "model", tmp_path / "package", trust=trust)
    assert not marker.exists()
    adopt_file(tmp_path / "model", tmp_path / "package", trust=packing.sha256(tmp_path / "model"))
    assert marker.exists()  # trusted, it runs: that is what the decision is about


def two_inputs():
    a, b = keras.Input((3,), name="a"), keras.Input((1,), name="b", dtype="int32")
    embedded = layers.Flatten()(layers.Embedding(4, 2)(b))
    return keras.Model([b, a], {"y": layers.Dense(1)(layers.Concatenate()([a, embedded])), "x": layers.Dense(2)(a)})


def test_inputs_are_columns_by_name_and_outputs_stand_side_by_side(tmp_path):
    model = two_inputs()
    frame = pd.DataFrame({"a": list(ROWS), "b": RNG.integers(0, 4, len(ROWS))})
    loaded = adopted(exported(model, tmp_path / "model"), tmp_path / "package")
    columns = {column.name: (str(column.type), column.shape) for column in loaded.signature.inputs}
    assert columns == {"a": ("array", (3,)), "b": ("int", ())}
    said = model.predict_on_batch([frame[["b"]].to_numpy("int32"), ROWS.astype("float32")])
    expected = np.column_stack([said["x"], said["y"]])
    np.testing.assert_allclose(loaded.predict(frame).values, expected, rtol=1e-5)
    assert loaded.info.detail["outputs"] == ["x", "y"]


def test_texts_and_the_words_that_a_model_knows_survive_their_folder(tmp_path):
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(TEXTS[:2])
    text = keras.Input((1,), dtype="string", name="text")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(20, 3)(words(text)))
    model = keras.Model(text, layers.Dense(1)(pooled))
    loaded = adopted(exported(model, tmp_path / "model"), tmp_path / "package")
    shutil.rmtree(tmp_path / "model")
    assert [(c.name, c.type) for c in loaded.signature.inputs] == [("text", ColumnType.STRING)]
    expected = model.predict_on_batch(np.array(TEXTS, dtype=object)[:, None])[:, 0]
    np.testing.assert_allclose(loaded.predict({"text": TEXTS}).values, expected, rtol=1e-5)


def test_words_in_a_file_of_the_folder_are_read_while_it_is_there(tmp_path):
    (tmp_path / "words.txt").write_text("cat\ndog\n")

    class Looking(tf.Module):
        def __init__(self):
            super().__init__()
            source = tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, -2, tf.int64, -1)
            self.table = tf.lookup.StaticHashTable(source, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
        def __call__(self, word):
            return self.table.lookup(word)

    module = Looking()
    tf.saved_model.save(module, tmp_path / "model", signatures=module.__call__)
    assert list((tmp_path / "model" / "assets").iterdir())
    loaded = adopted(tmp_path / "model", tmp_path / "package", trust=packing.sha256(tmp_path / "model"))
    (tmp_path / "words.txt").unlink()
    shutil.rmtree(tmp_path / "model")
    assert loaded.predict({"word": ["dog", "cow", "cat"]}).values.tolist() == [1, -1, 0]


class Doubling(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="values")])
    def double(self, values):
        return {"doubled": values * 2}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="anything")])
    def of_any_rank(self, anything):
        return {"same": anything}


def saved(tmp_path, **signatures):
    module = Doubling()
    chosen = {name: getattr(module, function) for name, function in signatures.items()}
    tf.saved_model.save(module, tmp_path / "model", signatures=chosen)
    return tmp_path / "model", packing.sha256(tmp_path / "model")


def test_the_only_signature_answers_whatever_its_name(tmp_path):
    folder, total = saved(tmp_path, other="double")
    loaded = adopted(folder, tmp_path / "package", trust=total)
    assert loaded.info.detail["signature"] == "other"
    np.testing.assert_allclose(loaded.predict(ROWS).values, ROWS * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("signatures", "why"),
    [
        ({}, "has no signature and none is called 'serving_default'"),
        ({"one": "double", "two": "double"}, "has the signatures one, two and none is called"),
        ({"serving_default": "of_any_rank"}, "a shape of any rank"),
    ],
)
def test_a_model_that_does_not_say_how_it_is_asked_is_refused(signatures, why, tmp_path):
    folder, total = saved(tmp_path, **signatures)
    with pytest.raises(FlavorError, match=why):
        adopt_file(folder, tmp_path / "package", trust=total)
    assert not (tmp_path / "package").exists()


def test_a_damaged_model_is_refused(folder, tmp_path):
    (folder / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(FlavorError, match="cannot be read as savedmodel"):
        adopt_file(folder, tmp_path / "package")


def test_changed_bytes_of_the_package_are_refused(folder, tmp_path):
    info = adopt_file(folder, tmp_path / "package")
    kept = tmp_path / "package" / info.file
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        load_model(tmp_path / "package", trust=info.sha256)


def test_the_unpacked_folder_is_removed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    loaded = adopted(folder, tmp_path / "package")
    assert not list(Path(tmp_path / "scratch").iterdir())
    assert len(loaded.predict(ROWS).values) == len(ROWS)


def test_the_graph_file_alone_is_refused_with_the_way_out(folder, tmp_path):
    with pytest.raises(FlavorError, match="Name the folder of a SavedModel"):
        adopt_file(folder / "saved_model.pb", tmp_path / "package")


@pytest.mark.parametrize("framework", [Framework.SKLEARN, "pytorch"])
def test_a_folder_is_no_model_of_another_framework(framework, folder, tmp_path):
    with pytest.raises(FlavorError, match="cannot be kept as a model of"):
        adopt_file(folder, tmp_path / "package", framework=framework)
