"""Which operators a graph may name, and that none of them follows shapes out of bounds."""

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
