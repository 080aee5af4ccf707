"""A graph of operators as an exported program has it, run one operator after another.

The graph is JSON. Its nodes name operators, each of which must be known to be safe (`torch.operators`), and values by
name: those of the weights, the inputs and the nodes before. There are no texts to evaluate: where shapes may vary,
sizes are values that nodes compute. A value is let go after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from dwcp_jupyter.flavors.torch.archive import DTYPES, UnknownContentError
from dwcp_jupyter.flavors.torch.operators import find_operator

__all__ = ["Graph"]

_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
_STRIDED = 7


@dataclass(frozen=True, slots=True)
class _Value:
    """Where a value is found when the graph runs."""

    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    places: tuple[Any, ...]
    is_one: bool
    unneeded: tuple[int, ...]


class Graph:
    """What a graph computes. Safe for threads: it changes nothing of itself.

    Parameters
    ----------
    record : mapping
        The graph as the archive's schema has it.

    Raises
    ------
    UnknownContentError
        If it uses an operator that is not known to be safe.
    LookupError, ValueError, TypeError
        If it is none.
    """

    __slots__ = ("_inputs", "_outputs", "_size", "_steps")

    def __init__(self, record: Mapping[str, Any]) -> None:
        scope = _Scope()
        self._inputs = tuple(scope.define(entry) for entry in record["inputs"])
        steps = [scope.step(node) for node in record["nodes"]]
        self._outputs = tuple(scope.argument(entry) for entry in record["outputs"])
        self._size = len(scope.places)
        self._steps = _with_unneeded(steps, keep=set(_places(self._outputs)))

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs for as many inputs as the graph has."""
        values: list[Any] = [None] * self._size
        _put(values, self._inputs, inputs)
        for step in self._steps:
            args = [_resolved(argument, values) for argument in step.args]
            kwargs = {name: _resolved(argument, values) for name, argument in step.kwargs.items()}
            result = step.function(*args, **kwargs)
            if step.places:  # an assertion gives nothing
                _put(values, step.places, (result,) if step.is_one else result)
            for place in step.unneeded:
                values[place] = None
        return [_resolved(output, values) for output in self._outputs]


class _Scope:
    """Names of values, while a graph is read."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def step(self, node: Mapping[str, Any]) -> _Step:
        target = str(node["target"])
        function = _HIGHER.get(target) or find_operator(target)
        if function is None:
            raise UnknownContentError(f"the operator '{target.removeprefix('torch.ops.')}'")
        args, kwargs = [], {}
        for entry in node["inputs"]:
            if entry.get("kind") == 2:
                kwargs[str(entry["name"])] = self.argument(entry["arg"])
            else:
                args.append(self.argument(entry["arg"]))
        outputs = node["outputs"]
        is_list = target in _HIGHER and not node.get("is_hop_single_tensor_return")
        return _Step(
            function=function,
            args=tuple(args),
            kwargs=kwargs,
            places=tuple(self.define(entry) for entry in outputs),
            is_one=len(outputs) == 1 and not is_list,
            unneeded=(),
        )

    def argument(self, entry: Mapping[str, Any]) -> Any:
        """Return an argument: a constant, a value's place, or a list of both."""
        ((kind, content),) = entry.items()
        if kind in _CONSTANTS:
            return _CONSTANTS[kind](content)
        if kind in {"as_tensor", "as_name"}:
            return _Value(self.places[content if kind == "as_name" else content["name"]])
        if kind in {"as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"}:
            return self.argument(content)
        if kind in {"as_sym_ints", "as_sym_floats", "as_sym_bools", "as_optional_tensors"}:
            return [self.argument(item) for item in content]
        if kind == "as_tensors":
            return [_Value(self.places[item["name"]]) for item in content]
        if kind == "as_nested_tensors":
            return [[_Value(self.places[item["name"]]) for item in row] for row in content]
        raise UnknownContentError(f"an argument of the kind '{kind}'")

    def define(self, entry: Mapping[str, Any]) -> Any:
        """Return the place of a new value; for a list of them theirs, and None for what has no name."""
        ((kind, content),) = entry.items()
        if kind == "as_tensor":
            return self._new(content["name"])
        if kind in {"as_sym_int", "as_sym_float", "as_sym_bool"} and "as_name" in content:
            return self._new(content["as_name"])
        if kind == "as_tensors":
            return tuple(self._new(item["name"]) for item in content)
        if kind in {"as_none", "as_int", "as_float", "as_bool", "as_string", "as_sym_int", "as_optional_tensor"}:
            return None
        raise UnknownContentError(f"a value of the kind '{kind}'")

    def _new(self, name: str) -> int:
        if name in self.places:
            raise ValueError(f"the value '{name}' is defined twice")
        self.places[name] = len(self.places)
        return self.places[name]


