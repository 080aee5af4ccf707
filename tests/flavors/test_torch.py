"""PyTorch's modules as exported programs: every answer is the module's own."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from dwcp_jupyter import hashing, store, supervisor
from dwcp_jupyter.exceptions import (
    FlavorError,
    PredictionError,
    SignatureError,
    UntrustedArtifactError,
)
from dwcp_jupyter.flavors import adopt_file, load_model, read_package, save_model
from dwcp_jupyter.flavors.mlflow import read_mlflow, write_mlflow
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.serving import ExecutionMode, ModelServer, PredictionRequest
from dwcp_jupyter.serving.lifetimes import release
from tests.flavors import torch_modules as modules

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(9, 4)), columns=list("abcd"))
STEPS = RNG.normal(size=(5, 7, 4)).astype("float32")
IMAGES = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
TOKENS = RNG.integers(0, 50, (5, 7))
MASK = (np.arange(7) < np.array([[7], [5], [6], [2], [7]])).astype("int64")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def trained(net, *inputs):
    """Give batch normalization something to remember."""
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(*inputs)
    return net


def matrix(frame):
    return torch.tensor(frame.to_numpy(), dtype=torch.float32)


def answer(net, *inputs):
    was = net.training
    with torch.no_grad():
        found = net.eval()(*inputs)
    net.train(was)
    return found


def round_trip(net, folder, example=None):
    save_model(net, folder / "package", input_example=example)
    return load_model(folder / "package", trust="none")


CASES = {
    "perceptron": (modules.perceptron, NUMBERS, lambda f: (matrix(f),)),
    "double": (lambda: modules.perceptron().double(), NUMBERS, lambda f: (matrix(f).double(),)),
    "images": (modules.convolutions, IMAGES, lambda a: (torch.tensor(a),)),
    "steps": (modules.Sequence, STEPS, lambda a: (torch.tensor(a),)),
    "modes": (modules.Modes, NUMBERS, lambda f: (matrix(f),)),
    "branches": (modules.Branches, NUMBERS, lambda f: (matrix(f),)),
    "buffers": (modules.Buffers, NUMBERS, lambda f: (matrix(f),)),
    "changing": (modules.Changing, NUMBERS, lambda f: (matrix(f),)),
    "indices": (
        modules.Ids,
        pd.DataFrame({"u": [1, 2, 3], "v": [4, 5, 9]}),
        lambda f: (torch.tensor(f.to_numpy()),),
    ),
    "by name": (
        modules.Two,
        pd.DataFrame({"age": [1.0, 2.5, 3.0], "user": [4, 5, 6]}),
        lambda f: (torch.tensor(f["user"].to_numpy()), torch.tensor(f["age"].to_numpy(), dtype=torch.float32)),
    ),
    "tokens": (
        modules.Attention,
        pd.DataFrame({"attention_mask": list(MASK), "input_ids": list(TOKENS)}),
        lambda f: (torch.tensor(np.stack(f["input_ids"])), torch.tensor(np.stack(f["attention_mask"]))),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_the_module_for_one_row_and_for_many(name, tmp_path):
    make, example, tensors = CASES[name]
    net = trained(make(), *tensors(example))
    loaded = round_trip(net, tmp_path, example)
    for rows in (example, example[:1], example[1:3]):
        wanted = answer(net, *tensors(rows))
        wanted = wanted["logits"] if isinstance(wanted, dict) else wanted[0] if isinstance(wanted, tuple) else wanted
        wanted = wanted.squeeze(1) if wanted.dim() == 2 and wanted.shape[1] == 1 else wanted
        found = loaded.predict(rows)
        np.testing.assert_allclose(found.values, wanted.numpy(), rtol=1e-5, atol=1e-6)
        assert (found.probabilities, found.classes) == (None, None)
    assert loaded.info.format == "pt2"
    assert loaded.info.task is None


def test_half_precision_answers_with_numbers_that_have_names(tmp_path):
    net = modules.perceptron(1).bfloat16()
    found = round_trip(net, tmp_path, NUMBERS).predict(NUMBERS).values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, answer(net, matrix(NUMBERS).bfloat16()).float().numpy()[:, 0])


def test_the_module_is_left_as_it_was(tmp_path):
    net = trained(modules.perceptron(), matrix(NUMBERS))
    net[1].eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    save_model(net, tmp_path / "package", input_example=NUMBERS)
    assert [part.training for part in net.modules()] == [True, True, False, True, True, True]
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    with pytest.raises(FlavorError):
        save_model(net, tmp_path / "other", input_example=NUMBERS.assign(e=1.0))
    assert net.training


def test_what_was_loaded_needs_no_class(tmp_path):
    net = modules.Changing()
    save_model(net, tmp_path / "package", input_example=NUMBERS)
    NUMBERS.to_parquet(tmp_path / "rows.parquet")
    code = (
        "import json, sys, pandas as pd; from dwcp_jupyter import flavors;"
        "loaded = flavors.load_model('package', trust='none');"
        "print(json.dumps(loaded.predict(pd.read_parquet('rows.parquet')).values.tolist()));"
        "print([name for name in sys.modules if name.startswith('tests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    values, imported = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(values), answer(net, matrix(NUMBERS))[:, 0], rtol=1e-5, atol=1e-6)
    assert imported == "[]"


def test_rows_of_several_lengths_are_answered_together(tmp_path):
    net = modules.Attention()
    texts = [RNG.integers(0, 50, length).tolist() for length in (7, 3, 7, 5, 3)]
    frame = pd.DataFrame({"input_ids": texts})
    loaded = round_trip(net, tmp_path, frame)
    assert loaded.signature.inputs[0].shape == (-1,)
    wanted = [answer(net, torch.tensor([text]))["logits"][0].numpy() for text in texts]
    np.testing.assert_allclose(loaded.predict(frame).values, np.stack(wanted), rtol=1e-4, atol=1e-5)


def test_bytes_of_images_are_numbers_to_the_model(tmp_path):
    net = modules.convolutions()
    images = RNG.integers(0, 255, (3, 3, 8, 8)).astype("uint8")
    loaded = round_trip(net, tmp_path, images)
    assert loaded.signature.inputs[0].dtype == "uint8"
    np.testing.assert_allclose(
        loaded.predict(images).values, answer(net, torch.tensor(images).float()).numpy(), rtol=1e-5, atol=1e-5
    )
    with pytest.raises(SignatureError, match=r"shape \(3, 8, 9\); the model takes \(3, 8, 8\)"):
        loaded.predict(np.zeros((1, 3, 8, 9), dtype="uint8"))


def test_a_tensor_is_an_example_too(tmp_path):
    net = modules.convolutions()
    loaded = round_trip(net, tmp_path, torch.tensor(IMAGES))
    np.testing.assert_allclose(loaded.predict(IMAGES).values, answer(net, torch.tensor(IMAGES)), rtol=1e-5, atol=1e-5)


def test_columns_are_matched_by_name_and_checked(tmp_path):
    loaded = round_trip(modules.perceptron(), tmp_path, NUMBERS)
    shuffled = NUMBERS[["d", "b", "a", "c"]]
    np.testing.assert_array_equal(loaded.predict(shuffled).values, loaded.predict(NUMBERS).values)
    with pytest.raises(SignatureError, match="'d' is missing"):
        loaded.predict(NUMBERS[["a", "b", "c"]])
    with pytest.raises(SignatureError, match="no rows"):
        loaded.predict(NUMBERS.head(0))
    with pytest.raises(SignatureError, match=r"'a' is missing in 1 of 1 rows"):
        loaded.predict({"a": None, "b": 1.0, "c": 1.0, "d": 1.0})


def test_a_missing_number_goes_to_the_model_only_where_the_example_had_one(tmp_path):
    class Filling(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 1)

        def forward(self, x):
            return self.out(torch.nan_to_num(x, nan=0.0))

    net = Filling()
    holes = NUMBERS.mask(NUMBERS > 1)
    loaded = round_trip(net, tmp_path, holes)
    np.testing.assert_allclose(loaded.predict(holes).values, answer(net, matrix(holes))[:, 0], rtol=1e-5, atol=1e-6)


def test_a_missing_integer_is_refused_since_tensors_have_none(tmp_path):
    frame = pd.DataFrame({"user": [1, 2, None], "age": [1.0, 2.0, 3.0]}).astype({"user": "Int64"})
    with pytest.raises(SignatureError, match="'user' is missing in 1 of 3 rows"):
        save_model(modules.Two(), tmp_path / "package", input_example=frame)


# -- classes


def test_a_module_with_classes_answers_with_labels_and_probabilities(tmp_path):
    net = modules.perceptron()
    net.classes_ = ["cat", "dog", "owl"]
    loaded = round_trip(net, tmp_path, NUMBERS)
    said = loaded.predict(NUMBERS)
    shares = torch.softmax(answer(net, matrix(NUMBERS)), 1).numpy()
    np.testing.assert_allclose(said.probabilities, shares, rtol=1e-5)
    assert said.values.tolist() == np.array(net.classes_)[shares.argmax(1)].tolist()
    assert (loaded.info.task, loaded.info.classes) == ("classification", ("cat", "dog", "owl"))


@pytest.mark.parametrize("ending", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sequential(nn.Softmax(-1), nn.Flatten())])
def test_a_softmax_at_the_end_says_that_it_is_a_classifier(ending, tmp_path):
    net = nn.Sequential(modules.perceptron(), ending)
    said = round_trip(net, tmp_path, NUMBERS).predict(NUMBERS)
    shares = torch.softmax(answer(net[0], matrix(NUMBERS)), 1).numpy()
    np.testing.assert_allclose(said.probabilities, shares, rtol=1e-5)
    assert said.classes == (0, 1, 2)
    assert said.values.tolist() == shares.argmax(1).tolist()


@pytest.mark.parametrize("ending", [nn.Identity(), nn.Sigmoid()])
def test_one_output_of_two_classes_is_the_probability_of_the_second(ending, tmp_path):
    net = nn.Sequential(modules.perceptron(1), ending)
    net.classes_ = np.array([False, True])
    said = round_trip(net, tmp_path, NUMBERS).predict(NUMBERS)
    second = torch.sigmoid(answer(net[0], matrix(NUMBERS)))[:, 0].numpy()
    np.testing.assert_allclose(said.probabilities, np.stack([1 - second, second], 1), rtol=1e-5)
    assert said.values.tolist() == (second > 0.5).tolist()


def test_a_sigmoid_without_classes_may_be_a_number(tmp_path):
    net = nn.Sequential(modules.perceptron(1), nn.Sigmoid())
    said = round_trip(net, tmp_path, NUMBERS).predict(NUMBERS)
    assert said.probabilities is None
    np.testing.assert_allclose(said.values, answer(net, matrix(NUMBERS))[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "ending", "message"),
    [
        (["a", "b"], nn.Identity(), r"outputs of shape \(3,\) for a row, and has 2 classes"),
        (["a", "b", "c"], nn.Sigmoid(), "sigmoid of several outputs"),
    ],
)
def test_classes_that_do_not_fit_the_outputs_are_refused(classes, ending, message, tmp_path):
    net = nn.Sequential(modules.perceptron(), ending)
    net.classes_ = classes
    with pytest.raises(FlavorError, match=message):
        save_model(net, tmp_path / "package", input_example=NUMBERS)
    assert not (tmp_path / "package").exists()


# -- what cannot be kept


class Function(nn.Module):
    """A layer, and what a test does with its output."""

    def __init__(self, function, outputs=1):
        super().__init__()
        self.out = nn.Linear(4, outputs)
        self.register_buffer("seen", torch.zeros(()))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def counting(net, x):
    net.seen.add_(1)
    return net.out(x)


REFUSED = {
    "asks for values": (
        lambda net, x: net.out(x) if x.sum() > 0 else -net.out(x),
        r"cannot be exported: .*register that file, and load it by trust",
    ),
    "loops over rows": (
        lambda net, x: torch.stack([net.out(row) for row in x]),
        "cannot be exported: .*batch",
    ),
    "two tensors": (lambda net, x: (net.out(x), x), "a tuple of 0, 1"),
    "two names": (lambda net, x: {"y": net.out(x), "z": x}, r"a dict of 'y', 'z'.*Wrap it in a module"),
    "no tensor": (lambda net, x: float(net.out(x).sum()), "a float"),
    "random": (lambda net, x: functional.dropout(net.out(x)), "differently each time"),
    "remembers": (lambda net, x: net.out(x) + net.seen.add_(1), "differently each time"),
    "counts": (counting, "changes its own buffers"),
    "compares rows": (lambda net, x: torch.softmax(net.out(x), 0), "changes with the rows beside it"),
    "complex": (lambda net, x: torch.fft.fft(net.out(x)), "complex numbers"),
    "odd operator": (lambda net, x: torch.special.bessel_j0(net.out(x)), "'aten.special_bessel_j0.default'"),
    "not for rows": (lambda net, x: net.out(x).reshape(3, 3), "an answer of shape|gave an answer"),
    "other width": (lambda net, x: net.out(x[:, :3]), "fails on the example: .*input_example="),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_with_the_reason_and_nothing_is_left(name, tmp_path):
    function, message = REFUSED[name]
    with pytest.raises((FlavorError, PredictionError), match=message):
        save_model(Function(function), tmp_path / "package", input_example=NUMBERS)
    assert not (tmp_path / "package").exists()


def test_squeezing_one_row_away_is_refused(tmp_path):
    with pytest.raises(PredictionError, match=r"shape \(\) to 1 rows.*squeeze\(-1\)"):
        save_model(Function(lambda net, x: net.out(x).squeeze()), tmp_path / "p", input_example=NUMBERS)


def test_operators_of_others_are_refused_with_the_remedy(tmp_path):
    @torch.library.custom_op("dwcp_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    twice.register_fake(torch.empty_like)
    with pytest.raises(FlavorError, match=r"the operator 'dwcp_test\.twice\.default'.*load it by trust"):
        save_model(Function(lambda net, x: twice(net.out(x))), tmp_path / "p", input_example=NUMBERS)


def test_an_example_is_needed_and_the_error_says_how(tmp_path):
    with pytest.raises(FlavorError, match=r"Pass some rows as input_example="):
        save_model(modules.perceptron(), tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("thing", [torch.zeros(3), torch.optim.SGD([torch.zeros(1)])])
def test_what_is_no_module_is_refused(thing, tmp_path):
    with pytest.raises(FlavorError, match="is no model of PyTorch"):
        save_model(thing, tmp_path / "package", input_example=NUMBERS)


def test_columns_that_are_no_numbers_are_refused_by_name(tmp_path):
    with pytest.raises(FlavorError, match=r"'d' \(string\) are no numbers"):
        save_model(modules.perceptron(), tmp_path / "p", input_example=NUMBERS.assign(d="x"))


def test_columns_must_be_the_parameters_where_there_are_several(tmp_path):
    frame = pd.DataFrame({"age": [1.0, 2.0], "member": [1, 2]})
    with pytest.raises(FlavorError, match="takes user, age, and the columns are age, member"):
        save_model(modules.Two(), tmp_path / "p", input_example=frame)
    arrays = pd.DataFrame({"x": list(STEPS), "y": list(STEPS)})
    with pytest.raises(FlavorError, match="takes one tensor, 'x', and the columns x, y hold arrays"):
        save_model(modules.Sequence(), tmp_path / "p", input_example=arrays)


# -- exported programs and their files


def exported(net, *, is_open=True):
    rows = torch.export.Dim.DYNAMIC if is_open else torch.export.Dim.STATIC
    return torch.export.export(net.eval(), (torch.zeros(3, 4),), dynamic_shapes=({0: rows},))


def test_an_exported_program_is_kept_without_an_example(tmp_path):
    net = modules.perceptron(1)
    program = exported(net)
    nodes = str(program.graph)
    loaded = round_trip(program, tmp_path)
    assert loaded.signature.names == ("x0", "x1", "x2", "x3")
    frame = NUMBERS.set_axis(loaded.signature.names, axis=1)
    np.testing.assert_allclose(loaded.predict(frame).values, answer(net, matrix(frame))[:, 0], rtol=1e-5, atol=1e-6)
    assert str(program.graph) == nodes


def test_an_exported_program_takes_the_names_of_an_example(tmp_path):
    loaded = round_trip(exported(modules.perceptron(1)), tmp_path, NUMBERS)
    assert loaded.signature.names == ("a", "b", "c", "d")
    with pytest.raises(SignatureError, match=r"rows of shape \(3,\); the model takes \(4,\)"):
        save_model(exported(modules.perceptron(1)), tmp_path / "p", input_example=NUMBERS[["a", "b", "c"]])


def test_a_program_for_one_number_of_rows_is_refused(tmp_path):
    with pytest.raises(FlavorError, match=r"exactly 3 rows.*dynamic_shapes="):
        save_model(exported(modules.perceptron(1), is_open=False), tmp_path / "package")


def test_a_package_holds_no_pickle_no_path_and_no_row_and_torch_reads_it(tmp_path):
    net = modules.Sequence()
    info = save_model(net, tmp_path / "package", input_example=STEPS)
    path = tmp_path / "package" / info.file
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert members["model/data/sample_inputs/model.pt"] == b""
    text = members["model/models/model.json"].decode()
    assert ".py" not in text
    assert json.loads(text)["guards_code"] == []
    again = torch.export.load(path).module()
    torch.testing.assert_close(again(torch.tensor(STEPS)), answer(net, torch.tensor(STEPS)))


def test_a_weight_that_is_a_part_of_something_takes_the_rest_nowhere(tmp_path):
    rows = torch.arange(40_000.0).reshape(10_000, 4)

    class Nearest(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("prototypes", rows[:3])
            self.scale = nn.Parameter(rows[7, 1:])

        def forward(self, x):
            return (x[:, None] - self.prototypes).square().sum(-1) * self.scale

    net = Nearest()
    loaded = round_trip(net, tmp_path, NUMBERS)
    assert (tmp_path / "package" / loaded.info.file).stat().st_size < 20_000
    np.testing.assert_allclose(loaded.predict(NUMBERS).values, answer(net, matrix(NUMBERS)), rtol=1e-5)
    assert net.prototypes.untyped_storage().nbytes() == rows.nbytes


def test_the_same_module_gives_the_same_bytes(tmp_path):
    net = modules.perceptron()
    sums = {save_model(net, tmp_path / name, input_example=NUMBERS).sha256 for name in "ab"}
    assert len(sums) == 1


def test_tied_weights_stay_one(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    loaded = round_trip(net, tmp_path, NUMBERS)
    assert sum(entry.filename.startswith("model/data/weights/weight_") for entry in _entries(loaded, tmp_path)) == 3
    np.testing.assert_allclose(loaded.predict(NUMBERS).values, answer(net, matrix(NUMBERS)), rtol=1e-5, atol=1e-6)


def _entries(loaded, folder):
    with zipfile.ZipFile(folder / "package" / loaded.info.file) as archive:
        return archive.infolist()


def test_a_foreign_pt2_file_is_kept_byte_for_byte_and_needs_no_decision(tmp_path):
    net = nn.Sequential(modules.perceptron(2), nn.Softmax(1))
    torch.export.save(exported(net), tmp_path / "net.pt2")
    info = adopt_file(tmp_path / "net.pt2", tmp_path / "package", trust="none", on_trust=pytest.fail)
    assert (tmp_path / "package" / info.file).read_bytes() == (tmp_path / "net.pt2").read_bytes()
    assert (info.format, info.is_safe, info.framework_version) == ("pt2", True, torch.__version__)
    assert (info.task, info.classes) == ("classification", (0, 1))
    loaded = load_model(tmp_path / "package", trust="none")
    frame = NUMBERS.set_axis(loaded.signature.names, axis=1)
    np.testing.assert_allclose(loaded.predict(frame).probabilities, answer(net, matrix(frame)), rtol=1e-5)


def test_a_signature_that_the_file_does_not_have_is_refused(tmp_path):
    info = save_model(modules.perceptron(), tmp_path / "package", input_example=NUMBERS)
    path = tmp_path / "package" / "model.json"
    said = json.loads(path.read_text())
    said["signature"]["inputs"] = said["signature"]["inputs"][:3]
    path.write_text(json.dumps(said))
    with pytest.raises(SignatureError, match="has 3 columns, but the model takes 4"):
        load_model(tmp_path / "package")
    assert read_package(tmp_path / "package").sha256 == info.sha256


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_what_wraps_a_module_is_taken_off(wrap, tmp_path):
    net = modules.perceptron()
    net.classes_ = ["a", "b", "c"]
    loaded = round_trip(wrap(net), tmp_path, NUMBERS)
    shares = torch.softmax(answer(net, matrix(NUMBERS)), 1)
    np.testing.assert_allclose(loaded.predict(NUMBERS).probabilities, shares, rtol=1e-5)


# -- files that run code


@pytest.fixture
def files(tmp_path):
    """The same module in the files that people bring, beside what is none."""
    net = modules.perceptron(1).eval()
    torch.jit.script(net).save(tmp_path / "script.pt")
    torch.save(net, tmp_path / "whole.pth")
    (tmp_path / "whole.pkl").write_bytes(pickle.dumps(net))
    torch.save(net.state_dict(), tmp_path / "state.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    return net


@pytest.mark.parametrize(("name", "kind"), [("script.pt", "torch"), ("whole.pth", "torch"), ("whole.pkl", "pickle")])
def test_modules_in_files_are_loaded_by_trust_alone(name, kind, files, tmp_path):
    decisions = []
    info = adopt_file(
        tmp_path / name, tmp_path / "package", framework="pytorch", input_example=NUMBERS, on_trust=decisions.append
    )
    assert [decision.sha256 for decision in decisions] == [hashing.sha256_file(tmp_path / name)]
    assert (info.format, info.is_safe) == (kind, False)
    with pytest.raises(UntrustedArtifactError):
        load_model(tmp_path / "package", trust="none")
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_allclose(
        loaded.predict(NUMBERS).values, answer(files, matrix(NUMBERS))[:, 0].numpy(), rtol=1e-5, atol=1e-6
    )


class Letters(nn.Module):
    """A network for images of one size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 5)
        self.last = nn.Linear(2 * 24 * 24, 3)

    def forward(self, image):
        return self.last(torch.flatten(self.first(image), 1))


