"""Which operators a graph may name, and that none of them follows shapes out of bounds."""

import json
import subprocess
import sys

import pytest
import torch

from dwcp_jupyter.exceptions import IntegrityError
from dwcp_jupyter.flavors.torch.operators import ALLOWED, find_operator


def overloads():
    for name in sorted(ALLOWED | {f"{name}_" for name in ALLOWED}):
        packet = getattr(torch.ops.aten, name, None)
        for overload in () if packet is None else packet.overloads():
            target = f"torch.ops.aten.{name}.{overload}"
            if find_operator(target) is not None:
                yield target, getattr(packet, overload)._schema


def test_every_name_is_an_operator():
    assert [name for name in ALLOWED if not hasattr(torch.ops.aten, name)] == []


def test_operators_write_into_nothing_but_the_tensor_that_they_change_in_place():
    for target, schema in overloads():
        writes = {a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write}
        assert writes <= {"self", "l"}, target


def test_texts_that_operators_take_are_modes_and_no_files():
    modes = {
        "assert_msg", "padding", "rounding_mode", "equation", "norm", "approximate", "ord", "indexing", "mode",
        "interpolation", "reduce", "side",
    }  # fmt: skip
    on_texts = {"add", "any", "copy", "eq", "ge", "gt", "index", "le", "lt", "ne", "slice", "sort", "split"}
    for target, schema in overloads():
        texts = {a.name for a in schema.arguments if str(a.type) in {"str", "Optional[str]"}}
        if target.split(".")[3] not in on_texts:
            assert texts <= modes, target


@pytest.mark.parametrize("name", ["empty.memory_format", "new_empty.default", "empty_like.default"])
def test_memory_is_cleared_before_a_graph_sees_it(name):
    operator = find_operator(f"torch.ops.aten.{name}")
    for _ in range(5):
        torch.full((1000,), 7.0)  # leaves memory behind that is not zero
        first = [[1000]] if name.startswith("empty.") else [torch.ones(1000)]
        found = operator(*first, [1000]) if name.startswith("new_") else operator(*first)
        assert torch.equal(found, torch.zeros(1000))


def zeros(*shapes):
    return [torch.zeros(shape) for shape in shapes]


STEPS = torch.zeros(2, 7, 4)
LSTM = [(20, 4), (20, 5), (20,), (20,)]
GRU = [(15, 4), (15, 5), (15,), (15,)]
SETTINGS = (True, 1, 0.0, False, False, True)
"""has_biases, num_layers, dropout, train, bidirectional, batch_first."""
RECURRENT = {
    "lstm": (zeros((1, 2, 5), (1, 2, 5)), LSTM),
    "gru": (torch.zeros(1, 2, 5), GRU),
    "rnn_tanh": (torch.zeros(1, 2, 5), [(5, 4), (5, 5), (5,), (5,)]),
    "rnn_relu": (torch.zeros(1, 2, 5), [(5, 4), (5, 5), (5,), (5,)]),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_of_fitting_shapes_run(name):
    states, shapes = RECURRENT[name]
    found = find_operator(f"torch.ops.aten.{name}.input")(STEPS, states, zeros(*shapes), *SETTINGS)
    assert found[0].shape == (2, 7, 5)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("name", RECURRENT)
def test_weights_that_are_too_short_for_their_layer_are_refused(name, place):
    states, shapes = RECURRENT[name]
    short = [tuple(1 for _ in shape) if number == place else shape for number, shape in enumerate(shapes)]
    with pytest.raises(IntegrityError, match=f"'{name}' is damaged"):
        find_operator(f"torch.ops.aten.{name}.input")(STEPS, states, zeros(*short), *SETTINGS)


@pytest.mark.parametrize(
    ("states", "steps", "settings"),
    [
        (zeros((1, 2, 500), (1, 2, 500)), STEPS, SETTINGS),
        (zeros((1, 1, 5), (1, 1, 5)), STEPS, SETTINGS),
        (zeros((1, 2, 5)), STEPS, SETTINGS),
        (zeros((1, 2, 5), (1, 2, 5)), STEPS.double(), SETTINGS),
        (zeros((1, 2, 5), (1, 2, 5)), STEPS, (True, 2, 0.0, False, False, True)),
        (zeros((1, 2, 5), (1, 2, 5)), STEPS, (True, 1, 0.0, False, True, True)),
        (zeros((1, 2, 5), (1, 2, 5)), STEPS, (True, 10**12, 0.0, False, False, True)),
    ],
)
def test_states_and_settings_that_do_not_fit_are_refused(states, steps, settings):
    with pytest.raises(IntegrityError):
        find_operator("torch.ops.aten.lstm.input")(steps, states, zeros(*LSTM), *settings)


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 6, 8)), {}),
        (((1, 2, 4, 8), (1, 2, 5, 8), (1, 1, 5, 8)), {}),
        (((1, 2, 4, 8), (1, 2, 5, 9), (1, 2, 5, 8)), {}),
        (((9, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)), {}),
        (((1, 4, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)), {}),
    ],
)
def test_attention_over_tensors_that_do_not_fit_is_refused(shapes, options):
    with pytest.raises(IntegrityError):
        find_operator("torch.ops.aten.scaled_dot_product_attention.default")(*zeros(*shapes), **options)


