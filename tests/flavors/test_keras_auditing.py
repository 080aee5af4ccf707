"""Crafted Keras files run nothing, read nothing and leave nothing: they are refused before Keras makes anything.

Where an attack works on some Keras, a control shows that it would: the same file, read by Keras with its protection off,
does what the attacker wants.
"""

import contextlib
import io
import json
import stat
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError, UntrustedArtifactError
from dwcp_jupyter.flavors import adopt_file, load_model, save_model
from dwcp_jupyter.flavors.keras import auditing as keras_auditing
from dwcp_jupyter.flavors.keras import sizes as keras_sizes
from dwcp_jupyter.flavors.keras.library import load_keras

keras = load_keras()
layers = keras.layers
WEIGHTS = "model.weights.h5"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras itself


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound file, as its members by name."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, "relu"), layers.Dense(1)])
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, **changes):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **changes}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def with_description(path, members, change):
    """Write a file whose description was changed in place."""
    said = json.loads(members["config.json"])
    change(said)
    return write(path, {**members, "config.json": json.dumps(said)})


def refused(path, folder, error, why):
    """Check that a file is refused when it is brought, and when it lies in a package that says it is right."""
    with pytest.raises(error, match=why):
        adopt_file(path, folder / "package", trust="own")
    assert not (folder / "package").exists()
    info = save_model(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), folder / "swapped")
    kept = folder / "swapped" / info.file
    kept.write_bytes(path.read_bytes())
    described = json.loads((folder / "swapped" / "model.json").read_text())
    described["sha256"] = hashing.sha256_file(kept)
    (folder / "swapped" / "model.json").write_text(json.dumps(described))
    with pytest.raises(error, match=why):
        load_model(folder / "swapped")


def layer(record):
    return record["config"]["layers"][1]


def replaced_by(**record):
    """Return a change that puts a crafted object where a layer was."""

    def change(said):
        said["config"]["layers"][1] = record

    return change


def touching(marker):
    """Return a function that leaves a file when it is called."""
    return eval(f"lambda inputs: (open({str(marker)!r}, 'w').close(), inputs)[1]")


def test_a_lambda_is_refused_even_where_keras_lets_it_run(sound, tmp_path):
    marker = tmp_path / "was here"
    config = layers.Lambda(touching(marker)).get_config()
    record = {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}
    path = with_description(tmp_path / "evil.keras", sound, replaced_by(**record))
    from keras.src.saving.serialization_lib import SafeModeScope

    with SafeModeScope(False):
        with contextlib.suppress(ValueError):  # the weights of the layer that is gone fit no other
            keras.saving.load_model(path, safe_mode=False, compile=False)
        assert marker.exists()
        marker.unlink()
        refused(path, tmp_path, UntrustedArtifactError, "'keras.layers.Lambda', a lambda, which is code")
    assert not marker.exists()


