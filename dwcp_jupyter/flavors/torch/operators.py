"""The operators that a graph from a file may name: computations on tensors, and nothing else.

ATen is no sandbox. Some of its operators map files, hand out memory that was not cleared, or trust their arguments; so
those are named that compute with what they are given and check it. A few kernels of ordinary networks follow shapes
or numbers without looking at them: for these the arguments are compared here first, and memory that was not cleared is
cleared. ``embedding_bag`` is not named: it follows its offsets wherever they point, in each of its kernels otherwise.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import torch

from dwcp_jupyter.exceptions import IntegrityError

__all__ = ["ALLOWED", "find_operator"]

ALLOWED = frozenset(
    """
    abs absolute acos acosh adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool3d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d add addbmm addcdiv addcmul addmm addmv addr alias all
    alpha_dropout amax amin aminmax __and__ angle any arange argmax argmin argsort as_strided asin asinh
    _assert_scalar _assert_tensor_metadata atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
    bilinear bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm
    broadcast_tensors broadcast_to bucketize cat cdist _cdist_forward ceil celu channel_shuffle chunk clamp clamp_max
    clamp_min clip clone col2im concat concatenate constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d
    conv_transpose2d conv_transpose3d convolution copy copysign cos cosh cosine_similarity cross cummax cummin cumprod
    cumsum deg2rad detach diag diag_embed diagonal diff digamma div divide dot dropout einsum elu embedding
    empty empty_like empty_permuted empty_strided eq erf erfc erfinv exp exp2 expand expand_as expm1 eye
    feature_alpha_dropout feature_dropout fft_fft fft_fft2 fft_fftn fft_fftshift fft_ifft fft_ifft2 fft_ifftn
    fft_ifftshift fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn fill flatten flip fliplr flipud
    float_power floor floor_divide fmax fmin fmod frac full full_like gather gcd ge gelu ger glu greater greater_equal
    grid_sampler grid_sampler_2d grid_sampler_3d group_norm gru gru_cell gt hardshrink hardsigmoid hardswish hardtanh
    heaviside hypot im2col index index_add index_copy index_fill index_put index_select inner instance_norm isclose
    isfinite isin isinf isnan isneginf isposinf item kthvalue layer_norm le leaky_relu lerp less less_equal lgamma
    lift lift_fresh lift_fresh_copy linalg_cross linalg_det linalg_inv linalg_matrix_norm linalg_norm linalg_solve
    linalg_vector_norm linear linspace _local_scalar_dense log log10 log1p log2 log_sigmoid _log_softmax log_softmax
    logaddexp logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lstm lstm_cell lt
    masked_fill masked_scatter masked_select matmul max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d
    max_pool3d_with_indices maximum mean median meshgrid min minimum mish mm mode moveaxis movedim mse_loss mul
    multiply mv nan_to_num nanmean nansum narrow _native_batch_norm_legit_no_training native_group_norm
    native_layer_norm ne neg negative new_empty new_full new_ones new_zeros nonzero norm not_equal numpy_T one_hot
    ones ones_like __or__ outer pad pairwise_distance permute pixel_shuffle pixel_unshuffle polar positive pow prelu
    prod quantile rad2deg real reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder
    repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as rms_norm
    rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell roll rot90 round rrelu rsqrt rsub _safe_softmax scalar_tensor
    scaled_dot_product_attention scatter scatter_add scatter_reduce searchsorted select select_scatter selu sgn
    sigmoid sign silu sin sinc sinh slice slice_scatter _softmax softmax softplus softshrink sort special_erf
    special_expit special_expm1 special_log1p special_logit special_softmax split split_with_sizes sqrt square squeeze
    stack std std_mean sub subtract sum sym_constrain_range sym_constrain_range_for_size sym_numel sym_size
    sym_storage_offset sym_stride t take take_along_dim tan tanh tensor_split tensordot threshold tile to _to_copy
    topk transpose tril tril_indices triu triu_indices true_divide trunc type_as unbind unflatten unfold _unsafe_view
    unsqueeze upsample_bicubic2d _upsample_bicubic2d_aa upsample_bilinear2d _upsample_bilinear2d_aa upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d upsample_trilinear3d var var_mean vdot view view_as view_as_complex view_as_real
    _weight_norm where xlogy __xor__ zero_ zeros zeros_like
    """.split()  # noqa: SIM905 - one name a line would hide which are there
)
"""Names in ``torch.ops.aten``; each stands for its variant in place too."""


def _refuse(name: str, expected: str) -> NoReturn:
    raise IntegrityError(
        f"The model's '{name}' is damaged: its arguments are not {expected}. It is not used. Save the model again.",
        expected=expected,
        actual=name,
    )


def _is_number(value: Any) -> bool:
    return type(value) in {bool, float} or (type(value) is int and -(2**63) <= value < 2**63)


def _on_numbers(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator of Python that takes sizes alone; on a text, ``%`` would format one of any length."""

    def called(*args: Any) -> Any:
        if not all(map(_is_number, args)):
            _refuse(name, "numbers of 64 bits")
        found = function(*args)
        if not _is_number(found):
            _refuse(name, "numbers whose result has 64 bits")
        return found

    return called


_PYTHON: dict[str, Callable[..., Any]] = {
    **{
        f"_operator.{name}": getattr(operator, name)
        for name in (
            "add",
            "sub",
            "mul",
            "floordiv",
            "truediv",
            "mod",
            "neg",
            "pos",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
        )
    },
    "_operator.and_": operator.and_,
    "_operator.or_": operator.or_,
    "math.trunc": math.trunc,
    "torch.sym_float": float,
    "torch.sym_int": int,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
    "torch._sym_sqrt": math.sqrt,
}
_SCALARS = {name: _on_numbers(name, function) for name, function in _PYTHON.items()}
"""What is computed with sizes, which are plain numbers when a graph runs."""