def test_attention_in_groups_of_queries_runs():
    operator = find_operator("torch.ops.aten.scaled_dot_product_attention.default")
    assert operator(*zeros((1, 4, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)), enable_gqa=True).shape == (1, 4, 4, 8)
    assert operator(*zeros((1, 2, 4, 8), (1, 2, 5, 8), (1, 2, 5, 8)), torch.zeros(4, 5)).shape == (1, 2, 4, 8)


@pytest.mark.parametrize(("shape", "dim"), [((1, 1), 0), ((4, 1), 1), ((4, 1), 7), ((3, 1), -1)])
def test_a_norm_of_weights_has_one_length_for_each(shape, dim):
    operator = find_operator("torch.ops.aten._weight_norm.default")
    with pytest.raises(IntegrityError):
        operator(torch.ones(4, 3), torch.ones(shape), dim)
    assert operator(torch.ones(4, 3), torch.ones(4, 1), 0).shape == (4, 3)


@pytest.mark.parametrize("place", range(4))
def test_normalization_needs_a_number_for_each_channel(place):
    operator = find_operator("torch.ops.aten._native_batch_norm_legit_no_training.default")
    shapes = [(40,)] * 4
    assert operator(torch.zeros(2, 40, 5), *zeros(*shapes), 0.1, 1e-5)[0].shape == (2, 40, 5)
    shapes[place] = (1,)
    with pytest.raises(IntegrityError):
        operator(torch.zeros(2, 40, 5), *zeros(*shapes), 0.1, 1e-5)


def test_resizing_takes_its_size_from_the_scale():
    assert find_operator("torch.ops.aten.upsample_nearest2d.default") is None
    resize = find_operator("torch.ops.aten.upsample_nearest2d.vec")
    assert resize(torch.zeros(1, 1, 4, 4), None, [2.0, 2.0]).shape == (1, 1, 8, 8)
    with pytest.raises(RuntimeError):
        resize(torch.zeros(1, 1, 4, 4), None, [-5.0, 2.0])


