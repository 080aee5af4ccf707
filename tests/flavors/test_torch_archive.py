"""Archives that are meant to run something: nothing of them runs, though PyTorch's own reader would run it."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import adopt_file, load_model
from dwcp_jupyter.flavors.mlflow import write_mlflow
from dwcp_jupyter.flavors.torch.archive import UnknownContentError, cleaned, read_archive

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
SAMPLES = "data/sample_inputs/model.pt"
ROW = {f"x{number}": 1.0 for number in range(4)}


@pytest.fixture(scope="module")
def members():
    """What PyTorch writes for a small network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    buffer = io.BytesIO()
    rows = {0: torch.export.Dim.DYNAMIC}
    torch.export.save(torch.export.export(net, (torch.zeros(3, 4),), dynamic_shapes=(rows,)), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def written(path, members, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"model/{name}", data)
    return path


def changed(members, change, name=MODEL):
    """Return the members with one that was changed as JSON."""
    record = json.loads(members[name])
    change(record)
    return {**members, name: json.dumps(record).encode()}


def nodes_of(record):
    return record["graph_module"]["graph"]["nodes"]


class Marking:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def pickled(marker):
    buffer = io.BytesIO()
    torch.save(Marking(marker), buffer)
    return buffer.getvalue()


def with_samples(members, marker):
    return {**members, SAMPLES: pickled(marker)}


def with_pickled_weight(members, marker):
    def change(record):
        record["config"]["0.weight"]["use_pickle"] = True

    return {**changed(members, change, WEIGHTS), "data/weights/weight_0": pickled(marker)}


def with_object(members, marker):
    """An opaque object among the constants, which is a plain pickle."""

    def change(record):
        record["config"]["thing"] = {
            "path_name": "opaque_obj_0",
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }

    config = "data/constants/model_constants_config.json"
    return {**changed(members, change, config), "data/constants/opaque_obj_0": pickle.dumps(Marking(marker))}


def with_guard(members, marker):
    def change(record):
        record["guards_code"] = [f"__import__('os').mkdir({str(marker)!r}) is None and L['input'].size()[1] == 4"]

    return changed(members, change)


def with_expression(members, marker):
    def change(record):
        values = record["graph_module"]["graph"]["tensor_values"]
        for value in values.values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f"__import__('os').mkdir({str(marker)!r}) or Symbol('s0')"

    return changed(members, change)


ATTACKS = {
    "samples": with_samples,
    "weight": with_pickled_weight,
    "object": with_object,
    "guard": with_guard,
    "expression": with_expression,
}
HARMLESS = {"samples", "guard", "expression"}
"""Parts that are there in honest archives too: they are not looked at, and the model answers."""


def by_pytorch(*paths):
    """Load and call each with PyTorch's own reader, in another process."""
    code = (
        "import sys, torch\n"
        "for path in sys.argv[1:]:\n"
        "    try: torch.export.load(path).module()(torch.zeros(3, 4)); print('read')\n"
        "    except Exception as exc: print(type(exc).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_pytorchs_own_reader_runs_what_these_archives_say(members, tmp_path):
    """Without this, the tests below could pass on archives that are harmless anyway."""
    markers = {name: tmp_path / f"{name} was here" for name in ATTACKS}
    paths = [written(tmp_path / f"{name}.pt2", ATTACKS[name](members, markers[name])) for name in ATTACKS]
    by_pytorch(*paths)
    assert [name for name, marker in markers.items() if not marker.exists()] == []


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_of_an_archive_runs(name, members, tmp_path):
    marker = tmp_path / "was here"
    path = written(tmp_path / "evil.pt2", ATTACKS[name](members, marker))
    if name in HARMLESS:
        adopt_file(path, tmp_path / "package", trust="none")
        answer = load_model(tmp_path / "package", trust="none").predict(ROW).values
        assert np.isfinite(answer).all()
    else:
        with pytest.raises(UntrustedArtifactError, match="is not known to be safe") as caught:
            adopt_file(path, tmp_path / "package", trust=hashing.sha256_file(path))
        assert caught.value.sha256 == hashing.sha256_file(path)
        assert not (tmp_path / "package").exists()
    assert not marker.exists()


def test_nothing_of_an_archive_is_handed_on_to_those_who_would_run_it(members, tmp_path):
    markers = {name: tmp_path / f"{name} was here" for name in HARMLESS}
    for name, marker in markers.items():
        path = written(tmp_path / f"{name}.pt2", ATTACKS[name](members, marker))
        adopt_file(path, tmp_path / name, trust="none")
    with pytest.raises(FlavorError, match="more than arithmetic"):
        write_mlflow(tmp_path / "expression", tmp_path / "mlflow")
    assert not (tmp_path / "mlflow").exists()
    folders = [write_mlflow(tmp_path / name, tmp_path / f"{name} in mlflow") for name in ("samples", "guard")]
    assert by_pytorch(*(folder / "data" / "model.pt2" for folder in folders)) == ["read", "read"]
    assert not any(marker.exists() for marker in markers.values())


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.aten.resize_.default",
        "torch.ops.aten.empty.out",
        "torch.ops.aten.linear.__call__",
        "torch.ops.aten.linear.nothing",
        "torch.ops.aten.__class__.default",
        "torch.ops.aten._reshape_alias.default",
        "torch.ops.aten.rand.default",
        "torch.ops.mine.op.default",
        "torch.ops.higher_order.aoti_call_delegate",
        "torch.ops.higher_order.triton_kernel_wrapper_functional",
        "torch.ops.load_library",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "builtins.eval",
        "os.system",
        "",
    ],
)
def test_operators_that_are_not_named_are_refused(target, members, tmp_path):
    def change(record):
        nodes_of(record)[1]["target"] = target

    path = written(tmp_path / "evil.pt2", changed(members, change))
    with pytest.raises(UntrustedArtifactError, match="the operator"):
        adopt_file(path, tmp_path / "package")