_UNCLEARED = frozenset({"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty"})
_OVERLOADS = {
    **{name: ("vec",) for name in ALLOWED if "upsample" in name},  # the others trust the scales that they are given
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), ("input",)),
}
_Shape = tuple[int, ...]


def find_operator(target: str) -> Callable[..., Any] | None:
    """Return what computes an operator of a graph; None for one that is not known to be safe."""
    if target in _SCALARS:
        return _SCALARS[target]
    name, _, overload = target.removeprefix("torch.ops.aten.").partition(".")
    known = name if name in ALLOWED else name.removesuffix("_")
    if not target.startswith("torch.ops.aten.") or known not in ALLOWED or not hasattr(torch.ops.aten, name):
        return None
    packet = getattr(torch.ops.aten, name)
    if overload not in packet.overloads() or overload not in _OVERLOADS.get(known, (overload,)):
        return None
    found = getattr(packet, overload)
    if any(argument.is_out for argument in found._schema.arguments):
        return None
    if known in _FITS:
        return _guarded(name, found, _FITS[known])
    return _cleared(found) if known in _UNCLEARED else found


def _cleared(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs).zero_()

    return called


def _guarded(name: str, function: Callable[..., Any], fits: Callable[..., bool]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        if not fits(*args, **kwargs):
            _refuse(name, "tensors of shapes and numbers that fit")
        return function(*args, **kwargs)

    return called


def _shapes(tensors: list[torch.Tensor]) -> list[_Shape]:
    return [tuple(tensor.shape) for tensor in tensors]


def _are_alike(*tensors: torch.Tensor) -> bool:
    return len({tensor.dtype for tensor in tensors}) == 1


def _recurrent(gates: int) -> Callable[..., bool]:
    """Return the test of a recurrent layer's weights, which oneDNN takes to be as long as its hidden state says."""

    def fits(inputs: torch.Tensor, hx: Any, params: list[torch.Tensor], has_biases: Any, *settings: Any) -> bool:
        num_layers, _dropout, _train, is_bidirectional, batch_first = settings
        states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
        directions = 2 if is_bidirectional else 1
        each = 4 if has_biases else 2
        if (
            inputs.dim() != 3
            or len(states) != (2 if gates == 4 else 1)
            or len(params) != num_layers * directions * each
        ):
            return False
        hidden = states[0].shape[-1]
        batch = inputs.shape[0 if batch_first else 1]
        rows = gates * hidden
        wanted: list[_Shape] = []
        for layer in range(num_layers):
            width = inputs.shape[-1] if layer == 0 else hidden * directions
            wanted += [(rows, width), (rows, hidden), *([(rows,)] * (each - 2))] * directions
        are_states_right = _shapes(states) == [(num_layers * directions, batch, hidden)] * len(states)
        return are_states_right and _shapes(params) == wanted and _are_alike(inputs, *states, *params)

    return fits


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *_mask: Any,
    enable_gqa: bool = False,
    **_options: Any,
) -> bool:
    """Return whether there is a value for each key, and a key for each query to be compared with."""
    if not 2 <= query.dim() == key.dim() == value.dim() or not _are_alike(query, key, value):
        return False
    outer = -3 if enable_gqa else -2
    return (
        key.shape[:-1] == value.shape[:-1]
        and query.shape[-1] == key.shape[-1]
        and query.shape[:outer] == key.shape[:outer]
    )


def _weight_norm(v: torch.Tensor, g: torch.Tensor, dim: int = 0) -> bool:
    if not -1 <= dim < v.dim() or not v.dim():
        return False
    return g.numel() == (1 if dim == -1 else v.shape[dim]) and _are_alike(v, g)


def _normalization(inputs: torch.Tensor, *weights: Any) -> bool:
    return inputs.dim() >= 2 and all(
        tuple(tensor.shape) == (inputs.shape[1],) for tensor in weights if isinstance(tensor, torch.Tensor)
    )


def _repetition(tensor: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> bool:
    """Return whether the output is as long as the repetitions are together: it is allotted before they are counted."""
    times = torch.as_tensor(tensor if repeats is None else repeats)
    each = times.flatten().tolist()
    length = 1
    if repeats is not None and times.numel() == 1:  # one number stands for all
        length = tensor.numel() if dim is None else tensor.shape[dim]
    total = sum(each) * length
    return min(each, default=0) >= 0 and total < 2**63 and output_size in {None, total}


def _division(dividend: Any, divisor: Any, *, rounding_mode: str | None = None) -> bool:
    """Return whether the quotients exist: the least integer by -1 has none, and processors trap on it."""
    if rounding_mode != "trunc" or (dtype := torch.result_type(dividend, divisor)) not in {torch.int32, torch.int64}:
        return True
    is_least = torch.as_tensor(dividend, dtype=dtype) == torch.iinfo(dtype).min
    return not bool((is_least & (torch.as_tensor(divisor, dtype=dtype) == -1)).any())


def _sampling(_inputs: Any, _grid: Any, interpolation_mode: int, padding_mode: int, _align_corners: Any) -> bool:
    """Return whether the modes are known; for others nothing is written into the output."""
    return interpolation_mode in {0, 1, 2} and padding_mode in {0, 1, 2}


_FITS: dict[str, Callable[..., bool]] = {
    "lstm": _recurrent(4),
    "gru": _recurrent(3),
    "rnn_tanh": _recurrent(1),
    "rnn_relu": _recurrent(1),
    "scaled_dot_product_attention": _attention,
    "_weight_norm": _weight_norm,
    "_native_batch_norm_legit_no_training": _normalization,
    "repeat_interleave": _repetition,
    **dict.fromkeys(("div", "divide"), _division),
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), _sampling),
}