class Steps(nn.Module):
    """A recurrent network."""

    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(4, 3, batch_first=True)

    def forward(self, steps):
        return self.layer(steps)[0][:, -1]


class Words(nn.Module):
    """A network over tokens."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, tokens):
        return self.table(tokens).mean(1)


PROBED = {
    "numbers": (modules.perceptron, [(name, "float32", ()) for name in ("x0", "x1", "x2", "x3")]),
    "images": (modules.convolutions, [("input", "float32", (3, -1, -1))]),
    "letters": (Letters, [("image", "float32", (1, 28, 28))]),
    "steps": (Steps, [("steps", "float32", (-1, 4))]),
    "words": (Words, [("tokens", "int64", (-1,))]),
}


@pytest.mark.parametrize("name", PROBED)
def test_a_file_without_an_example_takes_what_its_first_weights_say(name, tmp_path):
    make, wanted = PROBED[name]
    path = tmp_path / "net.pt"
    torch.jit.script(make().eval()).save(path)
    path.chmod(0o600)
    info = adopt_file(path, tmp_path / "package")
    assert [(column.name, column.dtype, column.shape) for column in info.signature.inputs] == wanted


@pytest.mark.parametrize("make", [modules.Two, modules.Ids, nn.Identity])
def test_a_file_that_does_not_tell_what_it_takes_has_no_signature(make, tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.script(make().eval()).save(path)
    path.chmod(0o600)
    assert adopt_file(path, tmp_path / "package").signature is None


def test_a_script_of_several_inputs_takes_columns_by_name(tmp_path):
    net = modules.Two().eval()
    path = tmp_path / "two.pt"
    torch.jit.script(net).save(path)
    path.chmod(0o600)
    _, example, tensors = CASES["by name"]
    info = adopt_file(path, tmp_path / "package", input_example=example)
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_allclose(loaded.predict(example).values, answer(net, *tensors(example)), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [("state.pt", r"holds parameters \('0.weight'.*load_state_dict"), ("list.pt", "holds a list")],
)
def test_files_without_a_module_are_refused_with_the_remedy(name, message, files, tmp_path):
    with pytest.raises(FlavorError, match=message):
        adopt_file(tmp_path / name, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_module_whose_class_is_gone_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "mine.py").write_text("import torch\nclass Net(torch.nn.Linear): pass\n")
    code = "import mine, torch; torch.save(mine.Net(4, 1), 'net.pt')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": "."})
    (tmp_path / "net.pt").chmod(0o600)
    with pytest.raises(FlavorError, match=r"not importable here: .*'mine'.*input_example="):
        adopt_file(tmp_path / "net.pt", tmp_path / "package")


class Marking:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("ending", ["pt", "pth"])
def test_an_untrusted_file_runs_nothing(ending, tmp_path):
    marker = tmp_path / "was here"
    path = tmp_path / f"model.{ending}"
    torch.save(Marking(marker), path)
    path.chmod(0o600)
    with pytest.raises(UntrustedArtifactError):
        adopt_file(path, tmp_path / "package", trust="none")
    assert not marker.exists()
    with pytest.raises(FlavorError):
        adopt_file(path, tmp_path / "package", trust=hashing.sha256_file(path))
    assert marker.exists()


def test_a_script_given_as_a_model_is_referred_to_its_file(tmp_path):
    with pytest.raises(FlavorError, match=r"save\('model.pt'\)"):
        save_model(torch.jit.script(modules.perceptron()), tmp_path / "p", input_example=NUMBERS)


# -- beyond this package


def test_a_model_of_numbers_goes_to_mlflow_and_back(tmp_path):
    net = modules.perceptron(1)
    save_model(net, tmp_path / "package", input_example=NUMBERS)
    folder = write_mlflow(tmp_path / "package", tmp_path / "mlflow")
    read = torch.export.load(folder / "data" / "model.pt2").module()
    torch.testing.assert_close(read(matrix(NUMBERS)), answer(net, matrix(NUMBERS)))
    said = read_mlflow(folder)
    assert (str(said.framework), said.framework_version) == ("pytorch", torch.__version__)
    adopt_file(said.file, tmp_path / "again", framework=said.framework, signature=said.signature, trust="none")
    found = load_model(tmp_path / "again", trust="none").predict(NUMBERS)
    np.testing.assert_allclose(found.values, answer(net, matrix(NUMBERS))[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "example", "message"),
    [
        (lambda: nn.Sequential(modules.perceptron(), nn.Softmax(1)), NUMBERS, "not with 0, 1, 2"),
        (modules.convolutions, IMAGES, "one matrix of numbers"),
    ],
)
def test_what_mlflow_would_answer_otherwise_is_not_exported(make, example, message, tmp_path):
    save_model(make(), tmp_path / "package", input_example=example)
    with pytest.raises(FlavorError, match=message):
        write_mlflow(tmp_path / "package", tmp_path / "mlflow")
    assert not (tmp_path / "mlflow").exists()


@pytest.fixture
def workspace(tmp_path):
    """A registry and a server of one workspace; afterwards nothing of it runs."""
    stores = store.open(tmp_path / "served" / ".dwcp")
    yield ModelRegistry(stores), ModelServer(stores, environ={})
    release(stores.root)
    supervisor.stop(stores.root)
    stores.close()


def test_modules_register_load_and_are_served_by_processes_of_their_own(workspace):
    registry, server = workspace
    net, images = modules.perceptron(), modules.convolutions()
    net.classes_ = ["cat", "dog", "owl"]
    version = registry.register_model(ModelMetadata(name="net", version="1.0.0"), model=net, input_example=NUMBERS)
    registry.register_model(ModelMetadata(name="images", version="1.0.0"), model=images, input_example=IMAGES)
    assert str(version.framework) == "pytorch"
    shares = torch.softmax(answer(net, matrix(NUMBERS)), 1).numpy()
    np.testing.assert_allclose(registry.load_model("net@1.0.0").predict(NUMBERS).probabilities, shares, rtol=1e-5)
    endpoint = server.deploy("net")
    assert endpoint.execution is ExecutionMode.NATIVE, endpoint.reason
    rows = NUMBERS.to_dict(orient="records")
    (said,) = server.invoke_batch(endpoint.id, rows)
    np.testing.assert_allclose(said.probabilities, shares, rtol=1e-5)
    assert list(said.predictions) == np.array(net.classes_)[shares.argmax(1)].tolist()
    pictures = server.deploy("images")
    request = PredictionRequest(endpoint_id=pictures.id, features={"x0": IMAGES[1].tolist()})
    found = server.invoke(request).predictions[0]
    np.testing.assert_allclose(found, answer(images, torch.tensor(IMAGES))[1], rtol=1e-4, atol=1e-5)