HOSTILE = """
_adaptive_avg_pool2d.default ones(1, 1, 0, 0), [2, 2] | ones(1, 1, 5, 5), [0, 2]
_adaptive_avg_pool3d.default ones(1, 1, 5, 5, 5), [0, -2, 2]
_cdist_forward.default ones(2, 3, 4), ones(2, 3, 9), 1.0, 2 | ones(2, 3, 4), ones(5, 3, 4), 1.0, 2
_cdist_forward.default ones(2, 30, 4), ones(1, 3000, 4), 2.0, 1 | ones(3, 4), ones(3, 4), -1.0, 7
_cdist_forward.default ones(3, 4), ones(3, 4, dtype=double), 3.0, 2 | ones(3, 4), ones(3, 9999), 2.0, None
_native_batch_norm_legit_no_training.default ones(2, 4), None, None, ones(4, dtype=double), ones(4), .1, 1e-5
_native_batch_norm_legit_no_training.default ones(2, 4), ones(4, dtype=half), None, ones(4), ones(4), .1, 1e-5
_upsample_bicubic2d_aa.vec ones(1, 1, 5, 5), [3, 3], False, [1e-30, 1e-30]
_upsample_bilinear2d_aa.vec ones(1, 1, 2, 2), [1, 1], False, None
adaptive_avg_pool2d.default ones(1, 1, 5, 5), [-3, 2]
adaptive_max_pool2d.default ones(1, 1, 0, 5), [2, 2] | ones(1, 1, 5, 5), [-1, 2]
arange.start_step 0, 10, 0
as_strided.default ones(3), [2], [-1000000], 2 | ones(3), [3], [1], -100
as_strided_.default ones(9), [3], [3], 0 | ones(9)[3:], [30], [1], 0
avg_pool2d.default ones(1, 1, 5, 5), [0, 0], [1, 1] | ones(1, 1, 5, 5), [2, 2], [1, 1], [0, 0], False, True, 0
avg_pool3d.default ones(1, 1, 5, 5, 5), [2, 2, 2], [1, 1, 1], [9, 9, 9]
batch_norm.default ones(2, 4), ones(1), ones(1), ones(1), ones(1), False, .1, 1e-5, False
batch_norm.default ones(2, 4000), None, None, ones(1), None, False, .1, 1e-5, False
batch_norm.default ones(2, 4000), ones(1), ones(1), ones(1), ones(1), True, .1, 1e-5, False
col2im.default ones(1, 4, 9999), [3, 3], [2, 2], [1, 1], [0, 0], [1, 1]
constant_pad_nd.default ones(3), [-9, 1], 0.
convolution.default ones(1, 2, 5), ones(2, 2, 3), None, [0], [0], [1], False, [0], 1
convolution.default ones(1, 2, 5), ones(2, 2, 3), None, [1], [0], [1], False, [0], 0
convolution.default ones(1, 2, 5), ones(2, 2, 3), None, [1], [0], [1], True, [10**6], 1
convolution.default ones(1, 2, 5), ones(2, 2, 3), ones(100), [1], [0], [1], False, [0], 1
convolution.default ones(1, 2, 5, 5), ones(0, 2, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 2, 3, 3), None, [1, 1], [-1, -1], [1, 1], False, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 2, 3, 3), None, [1, 1], [0, 0], [0, 0], False, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 2, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], -1
convolution.default ones(1, 2, 5, 5), ones(2, 2, 3, 3), None, [2**31, 1], [2**30, 1], [1, 1], False, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 2, 3, 3, dtype=double), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 3, 3, 3), None, [1, 1], [99, 99], [1, 1], True, [0, 0], 1
convolution.default ones(1, 2, 5, 5), ones(2, 3, 3, 3), ones(1), [1, 1], [0, 0], [1, 1], True, [0, 0], 2
div.Scalar_mode tensor([-2**63]), -1, rounding_mode='trunc'
div.Tensor_mode -(2**63), tensor([-1]), rounding_mode='trunc'
div.Tensor_mode tensor(-(2**63)), tensor([2, -1]), rounding_mode='trunc'
div.Tensor_mode tensor([-(2**15)] * 64, dtype=int16), tensor([-1] * 64, dtype=int16), rounding_mode='trunc'
div.Tensor_mode tensor([-128] * 64, dtype=int8), tensor([-1] * 64, dtype=int8), rounding_mode='trunc'
div.Tensor_mode tensor([-2**31], dtype=int32), tensor([-1], dtype=int32), rounding_mode='floor'
div.Tensor_mode tensor([-2**31], dtype=int32), tensor([-1], dtype=int32), rounding_mode='trunc'
div.Tensor_mode tensor([-2**63]), tensor([-1]), rounding_mode='trunc'
div.Tensor_mode tensor([-2**63]*64), tensor([-1]*64), rounding_mode='floor'
div_.Scalar_mode tensor([-(2**63)] * 64), -1, rounding_mode='trunc'
div_.Tensor_mode tensor([-(2**31)], dtype=int32), tensor(-1), rounding_mode='trunc'
divide.Scalar_mode tensor([-(2**31)], dtype=int32), -1, rounding_mode='trunc'
embedding.default ones(0, 4), tensor([0]) | ones(3, 4), tensor([-10**9]) | ones(3, 4), tensor([10**9])
empty_permuted.default [3, 3], [0, 0]
empty_strided.default [3, 3], [-1, 1]
fft_irfft.default ones(3, dtype=complex64), -1
fft_irfftn.default ones(3, 3, dtype=complex64), [10**9, 1], [0, 0]
floor_divide.Scalar tensor([-(2**63)] * 64), -1
floor_divide.default tensor([-2**63]), tensor([-1])
fmod.Scalar tensor([-(2**63)] * 64), -1
fmod.Tensor tensor([-2**31]*64, dtype=int32), tensor([-1]*64, dtype=int32) | tensor([-2**63]), tensor([-1])
fmod.Tensor tensor([5]*64), tensor([0]*64)
gather.default ones(300, 300), 0, tensor([[10**9]]).expand(300, 300)
grid_sampler.default ones(1, 1, 4, 4), zeros(1, 64, 64, 2), 77, 0, False
grid_sampler_2d.default ones(1, 1, 4, 4), full((1, 2, 2, 2), 1e38), 0, 1, False
grid_sampler_2d.default ones(1, 1, 4, 4), full((1, 2, 2, 2), inf), 1, 2, False
grid_sampler_2d.default ones(1, 1, 4, 4), full((1, 2, 2, 2), nan), 0, 0, False
grid_sampler_2d.default ones(1, 1, 4, 4), zeros(1, 2, 2, 2), 77, 99, False
grid_sampler_2d.default ones(1, 1, 4, 4), zeros(1, 64, 64, 2), 0, -1, False
grid_sampler_2d.default ones(3, 1, 4, 4), zeros(300, 2, 2, 2), 0, 0, False
grid_sampler_3d.default ones(1, 1, 4, 4, 4), full((1, 2, 2, 2, 3), 1e38), 1, 1, True
grid_sampler_3d.default ones(1, 1, 4, 4, 4), full((1, 2, 2, 2, 3), nan), 0, 2, False
grid_sampler_3d.default ones(1, 1, 4, 4, 4), zeros(1, 8, 8, 8, 3), 7, 9, False
gru.input ones(2, 3, 3), ones(1, 3, 4), [ones(12, 3), ones(12, 4)], False, 1, 0.0, False, False, False
gru_cell.default ones(2, 3), ones(2, 4), ones(12, 3), ones(12, 4), ones(1), ones(2)
index.Tensor ones(3), [tensor([-10**9])] | ones(3), [tensor([1, 2, 1], dtype=uint8)]
index_add.default ones(3), 0, tensor([10**9]), ones(1)
index_put.default ones(3), [tensor([10**9])], ones(1) | ones(3), [tensor([10**9])], ones(1), True
index_select.default ones(3, 300), 0, tensor([10**9])
instance_norm.default ones(2, 4, 3), ones(1), ones(1), ones(1), ones(1), False, .1, 1e-5, False
lstm.input ones(2, 3, 3), [ones(1, 3, 4), ones(1, 3, 4)], [ones(16, 3), ones(16, 4)], False, 1, 0.0, True, False, False
lstm_cell.default ones(2, 3), [ones(2, 4), ones(2, 9)], ones(16, 3), ones(16, 4)
masked_scatter.default ones(1000), ones(1000, dtype=bool), ones(1)
masked_scatter.default ones(8000), full((8000,), 2, dtype=uint8).view(bool), ones(2)
masked_select.default ones(8000), full((8000,), 255, dtype=uint8).view(bool)
max_pool2d_with_indices.default ones(1, 1, 5, 5), [2, 2], [1, 1], [0, 0], [2**31, 1]
max_pool3d_with_indices.default ones(1, 1, 5, 5, 5), [2, 2, 2], [1, 1, 1], [1, 1, 1], [0, 1, 1]
native_group_norm.default ones(2, 4, 3), None, None, -2, -4, 3, 2, 1e-5 | ones(2, 4, 3), None, None, 2, 2, 6, 2, 1e-5
native_group_norm.default ones(2, 4, 3), None, ones(1), 2, 4, 3, 2, 1e-5
native_group_norm.default ones(2, 4, 3), ones(1000), ones(4), 2, 4, 3, 2, 1e-5
native_group_norm.default ones(2, 4, 3), ones(4), ones(4), 1000, 4, 3, 2, 1e-5
native_group_norm.default ones(2, 4, 3), ones(4), ones(4), 2, 4, 3, 0, 1e-5
nonzero.default full((8000,), 255, dtype=uint8).view(bool)
pixel_shuffle.default ones(1, 4, 2, 2), 0 | ones(1, 4, 2, 2), 2**32
prelu.default ones(2, 3), ones(3, 3) | ones(2, 3), ones(7)
reflection_pad1d.default ones(1, 3), [-3, 2]
reflection_pad2d.default ones(1, 2, 2), [5, 5, 5, 5] | ones(1, 3, 3), [-4, 2, 0, 2]
reflection_pad3d.default ones(1, 1, 2, 2, 2), [-3, 3, 1, 1, 1, 1]
remainder.Scalar tensor([-2**63]*64), -1
remainder.Scalar_Tensor -(2**63), tensor([-1] * 64)
remainder.Tensor tensor([-2**31]*64, dtype=int32), tensor([-1]*64, dtype=int32) | tensor([-2**63]), tensor([-1])
repeat_interleave.Tensor tensor([1000, 1000]), output_size=1 | tensor([2**62, 2**62, 2**62, 2**62])
repeat_interleave.Tensor tensor([200000, -199998]), output_size=2 | tensor([5, -3]), output_size=2
repeat_interleave.self_Tensor ones(2), tensor([1000000, 1000000]), 0, output_size=1
repeat_interleave.self_Tensor ones(4), tensor(3), 0, output_size=2 | ones(4), tensor([2**62]), 0
repeat_interleave.self_int ones(4), -3, 0, output_size=2 | ones(4), 2**62, 0
replication_pad1d.default ones(1, 2, 0), [2, 2] | ones(1, 2, 3), [-2, -2]
replication_pad2d.default ones(1, 2, 2), [-5, 2, 2, 2] | ones(1, 3, 3), [-4, 2, 0, 2]
replication_pad3d.default ones(1, 1, 2, 2, 2), [-2, 3, 0, 0, 0, 0]
scaled_dot_product_attention.default ones(1, 2, 0, 4), ones(1, 2, 3, 4), ones(1, 2, 3, 4)
scaled_dot_product_attention.default ones(1, 2, 3, 4), ones(1, 2, 3, 4), ones(1, 2, 3, 4), ones(1, 1, 1, 999)
scaled_dot_product_attention.default ones(1, 2, 3, 4), ones(1, 2, 3, 4), ones(1, 2, 3, 4), ones(1, 2, 1, 3, dtype=double)
scaled_dot_product_attention.default ones(1, 2, 3, 4), ones(1, 2, 3, 4), ones(1, 2, 3, 400)
scaled_dot_product_attention.default ones(1, 2, 3, 4), ones(1, 3, 3, 4), ones(1, 3, 3, 4), enable_gqa=True
scaled_dot_product_attention.default ones(2, 2, 3, 4), ones(2, 2, 5, 4), ones(2, 2, 5, 4), ones(2, 2, 3, 1)
scaled_dot_product_attention.default ones(2, 2, 3, 4), ones(2, 2, 5, 4), ones(2, 2, 5, 4), ones(3, 2, 3, 5)
scaled_dot_product_attention.default ones(2, 2, 3, 4), ones(2, 2, 5, 4), ones(2, 2, 5, 4), ones(3, 5)
scatter.src ones(3), 0, tensor([-1]), ones(1)
scatter_add.default ones(300, 300), 0, full((300, 1), 10**9).expand(300, 300), ones(300, 300)
scatter_reduce.two ones(300, 300), 0, full((300, 1), -10**9).expand(300, 300), ones(300, 300), 'amax'
searchsorted.Tensor arange(4.), tensor([2.]), sorter=tensor([-1, 1, 2, 3])
searchsorted.Tensor arange(4.), tensor([2.]), sorter=tensor([10**9, 1, 2, 3])
take.default ones(3), tensor([10**9])
upsample_bicubic2d.vec ones(1, 1, 2, 2), None, True, [1e6, 1e-3]
upsample_bilinear2d.vec ones(1, 1, 2, 2), None, False, [1e-9, 1.]
upsample_nearest2d.vec ones(1, 1, 2, 2), None, [0.0, 1.]
upsample_nearest3d.vec ones(1, 1, 2, 2, 2), [-1, 2, 2], None
view.dtype ones(3), float64
where.self full((8,), 255, dtype=uint8).view(bool), ones(8), zeros(8)
"""
"""Arguments, told apart by ``|``, that point out of bounds, divide by nothing, contradict each other or overflow."""
CASES = [(line.split()[0], case) for line in HOSTILE.split("\n")[1:-1] for case in line.partition(" ")[2].split(" | ")]
IN_CHILDREN = """
import json, os, resource, signal, sys, torch
from dwcp_jupyter.flavors.torch.operators import find_operator

torch.set_num_threads(1)
space = dict(vars(torch))
for target, arguments in json.load(sys.stdin):
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(60)
        operator = find_operator(f"torch.ops.aten.{target}")
        args, kwargs = eval(f"(lambda *a, **k: (a, k))({arguments})", space)
        try:
            with torch.inference_mode():
                str(operator(*args, **kwargs))
            said = "answered"
        except Exception as error:
            said = type(error).__name__
        print(json.dumps([target, arguments, said]), flush=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        print(json.dumps([target, arguments, f"ended with status {status}"]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes():
    """What came of each hostile call, in a process of its own: a crash is an outcome too."""
    done = subprocess.run(
        [sys.executable, "-c", IN_CHILDREN], input=json.dumps(CASES), capture_output=True, text=True, check=True
    )
    return {(target, arguments): said for target, arguments, said in map(json.loads, done.stdout.splitlines())}


def test_no_arguments_crash_an_operator(outcomes):
    assert set(outcomes) == set(CASES)
    assert {case: said for case, said in outcomes.items() if said.startswith("ended")} == {}
    assert {case: said for case, said in outcomes.items() if said in {"NameError", "SyntaxError"}} == {}


@pytest.mark.parametrize(
    "case",
    [
        ("repeat_interleave.Tensor", "tensor([200000, -199998]), output_size=2"),
        ("repeat_interleave.Tensor", "tensor([2**62, 2**62, 2**62, 2**62])"),
        ("repeat_interleave.self_Tensor", "ones(4), tensor([2**62]), 0"),
        ("repeat_interleave.self_Tensor", "ones(4), tensor(3), 0, output_size=2"),
        ("div.Scalar_mode", "tensor([-2**63]), -1, rounding_mode='trunc'"),
        ("div.Tensor_mode", "tensor([-2**31], dtype=int32), tensor([-1], dtype=int32), rounding_mode='trunc'"),
        ("divide.Scalar_mode", "tensor([-(2**31)], dtype=int32), -1, rounding_mode='trunc'"),
        ("grid_sampler_2d.default", "ones(1, 1, 4, 4), zeros(1, 64, 64, 2), 0, -1, False"),
        ("grid_sampler_3d.default", "ones(1, 1, 4, 4, 4), zeros(1, 8, 8, 8, 3), 7, 9, False"),
    ],
)
def test_arguments_that_would_corrupt_memory_quietly_are_refused_before_they_are_used(case, outcomes):
    assert outcomes[case] == "IntegrityError"


def test_bags_of_embeddings_are_not_trusted():
    for overload in torch.ops.aten.embedding_bag.overloads():
        assert find_operator(f"torch.ops.aten.embedding_bag.{overload}") is None


@pytest.mark.parametrize("size", [None, 6])
def test_repetitions_that_add_up_run(size):
    rows = torch.arange(3.0)
    repeat = find_operator("torch.ops.aten.repeat_interleave.self_Tensor")
    assert repeat(rows, torch.tensor([1, 2, 3]), 0, output_size=size).tolist() == [0, 1, 1, 2, 2, 2]
    assert repeat(rows, torch.tensor([2]), 0, output_size=size).tolist() == [0, 0, 1, 1, 2, 2]
    assert find_operator("torch.ops.aten.repeat_interleave.self_int")(rows, 2, output_size=size).shape == (6,)
    bare = find_operator("torch.ops.aten.repeat_interleave.Tensor")
    assert bare(torch.tensor([1, 2, 3]), output_size=size).tolist() == [0, 1, 1, 2, 2, 2]
    assert bare(torch.tensor([], dtype=torch.int64)).tolist() == []


def test_rounded_division_runs():
    divide = find_operator("torch.ops.aten.div.Tensor_mode")
    least = -(2**63)
    found = divide(torch.tensor([least, 7]), torch.tensor([2, -1]), rounding_mode="trunc")
    assert found.tolist() == [-(2**62), -7]
    assert divide(torch.tensor([least]), torch.tensor([-1.0]), rounding_mode="trunc").tolist() == [2.0**63]
    assert find_operator("torch.ops.aten.div.Scalar_mode")(torch.tensor([-7]), 2, rounding_mode="floor").item() == -4


def test_sampling_of_known_modes_runs():
    flat, deep = (find_operator(f"torch.ops.aten.grid_sampler_{count}d.default") for count in (2, 3))
    assert flat(torch.ones(1, 1, 4, 4), torch.zeros(1, 2, 2, 2), 2, 1, False).shape == (1, 1, 2, 2)
    assert deep(torch.ones(1, 1, 4, 4, 4), torch.zeros(1, 2, 2, 2, 3), 1, 2, True).shape == (1, 1, 2, 2, 2)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("_operator.mod", ("%500000000d", 5)),
        ("_operator.mul", ("x", 10**9)),
        ("_operator.add", ([1], [2])),
        ("_operator.add", (2**63, 0)),
        ("_operator.mul", (2**62, 2)),
        ("_operator.neg", (-(2**63),)),
        ("_operator.sub", (1j, 0)),
        ("_operator.eq", (torch.ones(2), 1)),
        ("torch.sym_int", ("7",)),
        ("torch.sym_int", (1e300,)),
        ("torch.sym_max", ([1, 2],)),
    ],
)
def test_sizes_are_numbers_of_64_bits(name, args):
    with pytest.raises(IntegrityError, match=f"'{name}' is damaged"):
        find_operator(name)(*args)


def test_sizes_are_computed_with():
    assert find_operator("_operator.mod")(7, 4) == 3
    assert find_operator("_operator.sub")(0, 2**63 - 1) == 1 - 2**63
    assert find_operator("torch.sym_int")(2.5) == 2
    assert find_operator("_operator.ge")(3, 2.5) is True
    assert find_operator("_operator.truediv")(1, 4) == 0.25