@pytest.mark.parametrize(
    "member",
    [
        "data/aotinductor/model/model.so",
        "data/aotinductor/model/wrapper.cpp",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/weights/model.pt",
        "models/other.json",
        "executorch/x.pte",
        "serialized_state_dict.pt",
        "../outside",
        "code/__torch__.py",
    ],
)
def test_members_that_are_no_data_are_refused_though_nobody_reads_them(member, members, tmp_path):
    path = written(tmp_path / "evil.pt2", {**members, member: b"\x7fELF"})
    with pytest.raises(UntrustedArtifactError, match="members"):
        adopt_file(path, tmp_path / "package")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"as_custom_obj": {"name": "x", "class_fqn": "y"}}, "kind 'as_custom_obj'"),
        ({"as_operator": "os.system"}, "kind 'as_operator'"),
        ({"as_string_to_argument": {}}, "kind 'as_string_to_argument'"),
        ({"as_layout": 2}, "not dense"),
    ],
)
def test_arguments_that_are_no_data_are_refused(argument, message, members, tmp_path):
    def change(record):
        nodes_of(record)[1]["inputs"][0]["arg"] = argument

    path = written(tmp_path / "evil.pt2", changed(members, change))
    with pytest.raises(UntrustedArtifactError, match=message):
        adopt_file(path, tmp_path / "package")


def test_what_hides_within_a_branch_is_found(members, tmp_path):
    def change(record):
        inner = {"inputs": [], "outputs": [], "nodes": [{"target": "os.system", "inputs": [], "outputs": []}]}
        argument = {"as_graph": {"name": "g", "graph": inner}}
        node = nodes_of(record)[1]
        node["target"] = "torch.ops.higher_order.cond"
        node["inputs"] = [{"name": "", "arg": {"as_bool": True}}, {"name": "", "arg": argument}]

    path = written(tmp_path / "evil.pt2", changed(members, change))
    with pytest.raises(UntrustedArtifactError, match=r"os\.system"):
        adopt_file(path, tmp_path / "package")


def _unknown_value(record):
    nodes_of(record)[1]["inputs"][0]["arg"]["as_tensor"]["name"] = "nobody"


def _twice(record):
    nodes_of(record)[1]["outputs"] = nodes_of(record)[0]["outputs"]


def _ahead(record):
    nodes = nodes_of(record)
    nodes[0], nodes[1] = nodes[1], nodes[0]


def _schema(record):
    record["schema_version"]["major"] = 9


def _two_kinds(record):
    nodes_of(record)[0]["inputs"][0]["arg"]["as_int"] = 1


def _no_graph(record):
    del record["graph_module"]


def _beyond_floats(record):
    nodes_of(record)[0]["inputs"].append({"name": "alpha", "arg": {"as_float": 10**400}, "kind": 2})


def _endless(record):
    nodes_of(record)[0]["inputs"].append({"name": "alpha", "arg": {"as_int": float("inf")}, "kind": 2})


