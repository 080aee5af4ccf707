"""Keras models in Keras's own files: what comes back answers as before, and says what it is for."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.flavors import (
    ColumnType,
    Framework,
    Signature,
    adopt_file,
    flavor_of,
    load_model,
    read_mlflow,
    save_model,
    write_mlflow,
)
from dwcp_jupyter.flavors.keras.library import load_keras

keras = load_keras()
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras itself
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(40, 4)), columns=["age", "income", "visits", "score"])
IMAGES = RNG.random((6, 8, 8, 1), dtype="float32")
SERIES = RNG.normal(size=(5, 7, 2))
TEXTS = ["the cat sat", "a dog ran off", "cat and dog"]
MIXED = pd.DataFrame({"numbers": list(RNG.normal(size=(12, 3))), "kind": RNG.integers(0, 4, 12)})
TOWNS = pd.DataFrame({"town": ["Ulm", "Bern", "Graz", "Rome"], "rooms": [1, 2, 3, 4]})


def of_numbers(*more, **compiled):
    model = keras.Sequential([keras.Input((4,)), *more])
    if compiled:
        model.compile(**compiled)
    return model


def normalised():
    layer = layers.Normalization()
    layer.adapt(NUMBERS.to_numpy())
    return of_numbers(layer, layers.Dense(3, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1))


def convolutional():
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    )


def recurrent(kind, **how):
    return keras.Sequential([keras.Input((None, 2)), kind(4, **how), layers.Dense(1)])


def reading():
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(TEXTS)
    text = keras.Input((1,), dtype="string", name="text")
    meanings = layers.Embedding(words.vocabulary_size(), 3, mask_zero=True)(words(text))
    return keras.Model(text, layers.Dense(2)(layers.GlobalAveragePooling1D()(meanings)))


def two_inputs(structure):
    numbers, kind = keras.Input((3,), name="numbers"), keras.Input((1,), name="kind", dtype="int32")
    meaning = layers.Flatten()(layers.Embedding(4, 2)(kind))
    return keras.Model(structure(numbers, kind), layers.Dense(1)(layers.Concatenate()([numbers, meaning])))


def looking_up():
    town, rooms = keras.Input((1,), name="town", dtype="string"), keras.Input((), name="rooms")
    known = layers.StringLookup(vocabulary=["Ulm", "Bern"], output_mode="one_hot")(town)
    return keras.Model([town, rooms], layers.Dense(1)(layers.Concatenate()([known, rooms[:, None] * 2.0])))


def nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh")], name="inner")
    inner.compile("adam", "mse")
    numbers = keras.Input((4,))
    return keras.Model(numbers, layers.Dense(2)(inner(numbers) + inner(keras.ops.flip(numbers, axis=-1))))


MODELS = {
    "dense": (lambda: of_numbers(layers.Dense(8, "relu"), layers.Dense(2)), NUMBERS, NUMBERS.to_numpy("float32")),
    "normalised": (normalised, NUMBERS, NUMBERS.to_numpy("float32")),
    "convolutional": (convolutional, IMAGES, IMAGES),
    "LSTM": (lambda: recurrent(layers.LSTM), SERIES, SERIES.astype("float32")),
    "GRU": (lambda: recurrent(layers.GRU, return_sequences=True), SERIES, SERIES.astype("float32")),
    "reading": (reading, TEXTS, np.array(TEXTS, dtype=object)[:, None]),
    "looking up": (looking_up, TOWNS, [TOWNS[["town"]].to_numpy(object), TOWNS["rooms"].to_numpy("float32")]),
    "nested": (nested, NUMBERS, NUMBERS.to_numpy("float32")),
    "list": (lambda: two_inputs(lambda *inputs: list(inputs)), MIXED, None),
    "dictionary": (lambda: two_inputs(lambda numbers, kind: {"numbers": numbers, "kind": kind}), MIXED, None),
}


def round_trip(model, folder, example=None, **how):
    save_model(model, folder / "package", input_example=example, **how)
    return load_model(folder / "package", trust="none")


@pytest.mark.parametrize("name", MODELS)
def test_models_answer_as_before(name, tmp_path):
    make, example, native = MODELS[name]
    model = make()
    if native is None:
        native = {"numbers": np.stack(MIXED["numbers"]).astype("float32"), "kind": MIXED[["kind"]].to_numpy("int32")}
    expected = model.predict_on_batch(native)
    loaded = round_trip(model, tmp_path, example)
    said = loaded.predict(example)
    np.testing.assert_allclose(said.values, expected[:, 0] if expected.shape[1:] == (1,) else expected, rtol=1e-5)
    assert said.probabilities is None
    assert (loaded.info.format, loaded.info.framework, loaded.info.is_safe) == ("keras", "tensorflow", True)
    assert loaded.info.packages["keras"] == keras.__version__


@pytest.mark.parametrize("name", MODELS)
def test_the_inputs_are_known_without_an_example(name, tmp_path):
    make, example, _ = MODELS[name]
    model = make()
    loaded = round_trip(model, tmp_path)
    columns = {column.name: column for column in loaded.signature.inputs}
    if name in {"list", "dictionary"}:
        assert (columns["numbers"].type, columns["numbers"].shape) == (ColumnType.ARRAY, (3,))
        assert (columns["kind"].type, columns["kind"].dtype) == (ColumnType.INT, "int32")
    elif name == "looking up":
        assert {str(column.type) for column in columns.values()} == {"string", "float"}
    else:
        assert len(columns) == (4 if example is NUMBERS else 1)
    rows = example.to_numpy() if example is NUMBERS else example
    given = rows if example is not NUMBERS else pd.DataFrame(rows, columns=list(columns))
    assert len(loaded.predict(given).values) == len(example)


def test_a_softmax_answers_with_labels_beside_probabilities(tmp_path):
    model = of_numbers(layers.Dense(3, "softmax"), optimizer="adam", loss="sparse_categorical_crossentropy")
    loaded = round_trip(model, tmp_path, NUMBERS)
    said = loaded.predict(NUMBERS)
    expected = model.predict_on_batch(NUMBERS.to_numpy("float32"))
    np.testing.assert_allclose(said.probabilities, expected, rtol=1e-5)
    assert said.values.tolist() == expected.argmax(axis=1).tolist()
    assert (loaded.info.task, said.classes) == ("classification", (0, 1, 2))


def test_a_sigmoid_of_one_unit_has_two_classes(tmp_path):
    model = of_numbers(layers.Dense(1, "sigmoid"))
    said = round_trip(model, tmp_path, NUMBERS).predict(NUMBERS)
    expected = model.predict_on_batch(NUMBERS.to_numpy("float32"))[:, 0]
    np.testing.assert_allclose(said.probabilities, np.column_stack([1 - expected, expected]), atol=1e-6)
    assert said.values.tolist() == (expected > 0.5).astype(int).tolist()
    assert said.classes == (0, 1)


def activated(tensor):
    return keras.Model(tensor, layers.Activation("softmax", dtype="float32")(layers.Dense(3)(tensor)))


def within(tensor):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Softmax()])
    return keras.Model(tensor, inner(tensor))


def computed(tensor):
    return keras.Model(tensor, keras.ops.softmax(layers.Dense(3)(tensor)))


@pytest.mark.parametrize("make", [activated, within, computed])
def test_a_softmax_is_found_however_it_is_written(make, tmp_path):
    assert round_trip(make(keras.Input((4,))), tmp_path).info.classes == (0, 1, 2)


@pytest.mark.parametrize(
    ("head", "loss", "task"),
    [
        (lambda: layers.Dense(3, "sigmoid"), "binary_crossentropy", None),  # several labels a row
        (lambda: layers.Dense(3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (lambda: layers.Dense(1, "sigmoid"), "mse", "regression"),
        (lambda: layers.Dense(1, "sigmoid"), keras.losses.Huber(), "regression"),
        (lambda: layers.Dense(1), keras.losses.mean_absolute_error, "regression"),
        (lambda: layers.Dense(1, "sigmoid"), keras.losses.binary_crossentropy, "classification"),
    ],
)
def test_a_models_task_is_what_head_and_loss_say_in_the_notebook_and_in_its_file(head, loss, task, tmp_path):
    model = of_numbers(head(), optimizer="adam", loss=loss)
    loaded = round_trip(model, tmp_path, NUMBERS)
    assert loaded.info.task == task
    model.save(tmp_path / "model.keras")
    assert adopt_file(tmp_path / "model.keras", tmp_path / "adopted", trust="none").task == task
    if task != "classification":
        expected = model.predict_on_batch(NUMBERS.to_numpy("float32"))
        np.testing.assert_allclose(loaded.predict(NUMBERS).values, np.squeeze(expected), rtol=1e-5)


def test_several_outputs_stand_side_by_side_in_their_order(tmp_path):
    numbers = keras.Input((4,))
    model = keras.Model(numbers, {"b": layers.Dense(1)(numbers), "a": layers.Dense(2, "softmax", name="x")(numbers)})
    said = model.predict_on_batch(NUMBERS.to_numpy("float32"))
    values = round_trip(model, tmp_path, NUMBERS).predict(NUMBERS).values
    np.testing.assert_allclose(values, np.column_stack([said["a"], said["b"]]), rtol=1e-5)


def test_columns_are_matched_by_name_and_reach_the_model_in_its_order(tmp_path):
    model = of_numbers(layers.Dense(1))
    loaded = round_trip(model, tmp_path, NUMBERS)
    turned = NUMBERS[["score", "visits", "income", "age"]]
    np.testing.assert_array_equal(loaded.predict(turned).values, loaded.predict(NUMBERS).values)
    with pytest.raises(SignatureError, match="'age' is missing"):
        loaded.predict(NUMBERS.drop(columns="age"))


def test_sizes_of_batches_are_not_traced_one_by_one(tmp_path):
    loaded = round_trip(of_numbers(layers.Dense(1)), tmp_path, NUMBERS)
    for size in range(1, 30):
        assert loaded.predict(NUMBERS.head(size)).values.shape == (size,)
    assert loaded.native.predict_function.experimental_get_tracing_count() <= 3


def test_more_rows_than_fit_at_once_are_answered_in_order(tmp_path):
    model = of_numbers(layers.Dense(1))
    many = pd.DataFrame(RNG.normal(size=(10_000, 4)), columns=NUMBERS.columns)
    said = round_trip(model, tmp_path, NUMBERS).predict(many).values
    np.testing.assert_allclose(said, model(many.to_numpy("float32")).numpy()[:, 0], rtol=1e-4, atol=1e-5)


def test_several_models_in_one_process_raise_no_alarm_of_tracing(tmp_path, caplog):
    for number in range(8):
        round_trip(of_numbers(layers.Dense(1)), tmp_path / str(number), NUMBERS).predict(NUMBERS)
    assert "retracing" not in caplog.text


def test_a_model_fitted_without_an_input_layer_is_kept(tmp_path):
    model = keras.Sequential([layers.Dense(3, "relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(NUMBERS.to_numpy(), NUMBERS["age"], verbose=0)
    loaded = round_trip(model, tmp_path, NUMBERS)
    expected = model.predict_on_batch(NUMBERS.to_numpy("float32"))[:, 0]
    np.testing.assert_allclose(loaded.predict(NUMBERS).values, expected, rtol=1e-5)


def test_half_precision_comes_back(tmp_path):
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = of_numbers(layers.Dense(3), layers.Activation("softmax", dtype="float32"))
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    said = round_trip(model, tmp_path, NUMBERS).predict(NUMBERS)
    np.testing.assert_allclose(said.probabilities, model.predict_on_batch(NUMBERS.to_numpy("float32")), rtol=1e-2)


def test_a_loaded_model_is_there_to_predict_and_its_file_to_train_on(tmp_path):
    model = of_numbers(layers.Dense(1), optimizer="adam", loss="mse")
    model.fit(NUMBERS.to_numpy(), NUMBERS["age"], verbose=0)
    loaded = round_trip(model, tmp_path, NUMBERS)
    assert not loaded.native.compiled
    again = keras.saving.load_model(tmp_path / "package" / loaded.info.file)
    assert again.optimizer.iterations.numpy() == model.optimizer.iterations.numpy() > 0


def test_a_keras_file_is_kept_byte_for_byte(tmp_path):
    model = of_numbers(layers.Dense(2))
    model.save(tmp_path / "model.keras")
    info = adopt_file(tmp_path / "model.keras", tmp_path / "package", framework=Framework.TENSORFLOW, trust="none")
    kept = tmp_path / "package" / info.file
    assert kept.read_bytes() == (tmp_path / "model.keras").read_bytes()
    said = load_model(tmp_path / "package", trust="none").predict(NUMBERS.set_axis(info.signature.names, axis=1))
    np.testing.assert_allclose(said.values, model.predict_on_batch(NUMBERS.to_numpy("float32")), rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"numbers": [[1.0, 2.0, 3.0]], "kind": [1.5]}, "'kind' must be int"),
        ({"numbers": [[1.0, 2.0]], "kind": [1]}, r"shape \(2,\)"),
        ({"numbers": [["a", "b", "c"]], "kind": [1]}, "'numbers' must be array"),
    ],
)
def test_what_the_model_cannot_take_is_named(data, why, tmp_path):
    make, example, _ = MODELS["list"]
    loaded = round_trip(make(), tmp_path, example)
    with pytest.raises(SignatureError, match=why):
        loaded.predict(data)


@pytest.mark.parametrize(
    ("example", "why"),
    [
        (MIXED.assign(kind=0.5), "'kind' holds numbers that are no int32"),
        (MIXED.assign(kind="2"), "'kind' holds what is no number"),
        (MIXED.assign(kind=pd.Timestamp("2020-01-01")), "'kind' holds what is no number"),
        (MIXED.rename(columns={"kind": "sort"}), "columns are numbers, sort, but the model's inputs are kind, numbers"),
    ],
)
def test_an_example_that_the_model_would_misread_is_refused(example, why, tmp_path):
    make, _, _ = MODELS["list"]
    with pytest.raises(SignatureError, match=why):
        save_model(make(), tmp_path / "package", input_example=example)
    assert not (tmp_path / "package").exists()


def test_sequences_of_several_lengths_are_asked_for_apart(tmp_path):
    loaded = round_trip(recurrent(layers.LSTM), tmp_path)
    name = loaded.signature.names[0]
    rows = [{name: np.zeros((length, 2))} for length in (2, 5)]
    for row in rows:
        assert loaded.predict([row]).values.shape == (1,)
    with pytest.raises(SignatureError, match="Pad them to one length"):
        loaded.predict(rows)


@pytest.mark.parametrize("width", [3, 5])
def test_a_signature_of_another_width_is_refused(width, tmp_path):
    signature = Signature.infer(np.zeros((2, width)))
    with pytest.raises(SignatureError, match=f"has {width} columns, but the model takes 4"):
        save_model(of_numbers(layers.Dense(1)), tmp_path / "package", signature=signature)


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


class OwnSequential(keras.Sequential):
    pass


@keras.saving.register_keras_serializable("mine")
class OwnLayer(layers.Layer):
    def call(self, inputs):
        return inputs * 2


@keras.saving.register_keras_serializable("mine")
def own_activation(values):
    return values


def of_own_class():
    model = Own()
    model.predict_on_batch(NUMBERS.to_numpy("float32"))
    return model


REFUSED = {
    "own class": (of_own_class, "Own is a class of your own"),
    "own sequential": (lambda: OwnSequential([keras.Input((4,)), layers.Dense(1)]), "OwnSequential is a class of your"),
    "own layer": (lambda: of_numbers(OwnLayer()), "'mine>OwnLayer'"),
    "own activation": (lambda: of_numbers(layers.Dense(1, own_activation)), "mine>own_activation'"),
    "lambda": (lambda: of_numbers(layers.Lambda(lambda values: values)), "'keras.layers.Lambda'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_with_code_of_its_own_is_refused_with_the_way_out(name, tmp_path):
    make, why = REFUSED[name]
    with pytest.raises(FlavorError, match=why) as caught:
        save_model(make(), tmp_path / "package")
    assert "functional API" in str(caught.value)
    assert "model.export(folder)" in str(caught.value)
    assert not (tmp_path / "package").exists()


def test_a_vocabulary_that_came_from_a_file_is_kept_with_the_model(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("Ulm\nBern\n")
    model = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=str(words))])
    loaded = round_trip(model, tmp_path, ["Ulm"])
    words.unlink()
    assert loaded.predict(["Bern", "Ulm", "Rome"]).values.tolist() == [2, 1, 0]


def test_a_vocabulary_that_keras_would_read_otherwise_is_refused(tmp_path):
    words = layers.TextVectorization(standardize=None, split=None)
    words.adapt(["new\u2028line", "plain"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), words])
    with pytest.raises(FlavorError, match="would not give back the weights or vocabulary"):
        save_model(model, tmp_path / "package")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: keras.Sequential([layers.Dense(1)]), "is not built"),
        (lambda: layers.Dense(1), "A Dense of Keras is no model"),
        (keras.optimizers.Adam, "A Adam of Keras is no model"),
    ],
)
def test_what_cannot_predict_is_refused(make, why, tmp_path):
    with pytest.raises(FlavorError, match=why):
        save_model(make(), tmp_path / "package")


@pytest.mark.parametrize("ending", ["h5", "hdf5"])
def test_the_old_format_is_refused_with_the_way_out(ending, tmp_path):
    path = tmp_path / f"model.{ending}"
    path.write_bytes(b"\x89HDF")
    with pytest.raises(FlavorError, match=r"save it as \.keras"):
        adopt_file(path, tmp_path / "package", framework="tensorflow")


def exported(tmp_path):
    """Return what MLflow is told of a package."""
    folder = write_mlflow(tmp_path / "package", tmp_path / "mlflow")
    return folder, yaml.safe_load((folder / "MLmodel").read_text())


def test_a_matrix_goes_to_mlflow_by_its_columns_and_comes_back(tmp_path):
    model = of_numbers(layers.Dense(2, "softmax"))
    loaded = round_trip(model, tmp_path, NUMBERS)
    folder, said = exported(tmp_path)
    assert said["flavors"]["python_function"]["loader_module"] == "mlflow.keras"
    assert said["flavors"]["keras"]["keras_version"] == keras.__version__
    assert [column["name"] for column in json.loads(said["signature"]["inputs"])] == list(NUMBERS.columns)
    theirs = keras.saving.load_model(folder / "data" / "model.keras")  # as MLflow's reader does, which answers with it
    np.testing.assert_allclose(
        theirs.predict_on_batch(NUMBERS.to_numpy()), loaded.predict(NUMBERS).probabilities, rtol=1e-5
    )
    read = read_mlflow(folder)
    assert (read.framework, read.file.read_bytes()) == (
        Framework.TENSORFLOW,
        (tmp_path / "package" / "model.keras").read_bytes(),
    )
    assert read.signature.names == tuple(NUMBERS.columns)
    np.testing.assert_allclose(read.example, NUMBERS.head(5), rtol=1e-8)


def test_an_array_goes_to_mlflow_as_a_tensor(tmp_path):
    loaded = round_trip(convolutional(), tmp_path, IMAGES)
    folder, said = exported(tmp_path)
    (tensor,) = json.loads(said["signature"]["inputs"])
    assert tensor["tensor-spec"] == {"dtype": "float32", "shape": [-1, 8, 8, 1]}
    assert said["saved_input_example_info"]["type"] == "ndarray"
    example = json.loads((folder / "input_example.json").read_text())["inputs"]
    np.testing.assert_allclose(example, IMAGES[:5], rtol=1e-6)
    assert loaded.predict(np.array(example, dtype="float32")).values.shape == (5, 36)


@pytest.mark.parametrize("name", ["reading", "looking up", "list"])
def test_what_mlflow_could_not_ask_is_not_exported(name, tmp_path):
    make, example, _ = MODELS[name]
    round_trip(make(), tmp_path, example)
    with pytest.raises(FlavorError, match="MLflow gives a Keras model one array of numbers"):
        exported(tmp_path)
    assert not (tmp_path / "mlflow").exists()


@pytest.mark.parametrize("flavor", ["keras: {data: data", "tensorflow: {data: data, model_type: keras"])
def test_a_keras_model_of_mlflow_is_read(flavor, tmp_path):
    model = of_numbers(layers.Dense(2))
    (tmp_path / "theirs" / "data").mkdir(parents=True)
    model.save(tmp_path / "theirs" / "data" / "model.keras")
    (tmp_path / "theirs" / "MLmodel").write_text(f"flavors: {{{flavor}}}}}")
    info = adopt_file(read_mlflow(tmp_path / "theirs").file, tmp_path / "package", framework="tensorflow", trust="none")
    said = load_model(tmp_path / "package").predict(NUMBERS.set_axis(info.signature.names, axis=1))
    np.testing.assert_allclose(said.values, model.predict_on_batch(NUMBERS.to_numpy("float32")), rtol=1e-5)


def test_models_are_known_by_their_class():
    assert flavor_of(of_numbers(layers.Dense(1))).name == "keras"
    assert flavor_of(Own()).framework is Framework.TENSORFLOW


def run(code, **environ):
    import os

    settings = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**settings, **environ}, check=True
    )


def test_other_models_load_no_tensorflow():
    code = (
        "import sys; from pathlib import Path; from dwcp_jupyter import flavors; from sklearn.linear_model import Ridge;"
        "flavors.flavor_of(Ridge()); flavors.protocol.flavor_for_file(Path('m.keras'), None);"
        "print([name for name in ('keras', 'tensorflow', 'h5py') if name in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]"


def test_tensorflow_is_imported_without_its_notices():
    code = "from dwcp_jupyter.flavors.keras.library import load_keras; load_keras(); import tensorflow"
    assert run(code).stderr == ""


def test_what_is_no_notice_is_still_written(tmp_path):
    (tmp_path / "keras.py").write_text("import os; os.write(2, b'I0000 00:00 x.cc] a notice\\na real warning\\n')")
    code = "from dwcp_jupyter.flavors.keras.library import load_keras; load_keras()"
    assert run(code, PYTHONPATH=str(tmp_path)).stderr == "a real warning\n"


def test_a_missing_back_end_is_named(tmp_path):
    (tmp_path / "keras.py").write_text("import a_back_end_that_is_not_there")
    code = (
        "from dwcp_jupyter.exceptions import MissingExtraError\n"
        "from dwcp_jupyter.flavors.keras.library import load_keras\n"
        "try: load_keras()\n"
        "except MissingExtraError as exc: print(exc)\n"
    )
    said = run(code, PYTHONPATH=str(tmp_path)).stdout
    assert "needs the 'a_back_end_that_is_not_there' package" in said
    assert "dwcp-jupyter[tensorflow]" in said


def test_another_back_end_answers_alike(tmp_path):
    model = of_numbers(layers.Dense(3, "relu"), layers.Dense(2, "softmax"))
    save_model(model, tmp_path / "package", input_example=NUMBERS)
    expected = load_model(tmp_path / "package").predict(NUMBERS).probabilities
    NUMBERS.to_parquet(tmp_path / "numbers.parquet")
    code = (
        "import numpy as np, pandas as pd; from dwcp_jupyter import flavors\n"
        f"folder = {str(tmp_path)!r}; loaded = flavors.load_model(folder + '/package')\n"
        "frame = pd.read_parquet(folder + '/numbers.parquet')\n"
        "np.save(folder + '/said.npy', loaded.predict(frame).probabilities)\n"
        "flavors.save_model(loaded.native, folder + '/again', input_example=frame)\n"
        "print(type(loaded.native.weights[0].value).__module__)\n"
    )
    assert run(code, KERAS_BACKEND="torch").stdout.strip() == "torch.nn.parameter"
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), expected, rtol=1e-5)
    again = load_model(tmp_path / "again").predict(NUMBERS)
    np.testing.assert_allclose(again.probabilities, expected, rtol=1e-5)