def _layout(number: int) -> torch.layout:
    if number != _STRIDED:
        raise UnknownContentError("a tensor that is not dense")
    return torch.strided


_CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "as_none": lambda _: None,
    "as_int": int,
    "as_ints": list,
    "as_int_lists": list,
    "as_float": float,  # infinities and NaN are texts in the file
    "as_floats": lambda values: [float(value) for value in values],
    "as_float_lists": lambda rows: [[float(value) for value in row] for row in rows],
    "as_bool": bool,
    "as_bools": list,
    "as_string": str,
    "as_complex": lambda value: complex(float(value["real"]), float(value["imag"])),
    "as_scalar_type": DTYPES.__getitem__,
    "as_memory_format": _FORMATS.__getitem__,
    "as_layout": _layout,
    "as_device": lambda _: torch.device("cpu"),  # wherever it was trained
    "as_graph": lambda value: Graph(value["graph"]),
}


def _branch(condition: Any, then: Graph, otherwise: Graph, operands: Sequence[Any] = ()) -> list[Any]:
    return (then if condition else otherwise).run(operands)


def _without_gradients(_is_enabled: Any, graph: Graph, *operands: Any) -> list[Any]:
    return graph.run(operands)


def _mixed(device: str, dtype: Any, is_enabled: Any, _caches: Any, graph: Graph, *operands: Any) -> list[Any]:
    if device != "cpu":
        return graph.run(operands)
    with torch.autocast("cpu", dtype=dtype, enabled=is_enabled):
        return graph.run(operands)


_HIGHER: dict[str, Callable[..., list[Any]]] = {
    "torch.ops.higher_order.cond": _branch,
    "torch.ops.higher_order.wrap_with_set_grad_enabled": _without_gradients,
    "torch.ops.higher_order.wrap_with_autocast": _mixed,
}


def _resolved(argument: Any, values: Sequence[Any]) -> Any:
    kind = type(argument)
    if kind is _Value:
        return values[argument.place]
    return [_resolved(item, values) for item in argument] if kind is list else argument


def _put(values: list[Any], places: Sequence[Any], results: Sequence[Any]) -> None:
    for place, result in zip(places, results, strict=True):
        if type(place) is int:
            values[place] = result
        elif place is not None:
            _put(values, place, result)


def _places(argument: Any) -> Iterator[int]:
    if isinstance(argument, _Value):
        yield argument.place
    elif isinstance(argument, (list, tuple)):
        for item in argument:
            yield from _places(item)


def _with_unneeded(steps: Sequence[_Step], keep: set[int]) -> tuple[_Step, ...]:
    """Return the steps with what each uses last."""
    seen = set(keep)
    found = []
    for step in reversed(steps):
        used = set(_places((step.args, tuple(step.kwargs.values()))))
        made = set(_made(step.places))
        found.append(replace(step, unneeded=tuple((used | made) - seen)))
        seen |= used
    return tuple(reversed(found))


def _made(places: Any) -> Iterator[int]:
    for place in places:
        if isinstance(place, int):
            yield place
        elif place is not None:
            yield from _made(place)