@pytest.mark.parametrize("change", [_beyond_floats, _endless])
def test_numbers_beyond_their_kind_are_damage(change, members, tmp_path):
    path = written(tmp_path / "odd.pt2", changed(members, change))
    with pytest.raises(FlavorError, match="OverflowError"):
        adopt_file(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("change", [_unknown_value, _twice, _ahead, _schema, _two_kinds, _no_graph])
def test_graphs_that_make_no_sense_are_refused(change, members, tmp_path):
    path = written(tmp_path / "odd.pt2", changed(members, change))
    with pytest.raises(FlavorError):
        adopt_file(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_damage_is_told_wherever_a_file_is_read(tmp_path):
    path = tmp_path / "odd.pt2"
    path.write_bytes(b"PK")
    for read in (read_archive, cleaned):
        with pytest.raises(FlavorError, match="BadZipFile"):
            read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sizes", [{"as_int": 4000}, {"as_int": 4000}]),
        ("sizes", [{"as_int": -3}, {"as_int": 4}]),
        ("sizes", [{"as_int": 2**62}, {"as_int": 2**62}]),
        ("strides", [{"as_int": 10**6}, {"as_int": 1}]),
        ("strides", [{"as_int": -4}, {"as_int": 1}]),
        ("storage_offset", {"as_int": 10**6}),
        ("storage_offset", {"as_int": -1}),
        ("sizes", [{"as_expr": {"expr_str": "Symbol('s0')"}}]),
        ("dtype", 99),
        ("dtype", 8),
    ],
)
def test_weights_that_would_lie_outside_their_bytes_are_refused(key, value, members, tmp_path):
    def change(record):
        record["config"]["0.weight"]["tensor_meta"][key] = value

    path = written(tmp_path / "odd.pt2", changed(members, change, WEIGHTS))
    with pytest.raises(FlavorError, match=r"no \.pt2 archive"):
        adopt_file(path, tmp_path / "package")


def test_a_weight_that_is_not_there_is_named(members, tmp_path):
    path = written(tmp_path / "odd.pt2", {n: d for n, d in members.items() if n != "data/weights/weight_0"})
    with pytest.raises(FlavorError, match="weight_0"):
        adopt_file(path, tmp_path / "package")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "no .pt2 archive"), (b"PK\x03\x04 not a zip", "no .pt2 archive"), (pickle.dumps({}), "no .pt2 archive")],
)
def test_what_is_no_archive_is_refused(data, message, tmp_path):
    path = tmp_path / "odd.pt2"
    path.write_bytes(data)
    with pytest.raises(FlavorError, match=message):
        adopt_file(path, tmp_path / "package")


def test_a_bomb_is_refused_before_it_is_unpacked(members, tmp_path):
    bomb = {**members, "data/weights/weight_0": bytes(1 << 26)}
    path = written(tmp_path / "bomb.pt2", bomb, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(FlavorError, match="is compressed"):
        adopt_file(path, tmp_path / "package")


def test_deep_json_is_refused_and_crashes_nothing(members, tmp_path):
    path = written(tmp_path / "deep.pt2", {**members, MODEL: b"[" * 10**6 + b"]" * 10**6})
    with pytest.raises(FlavorError, match="RecursionError"):
        adopt_file(path, tmp_path / "package")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_that_repeat_are_refused(members, tmp_path):
    path = written(tmp_path / "twice.pt2", members)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"model/{MODEL}", members[MODEL])
    with pytest.raises(FlavorError, match="members repeat"):
        adopt_file(path, tmp_path / "package")


@pytest.mark.parametrize("name", ["byteorder", "archive_format"])
def test_archives_of_another_kind_are_refused(name, members, tmp_path):
    path = written(tmp_path / "odd.pt2", {**members, name: b"big"})
    with pytest.raises(FlavorError, match=r"big"):
        adopt_file(path, tmp_path / "package")


def test_a_package_that_nobody_loaded_is_read_before_it_is_handed_on(members, tmp_path):
    def change(record):
        nodes_of(record)[1]["target"] = "os.system"

    adopt_file(written(tmp_path / "net.pt2", members), tmp_path / "package")
    path = written(tmp_path / "package" / "foreign.pt2", changed(members, change))
    description = tmp_path / "package" / "model.json"
    said = json.loads(description.read_text())
    description.write_text(json.dumps({**said, "sha256": hashing.sha256_file(path)}))
    with pytest.raises(FlavorError, match=r"'os\.system'; it is not exported"):
        write_mlflow(tmp_path / "package", tmp_path / "mlflow")
    assert not (tmp_path / "mlflow").exists()


def test_cleaning_leaves_the_model_and_takes_the_rest(members, tmp_path):
    path = written(tmp_path / "net.pt2", {**members, "extra/notes.txt": b"mine"})
    data = cleaned(path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    assert names == set(members) - {".data/serialization_id"}
    assert cleaned(data) == data
    before, after = read_archive(path), read_archive(data)
    assert all(torch.equal(before.weights[name], after.weights[name]) for name in before.weights)


@pytest.mark.parametrize("name", ["x; import os", "f()", "a b", "x\ny"])
def test_names_that_would_become_code_elsewhere_are_not_handed_on(name, members, tmp_path):
    def change(record):
        nodes_of(record)[0]["name"] = name

    with pytest.raises(UnknownContentError, match="the name"):
        cleaned(written(tmp_path / "odd.pt2", changed(members, change)))