def test_what_the_process_has_registered_is_not_made_for_a_file(sound, tmp_path):
    marker = tmp_path / "was here"

    @keras.saving.register_keras_serializable("evil")
    class Marking(layers.Layer):
        @classmethod
        def from_config(cls, config):
            marker.touch()
            return cls()

        def call(self, inputs):
            return inputs

    try:
        record = {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": "evil>Marking"}
        path = with_description(tmp_path / "evil.keras", sound, replaced_by(**record))
        with contextlib.suppress(ValueError):
            keras.saving.load_model(path, compile=False)
        assert marker.exists()
        marker.unlink()
        refused(path, tmp_path, UntrustedArtifactError, "'evil>Marking'")
        assert not marker.exists()
    finally:
        keras.saving.get_custom_objects().pop("evil>Marking")


FUNCTION = {"class_name": "function", "registered_name": None}
OBJECTS = {
    "any module": {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
    "any class": {"module": "subprocess", "class_name": "Popen", "config": {"args": "touch"}, "registered_name": None},
    "built in": {**FUNCTION, "module": "builtins", "config": "eval"},
    "download": {**FUNCTION, "module": "keras.utils", "config": "get_file"},
    "download by its home": {**FUNCTION, "module": "keras.src.utils.file_utils", "config": "get_file"},
    "protection off": {**FUNCTION, "module": "keras.config", "config": "enable_unsafe_deserialization"},
    "loading": {**FUNCTION, "module": "keras.saving", "config": "load_model"},
    "loading by its module": {**FUNCTION, "module": "keras.activations", "config": "deserialize"},
    "getting": {**FUNCTION, "module": "keras.losses", "config": "get"},
    "module of PyTorch": {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "x"}},
    "SavedModel": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/evil"}},
    "function of JAX": {"module": "keras.layers", "class_name": "JaxLayer", "config": {"call_fn": None}},
    "Flax": {"module": "keras.layers", "class_name": "FlaxLayer", "config": {"module": None}},
    "lambda by its home": {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda", "config": {}},
    "any part of Keras": {"module": "keras.src.utils.torch_utils", "class_name": "TorchModuleWrapper", "config": {}},
    "callback": {"module": "keras.callbacks", "class_name": "ModelCheckpoint", "config": {"filepath": "/tmp/x.keras"}},
    "data": {"module": "keras.utils", "class_name": "PyDataset", "config": {}},
    "map": {"module": "keras.src.ops.core", "class_name": "Map", "config": {}},
    "import by class": {"module": "keras", "class_name": "layers", "config": {}},
    "type specification": {"class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess", "config": []},
    "unknown special": {"class_name": "__code__", "config": {"value": "x"}},
    "no module": {"class_name": "Dense", "config": {"units": 1}},
    "module that is none": {"module": None, "class_name": "Dense", "config": {"units": 1}},
    "class that is no text": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    "module that is no text": {"module": {"a": 1}, "class_name": "Dense", "config": {}},
    "huge type": {"class_name": "__numpy__", "config": {"value": [0], "dtype": "S1000000000"}},
    "type that is no text": {"class_name": "__tensor__", "config": {"value": [0], "dtype": {"a": 1}}},
}
PLACES = {
    "layer": lambda said, record: said["config"]["layers"].__setitem__(1, record),
    "activation": lambda said, record: layer(said)["config"].__setitem__("activation", record),
    "deep in a configuration": lambda said, record: layer(said)["config"].__setitem__("x", [{"y": [[record]]}]),
    "build": lambda said, record: layer(said)["build_config"].__setitem__("input_shape", record),
    "compiling of a part": lambda said, record: layer(said).__setitem__("compile_config", {"loss": record}),
    "whole": lambda said, record: (said.clear(), said.update(record)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_none_of_keras_own_layers_is_refused_wherever_it_stands(name, place, sound, tmp_path):
    path = with_description(tmp_path / "evil.keras", sound, lambda said: PLACES[place](said, OBJECTS[name]))
    with pytest.raises(UntrustedArtifactError, match="not known to be safe"):
        adopt_file(path, tmp_path / "package", trust="own")
    assert not (tmp_path / "package").exists()


def test_a_refused_file_is_refused_in_a_package_too(sound, tmp_path):
    path = with_description(tmp_path / "evil.keras", sound, replaced_by(**OBJECTS["any module"]))
    refused(path, tmp_path, UntrustedArtifactError, "'os.system'")


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("named", ["/etc/passwd", "gs://bucket/words", "https://example.org/words", "words.txt"])
def test_a_vocabulary_in_another_file_is_refused(kind, named, sound, tmp_path):
    config = {**getattr(layers, kind)(max_tokens=5).get_config(), "vocabulary": named}
    record = {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
    path = with_description(tmp_path / "evil.keras", sound, replaced_by(**record))
    with pytest.raises(UntrustedArtifactError, match=f"a vocabulary in another file, '{named}'"):
        adopt_file(path, tmp_path / "package")


def test_what_it_was_compiled_with_is_never_made(sound, tmp_path):
    def change(said):
        code = layers.Lambda(touching(tmp_path / "was here")).get_config()["function"]
        said["compile_config"] = {"optimizer": OBJECTS["any module"], "loss": code}

    path = with_description(tmp_path / "model.keras", sound, change)
    adopt_file(path, tmp_path / "package", trust="none")
    assert load_model(tmp_path / "package").predict(np.zeros((2, 2))).values.shape == (2,)
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("compiled", ["text", [1], 5, {"loss": {"a": 1}}, {"loss": [1, {}]}, {"loss": 7}])
def test_what_it_was_compiled_with_may_be_anything(compiled, sound, tmp_path):
    path = with_description(tmp_path / "odd.keras", sound, lambda said: said.update(compile_config=compiled))
    assert adopt_file(path, tmp_path / "package").task is None


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"not JSON", b"\xff\xfe", b'{"config": {}}', b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_description_that_is_none_is_refused(text, sound, tmp_path):
    path = write(tmp_path / "evil.keras", sound, **{"config.json": text})
    with pytest.raises((IntegrityError, UntrustedArtifactError)):
        adopt_file(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    "name",
    ["../evil", "/tmp/evil", "evil.py", "assets/../../evil", "assets/layers/evil.so", "assets/a\\..\\vocabulary.txt"],
)
def test_a_part_that_keras_does_not_write_is_refused(name, sound, tmp_path):
    path = write(tmp_path / "evil.keras", sound, **{name: b"evil"})
    refused(path, tmp_path, IntegrityError, "is no part of a Keras file")
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("name", ["config.json", "metadata.json", WEIGHTS])
def test_a_file_without_a_part_is_refused(name, sound, tmp_path):
    path = write(tmp_path / "evil.keras", sound, **{name: None})
    with pytest.raises(IntegrityError, match=f"has no {name}"):
        adopt_file(path, tmp_path / "package")


def test_compressed_linked_and_doubled_parts_are_refused(sound, tmp_path):
    with zipfile.ZipFile(tmp_path / "deflated.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sound.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(tmp_path / "linked.keras", "w") as archive:
        for name, data in sound.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16 if name == WEIGHTS else 0
            archive.writestr(member, data)
    archive = zipfile.ZipFile(write(tmp_path / "doubled.keras", sound), "a")
    with archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", b"{}")
    for name, why in (("deflated", "is compressed"), ("linked", "a link"), ("doubled", "overlap")):
        with pytest.raises(IntegrityError, match=why):
            adopt_file(tmp_path / f"{name}.keras", tmp_path / "package")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all"])
def test_what_is_no_zip_is_refused(data, tmp_path):
    (tmp_path / "evil.keras").write_bytes(data)
    with pytest.raises(IntegrityError, match="is no zip"):
        adopt_file(tmp_path / "evil.keras", tmp_path / "package")


def external_link(file, secret):
    file["layers/dense/vars/0"] = h5py.ExternalLink(str(secret), "/secret")


def soft_link(file, _secret):
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense_1/vars/0")


def external_data(file, secret):
    file.create_dataset("layers/dense/vars/0", (2, 2), "f4", external=[(str(secret), 0, 16)])


def virtual_data(file, secret):
    layout = h5py.VirtualLayout(shape=(2, 2), dtype="f4")
    layout[...] = h5py.VirtualSource(str(secret), "secret", shape=(2, 2))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def huge_data(file, _secret):
    file.create_dataset("layers/dense/vars/0", (1 << 24, 1 << 20), "f4", chunks=(1024, 1024))


def compressed_data(file, _secret):
    file.create_dataset("layers/dense/vars/0", data=np.zeros((2, 2), "f4"), compression="gzip")


def references(file, _secret):
    file.create_dataset("layers/dense/vars/0", data=[[file.ref] * 2] * 2, dtype=h5py.ref_dtype)


def endless(file, _secret):
    file["layers/dense/vars/0"] = file["layers"]


def committed_type(file, _secret):
    file["layers/dense/vars/0"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("craft", "why"),
    [
        (external_link, "link to another place"),
        (soft_link, "link to another place"),
        (external_data, "lie in another file"),
        (virtual_data, "lie in another file"),
        (huge_data, "fewer than they are said to be"),
        (compressed_data, "are compressed"),
        (references, "are no numbers"),
        (endless, "hold themselves"),
        (committed_type, "are no numbers"),
    ],
)
def test_weights_that_lead_elsewhere_or_nowhere_are_refused(craft, why, sound, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["secret"] = np.full((2, 2), 7.0, "f4")
    held = io.BytesIO(sound[WEIGHTS])
    with h5py.File(held, "r+") as file:
        del file["layers/dense/vars/0"]
        craft(file, secret)
    path = write(tmp_path / "evil.keras", sound, **{WEIGHTS: held.getvalue()})
    refused(path, tmp_path, IntegrityError, why)


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"weights"])
def test_weights_that_are_none_are_refused(data, sound, tmp_path):
    path = write(tmp_path / "evil.keras", sound, **{WEIGHTS: data})
    with pytest.raises(IntegrityError, match="weights cannot be read"):
        adopt_file(path, tmp_path / "package")


def test_damaged_weights_never_crash(sound, tmp_path):
    rng = np.random.default_rng(0)
    for round_number in range(30):
        data = bytearray(sound[WEIGHTS])
        for place in rng.integers(0, len(data), 20):
            data[place] ^= int(rng.integers(1, 256))
        path = write(tmp_path / f"{round_number}.keras", sound, **{WEIGHTS: bytes(data)})
        try:
            adopt_file(path, tmp_path / f"package {round_number}")
        except (IntegrityError, FlavorError):
            assert not (tmp_path / f"package {round_number}").exists()


def test_weights_of_another_shape_are_refused(sound, tmp_path):
    def change(said):
        layer(said)["config"]["units"] = 3

    path = with_description(tmp_path / "evil.keras", sound, change)
    with pytest.raises(FlavorError, match="cannot be read as keras"):
        adopt_file(path, tmp_path / "package")


def test_every_layer_that_computes_is_known_and_no_other(tmp_path):
    names = [name for name, kind in vars(layers).items() if isinstance(kind, type)]
    strange = set()
    for name in names:
        record = {"module": "keras.layers", "class_name": name, "config": {}, "registered_name": None}
        whole = {"module": "keras", "class_name": "Sequential", "config": {"layers": [record]}, "registered_name": None}
        path = write(tmp_path / f"{name}.keras", {"config.json": json.dumps(whole)})
        strange |= set(keras_auditing.strangers(path))
    running = {"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"}
    assert strange == {f"'keras.layers.{name}'" for name in running | {"InputSpec", "Layer"}}


DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**9}, "registered_name": None}
OVERSIZED = {
    "units": ("Dense", {"units": 10**8}, "a model of 300,000,000 weights, of which the file holds 9"),
    "shape": ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 10**9}, "2,000,000,000 weights"),
    "wrapped": ("SpectralNormalization", {"layer": DENSE}, "weights, of which the file holds 9"),
    "vocabulary": ("Embedding", {"input_dim": 10**9, "output_dim": 10**9}, "weights, of which the file holds 9"),
    "output": ("RepeatVector", {"n": 10**9}, "a layer that gives 2,000,000,000 numbers a row, of at most 100,000,000"),
}
ADOPTING = """
import pathlib, resource, sys
from dwcp_jupyter.exceptions import UntrustedArtifactError
from dwcp_jupyter.flavors import adopt_file

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

sound, evil, folder = map(pathlib.Path, sys.argv[1:])
adopt_file(sound, folder / "package")
before = peak()
try:
    adopt_file(evil, folder / "refused")
except UntrustedArtifactError as exc:
    print(peak() - before, exc)
"""
MISSING = """
import sys
from dwcp_jupyter.exceptions import MissingExtraError
from dwcp_jupyter.flavors import load_model

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Missing())
try:
    load_model(sys.argv[2])
except MissingExtraError as exc:
    print(exc)
"""


def said_by(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", OVERSIZED)
def test_what_the_file_does_not_hold_is_not_allocated(name, sound, tmp_path):
    kind, config, why = OVERSIZED[name]

    def change(said):
        record = {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
        built = {"build_config": {"input_shape": [None, 2]}}
        said["config"]["layers"][1:] = [record if kind == "RepeatVector" else {**record, **built}]

    path = with_description(tmp_path / "evil.keras", sound, change)
    said = said_by(ADOPTING, write(tmp_path / "sound.keras", sound), path, tmp_path)
    assert why in said
    assert int(said.split()[0]) < 100  # MB
    assert not (tmp_path / "refused").exists()


def test_a_large_model_whose_weights_are_there_is_loaded(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1_000_000), layers.Dense(2)])
    save_model(model, tmp_path / "package")
    loaded = load_model(tmp_path / "package").native
    assert loaded.count_params() == 5_000_002
    np.testing.assert_array_equal(loaded.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())


def held_states(tensor):
    return layers.LSTM(4, stateful=True)(tensor)


def within(tensor):
    inner = keras.Sequential([keras.Input((5, 2)), layers.Bidirectional(layers.GRU(3)), layers.Dense(2)])
    inner.compile("adam", "mse")
    return inner(tensor)


def attending(tensor):
    return layers.GroupNormalization(1)(layers.MultiHeadAttention(2, 3)(tensor, tensor))


def drawing(tensor):
    return layers.GaussianNoise(0.1)(layers.Dropout(0.5)(layers.Normalization(mean=1.0, variance=2.0)(tensor)))


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("make", [held_states, within, attending, drawing])
def test_layers_whose_weights_are_not_all_plain_are_measured(make, tmp_path):
    tensor = keras.Input((5, 2), batch_size=3 if make is held_states else None)
    model = keras.Model(tensor, make(tensor))
    model.save(tmp_path / "model.keras")
    assert keras_sizes.excesses(tmp_path / "model.keras") == []
    rows = np.ones((3, 5, 2), "float32")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)  # nothing is left that would harm it
    np.testing.assert_allclose(again.predict_on_batch(rows), model.predict_on_batch(rows), rtol=1e-5)


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_a_missing_library_is_named_and_no_file_is_blamed(missing, tmp_path):
    save_model(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), tmp_path / "package")
    said = said_by(MISSING, missing, tmp_path / "package")
    assert f"needs the '{missing}' package" in said
    assert "pip install 'dwcp-jupyter[tensorflow]'" in said
